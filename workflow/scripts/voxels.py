"""Write the table of the voxels a subject is decoded from."""

from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.nsd import read_labels, read_mask
from neural_recon.responses import select_voxels

start(snakemake)
atlases = dict(zip(snakemake.params.atlases, map(read_labels, snakemake.input.atlases), strict=True))
voxels = select_voxels(read_mask(snakemake.input.mask), atlases, snakemake.params.regions)
write_table(snakemake.output.voxels, voxels)
