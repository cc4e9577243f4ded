"""Write what a subject's kept decoders share."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, read_parameters
from neural_recon.core.tables import read_table
from neural_recon.decoding.kept_decoders import write_shared
from neural_recon.decoding.ridge_files import read_kernel, read_taken
from neural_recon.workflow.jobs import start

start(snakemake)
files, keep = snakemake.input, snakemake.params.keep
responses = read_hdf5(files.responses, "train", "mean", "std", "voxel")
kernel, _, _ = read_kernel(files.kernel)
data = datasets.load(snakemake.config)
places, grid = data.places(snakemake.wildcards.subject, read_table(files.voxels))
positions = places[responses["voxel"]]
zscore = {"zscore": read_parameters(files.responses)["zscore"]}
taken = read_taken(files.kernel)
write_shared(
    snakemake.output.shared, responses, positions, grid.shape, kernel, keep, zscore, grid.affine, taken
)
