"""Write the table of the voxels a subject is decoded from."""

from neural_recon.core.files import write_table
from neural_recon.datasets.nsd.nsd_tree import mask_files
from neural_recon.responses.preparation import read_voxels
from neural_recon.workflow.jobs import start

start(snakemake)
files = dict(zip(snakemake.params.atlases, snakemake.input.atlases, strict=True))
regions = snakemake.params.regions
masks = mask_files(regions, snakemake.wildcards.subject)
write_table(snakemake.output.voxels, read_voxels(snakemake.input.mask, files, regions, masks))
