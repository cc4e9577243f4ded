"""Fetch one file of published weights, or the captions."""

from pathlib import Path

from neural_recon.fetch import fetch
from neural_recon.jobs import start
from neural_recon.weights import Download

start(snakemake)
fetch(Download(**snakemake.params.download), Path(snakemake.output[0]))
