"""Results handed in from what runs, and the scoring of other pictures, leave."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import kept_run
from helpers.kept_run import TEST, TRAIN

from neural_recon.cli import command_line
from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.evaluation import bundles
from neural_recon.workflow import provenance

IDS = list(range(TRAIN, TRAIN + TEST))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kept_run.make(tmp_path_factory.mktemp("run"), "components")


@pytest.fixture(autouse=True)
def _in_the_run(run, monkeypatch):
    monkeypatch.chdir(run)
    monkeypatch.setattr(NSD, "pictures", lambda _, ids, **__: np.full((len(ids), 4, 4, 3), 7, np.uint8))


def submit(path, *arguments):
    with pytest.raises(SystemExit) as end:
        command_line.app(["submit", "--subject", "subj01", "--configfile", kept_run.CONFIG, str(path),
                          *map(str, arguments)])  # fmt: skip
    assert not end.value.code
    return bundles.read(path)


def test_a_run_s_result_has_what_a_comparison_needs_and_no_picture(run, tmp_path):
    found = submit(tmp_path / "one.json")
    assert (found.name, found.subject, found.preset) == ("brain_diffuser_small", "subj01", "brain_diffuser")
    assert (found.image_ids, found.sessions, found.training_images) == (IDS, 1, TRAIN)
    assert found.repetitions == [3, 3, 3, 3, 3, 2]
    assert found.scores["pixcorr"].values == pytest.approx(0.8 + np.linspace(-0.1, 0.1, TEST))
    assert found.scores["pixcorr"].chance == 0.5
    assert found.leaks.checks == {"images": "holds", "alpha": "nothing to check"}
    assert found.leaks.tuned == "betas_fithrf_GLMdenoise_RR"
    assert found.leaks.badge == "checks hold, betas tuned"
    assert found.recipe.spaces == {"vdvae": "vdvae", "vision": "versatile_vision", "text": "versatile_text"}
    scores = run / "results/scores/subj01/images.parquet"
    assert found.hashes["scores of single images"] == provenance.sha256_of(scores)
    assert (tmp_path / "one.json").stat().st_size < 5000
    again = tmp_path / "again.json"
    submit(again)
    assert again.read_bytes() == (tmp_path / "one.json").read_bytes()


def test_other_pictures_are_handed_in_with_what_their_maker_says(tmp_path):
    who = {"method": "theirs", "preset": "brain_diffuser"}
    summary = pd.DataFrame(
        [{**who, "metric": "ssim", "shuffled": 0.2, "questioned": None, "version": "0.1.0"}]
    )
    images = pd.DataFrame({**who, "metric": "ssim", "image_id": IDS, "value": np.linspace(0.3, 0.4, TEST)})
    write_table(tmp_path / "theirs.tsv", summary)
    write_table(tmp_path / "theirs.parquet", images)
    given = ("--pictures", tmp_path / "theirs.tsv", "--sessions", 40, "--repetitions", 3)
    found = submit(tmp_path / "theirs.json", *given, "--statement", "test images left out")
    assert (found.kind, found.name, found.recipe, found.questioned) == ("pictures", "theirs", None, "")
    assert (found.sessions, found.repetitions, found.training_images) == (40, 3.0, None)
    assert found.leaks.text == "not checked; stated: test images left out"
    assert found.scores["ssim"].values == pytest.approx(np.linspace(0.3, 0.4, TEST))
    # of the same images, and so with the run's in one group but for the repetitions
    assert found.pictures_sha256 == submit(tmp_path / "ours.json").pictures_sha256


def test_pictures_scored_by_name_are_those_of_the_data_set(tmp_path, monkeypatch):
    """Scores by name have places in a folder as ids, which are none of the data set."""
    who = {"method": "theirs", "preset": "brain_diffuser", "metric": "ssim"}
    summary = pd.DataFrame([{**who, "shuffled": 0.2, "questioned": None, "version": "0.1.0"}])
    images = pd.DataFrame({**who, "image_id": [0, 1, 2], "value": [0.1, 0.2, 0.3], "image": ["c", "a", "b"]})
    write_table(tmp_path / "theirs.tsv", summary)
    write_table(tmp_path / "theirs.parquet", images)
    given = ("--pictures", tmp_path / "theirs.tsv")
    with pytest.raises(
        InputError, match=r"theirs.parquet: expected image ids, as this data set has no names"
    ):
        command_line.app(["submit", "--subject", "subj01", "--configfile", kept_run.CONFIG,
                          str(tmp_path / "one.json"), *map(str, given)])  # fmt: skip
    names = ["x", "few/a", "few/b", "more/c"]
    monkeypatch.setattr(NSD, "n_images", len(names))
    monkeypatch.setattr(NSD, "image_names", lambda _, ids: [names[i] for i in ids])
    found = submit(tmp_path / "one.json", *given)
    assert (found.image_ids, found.scores["ssim"].values) == ([1, 2, 3], [0.2, 0.3, 0.1])
    names[3] = "y"
    with pytest.raises(InputError, match=r"expected names of images of the data set .*found 'c'"):
        submit(tmp_path / "two.json", *given)


def test_mistakes_are_one_sentence(run, tmp_path):
    given = ["submit", "--configfile", kept_run.CONFIG]
    for arguments, message in (
        (["--subject", "subj02", "one.json"], "--subject: expected one of subj01"),
        (["--subject", "subj01", "one.txt"], r"one.txt: expected a name that ends in .json"),
        (["--subject", "subj01", "--sessions", "3", "one.json"], "with --pictures alone"),
        (
            ["--subject", "subj01", "--name", "n" * 81, "one.json"],
            "can be handed in, found name: .*at most 80",
        ),
        (["--subject", "subj01", "--pictures", "none.tsv", "one.json"], "none.tsv: expected a table"),
    ):
        with pytest.raises(InputError, match=message):
            command_line.app([*given, *arguments])
    scores = run / "results/scores/subj01/images.parquet"
    content = scores.read_bytes()
    scores.unlink()
    with pytest.raises(InputError, match=r"expected a result of a finished run.*run snakemake --configfile"):
        command_line.app([*given, "--subject", "subj01", str(tmp_path / "one.json")])
    scores.write_bytes(content)
    assert not list(tmp_path.iterdir())


def test_the_schema_is_the_file_s(tmp_path):
    """Every field that is written is a field of the schema, and none is missing."""
    submit(tmp_path / "one.json")
    said = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))
    assert set(said) == set(bundles.Bundle.model_json_schema()["properties"])
