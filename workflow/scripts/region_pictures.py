"""Paint what synthetic responses of single regions decode to."""

import numpy as np

from neural_recon.core.files import read_hdf5, write_hdf5
from neural_recon.evaluation.regions import SYNTHETIC_ID
from neural_recon.generation import generators
from neural_recon.generation.png_files import write_labelled
from neural_recon.generation.reconstruct import base_images
from neural_recon.models.loading import load_vdvae
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
decoded = read_hdf5(files.features)
base = base_images(load_vdvae(files.vdvae, files.hparams), decoded["vdvae"])
contexts = generators.contexts_of(decoded["clip_vision"], decoded["clip_text"], files.unconditional)
generator = generators.load(params.models, snakemake.config["generator"])
final = generator.paint(base, contexts, np.full(len(base), SYNTHETIC_ID), params.seed)
arrays = {"base": base, "final": final, "region": decoded["region"]}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
write_labelled(snakemake.output.sheet, [base, final], decoded["region"].tolist())
