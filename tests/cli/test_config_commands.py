"""`neural-recon config` and `look`: configurations that are written, and what is said of wrong ones."""

import json
import re
from pathlib import Path

import pytest
import yaml
from helpers import made_up_lab
from helpers.places import ROOT

from neural_recon.config import configuration, known_keys, recipe_files, reference
from neural_recon.config.sections import Captioner
from neural_recon.core.errors import LONGEST


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
