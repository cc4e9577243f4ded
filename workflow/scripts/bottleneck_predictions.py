"""Predict a space's features of the test images from the first components of the responses."""

from neural_recon.decoding.bottleneck import bottlenecks
from neural_recon.decoding.fitted import read_fitted
from neural_recon.decoding.ridge_files import PredictionFile, write_predictions
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
(fitted,) = read_fitted([snakemake.input.kernel], [snakemake.input.curve])
features = fitted.features(snakemake.input.features, fitted.train_ids)
ids = {"image_id": fitted.test_ids, "paired_id": fitted.train_ids}
unit = features.parts if fitted.taken.unit else None
found = {k: some for k, _, some in bottlenecks(fitted.kernel, params.components)}
for k, path in zip(params.components, snakemake.output.predictions, strict=True):
    file = PredictionFile(path, params.calibration, ids, {"pairs": "decoded", "components": k})
    kernel = found.get(k, fitted.kernel)  # of more components than there are: all
    write_predictions([(None, [file])], kernel, features, fitted.alpha, params.seed, unit=unit)
