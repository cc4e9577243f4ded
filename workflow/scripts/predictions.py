"""Predict a space's features of the test images, and again fitted on pairs that do not belong together."""

from pathlib import Path

from neural_recon import decoding
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.core.random_streams import shuffled_images
from neural_recon.features.feature_files import FeatureTable
from neural_recon.workflow.jobs import start

start(snakemake)
params, space = snakemake.params, snakemake.wildcards.space
data = read_hdf5(snakemake.input.responses, "train", "test", "train_ids", "test_ids")
train_ids = data["train_ids"]
for path in snakemake.output.predictions:
    fit = Path(path).stem
    paired_ids = shuffled_images(train_ids, params.seed) if fit == "shuffled" else train_ids
    targets = FeatureTable(snakemake.input.features, paired_ids)
    decoder = decoding.load(params.decoder, params.seed)
    predictions = decoder.predict(space, data["train"], targets, data["test"], train_ids)
    arrays = {"predictions": predictions, "image_id": data["test_ids"], "paired_id": paired_ids}
    write_hdf5(path, arrays, {**params.decoder, "pairs": fit, "seed": params.seed})
