"""Score every target of one space: r, R2 and their ceiling, one row per target and one per layer or token."""

import numpy as np

from neural_recon.feature_files import FeatureTable
from neural_recon.files import open_hdf5, read_hdf5, write_table
from neural_recon.jobs import start
from neural_recon.penalty import read_chosen
from neural_recon.ridge_files import read_kernel
from neural_recon.target_scores import by_part, score_targets

start(snakemake)
names = ("train", "trials", "train_ids", "test_ids", "trial_ids")
data = read_hdf5(snakemake.input.responses, *names)
kernel = read_kernel(snakemake.input.kernel)[0].of_others(data.pop("train"), data.pop("trials"))
train, true = (FeatureTable(snakemake.input.features, data[name]) for name in ("train_ids", "test_ids"))
image = np.searchsorted(data["test_ids"], data["trial_ids"])
alpha = read_chosen(snakemake.input.curve)
with open_hdf5(snakemake.input.predictions) as file:
    written = file["predictions"]
    table = score_targets(kernel, image, train, true, written, alpha, true.parts, snakemake.params.seed)
write_table(snakemake.output.targets, table)
write_table(snakemake.output.summary, by_part(table, len(data["test_ids"])))
