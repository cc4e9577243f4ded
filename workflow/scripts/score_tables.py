"""Put all subjects' scores together: single images, subjects, and their mean."""

import pandas as pd

from neural_recon.comparison import over_subjects, together
from neural_recon.files import write_table
from neural_recon.jobs import start

start(snakemake)
files = snakemake.input
subjects = together(pd.read_csv(path, sep="\t") for path in files.summaries)
tables = {
    "summary": over_subjects(subjects),
    "subjects": subjects,
    "images": together(pd.read_parquet(path) for path in files.images),
}
for path in snakemake.output:
    write_table(path, tables[path.rsplit("/", 1)[-1].split(".")[0]])
