"""MindEye2's painter on small random models, refined under decoded captions and blended: a whole run."""

import pandas as pd
import pytest
import yaml
from helpers import documented, made_once, published_layouts, tiny_run, tiny_unclip
from helpers.workflow import failing, snakemake, stale

from neural_recon.core import hdf5

pytestmark = pytest.mark.slow

PATCHES, WIDTH = 4, 24  # of write_image_encoder
GENERATOR = {
    "kind": "sdxl_unclip",
    "weights": "models/unclip.ckpt",
    "image": "tokens",
    "base": "vdvae",
    "size": 64,
    "steps": 2,
    "refiner": "models/refiner",
    "refiner_steps": 4,
    "captioner": "models/git",
    "converter": "models/converter.pth",
    "blend": 0.25,
    "chunk": 4,
}
RECIPE = {
    "spaces": {
        "vdvae": {"kind": "vdvae", **tiny_run.CONFIG["spaces"]["vdvae"]},
        "tokens": {"kind": "clip_patch_tokens", "weights": "models/encoder"},
    },
    "decoder": {"kind": "ridge", "alpha": {"vdvae": 1000, "tokens": 1000}},
    "generator": GENERATOR,
}
CONFIG = {**{key: value for key, value in tiny_run.CONFIG.items() if key not in RECIPE}, "recipe": "painter"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unclip") / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    (folder / "config/recipes/painter.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    models = folder / "models"
    published_layouts.write_image_encoder(models / "encoder/image_encoder")
    tiny_unclip.write_painter(models / "unclip.ckpt", WIDTH)
    tiny_unclip.write_refiner(models / "refiner")
    tiny_unclip.write_captioner(models / "git")
    tiny_unclip.write_converter(models / "converter.pth", PATCHES, WIDTH)
    done = snakemake(folder, tiny_run.SCORES, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_paints_refines_blends_and_is_scored(project):
    results = project / "results"
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/decoded.h5")["images"]
    assert painted.shape == (tiny_run.TEST, 256, 256, 3)
    assert (painted[0] != painted[1]).any()
    known = hdf5.read_parameters(results / "reconstructions/subj01/decoded.h5")
    assert (known["blend"], known["unconditional"], known["image"]) == (0.25, "gaussian", "tokens")
    logs = "".join(path.read_text() for path in (project / "logs").rglob("*.log"))
    captions = pd.read_csv(results / "reconstructions/subj01/captions.tsv", sep="\t", keep_default_na=False)
    trials = pd.read_parquet(results / "trials/subj01.parquet")
    assert captions["image_id"].tolist() == sorted(set(trials.loc[trials["split"] == "test", "image_id"]))
    for image_id, caption in captions.itertuples(index=False):
        assert f"image {image_id}: {caption}\n" in logs
    assert captions["caption"].str.startswith("word").all()
    control = hdf5.read_hdf5(results / "reconstructions/subj01/shuffled.h5")
    assert len(control["caption"]) == len(control["image_id"])
    own = [said for said in documented.differences(results)[0] if said.startswith("reconstructions/")]
    assert own == []
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    final = summary[summary["picture"] == "final"]
    assert {"decoded", "true_features", "shuffled", "guides_only"} <= set(final["variant"])
    assert not (results / "generator/unconditional.h5").exists()
    assert stale(project, CONFIG, "--", tiny_run.SCORES) == {}


def test_a_setting_of_the_refiner_paints_again_and_decodes_nothing(project):
    config = {**CONFIG, "generator": {"refiner_strength": 0.6}}
    found = set(stale(project, config, "--", tiny_run.SCORES))
    assert found >= {"reconstruct", "control_pictures", "scores"}
    assert not found & {"features", "base_images", "ridge"}


def test_what_is_published_is_fetched_and_its_terms_are_said(project):
    names = {
        "weights": "mindeye2-unclip",
        "refiner": "stabilityai/stable-diffusion-xl-base-1.0",
        "captioner": "microsoft/git-large-coco",
        "converter": "mindeye2-caption-converter",
    }
    done = snakemake(project, "--dry-run", config={**CONFIG, "generator": names})
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "restricts uses" in said
    for place in (
        "mindeye2-unclip/unclip6_epoch0_step110000.ckpt",
        "mindeye2-caption-converter/bigG_to_L_epoch8.pth",
        "microsoft--git-large-coco/tokenizer.json",
        "base-1.0/text_encoder_2/model.safetensors",
    ):
        assert place in said
    assert "base-1.0/scheduler" not in said


def test_a_captioner_without_its_converter_is_one_sentence(project):
    said = failing(project, {**CONFIG, "generator": {"converter": None}}, "--dry-run")
    assert "captions take the first two" in said
    assert "Traceback" not in said
