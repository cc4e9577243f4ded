"""Choose a space's penalty, and predict the test images' features: the decoder and its controls."""

from pathlib import Path

from neural_recon.core.random_streams import rows_of, shuffled_images
from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import cross_validated_curve, fixed_curve, read_chosen
from neural_recon.decoding.ridge_files import PredictionFile, read_kernel, read_taken, write_predictions
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
kernel, train_ids, test_ids = read_kernel(snakemake.input.kernel)
source = Source(unit=read_taken(snakemake.input.kernel).unit)
features = feature_table(snakemake.input.features, train_ids, source)
if params.alpha == "cv":
    curve = cross_validated_curve(
        kernel, features, features.parts, **params.cross_validation, seed=params.seed
    )
else:
    curve = fixed_curve(params.alpha)
write_table(snakemake.output.curve, curve)
alpha = read_chosen(snakemake.output.curve)
other = "train" if params.calibration == "published" else "published"
shuffled_ids = shuffled_images(train_ids, params.seed)
own, shuffled = [], []
for path in snakemake.output.predictions:
    fit, ids = Path(path).stem, {"image_id": test_ids}
    if fit == "shuffled":
        ids, about = {**ids, "paired_id": shuffled_ids}, {"pairs": "shuffled"}
        shuffled.append(PredictionFile(path, params.calibration, ids, about))
    else:
        ids, about = {**ids, "paired_id": train_ids}, {"pairs": "decoded"}
        calibration = other if fit == "recalibrated" else params.calibration
        own.append(PredictionFile(path, calibration, ids, about))
unit = features.parts if source.unit else None
pairings = [(None, own), (rows_of(train_ids, shuffled_ids), shuffled)]
write_predictions(pairings, kernel, features, alpha, params.seed, unit=unit)
