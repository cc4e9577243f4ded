"""Write one session's betas of the selected voxels."""

from neural_recon import datasets
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import read_table
from neural_recon.workflow.jobs import start

logger = start(snakemake)
names, output = snakemake.wildcards, snakemake.output.betas
data = datasets.load(snakemake.config)
betas = data.betas(names.subject, int(names.session), read_table(snakemake.input.voxels))
logger.info("%d trials, %d voxels -> %s", *betas.values.shape, output)
write_hdf5(output, {"betas": betas.values}, {"unit": "% change", **betas.parameters})
