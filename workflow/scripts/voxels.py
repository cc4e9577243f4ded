"""Write the table of the voxels a subject is decoded from."""

from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.nsd import mask_files
from neural_recon.responses import read_voxels

start(snakemake)
files = dict(zip(snakemake.params.atlases, snakemake.input.atlases, strict=True))
regions = snakemake.params.regions
masks = mask_files(regions, snakemake.wildcards.subject)
write_table(snakemake.output.voxels, read_voxels(snakemake.input.mask, files, regions, masks))
