"""Write what new scans are decoded by besides the network: places of the voxels, and their mean and std."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.core.tables import read_table
from neural_recon.decoding import kept_voxels
from neural_recon.workflow.jobs import start

start(snakemake)
files = snakemake.input
responses = read_hdf5(files.responses, "mean", "std", "voxel")
data, voxels = datasets.load(snakemake.config), read_table(files.voxels)
arrays = kept_voxels.of_subject(data, snakemake.wildcards.subject, voxels, responses)
write_hdf5(snakemake.output.scans, arrays, {"zscore": read_parameters(files.responses)["zscore"]})
