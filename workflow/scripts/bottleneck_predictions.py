"""Predict a space's features of the test images from the first components of the responses."""

from neural_recon.decoding.bottleneck import bottlenecks
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge import Way
from neural_recon.decoding.ridge_files import Written, read_kernel, read_taken, write_predictions
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
kernel, train_ids, test_ids = read_kernel(snakemake.input.kernel)
source = Source(unit=read_taken(snakemake.input.kernel).unit)
features = feature_table(snakemake.input.features, train_ids, source)
alpha = read_chosen(snakemake.input.curve)
ids = {"image_id": test_ids, "paired_id": train_ids}
unit = features.parts if source.unit else None
found = {k: some for k, _, some in bottlenecks(kernel, params.components)}
for k, path in zip(params.components, snakemake.output.predictions, strict=True):
    file = Written(path, Way(params.calibration), ids, {"pairs": "decoded", "components": k})
    # of more components than there are: all
    write_predictions([file], found.get(k, kernel), features, alpha, params.seed, unit=unit)
