"""Put the chunks of a subject's reconstructions together; captions of theirs also in a table."""

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.workflow.jobs import start

start(snakemake)
parts = [read_hdf5(path) for path in snakemake.input.chunks]
arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
if snakemake.output.captions:
    table = pd.DataFrame({name: arrays[name] for name in ("image_id", "caption")})
    write_table(snakemake.output.captions, table)
write_hdf5(snakemake.output.images, arrays, read_parameters(snakemake.input.chunks[0]))
