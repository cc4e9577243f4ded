"""Captions that a model wrote, in place of those that a data set does not have."""

import numpy as np
import pytest
from helpers import made_up_lab as lab

from neural_recon import datasets
from neural_recon.core.errors import InputError
from neural_recon.datasets.captioned import COLUMNS
from neural_recon.features import picture_captions
from neural_recon.models import blip
from neural_recon.models.weights import Entry

MODEL = {"weights": "somebody/blip", "beams": 2, "batch": 4}


class Blip:
    """Describes a picture by its mean."""

    @classmethod
    def from_folder(cls, folder, _device):
        assert str(folder) == "its folder"
        return cls()

    def captions(self, pictures, beams, batch):
        assert (beams, batch) == (2, 4)
        return [f"mean {one.mean():.3f}" for one in pictures]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "lab").mkdir()
    lab.write(tmp_path / "lab")
    settings = {**lab.SETTINGS, "folder": str(tmp_path / "lab"), "captions": None}
    return {
        "dataset": settings,
        "subjects": {"anna": {}, "P-07": {}},
        "pathvars": {"results": str(tmp_path / "results")},
    }


def test_captions_are_read_by_image_from_the_table_of_each_list(config, tmp_path, monkeypatch):
    bare = datasets.load(config)
    assert "captions" not in bare.offers
    data = datasets.load({**config, "captioner": MODEL})
    assert "captions" in data.offers
    path = tmp_path / "results/captions/images.tsv"
    for name in ("", "images", "anna"):  # all, a list, the lists of a subject
        assert list(data.files("captions", name)) == [path]
    assert data.files("trials", "anna") == bare.files("trials", "anna")
    # before they are written
    assert data.captions([0, 1], empty_ok=True) == [[], []]
    with pytest.raises(InputError, match=r"captions: expected a caption of image 0, found none"):
        data.captions([0, 1])

    monkeypatch.setattr(blip, "Blip", Blip)
    monkeypatch.setattr(picture_captions, "BLOCK", 3)
    missing = 4

    def pictures(image_ids, empty_ok=False):
        assert empty_ok
        found = bare.pictures(image_ids)
        found[np.asarray(image_ids) == missing] = 0
        return found

    monkeypatch.setattr(data, "pictures", pictures)
    table = picture_captions.caption_table(data, "images", "its folder", MODEL)
    assert list(table) == COLUMNS
    assert set(table["by"]) == {"somebody/blip, 2 beams"}
    path.parent.mkdir(parents=True)
    table.to_csv(path, sep="\t", index=False)
    ids = [7, 2, missing]
    expected = [[f"mean {bare.pictures([i])[0].mean():.3f}"] for i in ids[:2]]
    assert data.captions(ids, empty_ok=True) == [*expected, []]
    with pytest.raises(InputError, match=f"caption of image {missing}, found none"):
        data.captions(ids)
    # in a comparison of recipes all share those of one run
    elsewhere = {**config["pathvars"], "shared": str(tmp_path / "all")}
    shared = datasets.load({**config, "captioner": MODEL, "pathvars": elsewhere})
    assert list(shared.files("captions")) == [tmp_path / "all/captions/images.tsv"]


def test_the_files_of_a_captioner_are_the_tables_or_those_of_a_folder(tmp_path):
    entry = {"what": "it", "source": "hub:a/b", "revision": "main", "licence": "MIT", "recipes": []}
    files = [{"path": name} for name in ("config.json", "pytorch_model.bin", "tokenizer.json")]
    table = {"a/b": Entry.model_validate({**entry, "files": files})}
    found = picture_captions.model_files("a/b", table)
    assert found == [f"resources/models/a--b/{one['path']}" for one in files]
    with pytest.raises(InputError, match="expected a weights file"):
        picture_captions.model_files(str(tmp_path), table)
    (tmp_path / "model.safetensors").touch()
    names = [path.rsplit("/", 1)[1] for path in picture_captions.model_files(str(tmp_path), table)]
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]
