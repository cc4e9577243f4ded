"""Predict the test images' features of one space."""

from neural_recon import ridge
from neural_recon.feature_files import FeatureTable
from neural_recon.files import read_hdf5, write_hdf5
from neural_recon.jobs import start
from neural_recon.penalty import read_chosen

start(snakemake)
params = snakemake.params
data = read_hdf5(snakemake.input.responses, "train", "test", "train_ids", "test_ids")
alpha = read_chosen(snakemake.input.curve)
if snakemake.wildcards.pairs == "shuffled":
    data["train_ids"] = data["train_ids"][ridge.shuffled_pairs(len(data["train_ids"]), params.seed)]
targets = FeatureTable(snakemake.input.features, data["train_ids"])
predictions = ridge.predict_calibrated(
    data["train"], data["test"], targets, alpha, params.calibration, params.folds, params.seed
)
settings = {"alpha": alpha, "calibration": params.calibration, "seed": params.seed}
arrays = {"predictions": predictions, "nsd_id": data["test_ids"]}
write_hdf5(snakemake.output.predictions, arrays, {**settings, "pairs": snakemake.wildcards.pairs})
