"""Score training images held out with all images like them, and held out at random."""

import numpy as np

from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernel
from neural_recon.evaluation.controls.data_amount import sample_features
from neural_recon.evaluation.controls.held_out import TARGETS, compare, sampled_alpha
from neural_recon.features.clusters import cluster_labels, summaries
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
kernel, train_ids, _ = read_kernel(files.kernel)
ids = np.unique(train_ids)
# at least two images a cluster, where a set is small
clusters = cluster_labels(
    summaries(files[f"features_{params.alike}"], ids, params.parts),
    min(params.clusters, len(ids) // 2),
    params.seed,
)
features = {
    space: sample_features(files[f"features_{space}"], ids, TARGETS, params.seed) for space in params.spaces
}
alphas = {
    space: sampled_alpha(read_chosen(curve), TARGETS, params.seed)
    for space, curve in zip(params.spaces, files.curves, strict=True)
}
calibrated = params.calibration != "none"
table = compare(kernel, train_ids, clusters, features, alphas, calibrated, params.seed)
write_table(snakemake.output.table, table)
