"""Decode features into base images, of one or several variants."""

from pathlib import Path

from neural_recon.core.files import read_table, write_hdf5
from neural_recon.features import load
from neural_recon.features.feature_files import read_rows
from neural_recon.workflow.jobs import start

start(snakemake)
trials = read_table(snakemake.input.trials)
ids = sorted(set(trials.loc[trials["split"] == "test", "image_id"]))
space = load(*snakemake.params.space)
for path in snakemake.output.images:
    variant = Path(path).stem
    images = space.pictures(read_rows(snakemake.input[variant], ids))
    write_hdf5(path, {"images": images, "image_id": ids}, {"variant": variant})
