"""`snakemake compare`: recipes on the same responses, in one plan."""

import shutil

import pandas as pd
import pytest
import yaml
from helpers import documented, made_once, tiny_run
from helpers.pages import Page
from helpers.workflow import failing, jobs, snakemake, stale

from neural_recon.config.configuration import merge
from neural_recon.workflow.verify import verify

pytestmark = pytest.mark.slow

OWN = tiny_run.CONFIG["recipe"]
BASE = {"kind": "base_only", "base": "vdvae", "size": 64}
CONTEXTS = {"kind": "guides_only", "weights": "models/versatile-diffusion", "vision": "vision",
            "text": "text", "mixing": 0.4, "guidance_scale": 3.0, "steps": 2}  # fmt: skip


def write_recipe(folder, name, generator, **spaces):
    """A recipe of some of the small one's spaces, with other settings."""
    small = yaml.safe_load((folder / f"config/recipes/{OWN}.yaml").read_text(encoding="utf-8"))
    content = {
        "spaces": {space: {**small["spaces"][space], **settings} for space, settings in spaces.items()},
        "decoder": {"kind": "ridge", "alpha": dict.fromkeys(spaces, "cv"), "calibration": "train"},
        "generator": generator,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def config(*recipes, **sections):
    return merge(tiny_run.CONFIG, {**sections, "recipes": list(recipes)})


BOTH = config(OWN, "base.yaml")


def finished_comparison(folder):
    """The tiny run's own recipe, and one of its spaces alone."""
    tiny_run.make(folder)
    write_recipe(folder, "base", BASE, vdvae={})
    done = snakemake(folder, "--", "compare", config=BOTH)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_once.copied(tmp_path_factory, finished_comparison, tmp_path_factory.mktemp("two") / "project")


def test_tables_and_page_show_both_recipes(folder):
    scores, tests, images = (
        pd.read_csv(folder / f"results/compare/{name}.tsv", sep="\t")
        for name in ("scores", "tests", "images")
    )
    measured = scores[scores["mean"].notna()]
    assert measured.groupby("recipe").size().to_dict() == {OWN: 3, "base": 3}
    assert set(measured["metric"]) == {"pixcorr", "ssim", "clip_two_way"}
    assert (measured["ci_low"] <= measured["mean"]).all()
    assert len(images) == 2 * tiny_run.TEST
    assert (
        list(zip(tests["first"], tests["second"], tests["n"], strict=True))
        == [(OWN, "base", tiny_run.TEST)] * 3
    )
    assert (tests["p_holm"] == tests["p"]).all()  # of one pair
    page = Page((folder / "results/compare/recipes.html").read_text(encoding="utf-8"))
    assert sorted(page.ids) == sorted(images["image_id"].unique())
    assert page.images == 3 * len(page.ids)  # seen, and each recipe's
    # the second recipe's numbers are those of its own folder
    own = pd.read_csv(folder / "results/compare/base/scores/subj01/summary.tsv", sep="\t")
    own = own[(own["variant"] == "decoded") & (own["picture"] == "final")].set_index("metric")["mean"]
    shown = scores[scores["recipe"] == "base"].set_index("metric")["mean"]
    assert shown["pixcorr"] == own["pixcorr"]


def test_every_file_is_as_its_page_describes_it(folder):
    said, unused = documented.differences(folder / "results")
    assert [sentence for sentence in said if "compare/" in sentence] == []
    assert not {"compare/scores.tsv", "compare/tests.tsv", "compare/images.tsv"} & unused


def test_responses_and_features_are_made_once(folder):
    made = jobs((folder / "said.txt").read_text(encoding="utf-8"))
    assert made["features"] == 6
    assert made["responses"] == made["trials"] == made["quality"] == 1
    assert not {"base__features", "base__responses", "base__trials"} & set(made)
    assert {path.name for path in (folder / "results/compare/base").iterdir()} == {
        "base_images", "baselines", "predictions", "provenance", "reconstructions", "ridge", "scores",
    }  # fmt: skip
    # logs and benchmarks by the names that rules have in any run
    assert (folder / "logs/compare/base/ridge/subj01_vdvae.log").is_file()
    assert (folder / "benchmarks/compare/base/ridge/subj01_vdvae.tsv").is_file()


def test_records_of_both_folders_hold(folder):
    for results in ("results", "results/compare/base"):
        verdict = verify(folder / results)
        assert verdict.wrong == []
        assert verdict.files > 10


def test_changing_one_recipe_reruns_its_jobs_alone(folder, tmp_path):
    project = shutil.copytree(folder, tmp_path / "project", symlinks=True)
    assert stale(project, BOTH, "--", "compare") == {}
    assert stale(project, tiny_run.CONFIG, "--", "results/scores/subj01/summary.tsv") == {}
    write_recipe(project, "base", {**BASE, "size": 48}, vdvae={})
    planned = stale(project, BOTH, "--", "compare")
    assert planned.pop("recipes") == planned.pop("compare") == 1
    assert {"base__reconstruct", "base__scores"} <= set(planned)
    assert {name for name in planned if not name.startswith("base__")} == set()
    assert not {"base__ridge", "base__base_images"} & set(planned)  # it paints, and decodes nothing anew


def test_further_recipes_touch_no_other_and_settings_do_not_collide(folder, tmp_path):
    project = shutil.copytree(folder, tmp_path / "project", symlinks=True)
    write_recipe(project, "contexts", CONTEXTS, vision={}, text={})
    for name, size in (("drawn", 64), ("drawn_small", 48)):
        write_recipe(project, name, {**BASE, "size": size}, vdvae={"latents": "sample"})
    names = [OWN, "base.yaml", "contexts.yaml", "drawn.yaml", "drawn_small.yaml"]
    planned = stale(project, config(*names), "--", "compare")
    assert planned.pop("recipes") == planned.pop("compare") == 1
    assert {name.split("__")[0] for name in planned} == {"contexts", "drawn", "drawn_small"}
    # the same space with other settings: once for both recipes, and not where the first ones lie
    assert {name: n for name, n in planned.items() if "features" in name} == {"drawn__features": 2}
    # a report of one recipe alone
    planned = stale(project, config(*names), "--", "results/compare/contexts/report/subj01.html")
    assert {"contexts__report", "contexts__scores"} <= set(planned)


@pytest.mark.parametrize(
    ("recipes", "sentence"),
    [
        ([], "recipes: expected recipes to compare, found none; name some"),
        (["nobody"], "nobody.yaml, found none; recipes that come along are"),
        (["base.yaml", "base.yaml"], "recipes: expected each name once"),
    ],
)
def test_mistakes_end_before_anything_runs(folder, recipes, sentence):
    said = failing(folder, config(*recipes), "--dry-run", "--", "compare")
    assert sentence in " ".join(said.split())
