"""The workflow used as a module by another one, from a folder of its own."""

import pandas as pd
import pytest
from helpers.places import ROOT
from helpers.workflow import SMALL, snakemake

pytestmark = pytest.mark.slow

OTHER = f"""
configfile: "config.yaml"


module neural_recon:
    snakefile:
        {str(ROOT / "Snakefile")!r}
    config:
        config["decoding"]


use rule * from neural_recon as decoding_*


rule count:
    input:
        "results/trials/subj01.parquet",
    output:
        "count.txt",
    shell:
        "echo {{config[mine]}} > {{output}}"
"""


def test_another_workflow_uses_the_rules(tmp_path):
    """Its own configuration stays its own; recipe and table of weights are found where this project lies."""
    (tmp_path / "Snakefile").write_text(OTHER, encoding="utf-8")
    # paths of a configuration are those of the folder that Snakemake runs in
    clip = {"networks": {"clip": str(ROOT / "resources/demo_models/versatile")}}
    config = {"mine": "kept", "decoding": {**SMALL, "evaluation": {**SMALL["evaluation"], **clip}}}
    planned = snakemake(tmp_path, "--dry-run", "--", "results/report/subj01.html", config=config)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "decoding_reconstruct" in planned.stdout
    done = snakemake(tmp_path, "--", "count.txt", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "count.txt").read_text(encoding="utf-8").strip() == "kept"
    assert pd.read_parquet(tmp_path / "results/trials/subj01.parquet")["session"].eq(1).all()
