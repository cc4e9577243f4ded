"""Pick the training images that stand in for reconstructions, and their mean."""

import numpy as np
import pandas as pd

from neural_recon.baselines import write_baselines
from neural_recon.files import open_hdf5
from neural_recon.jobs import start

start(snakemake)
files = snakemake.input
trials = pd.read_parquet(files.trials)
train_ids, test_ids = (np.unique(trials.loc[trials["split"] == s, "nsd_id"]) for s in ("train", "test"))
with open_hdf5(files.final) as file:
    size = file["images"].shape[1]
write_baselines(
    snakemake.output.images,
    files.stimuli,
    files.predictions,
    files.features,
    train_ids,
    test_ids,
    size,
    snakemake.params.seed,
)
