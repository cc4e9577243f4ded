"""Write the demo's experiment design, captions and table of scenes."""

from neural_recon.config.sections import Demo
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo.tree import write_experiment
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
write_experiment(Tree(**params.tree), Demo(**params.demo))
