"""Draw a subject's figure for papers."""

from neural_recon.jobs import start
from neural_recon.paper_figure import draw

start(snakemake)
files, params = snakemake.input, snakemake.params
draw(snakemake.output, snakemake.wildcards.subject, files, params.figure, params.preset, params.simulated)
