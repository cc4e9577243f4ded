"""Recipes that come along: what the documents say of them, and data sets that lack what they read."""

import re

import pytest
import yaml
from helpers.places import ROOT

from neural_recon.config import configuration
from neural_recon.core.errors import InputError
from neural_recon.datasets.kinds.nsd import NSD

DATA = {
    "dataset": {"kind": "nsd", "root": "nsd", "atlases": ["streams"]},
    "subjects": {"subj01": {"sessions": 37}},
}


def resolved(raw):
    return configuration.Config.model_validate(configuration.resolve({**DATA, **raw}, ROOT))


@pytest.fixture(scope="module")
def released() -> dict:
    """Takagi & Nishimoto's way, as the page has it."""
    text = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    return yaml.safe_load(re.search(r"^```yaml\n(recipe: takagi\n.*?)^```", text, re.M | re.S)[1])


def test_the_released_way_differs_from_the_recipe_in_every_key_that_the_page_names(released):
    usual, theirs = resolved({"recipe": "takagi"}), resolved(released)
    for section in ("spaces", "decoder", "generator"):
        values = getattr(usual, section), getattr(theirs, section)
        before, after = (one if section == "spaces" else one.model_dump(mode="json") for one in values)
        assert set(released[section]) == {key for key in after if before[key] != after[key]}
    assert theirs.decoder.cross_validation.alphas == [10.0**k for k in range(-6, 1)]
    assert {theirs.generator.lead, usual.generator.lead} == {1, 0}
    for name in ("z", "text"):
        assert theirs.decoder.source(name) == (tuple(usual.decoder.regions_of(name)), False, True, False)


def test_recipes_measured_on_the_demo_differ_by_what_the_page_names(released):
    def recipe(name, **changes):
        found = resolved({"recipe": str(ROOT / f"config/released/takagi_{name}.yaml"), **changes})
        return found.spaces, found.decoder, found.generator

    own = {section: released[section] for section in ("spaces", "decoder", "generator")}
    assert recipe("released") == recipe("small", **own)
    painting = {"spaces": {"z": {"pixels": "truncated"}}, "generator": own["generator"]}
    assert recipe("painting") == recipe("small", **painting) != recipe("small")


def test_the_recipe_names_each_released_way(released):
    text = (ROOT / "config/recipes/takagi.yaml").read_text(encoding="utf-8")
    comments = " ".join(re.findall(r"#(.*)", text))
    for section in ("decoder", "generator"):
        for key, value in released[section].items():
            assert key in text
            if isinstance(value, str | int):
                assert re.search(rf"^  {key}: .*# published: {value}$", text, re.M)
    named = set(re.findall(r"\w+: \w+", comments))
    assert {"groups: targets", "contiguous: true", "z: single", "z: false"} <= named


@pytest.mark.parametrize("recipe", ["takagi", "stable_diffusion", "pixart", "brain_diffuser"])
def test_a_data_set_without_captions_is_told_of_recipes_without_text(monkeypatch, recipe):
    monkeypatch.setattr(NSD, "offers", frozenset({"noise_ceilings"}))
    said = "the space text reads captions, and this data set has none; recipes without text are "
    with pytest.raises(InputError, match=said) as caught:
        resolved({"recipe": recipe})
    named = str(caught.value).split("recipes without text are ")[1].split(";")[0].split(", ")
    assert "base_only" in named
    assert recipe not in named
    for name in named:
        resolved({"recipe": name})


def test_regions_of_a_recipe_want_their_atlas(monkeypatch):
    monkeypatch.setitem(DATA, "dataset", {"kind": "nsd", "root": "nsd"})
    with pytest.raises(InputError, match=r"decoder.regions.z: .*add it to dataset.atlases"):
        resolved({"recipe": "takagi"})
