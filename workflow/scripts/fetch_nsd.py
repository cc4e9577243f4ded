"""Fetch one file of NSD's bucket."""

from pathlib import Path

from neural_recon.datasets.nsd.bucket import fetch_object
from neural_recon.workflow.jobs import start

start(snakemake)
fetch_object(snakemake.wildcards.key, Path(snakemake.output.file))
