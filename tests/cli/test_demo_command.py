"""`neural-recon demo`: where it runs, how it uses the machine, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from helpers.places import ROOT

from neural_recon.cli import demo_run


def test_demo_belongs_to_the_project(neural_recon, tmp_path):
    status, out, said = neural_recon("demo", folder=tmp_path)
    assert (status, out) == (1, "")
    expected = "expected the project's folder, found no Snakefile and config/demo.yaml; go there."
    assert said == f"error: {tmp_path}: {expected}\n"
    raw = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    for subject in raw["subjects"]:
        assert subject in neural_recon("demo", "--help")[1]


@pytest.mark.parametrize(("card", "jobs"), [("/usr/bin/nvidia-smi", "gpu=1"), (None, "gpu=3")])
def test_demo_uses_the_machine(monkeypatch, card, jobs):
    monkeypatch.setattr(demo_run.shutil, "which", lambda _: card)
    found = demo_run.command(3, None, False)
    assert found[:5] == [sys.executable, "-m", "snakemake", "--cores", "3"]
    assert jobs in found
    assert found[found.index("--max-threads") + 1] == "1"  # of every rule
    assert "subj01" not in found
    assert demo_run.command(3, "subj01", True)[-3:] == ["--dry-run", "--", "subj01"]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert demo_run.default_cores() == 4


def test_make_demo_is_the_same():
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/.complete", "demo", "CORES=3"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].split() == [".venv/bin/neural-recon", "demo", "--cores", "3"]


@pytest.mark.parametrize(
    ("program", "number", "status"),
    [
        ("raise SystemExit(3)", None, 1),
        ("pass", None, 0),
        ("import time; time.sleep(60)", signal.SIGTERM, 1),  # passed on
        # from the terminal Snakemake has it, too: what it does then is waited for
        ("import time; time.sleep(2); open('ended', 'w').close()", signal.SIGINT, 130),
    ],
)
def test_demo_ends_as_snakemake_does(monkeypatch, tmp_path, neural_recon, program, number, status):
    monkeypatch.setattr(demo_run, "command", lambda *_: [sys.executable, "-c", program])
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "Snakefile").touch()
    if number is not None:
        threading.Timer(1, os.kill, (os.getpid(), number)).start()
    begin = time.monotonic()
    found, out, _ = neural_recon("demo", "--subject", "subj02", folder=tmp_path)
    assert found == status
    assert time.monotonic() - begin < 30
    assert ("results/report/subj02.html" in out) == (status == 0)
    assert (tmp_path / "ended").exists() == (number == signal.SIGINT)
