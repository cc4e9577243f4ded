"""The lock: exact, complete, and the same for pip and conda."""

import importlib.metadata
import re
import tomllib

import pytest
import yaml
from helpers.locked import LINES, PINS, lock
from helpers.places import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_line_is_one_exact_version_and_no_package_comes_twice():
    names = [canonicalize_name(name) for name in PINS]
    assert len(names) == len(set(names)) == sum(not line.startswith("#") for line in LINES)
    for version in PINS.values():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version)


@pytest.mark.parametrize("wanted", [*PROJECT["dependencies"], *lock.TOOLS])
def test_what_is_needed_is_pinned_within_its_range(wanted):
    requirement = Requirement(wanted)
    versions = {canonicalize_name(name): version for name, version in PINS.items()}
    assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_the_lock_has_what_its_packages_need_and_nothing_else():
    needed, queue = set(), [Requirement(wanted) for wanted in (*PROJECT["dependencies"], *lock.TOOLS)]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if lock.OF_TORCH.match(name) or {(name, extra) for extra in extras} <= needed:
            continue
        needed |= {(name, extra) for extra in extras}
        for line in importlib.metadata.requires(name) or ():
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in extras):
                queue.append(further)
    assert {name for name, _ in needed} == {canonicalize_name(name) for name in PINS}


def test_conda_installs_the_same_versions():
    packages = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())["dependencies"]
    python, pip, rest = packages
    name, version = python.split("=")
    assert name == "python"
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    # a package that conda installs itself could differ from the lock
    assert pip == "pip"
    assert rest == {"pip": ["-r requirements.txt", "-e .."]}


def test_a_lock_keeps_its_head_and_leaves_out_what_belongs_to_a_build():
    packages = [
        ("torch", "2.13.0+cpu"), ("nvidia-cudnn-cu13", "9.1"), ("triton", "3.6"), ("cuda-bindings", "13.0"),
        ("Jinja2", "3.1.6"), ("h5py", "3.16.0"),
    ]  # fmt: skip
    text = lock.pins(packages, ["# head", "# more", "old==1"])
    assert text == "# head\n# more\nh5py==3.16.0\nJinja2==3.1.6\ntorch==2.13.0\n"


def test_the_lock_is_written_as_make_lock_writes_it():
    assert lock.pins(PINS.items(), LINES).splitlines() == LINES


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1", "vulnerabilities were NOT checked: pip-audit could not be installed."),
        (
            '[ "$2" = pip ] || { echo "no route to host" >&2; exit 1; }',
            "could not reach its data (no route to host).",
        ),
        (
            '[ "$2" = pip ] || echo \'{"dependencies": [{"name": "a", "version": "1", "vulns": '
            '[{"id": "X-1", "fix_versions": ["2"]}]}, {"name": "b", "skip_reason": "?"}]}\'',
            "1 packages checked, 1 known vulnerabilities.\na 1: X-1, mended in 2\n"
            "vulnerabilities were NOT checked for b.",
        ),
    ],
)
def test_what_is_said_of_vulnerabilities(tmp_path, script, message):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    assert lock.audit(python, tmp_path / "requirements.txt").endswith(message)
