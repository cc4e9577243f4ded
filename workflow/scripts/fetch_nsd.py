"""Fetch one file of NSD's bucket."""

from pathlib import Path

from neural_recon.bucket import fetch_object
from neural_recon.jobs import start

start(snakemake)
fetch_object(snakemake.wildcards.key, Path(snakemake.output.file))
