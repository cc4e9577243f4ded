"""Write the table of the voxels a subject is decoded from."""

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.workflow.jobs import start

start(snakemake)
write_table(snakemake.output.voxels, datasets.load(snakemake.config).voxels(snakemake.wildcards.subject))
