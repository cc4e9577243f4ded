"""Predict the control images' features without any response: the mean of the training images'."""

import numpy as np

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.core.tables import read_table
from neural_recon.features.feature_files import FeatureTable, column_means
from neural_recon.workflow.jobs import start

start(snakemake)
trials, ids = read_table(snakemake.input.trials), snakemake.params.image_ids
train_ids = np.unique(trials.loc[trials["split"] == "train", "image_id"])
mean = column_means(FeatureTable(snakemake.input.features, train_ids))
arrays = {"predictions": np.tile(mean, (len(ids), 1)), "image_id": ids}
write_hdf5(snakemake.output.predictions, arrays, {"pairs": "none"})
