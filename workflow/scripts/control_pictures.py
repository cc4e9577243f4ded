"""Paint the control images again, in each way that is a control."""

from pathlib import Path

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
for path in snakemake.output.images:
    how = controls.painted(Path(path).stem, generator.own_controls)
    write_hdf5(path, *controls.paint(generator, how, dict(files.items()), ids, params.seed))
