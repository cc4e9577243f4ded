"""Decode a synthetic response of each region alone into all feature spaces."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding.fitted import read_fitted
from neural_recon.evaluation.regions import (
    decode_synthetic,
    how_unusual,
    read_columns,
    synthetic_responses,
    with_control,
)
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
data_set = datasets.load(snakemake.config)
columns = read_columns(data_set, files, params.sets, snakemake.wildcards.subject)
data = read_hdf5(files.responses, "train", "test")
n_voxels = data["train"].shape[1]
columns = with_control(columns, n_voxels, params.seed)
synthetic = synthetic_responses(columns, n_voxels, params.amplitude)
features = {}
every = read_fitted(files.kernels, files.curves)
for space, responses, fitted in zip(params.spaces, files.trained, every, strict=True):
    features[space] = decode_synthetic(
        fitted.kernel,
        read_hdf5(responses, "train")["train"],
        synthetic,
        fitted.features(files[f"features_{space}"], fitted.train_ids),
        fitted.alpha,
        params.seed,
        taken=fitted.taken,
    )
table = how_unusual(synthetic, columns, data["train"], data["test"])
write_table(snakemake.output.table, table)
write_hdf5(
    snakemake.output.features,
    {**features, "region": table["region"].to_numpy()},
    {"amplitude": params.amplitude, "calibration": "train", "sets": params.sets},
)
