"""Put the full recipe alongside its base image alone and its guides alone."""

from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.controls.single_stage import what_stages_add
from neural_recon.workflow.jobs import start

start(snakemake)
table = what_stages_add(read_table(snakemake.input.scores), snakemake.params.seed)
write_table(snakemake.output.table, table)
