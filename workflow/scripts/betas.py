"""Write one session's betas of the selected voxels."""

from neural_recon.files import read_table, write_hdf5
from neural_recon.jobs import start
from neural_recon.nsd import TRIALS_PER_SESSION, read_betas, read_grid
from neural_recon.responses import voxel_mask

logger = start(snakemake)
voxels = read_table(snakemake.input.voxels)
grid = read_grid(snakemake.input.mask)
betas = read_betas(snakemake.input.betas, voxel_mask(voxels, grid.shape), TRIALS_PER_SESSION, grid)
logger.info("%s: %d trials, %d voxels -> %s", snakemake.input.betas, *betas.shape, snakemake.output.betas)
write_hdf5(snakemake.output.betas, {"betas": betas}, {"source": snakemake.input.betas, "unit": "% change"})
