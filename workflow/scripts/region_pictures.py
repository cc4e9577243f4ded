"""Paint what synthetic responses of single regions decode to."""

import numpy as np

from neural_recon.files import read_hdf5, write_hdf5
from neural_recon.jobs import start
from neural_recon.models import load_generator, load_vdvae
from neural_recon.pictures import write_labelled
from neural_recon.reconstruct import base_images, reconstruct
from neural_recon.regions import SYNTHETIC_ID

start(snakemake)
params, files = snakemake.params, snakemake.input
effort = snakemake.config["generator"]  # changes no picture
decoded = read_hdf5(files.features)
empty = read_hdf5(files.unconditional, "vision", "text")
base = base_images(load_vdvae(files.vdvae, files.hparams), decoded["vdvae"])
final = reconstruct(
    load_generator(params.models, params.precision, effort["memory"], effort["compile"]),
    base,
    decoded["clip_vision"],
    decoded["clip_text"],
    (empty["vision"], empty["text"]),
    np.full(len(base), SYNTHETIC_ID),
    params.seed,
    **params.generator,
    batch=effort["batch"],
)
arrays = {"base": base, "final": final, "region": decoded["region"]}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
write_labelled(snakemake.output.sheet, [base, final], decoded["region"].tolist())
