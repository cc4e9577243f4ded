"""Draw a subject's figure for papers."""

from neural_recon import datasets
from neural_recon.report.paper_figure import draw
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
pictures, subject = datasets.load(snakemake.config).pictures, snakemake.wildcards.subject
draw(snakemake.output, subject, files, pictures, params.figure, params.preset, params.simulated)
