"""Write one session's betas of the selected voxels."""

from neural_recon.betas import open_betas, read_betas
from neural_recon.files import read_table, write_hdf5
from neural_recon.jobs import start
from neural_recon.nsd import TRIALS_PER_SESSION, read_grid
from neural_recon.responses import voxel_mask

logger = start(snakemake)
source, voxels = snakemake.input.betas, read_table(snakemake.input.voxels)
grid = read_grid(snakemake.input.mask)
found = open_betas(source, grid, TRIALS_PER_SESSION)
betas = read_betas(source, voxel_mask(voxels, grid.shape), TRIALS_PER_SESSION, grid)
logger.info("%s: %d trials, %d voxels -> %s", source, *betas.shape, snakemake.output.betas)
parameters = {"source": source, "unit": "% change", "stored": found.units, "axes": found.axes}
write_hdf5(snakemake.output.betas, {"betas": betas}, parameters)
