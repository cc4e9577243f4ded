"""Decode a synthetic response of each region alone into all feature spaces."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernel
from neural_recon.evaluation.regions import (
    decode_synthetic,
    how_unusual,
    read_columns,
    synthetic_responses,
    with_control,
)
from neural_recon.features.feature_files import FeatureTable
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
data_set = datasets.load(snakemake.config)
columns = read_columns(data_set, files, params.sets, snakemake.wildcards.subject)
data = read_hdf5(files.responses, "train", "test")
n_voxels = data["train"].shape[1]
columns = with_control(columns, n_voxels, params.seed)
synthetic = synthetic_responses(columns, n_voxels, params.amplitude)
kernel, train_ids, _ = read_kernel(files.kernel)
features = {
    space: decode_synthetic(
        kernel,
        data["train"],
        synthetic,
        FeatureTable(files[f"features_{space}"], train_ids),
        read_chosen(curve),
        params.seed,
    )
    for space, curve in zip(params.spaces, files.curves, strict=True)
}
table = how_unusual(synthetic, columns, data["train"], data["test"])
write_table(snakemake.output.table, table)
write_hdf5(
    snakemake.output.features,
    {**features, "region": table["region"].to_numpy()},
    {"amplitude": params.amplitude, "calibration": "train", "sets": params.sets},
)
