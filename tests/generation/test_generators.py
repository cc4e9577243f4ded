"""The kinds of generators: what each says of itself, and what it paints with small random models."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from helpers import published_layouts
from helpers.places import ROOT
from PIL import Image
from pydantic import ValidationError

from neural_recon import generation
from neural_recon.config import configuration
from neural_recon.core import random_streams
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.generation.generator import EFFORT, GENERATORS
from neural_recon.generation.sampling import enlarge
from neural_recon.models import loading
from neural_recon.models.versatile import DualGuidedPipeline

KINDS = ("versatile_diffusion", "guides_only", "base_only")
RECIPES = sorted((ROOT / "config/recipes").glob("*.yaml"))
IDS = np.array([31, 7, 400])


def settings(kind: str, folder="models", **changes) -> dict:
    guided = {"weights": str(folder), "vision": "clip_vision", "text": "clip_text", "steps": 2, "batch": 2}
    own = {
        "versatile_diffusion": {**guided, "base": "vdvae"},
        "guides_only": guided,
        "base_only": {"base": "vdvae", "size": 64},
    }
    return {"kind": kind, **own[kind], **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published_layouts.write_versatile(tmp_path_factory.mktemp("models"), safetensors=True)


@pytest.fixture(scope="module")
def base() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def numbers() -> list[np.ndarray]:
    """Predicted vision and text of three images, 3 and 2 tokens, and what guides where nothing does."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape, np.float32) for shape in ((3, 96), (3, 64), (1, 3, 32), (1, 2, 32))]


@pytest.fixture(scope="module")
def guides(numbers) -> dict[str, np.ndarray]:
    return dict(zip(("vision", "text"), numbers[:2], strict=True))


@pytest.fixture(scope="module")
def load(folder, numbers, tmp_path_factory):
    """Each kind with these models."""
    path = tmp_path_factory.mktemp("none") / "unconditional.h5"
    write_hdf5(path, dict(zip(("vision", "text"), numbers[2:], strict=True)), {})
    return lambda kind, **changes: generation.load(settings(kind, folder, **changes), unconditional=path)


@pytest.fixture(scope="module")
def painted(load, base, guides) -> dict[str, np.ndarray]:
    """Three pictures by each kind, with all inputs at hand."""
    return {kind: load(kind).paint(base, guides, IDS, seed=3) for kind in KINDS}


def test_the_full_recipe_paints_as_the_pipeline_does(folder, base, numbers, painted):
    vision, text = (torch.tensor(flat).view(3, -1, 32) for flat in numbers[:2])
    found = DualGuidedPipeline.from_pretrained(folder, device="cpu")(
        enlarge(base, 64), vision, text, *map(torch.tensor, numbers[2:]), steps=2,
        generators=[random_streams.generator(3, i, "reconstruction") for i in IDS],
    )  # fmt: skip
    expected = ((found + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(painted["versatile_diffusion"] - expected).max() <= 1


def test_guides_only_is_the_full_recipe_without_base_images(load, base, guides, painted):
    full, alone = load("versatile_diffusion"), load("guides_only")
    np.testing.assert_array_equal(full.paint(None, guides, IDS, 3), painted["guides_only"])
    np.testing.assert_array_equal(alone.paint(255 - base, guides, IDS, 3), painted["guides_only"])
    assert (painted["guides_only"] != painted["versatile_diffusion"]).mean() > 0.5
    # a draw and an image of its own
    assert (alone.paint(None, guides, IDS, 3, draw=1) != painted["guides_only"]).mean() > 0.5
    one = {role: rows[1:2] for role, rows in guides.items()}
    difference = alone.paint(None, one, IDS[1:2], 3).astype(int) - painted["guides_only"][1]
    assert np.abs(difference).max() <= 1


def test_base_only_is_the_base_image_enlarged(load, base, painted):
    for row, picture in zip(base, painted["base_only"], strict=True):
        expected = Image.fromarray(row).resize((64, 64), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(picture, np.asarray(expected))
    np.testing.assert_array_equal(load("base_only", size=None).paint(base, {}, IDS, 3), base)


def test_features_become_guides_by_the_names_of_their_spaces(load, base, guides, painted):
    features = {"clip_vision": guides["vision"], "clip_text": guides["text"], "vdvae": np.zeros((3, 5))}
    for kind, expected in painted.items():
        np.testing.assert_array_equal(load(kind).paint_from(base, features, IDS, 3), expected)


def test_without_its_file_what_guides_where_nothing_does_is_computed(folder, rng):
    generator = generation.load(settings("guides_only", folder))
    none = generator.unconditional()
    assert {role: array.shape for role, array in none.items()} == {
        "vision": (1, 257, 32),
        "text": (1, 77, 32),
    }
    for role, array in loading_clip(folder).items():
        np.testing.assert_array_equal(none[role], array)
    guides = {"vision": rng.standard_normal((1, 257 * 32)), "text": rng.standard_normal((1, 77 * 32))}
    assert generator.paint(None, guides, IDS[:1], 0).shape == (1, 64, 64, 3)


def loading_clip(folder) -> dict[str, np.ndarray]:
    return dict(zip(("vision", "text"), loading.load_clip(folder).unconditional(), strict=True))


def test_sides_are_known_without_a_model(folder, tmp_path, painted):
    for part in ("image_unet", "vae"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_bytes((folder / part / "config.json").read_bytes())
    for kind, pictures in painted.items():
        assert generation.load(settings(kind, tmp_path)).side() == pictures.shape[1]
    assert generation.load(settings("base_only", size=None)).side() is None


def test_nothing_of_torch_is_imported_before_something_is_painted():
    script = f"""
import sys
from neural_recon import generation
from neural_recon.generation import controls
from neural_recon.generation.generator import GENERATORS
for kind in GENERATORS.names:
    GENERATORS.load(kind)
for one in {[settings(kind) for kind in KINDS]!r}:
    generator = generation.load(one)
    controls.controls(type(generator), generator.settings, 3)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("base_only", {}, "base_only: expected base images, found none"),
        ("guides_only", {"vision": 1}, "as the guides vision, text, found no text"),
    ],
)
def test_a_missing_input_is_one_sentence(load, kind, given, said):
    with pytest.raises(InputError, match=said):
        load(kind).paint(None, given, IDS, 0)


def test_every_setting_changes_pictures_but_the_effort():
    assert set(GENERATORS.settings(settings("base_only")).changing) == {"kind", "base", "size", "precision"}
    assert "strength" not in GENERATORS.settings(settings("guides_only")).changing
    full = GENERATORS.settings(settings("versatile_diffusion"))
    assert full.changing["strength"] == 0.75
    assert set(full.model_dump()) - set(full.changing) == set(EFFORT)


def test_what_enters_is_said_by_the_settings():
    full, alone, base = (
        GENERATORS.settings(settings(kind)) for kind in ("versatile_diffusion", "guides_only", "base_only")
    )
    assert full.guides == alone.guides == {"vision": "clip_vision", "text": "clip_text"}
    assert base.guides == {}
    assert [one.two_stages for one in (full, alone, base)] == [True, False, False]


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("base_only", {"strength": 0.5}, "strength"),
        ("guides_only", {"base": "vdvae"}, "base"),
        ("versatile_diffusion", {"strength": 0.1}, "less than one step"),
        ("versatile_diffusion", {"base": None}, "base"),
    ],
)
def test_settings_of_another_kind_are_refused(kind, changes, said):
    with pytest.raises(ValidationError, match=said):
        GENERATORS.settings(settings(kind, **changes))
    with pytest.raises(InputError, match=said):
        generation.load(settings(kind, **changes))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_valid_and_explained(path):
    nsd = {"kind": "nsd", "root": "nsd", "atlases": ["streams"]}
    raw = {"recipe": path.stem, "dataset": nsd, "subjects": {"subj01": {}}}
    found = configuration.Config.model_validate(configuration.resolve(raw, ROOT))
    assert found.generator.kind in GENERATORS.names
    readme = (ROOT / "config/recipes/README.md").read_text(encoding="utf-8")
    assert f"`{path.name}`" in readme
    assert f"`{found.generator.kind}`" in readme


def test_single_stages_are_brain_diffuser_but_for_the_generator():
    recipes = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in RECIPES}
    for name in ("guides_only", "base_only"):
        spaces = recipes["brain_diffuser"]["spaces"].items()
        assert recipes[name]["spaces"].items() < spaces  # what its generator takes, and nothing else
        for own in ("kind", "size"):
            recipes[name]["generator"].pop(own, None)
        assert recipes[name]["generator"].items() <= recipes["brain_diffuser"]["generator"].items()
