"""Refit a subject's decoders on fewer sessions and on fewer voxels."""

import numpy as np

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.controls.data_amount import Decoder, learning_curves, sample_features
from neural_recon.responses.session_verdicts import require_agreement
from neural_recon.workflow.jobs import start

start(snakemake)
params, inputs = snakemake.params, snakemake.input
require_agreement(inputs.quality, snakemake.wildcards.subject)
trials, voxels = (read_table(inputs[name]) for name in ("trials", "voxels"))
ids = np.unique(trials.loc[trials["split"] != "unused", "image_id"])
amount = params.amount
features = {
    space: sample_features(inputs[f"features_{space}"], ids, amount["targets"], params.seed)
    for space in params.alpha
}
curves = learning_curves(
    lambda: (read_hdf5(path, "betas")["betas"] for path in inputs.betas),
    trials,
    voxels,
    params.responses["zscore"],
    features,
    Decoder(params.alpha, params.cross_validation, params.calibration, params.seed),
    amount["sessions"],
    amount["voxels"],
    amount["draws"],
    params.responses["average"],
)
write_table(snakemake.output.curves, curves)
