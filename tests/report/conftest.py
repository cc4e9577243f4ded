"""A report of two made-up subjects, for the tests of its sections."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.made_up_results import CONFIGURATION, IDS, draw, write_benchmarks, write_stimuli, write_subject
from helpers.pages import draw_no_figures

from neural_recon.report.page import build


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Two subjects' report: the page, and the subjects' files."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("made")
    subjects = [write_subject(folder, rng, subject, ids) for subject, ids in IDS.items()]
    stimuli = write_stimuli(folder / "stimuli.hdf5", IDS["subj01"], draw(rng, 10, 425, 20))
    output = folder / "report.html"
    build(output, subjects, stimuli, write_benchmarks(folder / "benchmarks"), CONFIGURATION)
    return folder, (output, subjects, stimuli)


@pytest.fixture
def made(made_once, tmp_path):
    """A copy of it that a test may change."""
    folder, found = made_once
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)

    def moved(value):
        if isinstance(value, dict):
            return {name: moved(inner) for name, inner in value.items()}
        return tmp_path / value.relative_to(folder) if isinstance(value, Path) else value

    output, subjects, stimuli = found
    copies = [
        dataclasses.replace(files, **{name: moved(value) for name, value in vars(files).items()})
        for files in subjects
    ]
    return moved(output), copies, moved(stimuli)


@pytest.fixture
def no_plots(monkeypatch):
    """For tests that look at the page's words."""
    draw_no_figures(monkeypatch)
