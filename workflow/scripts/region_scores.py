"""Put the scores of all regions beside those of all voxels."""

from pathlib import Path

import pandas as pd

from neural_recon.files import read_hdf5, write_table
from neural_recon.jobs import start
from neural_recon.regions import collect

start(snakemake)
files = snakemake.input
tables = {Path(path).parent.name: pd.read_csv(path, sep="\t") for path in files.regions}
n_voxels = len(read_hdf5(files.responses, "voxel")["voxel"])
write_table(snakemake.output.scores, collect(pd.read_csv(files.summary, sep="\t"), n_voxels, tables))
