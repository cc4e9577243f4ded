"""Put the chunks of a subject's reconstructions together; captions of theirs also in a table."""

import numpy as np

from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.generation.controls import write_captions
from neural_recon.workflow.jobs import start

start(snakemake)
parts = [read_hdf5(path) for path in snakemake.input.chunks]
arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
if snakemake.output.captions:
    write_captions(snakemake.output.captions, arrays)
write_hdf5(snakemake.output.images, arrays, read_parameters(snakemake.input.chunks[0]))
