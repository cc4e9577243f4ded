"""Choose a space's penalty by cross-validation within the training images, or note the fixed one."""

from neural_recon.feature_files import FeatureTable
from neural_recon.files import read_hdf5, write_table
from neural_recon.jobs import start
from neural_recon.penalty import cross_validated_curve, fixed_curve

start(snakemake)
params = snakemake.params
if params.alpha == "cv":
    data = read_hdf5(snakemake.input.responses, "train", "train_ids")
    targets = FeatureTable(snakemake.input.features, data["train_ids"])
    curve = cross_validated_curve(data["train"], targets, **params.cross_validation, seed=params.seed)
else:
    curve = fixed_curve(params.alpha)
write_table(snakemake.output.curve, curve)
