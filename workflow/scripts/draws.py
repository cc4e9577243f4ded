"""Mean and spread of each score over the draws of the control images."""

from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.controls.draws import spread_over_draws
from neural_recon.workflow.jobs import start

start(snakemake)
write_table(snakemake.output.table, spread_over_draws(read_table(snakemake.input.scores)))
