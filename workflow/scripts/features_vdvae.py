"""Write the VDVAE latents of one chunk of stimuli."""

from math import prod

from neural_recon import datasets
from neural_recon.features import extraction, feature_files
from neural_recon.models.loading import load_vdvae
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
data = datasets.load(snakemake.config)
ids = data.chunk_ids(*params.chunk, params.chunk_size)
model = load_vdvae(snakemake.input.weights, snakemake.input.hparams)
pictures = data.pictures(ids, empty_ok=True)
latents = extraction.vdvae_features(model, pictures, ids, params.layers, params.latents, params.seed)
settings = {"space": "vdvae", "layers": params.layers, "latents": params.latents, "seed": params.seed}
missing = ~pictures.any(axis=(1, 2, 3))
parts = [prod(size) for size in model.latent_sizes[: params.layers]]
feature_files.write_chunk(snakemake.output.features, latents, missing, ids, settings, parts)
