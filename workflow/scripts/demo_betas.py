"""Write one session's betas of a simulated subject."""

from neural_recon.config_sections import Demo
from neural_recon.demo.tree import write_betas
from neural_recon.jobs import start
from neural_recon.nsd import Tree

start(snakemake)
params = snakemake.params
write_betas(
    Tree(**params.tree), Demo(**params.demo), snakemake.wildcards.subject, int(snakemake.wildcards.session)
)
