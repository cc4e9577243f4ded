"""Draw the demo's pictures."""

from neural_recon.config.sections import Demo
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo.tree import write_stimuli
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
write_stimuli(Tree(**params.tree), Demo(**params.demo), snakemake.threads)
