"""Paint what synthetic responses of single regions decode to."""

import numpy as np

from neural_recon import generation
from neural_recon.core.files import read_hdf5, write_hdf5
from neural_recon.evaluation.regions import SYNTHETIC_ID
from neural_recon.generation.png_files import write_labelled
from neural_recon.generation.sampling import base_images
from neural_recon.models.loading import load_vdvae
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
decoded = read_hdf5(files.features)
base = base_images(load_vdvae(files.vdvae, files.hparams), decoded["vdvae"])
settings = {**snakemake.config["generator"], **params.generator}
generator = generation.load(settings, unconditional=files.unconditional)
final = generator.paint_from(base, decoded, np.full(len(base), SYNTHETIC_ID), params.seed)
arrays = {"base": base, "final": final, "region": decoded["region"]}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
write_labelled(snakemake.output.sheet, [base, final], decoded["region"].tolist())
