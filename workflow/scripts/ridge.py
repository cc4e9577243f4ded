"""Choose a space's penalty, and predict the test images' features: the decoder and its controls."""

from pathlib import Path

from neural_recon.core.random_streams import rows_of, shuffled_images
from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import cross_validated_curve, fixed_curve, read_chosen
from neural_recon.decoding.ridge import Way
from neural_recon.decoding.ridge_files import Written, read_kernel, read_taken, write_predictions
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
kernel, train_ids, test_ids = read_kernel(snakemake.input.kernel)
source = Source(unit=read_taken(snakemake.input.kernel).unit)
if params.alpha == "cv":
    features = feature_table(snakemake.input.features, train_ids, source)
    curve = cross_validated_curve(
        kernel, features, features.parts, **params.cross_validation, seed=params.seed
    )
else:
    curve = fixed_curve(params.alpha)
write_table(snakemake.output.curve, curve)
alpha = read_chosen(snakemake.output.curve)
other = "train" if params.calibration == "published" else "published"
features = feature_table(snakemake.input.features, train_ids, source)
shuffled_ids = shuffled_images(train_ids, params.seed)
shuffled = rows_of(train_ids, shuffled_ids)
files = []
for path in snakemake.output.predictions:
    fit = Path(path).stem
    mixed = fit == "shuffled"
    files.append(
        Written(
            path,
            Way(other if fit == "recalibrated" else params.calibration, shuffled if mixed else None),
            {"image_id": test_ids, "paired_id": shuffled_ids if mixed else train_ids},
            {"pairs": "shuffled" if mixed else "decoded"},
        )
    )
unit = features.parts if source.unit else None
write_predictions(files, kernel, features, alpha, params.seed, unit=unit)
