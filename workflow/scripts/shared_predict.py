"""Predict the features of a subject's test images in all spaces, by its decoder and by the control."""

import pandas as pd

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.decoding.shared_subject.data import used_rows
from neural_recon.decoding.shared_subject.prediction import write_predictions
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
data = read_hdf5(files.responses, "test", "trials", "test_ids", "trial_ids")
_, train_ids = used_rows(snakemake.wildcards.subject, files.responses, files.trials, params.sessions)
paths = snakemake.output.predictions
for fit in ("decoded", "shuffled"):
    write_predictions(files[fit], fit, paths, data, train_ids, params.test_trials, params.seed)
write_table(snakemake.output.losses, pd.concat(map(read_table, files.losses), ignore_index=True))
