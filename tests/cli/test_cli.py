"""The command `neural-recon`: what it says of itself, completion, and how it ends."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import typer
from helpers.places import ROOT
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.workflow import doctor


def commands(app: typer.Typer, above: tuple[str, ...] = ()) -> set[str]:
    """The commands that there are, those of groups behind the group's name."""
    found = {" ".join((*above, one.name or one.callback.__name__)) for one in app.registered_commands}
    return found.union(
        *(commands(group.typer_instance, (*above, group.name)) for group in app.registered_groups)
    )


def test_page_and_help_name_every_command(neural_recon):
    page = (ROOT / "docs/command_line.md").read_text(encoding="utf-8")
    described = re.findall(r"^## `neural-recon (.+)`\n\n```sh\nneural-recon (.+)$", page, re.M)
    there = commands(command_line.app)
    assert there == {name for name, _ in described}
    for name, example in described:
        assert example.startswith(name)
        assert neural_recon(*name.split(), "--help")[0] == 0
    status, out, _ = neural_recon("--help")
    assert status == 0
    for name in {name.split()[0] for name in there}:
        assert re.search(rf"^│ {name} ", out, re.M)
    said = " ".join(out.split())
    for code in (0, 1, 2, 130):
        assert re.search(rf"Exit status:.* {code} ", said)
        assert f"\n| {code} |" in page


def test_options_in_the_page_exist(neural_recon):
    page = (ROOT / "docs/command_line.md").read_text(encoding="utf-8")
    for part in page.split("\n## ")[1:]:
        name = re.match(r"`neural-recon ([\w ]+)`", part)
        text = re.sub(r"`neural-recon \w[^`]*`", "", part)
        known = neural_recon(*(name[1].split() if name else []), "--help")[1]
        for option in re.findall(r"--[a-z][a-z-]*", text):
            assert option in known, (option, part.splitlines()[0])


def test_exit_status(neural_recon, monkeypatch, tmp_path):
    assert neural_recon("--version")[:2] == (0, "neural-recon 0.1.0\n")
    for arguments in (["--nothing"], ["nothing"], ["demo", "--cores", "0"], ["demo", "--subject", "subj03"]):
        status, out, said = neural_recon(*arguments)
        assert (status, out) == (2, "")
        assert said.startswith("Usage: neural-recon")
    status, out, said = neural_recon("verify", tmp_path / "none")
    assert (status, out) == (1, "")
    assert said.startswith("error: ")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupted)
    assert neural_recon("doctor") == (130, "", "")


@pytest.mark.parametrize(
    ("error", "begins", "is_bug"),
    [
        (RuntimeError("two\nlines"), "RuntimeError: two lines (", True),
        (KeyError("k"), "KeyError: 'k' (", True),
        (PermissionError(13, "Permission denied", "results"), "PermissionError: ", False),
        (MemoryError(), "MemoryError: ", False),
    ],
)
def test_what_nobody_foresaw_is_one_sentence(neural_recon, monkeypatch, error, begins, is_bug):
    def fail(*_):
        raise error

    monkeypatch.setattr(doctor, "examine", fail)
    status, out, said = neural_recon("doctor")
    assert (status, out, said.count("\n")) == (1, "", 1)
    assert said.startswith(f"error: {begins}")
    assert "`neural-recon --debug ...` shows where" in said
    assert ("CONTRIBUTING.md" in said) == is_bug
    monkeypatch.setattr(sys, "argv", ["neural-recon", "--debug", "doctor"])
    with pytest.raises(type(error)):
        command_line.run()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "neural-recon ",
            {
                "board",
                "config",
                "decode",
                "demo",
                "doctor",
                "evaluate",
                "export",
                "import",
                "submit",
                "verify",
            },
        ),
        ("neural-recon de", {"decode", "demo"}),
        ("neural-recon config ", {"write", "validate"}),
        ("neural-recon evaluate --preset ", {"brain_diffuser", "mindeye2", "native"}),
        ("neural-recon decode --zscore s", {"session"}),
        ("neural-recon demo --s", {"--subject"}),
        ("neural-recon demo --subject ", {"subj01", "subj02"}),
        ("neural-recon config validate conf", set()),  # left to the shell, which completes paths
        ("neural-recon evaluate --stimuli ", set()),
    ],
)
def test_completion(line, expected):
    words = line.split(" ")
    known = {
        "_NEURAL_RECON_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = CliRunner().invoke(command_line.app, [], prog_name=command_line.NAME, env=known)
    assert done.exit_code == 0
    assert set(done.stdout.split()) == expected


@pytest.fixture
def shell(request, tmp_path, monkeypatch):
    """Runs lines in a shell where `neural-recon` is on the path and the home is an empty folder."""
    place = shutil.which(request.param)
    if place is None:
        pytest.skip(f"{request.param} is not here")
    program = tmp_path / "bin/neural-recon"
    program.parent.mkdir()
    # as pip writes it where the interpreter's path has a space
    head = f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n"
    program.write_text(
        f"{head}from neural_recon.cli import command_line\ncommand_line.run()\n", encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def run(lines: str) -> str:
        done = subprocess.run([place, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.name = request.param
    return run


COMPLETE = {
    "bash": """
source ~/.bashrc
complete -p neural-recon
COMP_WORDS=(neural-recon evaluate --preset m) COMP_CWORD=3
_neural_recon_completion neural-recon
echo "found ${COMPREPLY[*]}"
COMP_WORDS=(neural-recon config validate conf) COMP_CWORD=3
_neural_recon_completion neural-recon
echo "left ${#COMPREPLY[@]}"
""",
    # without a terminal: that the function is the one of the command
    "zsh": """
source ~/.zshrc
compinit -u
autoload +X _neural-recon
whence -f _neural-recon | grep -q complete_zsh && echo "found $_comps[neural-recon]"
""",
    "fish": """
complete -C "neural-recon evaluate --preset m" | sed 's/^/found /'
complete -C "neural-recon config validate conf" | sed 's/^/left /'
""",
}
EXPECTED = {
    "bash": ["complete -o default -F _neural_recon_completion neural-recon", "found mindeye2", "left 0"],
    "zsh": ["found _neural-recon"],
    "fish": ["found mindeye2", "left config/"],
}


@pytest.mark.parametrize("shell", COMPLETE, indirect=True)
def test_completion_is_installed_for_the_shell_it_is_typed_in(shell):
    assert f"{shell.name} completion installed in" in shell("neural-recon --install-completion\n:")
    assert shell(COMPLETE[shell.name]).splitlines() == EXPECTED[shell.name]
    assert f"complete_{shell.name}" in shell("neural-recon --show-completion\n:")
