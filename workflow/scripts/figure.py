"""Draw a subject's figure for papers."""

from neural_recon import datasets
from neural_recon.report.paper_figure import draw
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
data, subject = datasets.load(snakemake.config), snakemake.wildcards.subject
draw(
    snakemake.output, subject, files, data.pictures, params.figure, params.preset, params.simulated,
    data.image_names,
)  # fmt: skip
