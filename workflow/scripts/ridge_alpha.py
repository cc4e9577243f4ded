"""Choose a space's penalty by cross-validation within the training images, or note the fixed one."""

from neural_recon.feature_files import FeatureTable
from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.penalty import cross_validated_curve, fixed_curve
from neural_recon.ridge_files import read_kernel

start(snakemake)
params = snakemake.params
if params.alpha == "cv":
    kernel, train_ids, _ = read_kernel(snakemake.input.kernel)
    features = FeatureTable(snakemake.input.features, train_ids)
    curve = cross_validated_curve(
        kernel, features, features.parts, **params.cross_validation, seed=params.seed
    )
else:
    curve = fixed_curve(params.alpha)
write_table(snakemake.output.curve, curve)
