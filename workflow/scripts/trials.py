"""Write a subject's trials with their split."""

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.datasets.splits import with_split
from neural_recon.datasets.trials import read_lists
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
data = datasets.load(snakemake.config)
shown = data.trials(snakemake.wildcards.subject, params.sessions)
lists = read_lists(files.train, files.test, files.clusters)
table = with_split(shown, data.n_images, lists, params.drawn, params.tested)
write_table(snakemake.output.trials, table)
