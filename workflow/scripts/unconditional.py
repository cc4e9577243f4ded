"""Write what guides the generator where nothing does."""

from neural_recon import generation
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.workflow.jobs import start

start(snakemake)
generator = generation.load({**snakemake.config["generator"], **snakemake.params.generator})
write_hdf5(snakemake.output.guides, generator.unconditional(), {})
