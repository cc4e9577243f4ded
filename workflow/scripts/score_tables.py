"""Put all subjects' scores together: single images, subjects, and their mean."""

from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.comparison import over_subjects, together
from neural_recon.workflow.jobs import start

start(snakemake)
files = snakemake.input
subjects = together(read_table(path) for path in files.summaries)
tables = {
    "summary": over_subjects(subjects),
    "subjects": subjects,
    "images": together(read_table(path) for path in files.images),
}
for path in snakemake.output:
    write_table(path, tables[path.rsplit("/", 1)[-1].split(".")[0]])
