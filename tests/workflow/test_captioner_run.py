"""Data without captions, and a recipe that reads them: a captioning model writes them."""

import pytest
import yaml
from helpers import made_up_lab, tiny_blip
from helpers.workflow import make_project, snakemake

from neural_recon.core.hdf5 import read_hdf5, read_parameters
from neural_recon.core.tables import read_table

CHUNK = "results/features/text/images_000.h5"


@pytest.mark.slow
def test_a_captioner_writes_what_text_spaces_read(tmp_path):
    project = make_project(tmp_path / "project")
    made_up_lab.write(project / "lab")
    tiny_blip.write(project / "blip", tiny_blip.model())
    config = {
        "recipe": "brain_diffuser_small",
        "dataset": {**made_up_lab.SETTINGS, "folder": "lab", "captions": None},
        "subjects": {"anna": {}},
        "split": {"name": "repeated"},
        "evaluation": {"preset": "native"},
        "captioner": {"weights": "blip", "beams": 2},
    }
    done = snakemake(project, "--", CHUNK, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    table = read_table(project / "results/captions/images.tsv")
    assert table["image_id"].tolist() == list(range(len(made_up_lab.NAMES)))
    assert table["caption"].str.contains("word").all()
    assert set(table["by"]) == {"blip, 2 beams"}
    features = read_hdf5(project / CHUNK)
    assert not features["missing"].any()
    assert read_parameters(project / CHUNK)["weights"].endswith("versatile")
    # written once, and again where captions are another model's
    again = snakemake(project, "-n", "--", CHUNK)
    assert "Nothing to be done" in again.stdout + again.stderr
    config["captioner"]["beams"] = 1
    (project / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    changed = snakemake(project, "-n", "--", CHUNK)
    assert "picture_captions" in changed.stdout + changed.stderr
