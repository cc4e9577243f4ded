"""Write one session's betas of the selected voxels."""

from neural_recon.core.files import read_table, write_hdf5
from neural_recon.datasets.nsd.betas import open_betas, read_betas
from neural_recon.datasets.nsd.nsd_tree import TRIALS_PER_SESSION
from neural_recon.datasets.nsd.volumes import read_grid
from neural_recon.responses.preparation import voxel_mask
from neural_recon.workflow.jobs import start

logger = start(snakemake)
source, voxels = snakemake.input.betas, read_table(snakemake.input.voxels)
grid = read_grid(snakemake.input.mask)
found = open_betas(source, grid, TRIALS_PER_SESSION)
betas = read_betas(source, voxel_mask(voxels, grid.shape), TRIALS_PER_SESSION, grid)
logger.info("%s: %d trials, %d voxels -> %s", source, *betas.shape, snakemake.output.betas)
parameters = {"source": source, "unit": "% change", "stored": found.units, "axes": found.axes}
write_hdf5(snakemake.output.betas, {"betas": betas}, parameters)
