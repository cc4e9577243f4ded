"""Write a subject's trials with their split."""

from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.nsd import read_design
from neural_recon.trials import read_ids, trial_table

start(snakemake)
split = snakemake.params.split
design = read_design(snakemake.input.design, snakemake.wildcards.subject, snakemake.params.sessions)
lists = {name: read_ids(path) if path else None for name, path in split.items()}
write_table(snakemake.output.trials, trial_table(design, lists["train"], lists["test"]))
