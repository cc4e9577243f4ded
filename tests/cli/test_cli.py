"""The command `neural-recon`: help, exit status, completion, the demo, configurations written and checked."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer
import yaml
from helpers import made_up_lab
from helpers.places import ROOT
from typer.testing import CliRunner

from neural_recon.cli import command_line, demo_run
from neural_recon.config import configuration, known_keys, recipe_files, reference
from neural_recon.config.sections import Captioner
from neural_recon.core.errors import LONGEST
from neural_recon.workflow import doctor


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


def test_demo_belongs_to_the_project(neural_recon, tmp_path):
    status, out, said = neural_recon("demo", folder=tmp_path)
    assert (status, out) == (1, "")
    expected = "expected the project's folder, found no Snakefile and config/demo.yaml; go there."
    assert said == f"error: {tmp_path}: {expected}\n"
    raw = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    for subject in raw["subjects"]:
        assert subject in neural_recon("demo", "--help")[1]


def test_wide_rules_are_those_of_the_workflow():
    """Every rule of the demo that asks for several cores gets one."""
    files = [path for path in (ROOT / "workflow/rules").rglob("*.smk") if path.stem != "shared_subject"]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    rules = re.split(r"^ *rule (\w+):", text, flags=re.M)[1:]
    wide = {name for name, body in zip(rules[::2], rules[1::2], strict=True)
            if re.search(r"^ +threads: (?!1$)", body, re.M)}  # fmt: skip
    others = {"decoder_responses", "ridge_decoder", "bottleneck_predictions"}  # not in the demo
    assert wide == {*demo_run.WIDE, *others}


@pytest.mark.parametrize(("card", "jobs"), [("/usr/bin/nvidia-smi", "gpu=1"), (None, "gpu=3")])
def test_demo_uses_the_machine(monkeypatch, card, jobs):
    monkeypatch.setattr(demo_run.shutil, "which", lambda _: card)
    found = demo_run.command(3, None, False)
    assert found[:5] == [sys.executable, "-m", "snakemake", "--cores", "3"]
    assert jobs in found
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


@pytest.fixture
def written(tmp_path, neural_recon) -> Path:
    path = tmp_path / "our lab.yaml"
    status, out, _ = neural_recon("config", "write", path)
    assert (status, out.startswith(f"{path}: ")) == (0, True)
    return path


def test_written_configuration_is_that_for_nsd(written):
    raw, nsd = (configuration.read_raw(path) for path in (written, ROOT / "config/nsd.yaml"))
    assert configuration.checked(raw, ROOT)[1] == []
    places = {name: f"{name}/our_lab" for name in ("results", "logs", "benchmarks")}
    assert configuration.resolve(raw, ROOT) == configuration.resolve({**nsd, "pathvars": places}, ROOT)


def uncommented(text: str, *offered: str) -> str:
    """What the recipe fills, taken out of its comment, and sections that are offered."""
    _, rest = text.split("\n\n", 1)
    blocks = rest.split("\n\n")
    others = [name for name in reference.OFFERED if name not in offered]
    return "\n\n".join(
        re.sub("^# ", "", block, flags=re.M)
        if all(line[0] == "#" for line in block.splitlines())
        and not any(f"\n# {name}:" in block for name in others)
        else block
        for block in blocks
    )


def test_written_configuration_has_every_key(written):
    text = written.read_text(encoding="utf-8")
    raw = yaml.safe_load(uncommented(text))
    optional = ("captioner", "demo", "generalisation")
    for place, field, is_section, kinds in known_keys.known_keys(configuration.Config):
        if place[0] in optional or (kinds and "versatile_diffusion" not in kinds):
            continue
        value = raw
        for part in place:
            value = value[{"SUBJECT": "subj01", "SPACE": "vdvae"}.get(part, part)]
        if not is_section:
            words = " ".join(re.sub(r"^[ #]*", "", text, flags=re.M).split())
            assert " ".join(f"{field.description} [".split()) in words
    assert configuration.resolve(raw, ROOT) == configuration.resolve(yaml.safe_load(text), ROOT)
    edit = re.findall(r"EDIT: .*\n(?: *#.*\n)* *(\w+):", text)
    assert edit == ["recipe", "kind", "root", "subjects"]


def test_sections_that_are_left_out_are_offered(neural_recon, tmp_path):
    """What is offered is valid as it stands, with other sessions where it says that they lie."""
    lab, path = tmp_path / "lab", tmp_path / "lab.yaml"
    for folder in (lab, tmp_path / "lab_later"):
        made_up_lab.write(folder)
    (lab / "captions.tsv").unlink()
    options = ("--recipe", "kandinsky_small", "--small", "--output", path)
    status, _, said = neural_recon("config", "write", "--dataset", "table", lab, *options)
    assert (status, said) == (0, "")
    text = path.read_text(encoding="utf-8")
    assert '# the "# " away from its line' in text
    assert "To have captioner or generalisation,\n" in text
    assert yaml.safe_load(text).keys().isdisjoint(reference.OFFERED)
    raw = yaml.safe_load(uncommented(text, *reference.OFFERED))
    raw["decoder"]["keep"] = "kernel"
    raw["generalisation"]["later"]["dataset"]["folder"] = str(tmp_path / "lab_later")
    config = configuration.resolve(raw, ROOT)
    assert config["captioner"] == Captioner().model_dump()
    assert config["generalisation"]["later"]["sessions"] == "all"


def test_captions_are_not_offered_where_there_are_some(written):
    assert "captioner:" not in written.read_text(encoding="utf-8")


def test_value_of_the_recipe_set_otherwise(written):
    text = written.read_text(encoding="utf-8")
    text = text.replace("# generator:", "generator:").replace("#   strength: 0.75", "  strength: 0.5")
    changed = configuration.resolve(yaml.safe_load(text), ROOT)["generator"]
    recipe = recipe_files.read_recipe("brain_diffuser", ROOT)["generator"]
    assert changed["strength"] == 0.5
    assert {**changed, **recipe, "strength": 0.5} == changed


def test_allowed_values_are_named(written):
    text = written.read_text(encoding="utf-8")
    for line in (
        "[func1pt8mm | func1mm; default: func1pt8mm]",
        "[true | false; default: false]",
        "[all | whole number from 1 | list of: whole number from 1; default: all]",
        "[number above 0 to 1; default: 0.75]",
        "[{NAME: number above 0 | cv}; required]",
        "[{NAME: list of: text}; default: {}]",
    ):
        assert f"# {line}\n" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("there.yaml", "found one that exists"),
        ("new.txt", "ends in .yaml"),
        ("no/new.yaml", "expected an existing folder"),
    ],
)
def test_no_file_is_overwritten(neural_recon, tmp_path, name, message):
    (tmp_path / "there.yaml").write_text("mine", encoding="utf-8")
    status, out, said = neural_recon("config", "write", tmp_path / name)
    assert (status, out, said.count("\n")) == (1, "", 1)
    assert message in said
    assert {path.name: path.read_text("utf-8") for path in tmp_path.rglob("*.*")} == {"there.yaml": "mine"}


def test_a_folder_is_looked_at_whatever_it_and_its_subjects_are_called(neural_recon, tmp_path):
    """Numbers and words that YAML takes for others, and a space; a second run overwrites nothing."""
    lab, path = tmp_path / "our lab", tmp_path / "the lab.yaml"
    table = made_up_lab.write(lab)
    for old, new in (names := {"P-07": "01", "anna": "2", "sub_3x": "on"}).items():
        folder = (lab / f"derivatives/{old}").rename(lab / f"derivatives/sub-{new}")
        for file in folder.iterdir():
            file.rename(folder / file.name.replace(old, f"sub-{new}"))
    table.assign(subject=table["subject"].map(names)).to_csv(lab / "trials.tsv", sep="\t", index=False)
    arguments = ("config", "write", "--dataset", "table", "--small", "--output", path, lab)
    status, out, said = neural_recon(*arguments)
    assert (status, said) == (0, "")
    assert out.endswith(f"then neural-recon doctor --configfile '{path}'\n")
    assert list(configuration.read_config(path, ROOT).subjects) == ["01", "2", "on"]
    status, out, said = neural_recon(*arguments)
    assert (status, out) == (1, "")
    exists = "expected a new file, found one that exists; name another, or delete it first."
    assert said == f"error: {path}: {exists}\n"
    _, out, _ = neural_recon("doctor", "--configfile", path)
    assert f"--configfile '{path}'" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new.yaml", "--small"], "expected --output, --recipe and --small with --dataset alone, found none"),
        (["--dataset", "table", "."], ".: expected a table of trials, with the columns subject, session"),
        (["--dataset", "table", "gone"], "gone: expected a lab's folder, found none; name the folder"),
        (
            ["--dataset", "nsd", "."],
            "expected a kind of data set that is found by looking, found one",
        ),
    ],
)
def test_nothing_is_written_of_what_cannot_be_looked_at(neural_recon, tmp_path, arguments, message):
    status, out, said = neural_recon("config", "write", *arguments, folder=tmp_path)
    assert (status, out, said.count("\n")) == (1, "", 1)
    assert message in said
    assert not list(tmp_path.rglob("*.yaml"))


def test_valid_configuration_is_summed_up(neural_recon):
    status, out, said = neural_recon("config", "validate", "config/demo.yaml")
    assert (status, said) == (0, "")
    assert "4 sessions, 3,000 trials, 900 training and 100 test images, 2 chunks of features a space" in out
    assert out.endswith("config/demo.yaml: ok\n")


def test_a_setting_of_another_kind_is_named(neural_recon, written):
    text = written.read_text(encoding="utf-8").replace("# generator:", "generator:")
    text = text.replace("#   strength: 0.75", "  strength: 0.5")
    written.write_text(text.replace("recipe: brain_diffuser", "recipe: guides_only"), encoding="utf-8")
    _, out, _ = neural_recon("config", "validate", written)
    assert "wrong       configuration: unknown key generator.strength; other kinds have it" in out


def test_missing_data_are_named(neural_recon, written):
    status, out, _ = neural_recon("config", "validate", written)
    assert status == 1
    assert (
        "nsd_expdesign.mat: expected NSD's experiment design, found no such file; is dataset.root right?"
        in out
    )
    text = written.read_text(encoding="utf-8").replace("accept_terms: false", "accept_terms: true")
    text = text.replace("alexnet: alexnet", "alexnet: none.pth")
    written.write_text(text, encoding="utf-8")
    status, out, _ = neural_recon("config", "validate", written)
    wrong = [line for line in out.splitlines() if line.startswith("wrong")]
    assert (status, len(wrong)) == (1, 1)
    assert "evaluation.networks.alexnet: expected a name of config/weights.yaml" in wrong[0]
    written.write_text(text.replace("none.pth", "alexnet"), encoding="utf-8")
    assert neural_recon("config", "validate", written)[0] == 0


MISTAKES = {
    "sead: 1": "unknown key sead; did you mean seed?",
    "alpha: 3": "unknown key alpha; did you mean decoder.alpha?",
    "zzz: 3": "unknown key zzz; config/README.md lists the keys there are.",
    "dataset: {roots: x}": "unknown key dataset.roots; did you mean dataset.root?",
    "generator: {strenght: 1}": "unknown key generator.strenght; did you mean generator.strength?",
    "subjects: {subj01: {session: 3}}":
        "unknown key subjects.subj01.session; did you mean subjects.subj01.sessions?",
    "split: {clusters: {share: 3, cuont: 2}}":
        "unknown key split.clusters.cuont; did you mean split.clusters.count?",
    "subjects: {subj01: {sessions: most}}":
        "subjects.subj01.sessions: Input should be 'all' or Input should be a valid integer or Input should "
        "be a valid list, found 'most'.",
    "subjects: {subj01: {sessions: [1, x]}}":
        "subjects.subj01.sessions.1: Input should be a valid integer, found 'x'.",
    "decoder: {alpha: {vdvae: often}}": "found 'often'.",
    "dataset: {root: 3}": "dataset.root: Input should be a valid string, found 3.",
    "pathvars: {result: x}":
        "pathvars.result: Input should be 'results', 'logs', 'benchmarks' or 'shared', found 'result'.",
    "regions: {sets: {V9: [V9]}}": "regions.sets.V9: regions: expected a known region, found 'V9'",
}  # fmt: skip


def test_all_mistakes_are_named_each_once(neural_recon, tmp_path):
    """The first of them is the sentence that a run ends with."""
    raw = {"recipe": "brain_diffuser", "dataset": {"kind": "nsd", "root": "x"}, "subjects": {"subj01": {}}}
    for text, sentence in MISTAKES.items():
        found = configuration.checked(configuration.merge(raw, yaml.safe_load(text)), ROOT)[1]
        assert len(found) == 1 + ("share" in text)
        assert any(sentence in one for one in found), found
    together = raw
    # subjects are looked at when the data set is right, regions when all else is
    combined = [text for text in [*MISTAKES][:-1] if not text.startswith("dataset")]
    for text in combined:
        together = configuration.merge(together, yaml.safe_load(text))
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(together), encoding="utf-8")
    status, out, said = neural_recon("config", "validate", path)
    assert (status, said) == (1, "")
    *lines, last = out.splitlines()
    assert all(line.startswith("wrong       configuration: ") and len(line) < LONGEST for line in lines)
    assert last == f"{path}: {len(lines)} to fix"
    assert len(lines) == len(combined)  # two about the same sessions, and share
    with pytest.raises(configuration.InputError) as first:
        configuration.resolve(together, ROOT)
    assert lines[0].endswith(str(first.value))


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "subjects: {}", "recipe: none", "recipe: brain_diffuser\ndataset:\n"]
)
def test_what_is_hardly_a_configuration_is_a_sentence(neural_recon, tmp_path, text):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    status, out, said = neural_recon("config", "validate", path)
    assert (status, said) == (1, "")
    assert out.startswith("wrong       ")
    assert neural_recon("config", "validate", tmp_path / "none.yaml")[1].count("found no such file") == 1
