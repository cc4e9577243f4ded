"""The kinds of generators: what each needs, and what it paints with small random models."""

from typing import get_args

import numpy as np
import pytest
import yaml
from helpers import published_layouts
from helpers.places import ROOT
from PIL import Image

from neural_recon.config import configuration
from neural_recon.config.sections import Generator
from neural_recon.core.errors import InputError
from neural_recon.core.files import write_hdf5
from neural_recon.generation import generators
from neural_recon.generation.generators import KINDS, Contexts
from neural_recon.generation.reconstruct import reconstruct
from neural_recon.models import loading

RECIPES = sorted((ROOT / "config/recipes").glob("*.yaml"))
SETTINGS = Generator(steps=2, batch=2).model_dump()
IDS = np.array([31, 7, 400])


def settings(kind: str, **changes) -> dict:
    return {**SETTINGS, "kind": kind, **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published_layouts.write_versatile(tmp_path_factory.mktemp("models"), safetensors=True)


@pytest.fixture(scope="module")
def base() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape, np.float32) for shape in ((3, 96), (3, 64), (1, 3, 32), (1, 2, 32))]
    return Contexts(*arrays[:2], tuple(arrays[2:]))


@pytest.fixture(scope="module")
def painted(folder, base, contexts) -> dict[str, np.ndarray]:
    """Three pictures by each kind, with all inputs at hand."""
    return {
        kind: generators.load(folder, settings(kind)).paint(base, contexts, IDS, seed=3) for kind in KINDS
    }


def test_every_kind_of_the_configuration_has_a_class():
    assert tuple(KINDS) == get_args(Generator.model_fields["kind"].annotation)
    for kind in KINDS.values():
        assert set(kind.settings) <= set(Generator.model_fields)


def test_the_full_recipe_paints_as_reconstruct_does(folder, base, contexts, painted):
    expected = reconstruct(
        loading.load_generator(folder), base, contexts.vision, contexts.text, contexts.unconditional, IDS, 3,
        strength=0.75, mixing=0.4, guidance_scale=7.5, steps=2, batch=2,
    )  # fmt: skip
    np.testing.assert_array_equal(painted["versatile_diffusion"], expected)


def test_contexts_only_is_the_full_recipe_without_base_images(folder, base, contexts, painted):
    full = generators.load(folder, settings("versatile_diffusion"))
    np.testing.assert_array_equal(full.paint(None, contexts, IDS, 3), painted["contexts_only"])
    alone = generators.load(folder, settings("contexts_only", strength=0.25))
    np.testing.assert_array_equal(alone.paint(255 - base, contexts, IDS, 3), painted["contexts_only"])
    assert (painted["contexts_only"] != painted["versatile_diffusion"]).mean() > 0.5
    # a draw and an image of its own
    assert (alone.paint(None, contexts, IDS, 3, draw=1) != painted["contexts_only"]).mean() > 0.5
    one = Contexts(contexts.vision[1:2], contexts.text[1:2], contexts.unconditional)
    difference = alone.paint(None, one, IDS[1:2], 3).astype(int) - painted["contexts_only"][1]
    assert np.abs(difference).max() <= 1


def test_base_only_is_the_base_image_enlarged(base, painted):
    for row, picture in zip(base, painted["base_only"], strict=True):
        expected = Image.fromarray(row).resize((64, 64), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(picture, np.asarray(expected))


def test_base_only_needs_no_weights(folder, tmp_path, base, painted):
    for part in ("image_unet", "vae"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_bytes((folder / part / "config.json").read_bytes())
    found = generators.load(tmp_path, settings("base_only")).paint(base, None, IDS, 3)
    np.testing.assert_array_equal(found, painted["base_only"])


@pytest.mark.parametrize(("kind", "missing"), [("base_only", "base images"), ("contexts_only", "contexts")])
def test_a_missing_input_is_one_sentence(folder, kind, missing):
    with pytest.raises(InputError, match=f"expected {missing}.*found none"):
        generators.load(folder, settings(kind)).paint(None, None, IDS, 0)


def test_only_what_a_kind_reads_changes_its_pictures():
    assert generators.changing(settings("base_only")) == {"kind": "base_only"}
    assert "strength" not in generators.changing(settings("contexts_only"))
    full = generators.changing(settings("versatile_diffusion"))
    assert full["strength"] == 0.75
    assert not {"batch", "memory", "compile", "chunk"} & set(full)


def test_what_a_kind_passes_over_is_known():
    given = {"kind": "contexts_only", "strength": 0.5, "mixing": 0.3, "batch": 4}
    (sentence,) = generators.unread_settings("contexts_only", given)
    assert sentence == "generator.strength: given, but the kind contexts_only does not read it."
    keys = [said.partition(":")[0] for said in generators.unread_settings("base_only", given)]
    assert keys == ["generator.strength", "generator.mixing"]
    assert generators.unread_settings("versatile_diffusion", given) == []


def test_inputs_from_files(tmp_path, base, contexts):
    write_hdf5(tmp_path / "base.h5", {"images": base, "image_id": IDS}, {})
    for name, rows in (("vision", contexts.vision), ("text", contexts.text)):
        write_hdf5(tmp_path / f"{name}.h5", {"predictions": rows, "image_id": IDS}, {})
    none = dict(zip(("vision", "text"), contexts.unconditional, strict=True))
    write_hdf5(tmp_path / "none.h5", none, {})
    wanted = IDS[[2, 0]]
    np.testing.assert_array_equal(generators.read_base(tmp_path / "base.h5", wanted), base[[2, 0]])
    found = generators.read_contexts(*(tmp_path / f"{n}.h5" for n in ("vision", "text", "none")), wanted)
    np.testing.assert_array_equal(found.vision, contexts.vision[[2, 0]])
    np.testing.assert_array_equal(found.text, contexts.text[[2, 0]])
    np.testing.assert_array_equal(found.unconditional[1], contexts.unconditional[1])
    # where the workflow names no file
    assert generators.read_base([], wanted) is None
    assert generators.read_contexts([], [], [], wanted) is None


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_valid_and_explained(path):
    raw = {"recipe": path.stem, "dataset": {"kind": "nsd", "root": "nsd"}, "subjects": {"subj01": {}}}
    found = configuration.Config.model_validate(configuration.resolve(raw, ROOT))
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert found.generator.kind == written["generator"].get("kind", "versatile_diffusion")
    # what a kind does not read is no part of its recipe
    known = {"kind", *KINDS[found.generator.kind].settings, "chunk", "batch", "memory", "compile"}
    assert set(written["generator"]) <= known
    readme = (ROOT / "config/recipes/README.md").read_text(encoding="utf-8")
    assert f"`{path.name}`" in readme
    assert f"`{found.generator.kind}`" in readme


def test_single_stages_are_brain_diffuser_but_for_the_generator():
    recipes = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in RECIPES}
    for name in ("contexts_only", "base_only"):
        for section in ("features", "ridge", "weights"):
            assert recipes[name][section] == recipes["brain_diffuser"][section]
        del recipes[name]["generator"]["kind"]
        assert recipes[name]["generator"].items() <= recipes["brain_diffuser"]["generator"].items()
