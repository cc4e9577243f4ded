"""What `doctor` looks at is what the rules take: removing or spoiling any such file is found before a run."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import made_once, tiny_run
from helpers.workflow import restored, snakemake

from neural_recon.config.configuration import read_config
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.models import weights
from neural_recon.workflow import doctor
from neural_recon.workflow.plan import Plan

pytestmark = pytest.mark.slow

MORE = {
    "responses": {"noise_ceiling": "ncsnr"},
    "regions": {"sets": {"V1": ["V1"], "own": ["masks/{subject}.nii.gz"]}},
    "evaluation": {
        **tiny_run.CONFIG["evaluation"],
        "scenes": "nsd/annots/scenes.parquet",
        "classifier": "resources/demo_models/classifier/model.safetensors",
    },
}
# captions and contents from COCO's files instead
COCO = {
    **MORE,
    "dataset": {**tiny_run.CONFIG["dataset"], "coco": "coco", "instances": "coco"},
    "evaluation": tiny_run.CONFIG["evaluation"],
}
# settings next to what is read (text_unet's shape is that of image_unet's), and scores that only join
# the comparison while they are there
UNREAD = ("tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json", "text_unet/config.json")
JOINING = "results/others/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """A project with all that a run can take; the current folder."""
    folder = tmp_path_factory.mktemp("leaves") / "my project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    tree = nsd_tree.Tree(folder / "nsd", preparation=tiny_run.CONFIG["dataset"]["preparation"])
    image = nibabel.load(tree.roi("subj01", "prf-visualrois"))
    mask = (np.asarray(image.dataobj) == 1).astype(np.int16)
    (folder / "masks").mkdir()
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), folder / "masks/subj01.nii.gz")
    (folder / "results/others").mkdir(parents=True)
    scores = pd.DataFrame({"method": ["m"], "preset": "native", "metric": "ssim", "mean": 0.4, "n": 8})
    scores.to_csv(folder / "results/others/m_native.tsv", sep="\t", index=False)
    write_coco(folder / "coco", tree.stimulus_info)
    shutil.copy(
        folder / "resources/demo_models/classifier/model.safetensors", folder / "classifier.safetensors"
    )
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def write_coco(folder: Path, stimuli: Path) -> None:
    """Captions and instances of a few pictures, which all of NSD's are cut from; one for validation."""
    folder.mkdir()
    ids = np.arange(nsd_tree.N_IMAGES)
    table = pd.DataFrame({"nsdId": ids, "cocoId": ids % 5, "cropBox": "(0, 0, 0, 0)"})
    table.to_csv(stimuli, index=False)
    for name, some in (("train", range(1, 5)), ("val", range(1))):
        captions = [{"image_id": i, "caption": "a cat"} for i in some]
        (folder / f"captions_{name}2017.json").write_text(json.dumps({"annotations": captions}))
        instances = {
            "images": [{"id": i, "width": 100, "height": 100} for i in some],
            "annotations": [{"image_id": i, "category_id": 1, "bbox": [0, 0, 50, 50]} for i in some],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (folder / f"instances_{name}2017.json").write_text(json.dumps(instances))


def configure(folder: Path, more: dict) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**tiny_run.CONFIG, **more}), encoding="utf-8")
    return path


def taken(configfile: Path) -> set[str]:
    plan = Plan(read_config(configfile, Path()))
    return {str(path) for _, path in plan.files(weights.read_table(weights.TABLE))}


def leaves(folder: Path) -> set[str]:
    """What the jobs of a whole run take and none of them makes."""
    done = snakemake(folder, "-n", "-F", "all", "--verbose")  # else jobs are shown in short
    assert done.returncode == 0, done.stdout + done.stderr
    files = {
        kind: {
            path
            for line in re.findall(rf"^ +{kind}: (.+)$", done.stdout, re.M)
            for path in re.sub(r" <TBD>", "", line).split(", ")
        }
        for kind in ("input", "output")
    }
    return files["input"] - files["output"]


def wrong(configfile: Path) -> list[str]:
    findings, _ = doctor.examine(configfile, Path())
    return [one.text for one in findings if one.state == "wrong"]


@pytest.mark.parametrize("more", [MORE, COCO, {}], ids=["scenes", "coco", "plain"])
def test_the_plan_names_what_the_rules_take(folder, more):
    configfile = configure(folder, more)
    assert wrong(configfile) == []
    assert taken(configfile) == leaves(folder)


def test_the_plan_of_the_demo_names_what_the_rules_take(folder):
    demo = yaml.safe_load(Path("config/demo.yaml").read_text(encoding="utf-8"))
    (folder / "config.yaml").write_text(yaml.safe_dump(demo), encoding="utf-8")
    assert {path for path in taken(folder / "config.yaml") if "others" not in path} == {
        path for path in leaves(folder) if "others" not in path
    }


@pytest.mark.parametrize("more", [MORE, COCO], ids=["scenes", "coco"])
def test_each_file_that_is_missing_or_spoilt_is_named(folder, more):
    configfile = configure(folder, {**more, "evaluation": {**more["evaluation"], **own_judge(more)}})
    config, table = read_config(configfile, Path()), weights.read_table(weights.TABLE)

    def said(path: Path) -> list[str]:
        """What doctor says of data, or of weights."""
        vars(config).pop("data", None)  # which reads the design once
        plan = Plan(config)
        part = (
            doctor.check_weights(config, table) if "models" in path.parts else doctor.check_data(plan, False)
        )
        texts = [one.text for one in [*part, *doctor.check_tables(plan)] if one.state == "wrong"]
        return texts + [one.text for one in doctor.check_files(plan, table, texts)]

    files = taken(configfile)
    if more is COCO:  # those of the other configuration are read as there
        files = {path for path in files if "coco" in path or "stim_info" in path}
    unnoticed = []
    for name in sorted(files):
        if name.endswith(UNREAD):
            continue
        path = Path(name)
        with restored(path):
            path.unlink()
            if not (name.startswith(JOINING) or named(said(path), path)):
                unnoticed.append(f"{name} removed")
            path.write_bytes(b"spoilt\0\xff" * 1000)
            if not named(said(path), path):
                unnoticed.append(f"{name} spoilt")
    assert unnoticed == []
    assert wrong(configfile) == []


def own_judge(more: dict) -> dict:
    return {"classifier": "classifier.safetensors"} if "classifier" in more["evaluation"] else {}


def named(sentences: list[str], path: Path) -> bool:
    """Whether a sentence names the file, or the folder of a model that it is a part of."""
    places = [str(path)] + ([str(path.parent)] if "versatile" in str(path) else [])
    return any(place in sentence for sentence in sentences for place in places)


def test_labels_that_a_set_of_regions_wants(folder):
    configfile = configure(folder, {**MORE, "regions": {"sets": {"words": ["VWFA-1"]}}})
    tree = nsd_tree.Tree("nsd", preparation=tiny_run.CONFIG["dataset"]["preparation"])
    path = tree.roi("subj01", "floc-words")
    with restored(path):
        image = nibabel.load(path)
        labels = np.minimum(np.asarray(image.dataobj), 1).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(labels, image.affine), path)
        [said] = wrong(configfile)
    assert "regions.sets.words: expected voxels of VWFA-1" in said
