"""Score training images held out with all images like them, and held out at random."""

import numpy as np
import pandas as pd

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding.fitted import read_fitted
from neural_recon.decoding.sources import Source
from neural_recon.evaluation.controls.data_amount import sample_features
from neural_recon.evaluation.controls.held_out import TARGETS, compare, sampled_alpha
from neural_recon.features.clusters import cluster_labels, summaries
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
ids = np.unique(read_hdf5(files.kernels[0], "train_ids")["train_ids"])
# at least two images a cluster, where a set is small
clusters = cluster_labels(
    summaries(files[f"features_{params.alike}"], ids, params.parts),
    min(params.clusters, len(ids) // 2),
    params.seed,
)
calibrated, tables = params.calibration != "none", []
for space, fitted in zip(params.spaces, read_fitted(files.kernels, files.curves), strict=True):
    source = Source(unit=fitted.taken.unit)
    sample = sample_features(files[f"features_{space}"], ids, TARGETS, params.seed, source)
    alphas = {space: sampled_alpha(fitted.alpha, TARGETS, params.seed)}
    kernel, train_ids = fitted.kernel, fitted.train_ids
    tables.append(compare(kernel, train_ids, clusters, {space: sample}, alphas, calibrated, params.seed))
write_table(snakemake.output.table, pd.concat(tables, ignore_index=True))
