"""Mean and spread of each score over the draws of the control images."""

import pandas as pd

from neural_recon.draws import spread_over_draws
from neural_recon.files import write_table
from neural_recon.jobs import start

start(snakemake)
write_table(snakemake.output.table, spread_over_draws(pd.read_parquet(snakemake.input.scores)))
