"""Captions of NSD's images from COCO's annotation files."""

import json

import numpy as np
import pytest

from neural_recon import datasets
from neural_recon.core.errors import InputError
from neural_recon.datasets.kinds.nsd import CAPTIONS
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.datasets.nsd.coco import caption_table


@pytest.fixture
def files(tmp_path):
    """Three NSD images, not in order, with seven captions, five, and three and an empty one."""
    table = tmp_path / "nsd_stim_info_merged.csv"
    table.write_text(
        ",cocoId,cocoSplit,cropBox,loss,nsdId,flagged\n"
        '0,532481,val2017,"(0, 0, 0.16, 0.16)",0.1,2,False\n'
        '1,9,train2017,"(0, 0, 0.1, 0.1)",0.1,0,True\n'
        '2,44,train2017,"(0, 0, 0.1, 0.1)",0.1,1,False\n'
    )
    rows = [(9, f"caption {k}") for k in range(7)] + [(1000, "not one of NSD's")]
    rows += [(44, text) for text in ("A dog.\n", " A  dog in Łódź. ", "", "Dog.")]
    paths = [tmp_path / "captions_train2017.json", tmp_path / "captions_val2017.json"]
    for path, some in zip(paths, (rows, [(532481, f"zebra {k}") for k in range(5)]), strict=True):
        annotations = [
            {"image_id": coco_id, "id": k, "caption": text} for k, (coco_id, text) in enumerate(some)
        ]
        path.write_text(json.dumps({"info": {}, "annotations": annotations}), encoding="utf-8")
    return table, paths


def test_rows_are_image_ids(files):
    assert caption_table(*files).tolist() == [
        [f"caption {k}" for k in range(5)],
        ["A dog.", "A dog in Łódź.", "Dog.", "", ""],
        [f"zebra {k}" for k in range(5)],
    ]


def test_captions_are_read_as_out_of_the_curated_file(files, tmp_path):
    table, paths = files
    tree = nsd_tree.Tree(tmp_path / "nsd")
    tree.stimulus_info.parent.mkdir(parents=True)
    tree.stimulus_info.write_bytes(table.read_bytes())
    coco = tmp_path / "coco"
    coco.mkdir()
    for path, name in zip(paths, CAPTIONS, strict=True):
        (coco / name).write_bytes(path.read_bytes())
    tree.captions.parent.mkdir()
    np.save(tree.captions, caption_table(*files))
    for more in ({}, {"coco": str(coco)}):
        data = datasets.load({"dataset": {"kind": "nsd", "root": str(tmp_path / "nsd"), **more}})
        assert data.captions([1, 2]) == [
            ["A dog.", "A dog in Łódź.", "Dog."],
            [f"zebra {k}" for k in range(5)],
        ]


def test_image_without_captions_is_named(files):
    table, paths = files
    with pytest.raises(
        InputError, match=r"captions for COCO id 532481 \(NSD id 2, and 0 more\), found none in .*"
    ):
        caption_table(table, paths[:1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no such file"),
        ("{", "as JSON .*JSONDecodeError"),
        ("[]", "as JSON .*TypeError"),
        ('{"images": []}', "as JSON .*'annotations'"),
        ('{"annotations": [{"image_id": 1, "bbox": []}]}', "as JSON .*'caption'"),
    ],
)
def test_annotations_that_are_none(files, content, message):
    path = files[1][1]
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    with pytest.raises(
        InputError, match=f"captions_val2017.json: expected COCO's captions.*{message}"
    ) as caught:
        caption_table(*files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("a,b\n1,2\n", "columns nsdId and cocoId, found none that reads"),
        ("nsdId,cocoId\n0,x\n", "columns nsdId and cocoId, found none that reads"),
        ("", "columns nsdId and cocoId, found none that reads"),
        ("nsdId,cocoId\n1,9\n2,44\n", "every NSD id from 0 on once, found 2 rows"),
        ("nsdId,cocoId\n", "every NSD id from 0 on once, found 0 rows"),
    ],
)
def test_stimulus_table_that_is_none(files, content, message):
    table, paths = files
    table.unlink() if content is None else table.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        caption_table(table, paths)
    assert "\n" not in str(caught.value)
