"""Paint what synthetic responses of single regions decode to."""

import numpy as np

from neural_recon import generation
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.evaluation.regions import SYNTHETIC_ID
from neural_recon.features import load
from neural_recon.generation.png_files import write_labelled
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
decoded = read_hdf5(files.features)
base = load(*params.base).pictures(decoded[params.base[0]]) if params.base else None
settings = {**snakemake.config["generator"], **params.generator}
generator = generation.load(settings, unconditional=files.unconditional)
regions = decoded["region"]
final = generator.paint_from(base, decoded, np.full(len(regions), SYNTHETIC_ID), params.seed)
pictures = {"final": final} if base is None else {"base": base, "final": final}
arrays = {**pictures, "region": regions}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
write_labelled(snakemake.output.sheet, list(pictures.values()), regions.tolist())
