"""Draw the demo's pictures."""

from neural_recon.config_sections import Demo
from neural_recon.demo.tree import write_stimuli
from neural_recon.jobs import start
from neural_recon.nsd import Tree

start(snakemake)
params = snakemake.params
write_stimuli(Tree(**params.tree), Demo(**params.demo), snakemake.threads)
