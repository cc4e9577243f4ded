"""Results whose pictures' names may mean other images are questioned; what would fit is said, never taken."""

import re
import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
import yaml
from helpers.places import ROOT
from PIL import Image
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.cli.evaluate import as_text
from neural_recon.config.configuration import read_config
from neural_recon.core.errors import InputError
from neural_recon.evaluation import comparison, statistics
from neural_recon.evaluation.folder_scores import evaluate_folder, write_scores
from neural_recon.evaluation.name_questions import at_chance
from neural_recon.workflow import provenance
from neural_recon.workflow.folder_evaluation import split_lists

SEEN = [7 * k + 3 for k in range(30)]


def picture(i: int) -> np.ndarray:
    blocks = np.random.default_rng(i).integers(0, 256, (6, 6, 3))
    return np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tree(tmp_path):
    """The stimuli of an NSD tree, the first 300 of them filled in."""
    path = tmp_path / "nsd/nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", (73_000, 48, 48, 3), "u1", chunks=(1, 48, 48, 3))
        for i in range(300):
            brick[i] = picture(i)
    return tmp_path / "nsd"


def copies(folder: Path, names: dict[str, int]) -> Path:
    """Perfect copies of images, by the names that they get."""
    folder.mkdir()
    for name, i in names.items():
        Image.fromarray(picture(i)).save(folder / name)
    return folder


def questioned(pictures, stimuli, **more) -> str:
    summary, _ = evaluate_folder(pictures, stimuli, "native", **more)
    (text,) = set(summary["questioned"])
    assert all(f"QUESTIONED: {part}" in as_text(summary) for part in text.split("; ") if text)
    return text


def pixcorr(pictures, stimuli, **more) -> float:
    summary, _ = evaluate_folder(pictures, stimuli, "native", **more)
    return summary.set_index("metric").loc["pixcorr", "mean"]


def test_right_names_are_not_questioned(tmp_path, tree):
    plain = copies(tmp_path / "plain", {f"{i:05d}.png": i for i in SEEN})
    own = copies(tmp_path / "own", {f"shared{k:04d}_NSD{i + 1:05d}.png": i for k, i in enumerate(SEEN, 1)})
    for folder in (plain, own):
        assert questioned(folder, tree) == ""
        assert pixcorr(folder, tree) == pytest.approx(1)
    assert pixcorr(plain, own) == pixcorr(own, plain) == pytest.approx(1)


def test_names_from_1_are_questioned_and_the_fitting_reading_is_named(tmp_path, tree):
    folder = copies(tmp_path / "one", {f"{i + 1:05d}.png": i for i in SEEN})
    text = questioned(folder, tree)
    assert "cannot be told from chance" in text
    assert "are the names NSD ids, counted from 0?" in text
    assert "ids one lower (names that count from 1) would fit: PixCorr 1.000 instead of" in text
    assert text.endswith("--names ids_from_1")
    assert pixcorr(folder, tree) < 0.1  # never scored otherwise than asked
    assert questioned(folder, tree, numbers="ids_from_1") == ""
    assert pixcorr(folder, tree, numbers="ids_from_1") == pytest.approx(1)
    # and the other way round
    right = copies(tmp_path / "right", {f"{i:05d}.png": i for i in SEEN})
    text = questioned(right, tree, numbers="ids_from_1")
    assert "counted from 1?" in text
    assert "ids one higher would fit" in text
    assert text.endswith("leave out --names ids_from_1")


@pytest.mark.parametrize("first", [0, 1])
def test_positions_are_questioned_and_a_list_puts_it_right(tmp_path, tree, first):
    folder = copies(tmp_path / "by position", {f"{k}.png": i for k, i in enumerate(SEEN, first)})
    text = questioned(folder, tree)
    assert f"the names are {first} to {29 + first}, as positions in a list of test images would be" in text
    assert "cannot be told from chance" in text
    assert "no list of test images is known here" in text
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in SEEN))
    assert questioned(folder, tree, ids=tmp_path / "ids.txt") == ""
    summary, images = evaluate_folder(folder, tree, "native", ids=tmp_path / "ids.txt")
    assert summary["mean"].iloc[0] == pytest.approx(1)
    assert images["image_id"].unique().tolist() == SEEN
    # a list in another order is questioned, too
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in SEEN[::-1]))
    assert "ids.txt in the order of the pictures?" in questioned(folder, tree, ids=tmp_path / "ids.txt")
    # a list one image too early
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in [299, *SEEN, 298]))
    text = questioned(folder, tree, ids=tmp_path / "ids.txt")
    assert ("each picture with the next of the list would fit" in text) == (first == 0)


def test_names_from_0_that_really_are_ids_can_be_said_to_be(tmp_path, tree):
    folder = copies(tmp_path / "first", {f"{i}.png": i for i in range(30)})
    text = questioned(folder, tree)
    assert "the names are 0 to 29" in text
    assert "cannot be told from chance" not in text
    assert text.endswith("PixCorr is above chance with the names as NSD ids")
    assert questioned(folder, tree, numbers="ids") == ""
    # the stimuli have the same names: what these are is of no matter
    assert questioned(folder, copies(tmp_path / "stimuli", {f"{i}.jpg": i for i in range(30)})) == ""


@pytest.fixture
def design(tree, rng):
    """The tree's design of 45 shared images, each shown several times; these, as they were first shown."""
    images = np.tile(rng.permutation(300)[:45] + 1, (8, 1))
    order = rng.integers(1, 46, 3 * 750)
    path = tree / "nsddata/experiments/nsd/nsd_expdesign.mat"
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"masterordering": order[None], "subjectim": images, "sharedix": images[:1, :30]})
    return list(dict.fromkeys(images[0, order - 1] - 1))


@pytest.mark.parametrize(
    ("script", "count", "words"),
    [
        ("brain_diffuser", 30, "in the order in which they were first shown"),
        ("mindeye2", None, "in the order of their ids"),
    ],
)
def test_the_order_of_a_published_script_is_recognised(tmp_path, tree, design, script, count, words):
    order = design[:count] if script == "brain_diffuser" else sorted(design)
    folder = copies(tmp_path / "theirs", {f"{k}.png": i for k, i in enumerate(order)})
    text = questioned(folder, tree)
    assert f"positions, counted from 0, in the shared images {words}" in text
    assert "would fit: PixCorr 1.000 instead of" in text
    assert text.endswith(f"--ids {script}")
    assert questioned(folder, tree, ids=script) == ""
    assert pixcorr(folder, tree, ids=script) == pytest.approx(1)
    # the stimuli's file alone lies in the same tree
    file = tree / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    assert pixcorr(folder, file, ids=script) == pytest.approx(1)


@pytest.mark.usefixtures("design")
def test_numbers_of_nsds_own_names_that_contradict_each_other(tmp_path, tree):
    """By the design's list of shared images; what the tree cannot say is not asked."""
    shared = sorted(scipy.io.loadmat(tree / "nsddata/experiments/nsd/nsd_expdesign.mat")["sharedix"].ravel())
    names = {f"shared{k:04d}_nsd{number:05d}.png": number - 1 for k, number in enumerate(shared, 1)}
    assert questioned(copies(tmp_path / "right", names), tree) == ""
    first, second, *rest = names
    spoilt = {
        first.replace("shared0001", "shared0002"): names[first],
        second.replace("shared0002", "shared0999"): names[second],
    }
    folder = copies(tmp_path / "wrong", spoilt | {name: names[name] for name in rest})
    text = questioned(folder, tree)
    assert text.startswith(f"the two numbers of 2 names, such as {min(spoilt)}, mean different images")
    assert "; " not in text
    assert pixcorr(folder, tree) == pytest.approx(1)
    # all wrong: at chance, too
    lower = {
        f"shared{k:04d}_nsd{number - 1:05d}.png": number - 1
        for k, number in enumerate(shared, 1)
        if number > 1
    }
    text = questioned(copies(tmp_path / "lower", lower), tree)
    assert f"the two numbers of {len(lower)} names" in text
    assert "ids one higher would fit" in text
    (tree / "nsddata/experiments/nsd/nsd_expdesign.mat").unlink()
    assert questioned(folder, tree) == ""


def test_the_remedy_for_names_from_1_holds_for_stimuli_in_a_folder(tmp_path):
    """There `--names` would mean the stimuli's names as well."""
    stimuli = copies(tmp_path / "stimuli", {f"{i}.png": i for i in range(1, 300)})
    folder = copies(tmp_path / "one", {f"{i + 1}.png": i for i in SEEN})
    text = questioned(folder, stimuli)
    assert "ids one lower (names that count from 1) would fit" in text
    assert text.endswith("rename the pictures")


def test_positions_beside_a_folder_of_stimuli_name_images_that_it_lacks(tmp_path):
    stimuli = copies(tmp_path / "stimuli", {f"{i}.png": i for i in SEEN})
    folder = copies(tmp_path / "theirs", {f"{k}.png": i for k, i in enumerate(SEEN)})
    with pytest.raises(InputError, match=r"none for image 0 .* names are NSD ids, counted from 0, unless"):
        evaluate_folder(folder, stimuli, "native")
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in SEEN))
    assert pixcorr(folder, stimuli, ids=tmp_path / "ids.txt") == pytest.approx(1)


@pytest.mark.parametrize("listed", [True, False])
def test_the_test_images_of_a_configuration_are_tried(tmp_path, tree, design, listed):
    shutil.copytree(ROOT / "config", "config")
    shown = sorted(design)
    Path("test.txt").write_text("".join(f"{i}\n" for i in shown[::-3]))
    raw = yaml.safe_load(Path("config/nsd.yaml").read_text(encoding="utf-8"))
    raw["nsd"]["root"] = str(tree)
    raw |= {"subjects": {"subj03": {"sessions": 1}}, "split": {"test": "test.txt"}}
    del raw["data_amount"], raw["regions"]
    Path("config/ours.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    order = shown[::-3] if listed else sorted(shown[::-3])
    folder = copies(tmp_path / "theirs", {f"{k}.png": i for k, i in enumerate(order)})
    lists = partial(split_lists, read_config(Path("config/ours.yaml"), Path.cwd()))
    text = questioned(folder, tree, lists=lists)
    assert "would fit: PixCorr 1.000" in text
    assert text.endswith(
        "--ids test.txt" if listed else "write the ids of that list to a file, one a line, for --ids"
    )


def test_pictures_of_nothing_are_questioned_without_a_wrong_answer(tmp_path, tree, rng):
    folder = tmp_path / "noise"
    folder.mkdir()
    for i in SEEN:
        Image.fromarray(rng.integers(0, 256, (48, 48, 3), np.uint8)).save(folder / f"{i:05d}.png")
    text = questioned(folder, tree)
    assert "cannot be told from chance" in text
    assert "no other reading fits better (tried: ids one lower" in text
    for i in SEEN:
        Image.new("RGB", (48, 48), "grey").save(folder / f"{i:05d}.png")
    assert "no other reading fits better" in questioned(folder, tree)


def test_weak_pictures_are_not_questioned(tmp_path, tree, rng):
    folder = tmp_path / "weak"
    folder.mkdir()
    for i in SEEN:
        noise = rng.integers(-900, 900, (48, 48, 3))
        mixed = np.clip(picture(i).astype(int) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(mixed).save(folder / f"{i:05d}.png")
    assert 0.02 < pixcorr(folder, tree) < 0.2
    assert questioned(folder, tree) == ""


def test_the_criterion():
    assert not at_chance(0.001, 0.1, 0.0, 982)
    assert at_chance(0.02, -0.01, 0.0, 982)
    # two pictures have two pairings: the interval decides
    assert not at_chance(0.5, 0.9, 0.4, 2)
    assert at_chance(0.5, 0.3, 0.4, 2)
    # under names that mean nothing hardly one result in a hundred passes
    rng = np.random.default_rng(0)
    passed = 0
    for seed in range(200):
        found = statistics.summary(rng.standard_normal((30, 30)), seed)
        passed += not at_chance(found["p"], found["low"], found["chance"], 30)
    assert passed <= 6


def test_empty_stimuli_are_counted_over_all_pictures(tmp_path, tree):
    folder = copies(tmp_path / "x", {f"{i}.png": i % 300 for i in (*range(3, 300, 4), *range(5427, 5547))})
    with pytest.raises(InputError) as error:
        evaluate_folder(folder, tree, "native")
    said = str(error.value)
    assert "expected a picture for NSD id 5427, found an empty one (all zero), as are 120 of the 195" in said
    assert "the file's download was not finished" in said
    assert "fetch it again" in said


def command(*arguments):
    return CliRunner().invoke(command_line.app, ["evaluate", "--preset", "native", *map(str, arguments)])


def test_the_command_questions_on_both_streams_and_in_the_table(tmp_path, tree):
    folder = copies(tmp_path / "by position", {f"{k}.png": i for k, i in enumerate(SEEN)})
    arguments = ("--reconstructions", folder, "--stimuli", tree, "--output", tmp_path / "scores.tsv")
    done = command(*arguments)
    assert done.exit_code == 0
    assert done.stderr.startswith(f"warning: {tmp_path}/scores.tsv is questioned: the names are 0 to 29")
    assert "QUESTIONED: the names are 0 to 29" in done.stdout
    table = pd.read_csv(tmp_path / "scores.tsv", sep="\t")
    assert table["questioned"].str.startswith("the names are 0 to 29").all()
    line = comparison.other_lines([tmp_path / "scores.tsv"]).iloc[0]
    assert line["note"].startswith("questioned: the names are 0 to 29")
    assert line["note"].endswith(comparison.NATIVE)

    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in SEEN))
    done = command(*arguments, "--ids", "ids.txt")
    assert (done.exit_code, done.stderr) == (0, "")
    assert comparison.other_lines([tmp_path / "scores.tsv"])["note"].tolist() == [comparison.NATIVE]
    done = command(*arguments, "--ids", "ids.txt", "--names", "ids")
    assert "give one of them" in str(done.exception)
    done = command(*arguments, "--ids", "nothing.txt")
    assert str(done.exception).startswith("nothing.txt: expected a list of image ids, found no such file")


def test_without_output_it_is_said_who_reads_the_table(tmp_path, tree):
    (tmp_path / "config").symlink_to(ROOT / "config")
    folder = copies(tmp_path / "mine", {f"{k}.png": i for k, i in enumerate(SEEN)})
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in SEEN))
    arguments = ("--reconstructions", folder, "--stimuli", tree)
    done = command(*arguments, "--ids", "ids.txt")
    assert done.exit_code == 0
    assert (
        "The next run with --configfile config/demo.yaml takes this table up in its comparison and report "
        "(results/others/mine_native.tsv); remove it, or give --output, to keep it out.\n"
    ) in done.stdout
    made = provenance.read(Path("results"), "others/mine_native.tsv").made_by
    assert made.params == {"preset": "native", "ids": "ids.txt"}
    assert [Path(one.path).name for one in made.inputs if one.name == "ids"] == ["ids.txt"]
    done = command(*arguments, "--output", "x.tsv")
    assert "The next run" not in done.stdout


def test_old_tables_have_no_question(tmp_path):
    rows = pd.DataFrame({"method": "x", "preset": "mindeye2", "metric": ["pixcorr"], "mean": 0.2, "n": 20})
    for questioned_column in ({}, {"questioned": ""}):
        write_scores(tmp_path / "x.tsv", rows.assign(**questioned_column), rows)
        assert comparison.other_lines([tmp_path / "x.tsv"])["note"].tolist() == [""]


def test_the_export_of_mindeye2_s_tensors_leads_to_its_images(tmp_path, tree, design):
    stack = torch.from_numpy(np.stack([picture(i) for i in sorted(design)])).permute(0, 3, 1, 2) / 255
    torch.save(stack.half(), "all_recons.pt")
    text = (ROOT / "docs/evaluating.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert "weights_only=True" in block
    exec(block, {})
    assert pixcorr(tmp_path / "pictures", tree, ids="mindeye2") == pytest.approx(1, abs=1e-4)
