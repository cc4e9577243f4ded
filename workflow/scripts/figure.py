"""Draw a subject's figure for papers."""

from neural_recon.report.paper_figure import draw
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
draw(snakemake.output, snakemake.wildcards.subject, files, params.figure, params.preset, params.simulated)
