"""Predict the test images' features of one space."""

from neural_recon.feature_files import FeatureTable
from neural_recon.jobs import start
from neural_recon.penalty import read_chosen
from neural_recon.ridge import shuffled_images
from neural_recon.ridge_files import read_kernel, write_predictions

start(snakemake)
params, pairs = snakemake.params, snakemake.wildcards.pairs
kernel, train_ids, test_ids = read_kernel(snakemake.input.kernel)
if pairs == "shuffled":
    train_ids = shuffled_images(train_ids, params.seed)
write_predictions(
    snakemake.output.predictions,
    kernel,
    FeatureTable(snakemake.input.features, train_ids),
    read_chosen(snakemake.input.curve),
    params.calibration,
    params.seed,
    {"nsd_id": test_ids, "paired_id": train_ids},
    {"pairs": pairs},
)
