"""Put this run's scores alongside published ones, and alongside those of other pictures scored here."""

from pathlib import Path

from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.comparison import for_people, other_lines, our_lines, published, together
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
summaries = {Path(path).parent.name: read_table(path) for path in files.summaries}
responses = {Path(path).stem: path for path in files.responses}
ours = our_lines(
    summaries, responses, params.sessions, params.preset, Path(params.recipe).stem, params.simulated
)
table = together([published(), ours, other_lines(files.others)])
write_table(snakemake.output.table, for_people(table))
write_table(snakemake.output.numbers, table)
