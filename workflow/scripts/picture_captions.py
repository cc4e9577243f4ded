"""Write a captioning model's captions of a list of stimuli."""

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.features.picture_captions import caption_table
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
data = datasets.load(snakemake.config)
table = caption_table(data, snakemake.wildcards.stimuli, params.folder, params.captioner)
write_table(snakemake.output.captions, table)
