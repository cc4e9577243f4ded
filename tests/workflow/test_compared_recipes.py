"""The recipes of a comparison: what each takes of the configuration, and what they share."""

import re
from types import SimpleNamespace

import pytest
import yaml
from helpers.places import ROOT
from helpers.workflow import SMALL

from neural_recon.config.configuration import Config, merge, resolve
from neural_recon.config.recipe_files import read_recipe
from neural_recon.core.errors import InputError
from neural_recon.datasets.kinds import nsd
from neural_recon.workflow import snakemake_internals
from neural_recon.workflow.recipes import modules, recipes

OWN = "brain_diffuser_small"
PLACES = {"results": "out", "logs": "logs", "benchmarks": "times"}


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe made of some of the small one's spaces."""

    def write(name, generator, **spaces):
        small = read_recipe(OWN, ROOT)
        content = {
            "spaces": {space: {**small["spaces"][space], **settings} for space, settings in spaces.items()},
            "decoder": {"kind": "ridge", "alpha": dict.fromkeys(spaces, 5), "calibration": "none"},
            "generator": generator,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def base(recipe):
    return recipe("base", {"kind": "base_only", "base": "vdvae", "size": 64}, vdvae={})


def compared(*entries, **sections):
    """The recipes of the small configuration with some entries and sections."""
    raw = merge(SMALL, {**sections, "recipes": list(entries), "pathvars": PLACES})
    return recipes(raw, Config.model_validate(resolve(raw, ROOT)), ROOT)


def test_own_recipe_is_no_module_and_has_the_results_folder(base):
    own, other = compared(OWN, base)
    assert own.shared is None
    assert str(own.config.results) == "out"
    assert modules([own, other]) == [other]
    assert other.config.pathvars == {
        "results": "out/compare/base", "logs": "logs/compare/base", "benchmarks": "times/compare/base",
        "shared": "out",
    }  # fmt: skip


def test_configuration_wins_as_far_as_the_recipe_has_it(base):
    """Its penalties of other spaces, and keys of its kind of generator, are left out."""
    (other,) = compared(base)
    assert SMALL["decoder"]["alpha"].keys() == {"vdvae", "vision", "text"}
    assert other.config.decoder.alpha == {"vdvae": 1000}
    assert other.config.decoder.calibration == "none"
    assert list(other.config.spaces) == ["vdvae"]
    assert not hasattr(other.config.generator, "steps")
    assert other.config.evaluation.control_images == SMALL["evaluation"]["control_images"]
    assert other.config.recipes == []


def test_features_are_shared_where_name_and_settings_agree(recipe, base):
    other = {"kind": "base_only", "base": "vdvae", "size": 64}
    first = recipe("first", other, vdvae={"latents": "sample"})
    second = recipe("second", {**other, "size": 32}, vdvae={"latents": "sample"})
    same, one, two = (entry.shared for entry in compared(base, first, second))
    assert same.features == {"vdvae": "out/features/vdvae"}
    assert same.makes == two.makes == []
    (digest,) = one.makes
    assert one.features == two.features == {"vdvae": f"out/features/{digest}/vdvae"}
    # wherever it stands, so that another order makes nothing again
    assert [entry.shared.features for entry in compared(second, base)] == [two.features, same.features]


def test_what_modules_have_no_rules_for_is_shared(base):
    """The Snakefile leaves these files out of a recipe's module."""
    (other,) = compared(base)
    made = [
        path
        for name in ("clusters", "quality", "responses")
        for path in re.findall(
            r'"(<results>/[^"]+)"', (ROOT / f"workflow/rules/{name}.smk").read_text("utf-8")
        )
    ]
    assert len(made) > 10
    assert [path for path in made if not path.startswith(tuple(other.moved))] == []


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["nobody"], r"expected the file .*nobody\.yaml, found none; recipes that come along are"),
        (["base_only", "base_only"], "expected each name once, .* found base_only twice"),
        (["some/my-own.yaml"], "expected names of letters, digits and _ .* found 'my-own'; rename"),
    ],
)
def test_a_mistake_is_one_sentence(entries, said):
    with pytest.raises(InputError, match=said):
        compared(*entries)


def test_a_recipe_that_the_data_set_does_not_fit_is_named(monkeypatch):
    monkeypatch.setattr(nsd.NSD, "offers", frozenset({"noise_ceilings"}))
    raw = {name: section for name, section in SMALL.items() if name != "decoder"}
    raw |= {"recipe": "base_only", "generator": {}, "recipes": ["guides_only"], "pathvars": PLACES}
    with pytest.raises(InputError, match=r"recipes: guides_only: .*text reads captions, and this data set"):
        recipes(raw, Config.model_validate(resolve(raw, ROOT)), ROOT)


def test_what_a_profile_says_of_a_rule_holds_in_modules():
    workflow = SimpleNamespace(
        group_settings=SimpleNamespace(overwrite_groups={"ridge": "fits"}),
        resource_settings=SimpleNamespace(
            overwrite_threads={"ridge": 2},
            overwrite_resources={"ridge": {"mem_mb": 5}},
            _parsed_overwrite_threads="as before",
        ),
    )
    for module in ("one__", "two__"):
        snakemake_internals.extend_settings(workflow, module)
    rules = ("ridge", "one__ridge", "two__ridge")
    assert workflow.group_settings.overwrite_groups == dict.fromkeys(rules, "fits")
    assert workflow.resource_settings.overwrite_threads["two__ridge"] == 2
    assert workflow.resource_settings.overwrite_resources["one__ridge"] == {"mem_mb": 5}
    assert not hasattr(workflow.resource_settings, "_parsed_overwrite_threads")
