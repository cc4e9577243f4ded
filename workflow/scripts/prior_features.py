"""Predict the test images' features without any response: the mean of the training images'."""

import numpy as np

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import read_table
from neural_recon.features.feature_files import FeatureTable, column_means
from neural_recon.workflow.jobs import start

start(snakemake)
trials = read_table(snakemake.input.trials)
train_ids, test_ids = (np.unique(trials.loc[trials["split"] == s, "image_id"]) for s in ("train", "test"))
mean = column_means(FeatureTable(snakemake.input.features, train_ids))
arrays = {"predictions": np.tile(mean, (len(test_ids), 1)), "image_id": test_ids}
write_hdf5(snakemake.output.predictions, arrays, {"pairs": "none"})
