"""Paint one chunk of reconstructions."""

import numpy as np

from neural_recon import generation
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.generation import controls
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
settings = {**snakemake.config["generator"], **params.generator}
generator = generation.load(settings, unconditional=files.unconditional)
ids = np.asarray(params.image_ids)
write_hdf5(
    snakemake.output.images, *controls.paint(generator, controls.RUN, dict(files.items()), ids, params.seed)
)
