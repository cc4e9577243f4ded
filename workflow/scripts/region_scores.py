"""Put the scores of all regions beside those of all voxels."""

from pathlib import Path

from neural_recon.files import read_hdf5, read_table, write_table
from neural_recon.jobs import start
from neural_recon.regions import collect

start(snakemake)
files = snakemake.input
tables = {Path(path).parent.name: read_table(path) for path in files.regions}
n_voxels = len(read_hdf5(files.responses, "voxel")["voxel"])
write_table(snakemake.output.scores, collect(read_table(files.summary), n_voxels, tables))
