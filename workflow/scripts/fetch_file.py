"""Fetch one file of published weights, or the captions."""

from pathlib import Path

from neural_recon.models.fetch import fetch
from neural_recon.models.weights import Download
from neural_recon.workflow.jobs import start

start(snakemake)
fetch(Download(**snakemake.params.download), Path(snakemake.output[0]))
