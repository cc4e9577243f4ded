"""Write the demo's experiment design, captions and table of scenes."""

from neural_recon.config_sections import Demo
from neural_recon.demo.tree import write_experiment
from neural_recon.jobs import start
from neural_recon.nsd import Tree

start(snakemake)
params = snakemake.params
write_experiment(Tree(**params.tree), Demo(**params.demo))
