"""Compute a simulated subject's noise-free responses to its pictures."""

from neural_recon.config_sections import Demo
from neural_recon.demo.tree import write_signals
from neural_recon.jobs import start
from neural_recon.nsd import Tree

start(snakemake)
params = snakemake.params
write_signals(Tree(**params.tree), Demo(**params.demo), snakemake.wildcards.subject)
