"""What pictures show: COCO's boxes under NSD's crop, and the demo's scenes."""

import json

import numpy as np
import pandas as pd
import pytest

from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import shown_objects
from neural_recon.demo import scenes, tree
from neural_recon.demo.scene_content import from_scenes

COLUMNS = ("image_id", "n_objects", "main_category", "categories", "crowd")


def annotation(image, category, box, crowd=0):
    x, y, w, h = box
    outline = [[x, y, x + w, y, x + w, y + h]] if not crowd else {"counts": [1, 2], "size": [9, 9]}
    return {
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "iscrowd": crowd,
        "segmentation": outline,
    }


@pytest.fixture
def coco(tmp_path):
    """Five images of 200 x 100 pixels, or upright; shown is the middle square of the first, the top of the
    second, all of the third, the right half of the fourth and the right of the fifth."""
    table = tmp_path / "nsd_stim_info_merged.csv"
    table.write_text(
        ",cocoId,cocoSplit,cropBox,loss,nsdId,flagged\n"
        '0,20,val2017,"(0, 0.5, 0, 0)",0,1,False\n'
        '1,10,train2017,"(0, 0, 0.25, 0.25)",0,0,False\n'
        '2,30,train2017,"(0.0, 0.0, 0.0, 0.0)",0,2,False\n'
        '3,40,train2017,"(0, 0, 0.5, 0)",0,3,False\n'
        '4,50,train2017,"(0, 0, 0.5, 0)",0,4,False\n'
    )
    train = [
        annotation(10, 1, [50, 0, 100, 100]),  # the whole square
        annotation(10, 3, [0, 0, 100, 50]),  # half of it inside: counts
        annotation(10, 3, [0, 0, 99, 50]),  # 49 of 99 inside
        annotation(10, 7, [100, 50, 5, 10]),  # 0.5 % of the square: counts
        annotation(10, 7, [100, 50, 5, 9.9]),  # just too small
        annotation(10, 7, [160, 0, 20, 20]),  # outside
        annotation(30, 1, [0, 0, 60, 60], crowd=1),
        annotation(30, 7, [0, 0, 40, 40]),
        annotation(30, 3, [50, 0, 30, 30]),
        annotation(30, 3, [50, 50, 30, 30]),
        annotation(40, 1, [0, 0, 90, 90]),  # cut away
        annotation(50, 1, [90, 0, 40, 0]),  # no area
        annotation(999, 1, [0, 0, 90, 90]),
    ]
    val = [annotation(20, 3, [0, 0, 100, 160]), annotation(20, 1, [0, 40, 100, 150])]
    sizes = {10: (200, 100), 20: (100, 200), 30: (100, 100), 40: (200, 100), 50: (200, 100), 999: (9, 9)}
    paths = []
    for name, ids, rows in (("train", [10, 30, 40, 50, 999], train), ("val", [20], val)):
        images = [{"id": i, "width": sizes[i][0], "height": sizes[i][1], "file_name": "ż.jpg"} for i in ids]
        names = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 7, "name": "cup"}]
        paths.append(tmp_path / f"instances_{name}2017.json")
        whole = {"info": {"year": 2017}, "images": images, "annotations": rows, "categories": names}
        paths[-1].write_text(json.dumps(whole, indent=1 if name == "val" else None), encoding="utf-8")
    return table, paths


def test_objects_under_the_crop(coco):
    table = shown_objects.from_coco(*coco)
    assert tuple(table) == COLUMNS
    assert table.to_numpy().tolist() == [
        [0, 3, "person", "person, car, cup", False],
        [1, 1, "car", "car", False],  # 100 of the car's 160 rows, 60 of the person's 150
        [2, 3, "cup", "car, cup", True],  # two cars cover more than the largest object
        [3, 0, "", "", False],
        [4, 0, "", "", False],
    ]


def test_visible_parts_agree_with_pixels(rng):
    """Brute force: boxes and crops on whole pixels, counted."""
    for _ in range(200):
        width, height = rng.integers(8, 30, 2)
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(1, width - x + 1), rng.integers(1, height - y + 1)
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        bottom, right = rng.integers(0, height // 2), rng.integers(0, width // 2)
        box, shown = np.zeros((2, height, width), bool)
        box[y : y + h, x : x + w] = True
        shown[top : height - bottom, left : width - right] = True
        crop = np.array([[top / height, bottom / height, left / width, right / width]])
        share, area = shown_objects.visible(
            np.array([[x, y, w, h]], float), np.array([[width, height]]), crop
        )
        np.testing.assert_allclose(share, (box & shown).sum() / box.sum(), atol=1e-9)
        np.testing.assert_allclose(area, (box & shown).sum() / shown.sum(), atol=1e-9)


def test_every_cut_of_a_file_is_an_error(coco):
    _, paths = coco
    text = paths[0].read_text(encoding="utf-8")
    for end in range(0, len(text), 7):
        paths[0].write_text(text[:end], encoding="utf-8")
        with pytest.raises(
            InputError, match=r"expected COCO's instances \(dataset.instances names their folder\) as JSON"
        ):
            shown_objects.read_instances(paths[0], {10})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"image_id"', '"image"', "KeyError: 'image_id'"),
        ('"annotations"', '"notes"', "KeyError: 'annotations'"),
        ('"bbox": [50, 0, 100, 100]', '"bbox": [50, 0]', "ValueError"),
        ('"id": 7', '"id": 8', "KeyError: 7"),
    ],
)
def test_wrong_instances_are_one_sentence(coco, old, new, message):
    table, paths = coco
    paths[0].write_text(paths[0].read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=f"{paths[0]}: expected COCO's instances .*{message}") as error:
        shown_objects.from_coco(table, paths)
    assert "\n" not in str(error.value)


def test_image_in_no_file_is_named(coco):
    with pytest.raises(InputError, match=r"entry for COCO id 20 \(NSD id 1, and 0 more\), found none in"):
        shown_objects.from_coco(coco[0], coco[1][:1])
    with pytest.raises(InputError, match=r"dataset.instances names their folder\), found no such file"):
        shown_objects.from_coco(coco[0], [coco[1][0], coco[1][1].with_name("no.json")])


@pytest.mark.parametrize(
    "crop", ["(0, 0, 0.5)", "(0, 0, 0.5, 0.5)", "(0, 0, -0.1, 0)", "none", "(0, 0, 1j, 0)"]
)
def test_wrong_crop_is_named(coco, crop):
    table, paths = coco
    table.write_text(table.read_text().replace("(0, 0.5, 0, 0)", crop))
    with pytest.raises(InputError, match="expected cropBox as"):
        shown_objects.from_coco(table, paths)


def test_scenes_of_the_demo(tmp_path):
    drawn = [scenes.sample(3, index) for index in range(40)]
    path = tmp_path / "scenes.parquet"
    tree.scene_table(np.arange(40), drawn).to_parquet(path)
    table = from_scenes(path)
    assert tuple(table) == COLUMNS
    for row, scene in zip(table.itertuples(), drawn, strict=True):
        kinds = [thing.kind for thing in scene.objects]
        assert (row.n_objects, row.main_category) == (len(kinds), kinds[0])
        assert row.categories.split(", ") == list(dict.fromkeys(kinds))
    assert set(table["n_objects"]) == {1, 2}
    pd.DataFrame({"image_id": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="the columns n_objects, main_kind, second_kind, found image_id"):
        from_scenes(path)
