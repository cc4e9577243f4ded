"""A fresh clone of the project, and an environment for it in which nothing has to be installed."""

import importlib.metadata
import site
import sysconfig
import tomllib
import venv
from pathlib import Path

import steps
import table

# a command of the environment; its first lines allow for a path of any length, and for spaces in it
SCRIPT = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from {module} import {name}
sys.exit({name}())
"""


def clone(folder: Path, commit: str) -> None:
    """A clone, with what the tests read alongside the project."""
    steps.command(["git", "clone", "--quiet", table.ROOT, folder], folder.parent)
    steps.command(["git", "checkout", "--quiet", "--detach", commit], folder)
    shared = table.ROOT.parent / "shared"
    if shared.is_dir():
        (folder.parent / "shared").symlink_to(shared)


def environment(project: Path) -> None:
    """The project's `.venv`, complete for `make`: our packages, and the project's code.

    Raises:
        NoFigure: it would run other code than the project's.
    """
    place = project / ".venv"
    venv.create(place, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
    # paths alone: what is installed editable, as neural-recon may be, is not followed from there
    lines = [str(project / "src"), *site.getsitepackages()]
    (packages / "measured.pth").write_text("\n".join(lines), encoding="utf-8")
    commands = {entry.name: entry.value for entry in importlib.metadata.entry_points(group="console_scripts")}
    # where the clone's own lie, which may be of another commit than what is installed
    commands |= tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    for command, value in commands.items():
        module, _, name = value.partition(":")
        script = place / "bin" / command
        text = SCRIPT.format(python=place / "bin/python", module=module, name=name)
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    asked = [place / "bin/python", "-E", "-c", "import neural_recon; print(neural_recon.__file__)"]
    found = Path(steps.command(asked, project.parent)[0].strip())
    if project / "src" not in found.parents:
        raise table.NoFigure(f"expected the code of the clone ({project / 'src'}), found {found}.")
    (place / ".complete").touch()
