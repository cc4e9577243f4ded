"""Decode latents into base images."""

from neural_recon.feature_files import read_rows
from neural_recon.files import read_table, write_hdf5
from neural_recon.jobs import start
from neural_recon.models import load_vdvae
from neural_recon.reconstruct import base_images

start(snakemake)
trials = read_table(snakemake.input.trials)
ids = sorted(set(trials.loc[trials["split"] == "test", "nsd_id"]))
model = load_vdvae(snakemake.input.weights, snakemake.input.hparams)
images = base_images(model, read_rows(snakemake.input.latents, ids))
write_hdf5(
    snakemake.output.images, {"images": images, "nsd_id": ids}, {"variant": snakemake.wildcards.variant}
)
