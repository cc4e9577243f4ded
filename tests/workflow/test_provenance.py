"""Records of what made each result: written by jobs, checked by `neural-recon verify`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.core import files, hdf5, tables
from neural_recon.core.errors import InputError
from neural_recon.generation import png_files
from neural_recon.workflow import provenance, recording
from neural_recon.workflow.verify import verify

CONFIG = {
    "seed": 3,
    "dataset": {"kind": "nsd", "root": "nsd"},
    "spaces": {"vdvae": {"weights": "vdvae.th"}},
    "pathvars": {},
}


def run(rule: str, inputs: dict, outputs: list[str], write, **params) -> None:
    """A job from its start to its end."""
    job = SimpleNamespace(
        rule=rule, input=Files(inputs), output=outputs, params=params, wildcards={"subject": "subj01"},
        config=CONFIG, log=["job.log"],
    )  # fmt: skip
    begun = recording.begin(job)
    write()
    recording.finish(begun)


class Files(dict):
    """As Snakemake's input: names to paths or lists of them, and iterated a path at a time."""

    def __iter__(self):
        return (path for value in self.values() for path in ([value] if isinstance(value, str) else value))


def compute() -> None:
    """A workflow of three jobs."""
    responses, features = "results/responses/subj01.h5", "results/features.parquet"
    values, names = np.arange(12.0).reshape(3, 4), np.array(["a", "b"])
    run("responses", {"data": ["nsd/small.hdf5", "nsd/large.hdf5"], "lists": "train.txt"}, [responses],
        lambda: hdf5.write_hdf5(responses, {"train": values, "name": names}, {"b": 1, "a": 2}),
        ids=np.arange(3), path=Path("x"))  # fmt: skip
    run("features", {"weights": "vdvae.th"}, [features],
        lambda: tables.write_table(features, pd.DataFrame({"a": values[0], "b": list("abcd")})))  # fmt: skip
    images = {"final": {"images": np.zeros((2, 8, 8, 3), np.uint8), "image_id": np.array([1, 5])}}
    outputs = ["results/pictures", "results/scores.tsv"]
    run("pictures", {"responses": responses, "features": features}, outputs,
        lambda: (png_files.write_folder("results/pictures", images),
                 tables.write_table("results/scores.tsv", pd.DataFrame({"r": values[1]}))))  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A finished run; one of its data files is too large to be hashed."""
    monkeypatch.setattr(recording, "HASHED", 1000)
    return make(tmp_path / "one", monkeypatch)


def make(folder: Path, monkeypatch) -> Path:
    (folder / "nsd").mkdir(parents=True)
    monkeypatch.chdir(folder)
    (folder / "nsd/small.hdf5").write_bytes(b"small")
    (folder / "nsd/large.hdf5").write_bytes(bytes(2000))
    (folder / "vdvae.th").write_bytes(b"weights")
    (folder / "train.txt").write_text("1\n")
    compute()
    return folder


def states(folder: Path, **how) -> list[str]:
    return [state for state, _ in verify(folder / "results", **how).wrong]


def test_record_tells_what_made_a_file(project):
    record = provenance.read(project / "results", "responses/subj01.h5")
    path = project / "results/responses/subj01.h5"
    assert (record.output.size, record.output.sha256) == (path.stat().st_size, provenance.sha256_of(path))
    made = record.made_by
    assert (made.rule, made.wildcards, made.seed) == ("responses", {"subject": "subj01"}, 3)
    assert made.params == {"ids": [0, 1, 2], "path": "x"}
    assert [(i.name, i.of, i.path, i.sha256 is None) for i in made.inputs] == [
        ("data", "data", "nsd/small.hdf5", False),
        ("data", "data", "nsd/large.hdf5", True),
        ("lists", "file", "train.txt", False),
    ]
    assert made.versions.packages["numpy"] == np.__version__
    assert provenance.read_configuration(project / "results", made.configuration) == CONFIG
    (weights,) = provenance.read(project / "results", "features.parquet").made_by.inputs
    assert (weights.of, weights.sha256) == ("weights", provenance.sha256_of(project / "vdvae.th"))
    folder = provenance.read(project / "results", "pictures")
    assert list(folder.output.files) == ["final/00001.png", "final/00005.png"]
    assert [i.of for i in folder.made_by.inputs] == ["result", "result"]
    assert folder.made_by.inputs[0].sha256 == record.output.sha256


def test_same_inputs_give_the_same_bytes_and_records(project, tmp_path, monkeypatch):
    """HDF5, Parquet, TSV and PNG; only what is about the run itself differs."""
    other = make(tmp_path / "two", monkeypatch)
    outputs = ["responses/subj01.h5", "features.parquet", "pictures", "scores.tsv"]
    for output in outputs:
        one, two = (provenance.read(folder / "results", output) for folder in (project, other))
        assert (one.output, one.made_by) == (two.output, two.made_by)
        assert one.run != two.run


def test_untouched_results_are_as_recorded(project):
    (project / "results/README.md").write_text("what lies here", encoding="utf-8")  # as in a fresh clone
    for thorough in (False, True):
        verdict = verify(project / "results", thorough)
        assert (verdict.wrong, verdict.unchecked) == ([], [])
        assert (verdict.files, verdict.by_time) == (4, 1)


def test_links_to_a_cache_are_known_by_what_was_made_from_them(project, tmp_path):
    features = project / "results/features.parquet"
    features.rename(tmp_path / "cached.parquet")
    features.symlink_to(tmp_path / "cached.parquet")
    (project / "results/provenance/features.parquet.json").unlink()
    verdict = verify(project / "results")
    assert (verdict.wrong, verdict.unchecked, verdict.cached) == ([], [], 1)
    assert "1 files are links to a cache and have no records here" in verdict.summary()
    flip(tmp_path / "cached.parquet")
    wrong = verify(project / "results").wrong
    assert wrong
    assert all("made from features.parquet; expected other bytes" in sentence for _, sentence in wrong)
    assert {state for state, _ in wrong} == {"outdated"}


def test_commands_record_too_what_they_write_into_the_results(project, monkeypatch):
    """Inputs that are not there are for the command to name; what it may not write yet keeps its record."""
    given = ("evaluate", {"method": "theirs"}, {"preset": "native"}, CONFIG)
    output, read = project / "results/others/theirs.tsv", {"weights": [Path("vdvae.th"), Path("nowhere")]}
    for _ in range(2):
        begun = recording.begin_command(*given, [output], read)
        if output.exists():
            assert verify(project / "results").wrong == []
        tables.write_table(output, pd.DataFrame({"r": [0.5]}))
        recording.finish(begun)
    made = provenance.read(project / "results", "others/theirs.tsv").made_by
    assert (made.rule, made.wildcards, made.params) == given[:3]
    assert [(i.name, i.of, i.path) for i in made.inputs] == [("weights", "weights", "vdvae.th")]
    begun = recording.begin_command(*given, [project / "elsewhere.tsv"], read)
    recording.finish(begun)
    assert begun.inputs == made.inputs
    monkeypatch.setattr(recording, "LARGE", 1)
    begun = recording.begin_command(*given, [output], read | {"stimuli": [project / "train.txt"]})
    assert [one.sha256 is None for one in begun.inputs] == [False, True]
    assert verify(project / "results").wrong == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "spoil", "state", "sentence"),
    [
        ("results/scores.tsv", flip, "changed", "other bytes of the same number"),
        ("results/responses/subj01.h5", lambda p: os.truncate(p, 100), "changed", "found 100"),
        ("results/features.parquet", Path.unlink, "missing", "not there"),
        ("results/pictures/final/00005.png", flip, "changed", "other bytes"),
        (
            "results/pictures/final/00009.png",
            lambda p: p.write_bytes(b""),
            "changed",
            "not among the recorded",
        ),
        ("results/notes.txt", lambda p: p.write_text("mine"), "no record", "nothing tells"),
        ("results/provenance/scores.tsv.json", Path.unlink, "no record", "scores.tsv"),
        ("vdvae.th", flip, "outdated", "features.parquet: made from vdvae.th; expected other bytes"),
        ("nsd/small.hdf5", flip, "outdated", "made from nsd/small.hdf5"),
        ("nsd/large.hdf5", lambda p: os.utime(p, (1, 1)), "outdated", "another size or time"),
    ],
)
def test_what_is_not_as_recorded_is_named(project, name, spoil, state, sentence):
    spoil(project / name)
    ((found, text),) = verify(project / "results").wrong
    assert found == state
    assert sentence in text


def test_touched_input_with_the_same_bytes_is_fine(project):
    os.utime(project / "train.txt", (1, 1))
    assert states(project) == []


def test_quiet_change_of_an_input_takes_a_thorough_look(project):
    status = (project / "train.txt").stat()
    (project / "train.txt").write_text("2\n")
    os.utime(project / "train.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert states(project) == []
    assert states(project, thorough=True) == ["outdated"]


def test_result_of_an_earlier_input_is_outdated(project):
    responses = "results/responses/subj01.h5"
    run("responses", {}, [responses], lambda: hdf5.write_hdf5(responses, {"train": np.ones(3)}, {}))
    wrong = verify(project / "results").wrong
    assert [text.split(":")[0] for _, text in wrong] == ["pictures", "scores.tsv"]
    assert "made from another responses/subj01.h5" in wrong[0][1]


def test_moved_results_can_be_verified(project, tmp_path, monkeypatch):
    moved = tmp_path / "archive/of a friend"
    shutil.copytree(project / "results", moved)
    monkeypatch.chdir("/")
    verdict = verify(moved)
    assert verdict.wrong == []
    assert verdict.files == 4
    assert len(verdict.unchecked) == 4
    assert "could not be checked" in verdict.summary()
    flip(moved / "scores.tsv")
    assert [state for state, _ in verify(moved).wrong] == ["changed"]


def test_nothing_is_hashed_twice(project, monkeypatch):
    hashed = []
    real = provenance.sha256_of
    monkeypatch.setattr(recording, "SMALL", 0)
    compute()
    monkeypatch.setattr(provenance, "sha256_of", lambda path: (hashed.append(path.name), real(path))[1])
    compute()
    # outputs only: inputs are known by their records, or from an earlier run
    assert sorted(hashed) == ["00001.png", "00005.png", "features.parquet", "scores.tsv", "subj01.h5"]
    hashes = next((project / "results/provenance/hashes").iterdir())
    hashes.write_text("broken")
    compute()
    monkeypatch.undo()
    assert states(project) == []


def test_input_that_changes_meanwhile_is_no_input_of_a_good_record(project):
    write = lambda: (files.write_text("results/a.txt", "a"), Path("train.txt").write_text("other"))  # noqa: E731
    run("copy", {"lists": "train.txt"}, ["results/a.txt"], write)
    assert provenance.read(project / "results", "a.txt").made_by.inputs[0].sha256 is None
    assert "outdated" in states(project)


INPUT = {"name": "responses", "of": "result", "size": 1, "sha256": "a" * 64}


def within(part: str, **changes):
    """A record with some of a part's values replaced."""
    return lambda record: json.dumps({**record, part: {**record[part], **changes}})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "no JSON",
        lambda _: "[" * 100_000,
        lambda _: "\xff\x00",
        lambda _: json.dumps([1, 2]),
        lambda r: json.dumps({**r, "more": 1}),
        within("output", path="../../secret"),
        within("output", path="/etc/passwd"),
        within("output", path="features.parquet"),
        within("output", size="12"),
        within("output", size=-1),
        within("output", sha256="../" + "a" * 61),
        within("output", files={"../secret": {"size": 1, "sha256": "a" * 64}}),
        within("run", input_times=[]),
        within("made_by", configuration="../" * 22),
        within("made_by", inputs=[{**INPUT, "path": "../x"}, {**INPUT, "path": "features.parquet"}]),
        lambda _: " " * (provenance.LARGEST + 1),
    ],
)
def test_hostile_record_is_one_sentence(project, spoil):
    (project / "secret").write_text("secret")
    path = project / "results/provenance/scores.tsv.json"
    path.write_text(spoil(json.loads(path.read_text())), encoding="latin-1")
    wrong = dict(verify(project / "results").wrong)
    assert set(wrong) == {"bad record", "no record"}
    assert "provenance/scores.tsv.json: expected" in wrong["bad record"]
    assert len(wrong["bad record"]) < 600
    assert "\n" not in wrong["bad record"]


def test_only_regular_files_are_opened(project):
    """A pipe would wait for ever, a device never end."""
    (project / "results/scores.tsv").unlink()
    os.mkfifo(project / "results/scores.tsv")
    path = project / "results/provenance/features.parquet.json"
    record = json.loads(path.read_text())
    record["made_by"]["inputs"][0]["path"] = "/dev/zero"
    path.write_text(json.dumps(record))
    wrong = dict(verify(project / "results").wrong)
    assert "expected a file" in wrong["changed"]
    assert "/dev/zero; expected a file" in wrong["outdated"]


def test_names_in_records_are_only_shown(project):
    path = project / "results/provenance/pictures.json"
    text = path.read_text()
    name = "../train.txt"
    record = json.loads(text)
    record["made_by"]["inputs"][0] |= {"of": "file", "path": f"{name}\x1b[2J"}
    record["made_by"]["inputs"][1] |= {"path": "x" * 5000}
    path.write_text(json.dumps(record))
    done = CliRunner().invoke(command_line.app, ["verify", str(project / "results")])
    assert f"{name}?[2J: not there" in done.output
    assert "x" * 5000 in done.output
    assert "\x1b" not in done.output
    assert done.exit_code == 0


def test_command_ends_in_one_sentence_and_a_status(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    done = CliRunner().invoke(command_line.app, ["verify", "one/results"])
    assert done.exit_code == 0
    assert done.output.strip().startswith("one/results: 4 results (0.00 GB) are as recorded")
    assert done.output.count("\n") == 1
    flip(project / "results/scores.tsv")
    done = CliRunner().invoke(command_line.app, ["verify", "one/results"])
    assert done.exit_code == 1
    assert "changed" in done.output
    assert "scores.tsv: expected other bytes" in done.output
    with pytest.raises(InputError, match="expected a results' folder with records"):
        verify(project / "nsd")


PROGRAM = """
import os, sys, time
from types import SimpleNamespace
from pathlib import Path
from neural_recon.workflow.jobs import start
config = {{"seed": 3, "dataset": {{"kind": "nsd", "root": "nsd"}}, "pathvars": {{}}}}
job = SimpleNamespace(log=["job.log"], rule="copy", wildcards={{}}, input={{}}, params={{}}, config=config)
job.output = ["results/a.txt"]
start(job)
{body}
"""
WRITE = 'Path("results/a.txt").write_text("a")'


@pytest.mark.parametrize(
    ("body", "status", "recorded"),
    [
        (WRITE, 0, True),
        (WRITE + '\nraise ValueError("late")', 1, False),
        (WRITE + '\nprint("written", flush=True); time.sleep(60)', 143, False),
        (WRITE + "\nif os.fork() == 0: sys.exit()\nos.wait(); raise ValueError", 1, False),
        ("pass", 1, False),
    ],
    ids=["ends", "fails", "is cancelled", "fails after a fork ended", "writes nothing"],
)
def test_only_a_job_that_ends_well_leaves_a_record(tmp_path, body, status, recorded):
    record = tmp_path / "results/provenance/a.txt.json"
    record.parent.mkdir(parents=True)
    record.write_text("that of an earlier run")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if "sleep" in body:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=100)
    assert process.returncode == status, said
    assert record.exists() == recorded
    assert said.count("\n") == (1 if status == 1 else 0)


def test_job_removes_what_a_killed_one_left_of_the_same_outputs(tmp_path, monkeypatch):
    folder = make(tmp_path / "one", monkeypatch)
    names = ("features.parquet", "pictures", "scores.tsv", "provenance/pictures.json", "responses/subj01.h5")
    left = [files.part_of(folder / "results" / name) for name in names]
    for part in left:
        part.mkdir() if part.name.endswith("pictures") else part.write_bytes(b"half")
    others = [folder / "results/.part-scores.tsv", folder / "results/.part-0123456789ab-other-scores.tsv"]
    for part in others:
        part.write_bytes(b"a download that continues, and another file's")
    compute()
    assert [part for part in left if part.exists()] == []
    assert all(part.exists() for part in others)
    verdict = verify(folder / "results")
    assert (verdict.wrong, verdict.files) == ([], 4)


def test_what_cannot_be_read_is_not_called_changed(project, monkeypatch):
    """An unreadable result, and an input on a share that does not answer."""
    real = Path.stat

    def stat(path: Path, **how):
        if path.name == "small.hdf5":
            raise OSError(116, "Stale file handle", str(path))
        if path.name == "scores.tsv":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    found = verify(project / "results")
    assert found.wrong == [("unreadable", "scores.tsv: it cannot be read (Permission denied).")]
    assert found.unchecked == ["nsd/small.hdf5: it cannot be read (Stale file handle)."]
