"""What the workflow knows of a generator before it paints: its weights, and what it is painted from."""

import yaml
from helpers.places import ROOT

from neural_recon.config.configuration import Config, resolve
from neural_recon.models import weights
from neural_recon.workflow.painting import Painting

TABLE = weights.read_table(ROOT / weights.TABLE)
OWN = """
from neural_recon.generation.generator import Generator

class Own(Generator):
    class Settings(Generator.Settings):
        weights: str
        roles = ("hint",)
        hint: str = "text"

    def paint(self, base, guides, image_ids, seed, draw=0):
        return base
"""


def painting(recipe: str, **generator) -> Painting:
    raw = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    raw |= {"recipe": recipe, "generator": generator}
    config = Config.model_validate(resolve(raw, ROOT))
    return Painting(config.generator, TABLE, config.evaluation.draws)


def test_files_to_be_fetched_are_those_of_the_parts_that_are_read():
    found = painting("brain_diffuser")
    assert found.settings.weights == "resources/models/shi-labs--versatile-diffusion"
    parts = {path.split("/")[3] for path in found.files}
    assert parts == {"image_unet", "text_unet", "vae", "scheduler"}
    assert {path.split("/")[3] for path in found.encoders} == {
        *("image_encoder", "image_feature_extractor", "text_encoder", "tokenizer")
    }
    assert {path.rpartition("/")[2] for path in found.configs} == {"config.json", "scheduler_config.json"}


def test_a_kind_without_weights_reads_none():
    found = painting("base_only")
    assert (found.named, found.files, found.encoders, found.configs) == ({}, [], [], [])


def test_weights_of_a_kind_without_parts_are_one_file(tmp_path):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "own.safetensors").touch()
    for named in (str(tmp_path / "own.safetensors"), "vdvae-imagenet64"):
        found = painting("brain_diffuser", kind=str(tmp_path / "own.py"), weights=named)
        assert found.files == [found.settings.weights]
        assert found.encoders == []


def test_inputs_are_those_that_the_generator_takes_of_each_fit():
    chunks = {"vision": ["a.h5"], "text": ["b.h5", "c.h5"]}
    found = painting("brain_diffuser").inputs("subj01", chunks, "decoded", "true_features")
    assert found == {
        "base_decoded": "<results>/base_images/subj01/decoded.h5",
        "vision_decoded": "<results>/predictions/subj01/vision/decoded.h5",
        "text_decoded": "<results>/predictions/subj01/text/decoded.h5",
        "base_true_features": "<results>/base_images/subj01/true_features.h5",
        "vision_true_features": ["a.h5"],
        "text_true_features": ["b.h5", "c.h5"],
    }
    assert set(painting("base_only").inputs("subj01", {}, "shuffled")) == {"base_shuffled"}
    assert set(painting("guides_only").inputs("subj01", {}, "shuffled")) == {
        "vision_shuffled",
        "text_shuffled",
    }


def test_the_model_is_told_apart_from_how_it_paints():
    assert set(painting("brain_diffuser").model) == {"kind", "weights"}
    assert painting("base_only").model == {"kind": "base_only", "size": 512}
