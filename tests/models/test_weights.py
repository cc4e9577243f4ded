"""The table of weights, and where the models of a configuration lie."""

import re
from pathlib import Path

import pytest
import yaml
from helpers.places import ROOT

from neural_recon.core.errors import InputError
from neural_recon.models import weights

ENTRY = {
    "what": "a model",
    "source": "hub:lab/model",
    "revision": "main",
    "licence": "MIT",
    "recipes": [],
    "files": [{"path": "vae/config.json"}, {"path": "vae/model.bin", "gigabytes": 2, "sha256": "0" * 64}],
}
SINGLE = {**ENTRY, "source": "https://example.org/assets/", "revision": None, "files": [{"path": "model.th"}]}


@pytest.fixture
def table(tmp_path, monkeypatch) -> weights.Table:
    """Two entries, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("table.yaml").write_text(yaml.safe_dump({"lab/model": ENTRY, "single": SINGLE}), encoding="utf-8")
    return weights.read_table("table.yaml")


def named_in(recipe: dict) -> set[str]:
    sections = [*recipe["spaces"].values(), recipe["generator"]]
    return {value for section in sections for value in section.values() if isinstance(value, str)}


def test_shipped_table_has_what_recipes_name():
    table = weights.read_table(ROOT / weights.TABLE)
    named = {
        (value, path.stem)
        for path in (ROOT / "config/recipes").glob("*.yaml")
        for value in named_in(yaml.safe_load(path.read_text(encoding="utf-8")))
        if value in table
    }
    assert named == {(name, recipe) for name, entry in table.items() for recipe in entry.recipes}
    # the published models of Brain-Diffuser: one stage takes one of the two
    assert {recipe for _, recipe in named} >= {"brain_diffuser", "guides_only", "base_only"}


def test_shipped_table_has_every_file_that_is_loaded():
    table = weights.read_table(ROOT / weights.TABLE)
    parts = (
        "image_unet",
        "text_unet",
        "vae",
        "text_encoder",
        "image_encoder",
        "image_processor",
        "tokenizer",
    )
    files = weights.model_files("shi-labs/versatile-diffusion", table, (*parts, "scheduler"))
    assert len(files) == len(table["shi-labs/versatile-diffusion"].files) == 16
    folder = "resources/models/shi-labs--versatile-diffusion"
    assert f"{folder}/image_feature_extractor/preprocessor_config.json" in files
    assert f"{folder}/text_unet/diffusion_pytorch_model.bin" in files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 3}, "lab: unknown key size"),
        ({"source": "lab/model"}, "lab: source: .*found 'lab/model'"),
        ({"source": "https://example.org/assets"}, "lab: source"),
        ({"revision": None}, "lab: hub:lab/model needs a revision"),
        ({"files": []}, "lab: files"),
        ({"files": [{"path": "a", "sha256": "abc"}]}, r"lab: files\.0\.sha256.*found 'abc'"),
    ],
)
def test_wrong_entries_are_one_sentence(tmp_path, change, message):
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump({"lab": {**ENTRY, **change}}), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        weights.read_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "a: [", "- a\n"])
def test_table_that_is_none(tmp_path, content):
    path = tmp_path / "table.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"table\.yaml: expected"):
        weights.read_table(path)


def test_where_models_lie(table):
    assert weights.locate("a.key", "lab/model", table, "folder") == Path("resources/models/lab--model")
    assert weights.locate("a.key", "single", table) == Path("resources/models/single/model.th")
    Path("mine").mkdir()
    Path("mine/model.safetensors").touch()
    assert weights.locate("a.key", "mine", table, "folder") == Path("mine")
    assert weights.locate("a.key", "mine/model.safetensors", table) == Path("mine/model.safetensors")


def test_name_or_path_that_is_neither(table):
    with pytest.raises(InputError, match=r"a\.key: expected a name of .*lab/model, single.* or an exist"):
        weights.locate("a.key", "singel", table)


def test_file_for_a_folder_and_the_reverse(table):
    with pytest.raises(InputError, match=r"a\.key: expected a file, found the folder .*lab--model"):
        weights.locate("a.key", "lab/model", table)
    with pytest.raises(InputError, match=r"a\.key: expected a folder, found the file .*model\.th"):
        weights.locate("a.key", "single", table, "folder")


def test_files_that_runs_depend_on(table):
    # an entry's do not change when they are fetched
    names = ["resources/models/lab--model/vae/config.json", "resources/models/lab--model/vae/model.bin"]
    assert weights.model_files("lab/model", table, ["vae", "scheduler"]) == names
    assert weights.model_files("single", table, ()) == ["resources/models/single/model.th"]
    assert weights.model_files("mine.th", table, ()) == ["mine.th"]
    for name in ("mine/vae/config.json", "mine/vae/model.safetensors", "mine/image_feature_extractor/a.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert weights.model_files("mine", table, ["vae", "image_processor"]) == [
        "mine/vae/model.safetensors",
        "mine/vae/config.json",
        "mine/image_feature_extractor/a.json",
    ]


VAE, SCHEDULER = ("vae",), ("scheduler",)


def missing(table, *models) -> set[str]:
    files = [path for value, parts in models for path in weights.model_files(value, table, parts)]
    return set(weights.missing(files, table))


def test_only_what_is_configured_and_missing_is_fetched(table):
    assert missing(table, ("mine", ()), ("elsewhere", VAE)) == set()
    assert missing(table, ("single", ())) == {"single/model.th"}
    assert missing(table, ("single", ()), ("lab/model", VAE)) == {
        "single/model.th",
        "lab--model/vae/config.json",
        "lab--model/vae/model.bin",
    }
    Path("resources/models/single").mkdir(parents=True)
    Path("resources/models/single/model.th").touch()
    assert missing(table, ("single", ())) == set()


def test_weights_of_parts_that_are_not_read_are_not_fetched(table):
    assert missing(table, ("lab/model", SCHEDULER)) == set()
    # what one reads of a model and another does not is fetched
    assert missing(table, ("lab/model", SCHEDULER), ("lab/model", VAE)) == {
        f"lab--model/vae/{name}" for name in ("config.json", "model.bin")
    }


def test_what_a_fetch_needs_to_know(table):
    found = weights.download("lab--model/vae/model.bin", table)
    assert found == weights.Download(
        source="hub:lab/model", revision="main", path="vae/model.bin", sha256="0" * 64
    )
    with pytest.raises(InputError, match="expected a file that"):
        weights.download("lab--model/vae/other.bin", table)


def test_places_by_known_checksum(table):
    named = (("single", ()), ("lab/model", VAE))
    places = weights.missing(
        [f for value, parts in named for f in weights.model_files(value, table, parts)], table
    )
    assert re.fullmatch(weights.pattern(places, True), "lab--model/vae/model.bin")
    assert not re.fullmatch(weights.pattern(places, True), "single/model.th")
    assert re.fullmatch(weights.pattern(places, False), "single/model.th")
    assert not re.fullmatch(weights.pattern(places, False), "single/model_th")
    assert not re.fullmatch(weights.pattern({}, False), "")


def test_terms_are_those_of_what_is_to_be_fetched():
    table = weights.read_table(ROOT / weights.TABLE)
    said = weights.terms(["stabilityai--stable-cascade/vqgan/config.json", "vdvae-imagenet64/a.th"], table)
    assert len(said) == 1
    assert re.match("stabilityai/stable-cascade: .*non-commercial", said[0])
    # whoever forbids commercial use says so before a fetch
    forbidding = {name for name, one in table.items() if re.search("^[^;]*(Non-Commercial|NC)", one.licence)}
    assert len(forbidding) == 4
    assert all("non-commercial" in (table[name].terms or "") for name in forbidding)


def test_parts_are_folders_at_any_depth_or_files(table, tmp_path):
    files = (
        "a/encoder/config.json",
        "a/encoder_2/config.json",
        "a/adapter.safetensors",
        "feature_extractor/p.json",
    )
    entry = weights.Entry.model_validate({**ENTRY, "files": [{"path": path} for path in files]})
    parts = ("a/encoder", "a/adapter.safetensors", "image_processor")
    found = [file.path for file in weights.files_read(entry, parts)]
    assert found == [files[0], files[2], files[3]]
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "a/encoder/model.safetensors").touch()
    local = weights.model_files(str(tmp_path), table, parts)
    wanted = ("a/encoder/model.safetensors", *found)
    assert sorted(local) == sorted(str(tmp_path / path) for path in wanted)
