"""The typed configuration."""

import json
from pathlib import Path

import pytest
import yaml
from helpers.places import ROOT

from neural_recon.config import configuration, recipe_files, reference
from neural_recon.core.errors import InputError
from neural_recon.datasets.kinds import nsd


@pytest.fixture
def raw() -> dict:
    return yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["demo", "nsd"])
def test_shipped_configurations_are_valid(name):
    raw = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    resolved = configuration.resolve(raw, ROOT)
    # resolving what is resolved changes nothing: jobs on other nodes see the resolved one
    assert configuration.resolve(resolved, ROOT) == resolved


def test_configuration_wins_over_recipe(raw):
    raw["generator"] = {"strength": 0.5}
    resolved = configuration.resolve(raw, ROOT)
    recipe = recipe_files.read_recipe("brain_diffuser_small", ROOT)
    assert resolved["generator"]["strength"] == 0.5
    assert resolved["generator"]["guidance_scale"] == recipe["generator"]["guidance_scale"]


def test_a_captioner_is_for_data_without_captions(raw, monkeypatch):
    with pytest.raises(InputError, match=r"captioner: this data set has captions of its own; leave"):
        configuration.resolve({**raw, "captioner": {}}, ROOT)
    monkeypatch.setattr(nsd.NSD, "offers", frozenset({"noise_ceilings"}))
    config = configuration.Config.model_validate(configuration.resolve({**raw, "captioner": {}}, ROOT))
    assert config.captioner.weights == "Salesforce/blip-image-captioning-base"
    assert "captions" in config.data.offers
    assert {str(path) for path in config.data.files("captions", "shared")} == {
        f"{config.results}/captions/shared.tsv"
    }
    with pytest.raises(InputError, match=r"captioner\.beams"):
        configuration.resolve({**raw, "captioner": {"beams": 0}}, ROOT)


def test_an_encoder_of_captions_reads_captions(raw):
    space = {"kind": "versatile_text", "weights": "mine"}
    found = configuration.resolve({**raw, "evaluation": {"caption_encoder": space}}, ROOT)
    assert found["evaluation"]["caption_encoder"] == space
    wrong = {
        "does not read captions": {**space, "kind": "versatile_vision"},
        "one of .*versatile_text": {"kind": "no_such_kind"},
        "unknown key layr": {**space, "layr": 1},
        "expected the key kind": {"weights": "mine"},
    }
    for said, settings in wrong.items():
        with pytest.raises(InputError, match=rf"evaluation\.caption_encoder.*{said}"):
            configuration.resolve({**raw, "evaluation": {"caption_encoder": settings}}, ROOT)


def test_where_captions_lack_recipes_without_text_are_named(raw, monkeypatch):
    monkeypatch.setattr(nsd.NSD, "offers", frozenset({"noise_ceilings"}))
    with pytest.raises(InputError, match="text reads captions, and this data set has none; ") as said:
        configuration.resolve(raw, ROOT)
    assert "with captioner: {} BLIP writes captions" in str(said.value)
    named = str(said.value).partition("recipes without text are ")[2].partition(";")[0].split(", ")
    assert "base_only" in named
    assert not {"brain_diffuser", "guides_only"} & set(named)
    assert configuration.resolve({**raw, "recipe": "base_only"}, ROOT)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("strenght",), 1, "unknown key strenght"),
        (("generator", "strenght"), 1, "unknown key generator.strenght"),
        (("generator",), {"strength": 0}, "generator.strength.*greater than 0.*found 0"),
        (("dataset", "regions"), ["V9"], "V9"),
        (
            ("evaluation", "encoding"),
            "vision",
            "encoding: expected a feature space of its own.* and not one by",
        ),
        (("evaluation", "encoding"), {"kind": "gabor", "cycle": 1}, "unknown key evaluation.encoding.cycle"),
        (("evaluation", "encoding"), {"kind": "sound"}, "encoding: kind: expected a feature space, one of"),
        (("evaluation", "encoding"), {"cycles": [2]}, "encoding: expected the key kind"),
        (
            ("evaluation", "encoding"),
            {"kind": "clip_image_embedding", "weights": "resources/demo_models/versatile"},
            "expected a space that the decoder does not predict.*the model of spaces.vision; name another",
        ),
        (
            ("evaluation", "encoding"),
            {"kind": "t5_states", "weights": "a"},
            "encoding: expected a kind that is computed from pictures.*found t5_states",
        ),
        (
            ("regions", "sets"),
            {"V9": ["V9"]},
            "regions.sets.V9: regions: expected a known region, found 'V9'",
        ),
        (("regions", "sets"), {"tail": ["mTL"]}, "several atlases; write one of floc-faces/mTL"),
        (("regions", "sets"), {"nothing": []}, "regions.sets.nothing"),
        (("regions", "sets"), {"a/b": ["V1"]}, "regions.sets.a/b"),
        (("bottleneck",), {"components": [0]}, "bottleneck.components.*greater than or equal to 1"),
        (("regions", "amplitude"), 0, "regions.amplitude.*greater than 0"),
        (("dataset", "atlases"), ["brodmann"], "unknown atlas 'brodmann'"),
        (("subjects",), {"subj09": {"sessions": 1}}, "unknown subject 'subj09'"),
        (("subjects",), {"subj04": {"sessions": 31}}, "^configuration: subj04 has the sessions 1 to 4"),
        (("decoder",), {"alpha": {"vdvae": -1}}, "decoder.alpha.vdvae"),
        (("decoder",), {"regions": {"z": ["V1"]}}, "decoder.regions.z: no such space; spaces are vdvae"),
        (("decoder",), {"regions": {"text": ["V9"]}}, "decoder.regions.text: regions: expected a known"),
        (("decoder",), {"intercept": {"z": False}}, "decoder.intercept.z: no such space"),
        (("decoder",), {"responses": {"text": "averages"}}, "decoder.responses.text"),
        (("decoder",), {"normalise": {"text": "columns"}}, "decoder.normalise.text"),
        (("generator", "weigths"), "here", "unknown key generator.weigths; did you mean generator.weights"),
        (("generator",), {"weights": 3}, "generator.weights.*found 3"),
        (("generator",), {"kind": "base_only", "strength": 0.5}, "generator.strength; other kinds have it"),
        (("generator",), {"kind": "vdvae"}, "expected a generator, one of base_only, .* found 'vdvae'"),
        (("generator",), {"base": "text"}, "generator.base: .*found 'text'"),
        (("generator",), {"vision": "sight"}, "generator.vision: .*found 'sight'"),
        (("recipe",), "brain_diffusor", "brain_diffusor.yaml.*brain_diffuser"),
        (("dataset", "root"), "my {nsd}", "dataset.root: expected no braces, .* found 'my {nsd}'; rename"),
        (("dataset", "root"), "my <nsd>", "dataset.root: expected no <...>, .* found 'my <nsd>'; rename"),
        (("pathvars",), {"logs": "a } b"}, "pathvars.logs: expected no braces"),
        (("spaces", "vdvae", "weights"), "/a/{b}/vdvae.th", "spaces.vdvae.weights: expected no braces"),
        (("split",), {"train": "{all}.txt", "test": "test.txt"}, "split.train: expected no braces"),
    ],
)
def test_mistakes_are_one_sentence(raw, place, value, message):
    section = raw
    for key in place[:-1]:
        section = section.setdefault(key, {})
    section[place[-1]] = value
    with pytest.raises(InputError, match=message) as caught:
        configuration.resolve(raw, ROOT)
    assert "\n" not in str(caught.value)


def test_components_are_painted_where_decoder_and_recipe_allow_it(raw):
    def painted(pictures, **changes):
        raw["bottleneck"] = {"components": [5, 1, 5], "pictures": pictures}
        return configuration.Config.model_validate(
            configuration.resolve({**raw, **changes}, ROOT)
        ).painted_components

    assert painted("base") == painted("final") == [1, 5]
    assert painted(None) == []
    assert painted("final", recipe="shared_subject_small", decoder={}) == []  # a network has no components
    with pytest.raises(InputError, match=r"^configuration: bottleneck.pictures: expected .* base images"):
        painted("base", recipe="guides_only")


def test_placeholders_that_are_filled_in_are_no_braces(raw):
    raw["regions"] = {"sets": {"mine": ["masks/{subject}.nii.gz"]}}
    raw["pathvars"] = {"results": "<base>/results"}
    configuration.resolve(raw, ROOT)


def test_sessions_of_the_data_set_limit_those_asked_for():
    raw = yaml.safe_load((ROOT / "config/nsd.yaml").read_text(encoding="utf-8"))
    raw["subjects"] = {"subj04": {"sessions": 31}}
    with pytest.raises(InputError, match="subj04 has the sessions 1 to 30, not 31"):
        configuration.resolve(raw, ROOT)


def nsd_config(**sections) -> configuration.Config:
    raw = yaml.safe_load((ROOT / "config/nsd.yaml").read_text(encoding="utf-8"))
    return configuration.Config.model_validate(configuration.resolve({**raw, **sections}, ROOT))


def test_every_subject_has_its_own_number_of_sessions():
    found = nsd_config(subjects={f"subj0{n}": {} for n in range(1, 9)})
    assert [len(found.sessions(name)) for name in found.subjects] == [40, 40, 32, 30, 40, 32, 40, 30]
    some = nsd_config(subjects={"subj01": {"sessions": [7, 2, 7]}, "subj02": {"sessions": 3}})
    assert (some.sessions("subj01"), some.sessions("subj02")) == ([2, 7], [1, 2, 3])


def test_published_split_is_37_sessions():
    subjects = {f"subj0{n}": {} for n in (1, 2, 5, 7)}
    found = nsd_config(subjects=subjects, split={"name": "published"})
    assert [found.sessions(name) for name in subjects] == [list(range(1, 38))] * 4
    for n, came in ((3, 32), (4, 30), (6, 32), (8, 30)):
        with pytest.raises(InputError, match=rf'subj0{n} came for {came}; use split.name "all"'):
            nsd_config(subjects={f"subj0{n}": {}}, split={"name": "published"})
    with pytest.raises(InputError, match=r"37 sessions: leave subjects\.subj01\.sessions out"):
        nsd_config(subjects={"subj01": {"sessions": 40}}, split={"name": "published"})
    nsd_config(subjects={"subj01": {"sessions": 37}}, split={"name": "published"})


@pytest.mark.parametrize("name", ["published", "clusters"])
def test_lists_of_ids_are_a_split_of_their_own(raw, name):
    raw["split"] = {"name": name, "test": "ids.txt"}
    with pytest.raises(InputError, match=f'lists of ids make a split of their own: leave name "{name}" out'):
        configuration.resolve(raw, ROOT)


def test_region_of_an_atlas_that_is_not_read(raw):
    raw["dataset"] |= {"atlases": ["floc-faces"], "regions": ["V1v"]}
    with pytest.raises(InputError, match=r"add it to dataset\.atlases"):
        configuration.resolve(raw, ROOT)


AGAIN = "make it again: python -m neural_recon.config.reference"


def test_schema_is_that_of_the_model():
    stored = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text(encoding="utf-8"))
    assert stored == configuration.Config.model_json_schema(), AGAIN


def test_readme_explains_every_key():
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert reference.key_table() in text, AGAIN


def test_recipe_with_other_sections(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("split: {}\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected the sections spaces, decoder, generator, found split"):
        recipe_files.read_recipe(str(path), Path())


def test_the_figures_score_is_one_that_is_measured(raw):
    raw["evaluation"] = {**raw["evaluation"], "networks": {}}
    without = configuration.Config.model_validate(configuration.resolve(raw, ROOT))
    assert without.metrics == ["pixcorr", "ssim", "object", "background"]
    assert without.figure_score == "pixcorr"
    raw["figure"] = {"score": "clip_two_way"}
    with pytest.raises(InputError, match=r"figure\.score: expected .*\(pixcorr, ssim, object, background\)"):
        configuration.resolve(raw, ROOT)
    raw["evaluation"]["networks"] = {"clip": "resources/demo_models/versatile"}
    assert (
        configuration.Config.model_validate(configuration.resolve(raw, ROOT)).figure_score == "clip_two_way"
    )
    raw["evaluation"]["networks"] = {"vgg": "vgg.pth"}
    with pytest.raises(InputError, match=r"evaluation\.networks\.vgg.*known are alexnet, inception, clip"):
        configuration.resolve(raw, ROOT)
