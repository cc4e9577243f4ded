"""Write the label volumes, noise ceilings, noise-free signals and betas of a simulated subject."""

from neural_recon.config.sections import Demo
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo.tree import write_betas, write_signals, write_subject
from neural_recon.workflow.jobs import start

start(snakemake)
params, subject = snakemake.params, snakemake.wildcards.subject
tree, demo = Tree(**params.tree), Demo(**params.demo)
write_subject(tree, demo, subject)
write_signals(tree, demo, subject)
for session in range(1, demo.sessions + 1):
    write_betas(tree, demo, subject, session)
