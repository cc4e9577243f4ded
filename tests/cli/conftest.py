"""Fixtures of the command's tests."""

import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from neural_recon.cli import command_line


@pytest.fixture
def neural_recon(monkeypatch, capsys):
    """The command, in the project's folder unless another is named: exit status, output, errors."""

    def run(*arguments: object, folder: Path = ROOT) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["neural-recon", *map(str, arguments)])
        monkeypatch.chdir(folder)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            command_line.run()
        return (int(end.value.code or 0), *capsys.readouterr())

    return run
