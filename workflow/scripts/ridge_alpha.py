"""Choose a space's penalty by cross-validation within the training images, or note the fixed one."""

import pandas as pd

from neural_recon import ridge
from neural_recon.features import FeatureTable
from neural_recon.files import read_hdf5, write_table
from neural_recon.jobs import start

start(snakemake)
alpha, settings = snakemake.params.alpha, snakemake.params.cross_validation
if alpha == "cv":
    data = read_hdf5(snakemake.input.responses, "train", "train_ids")
    targets = FeatureTable(snakemake.input.features, data["train_ids"])
    result = ridge.cross_validate(
        data["train"],
        targets,
        settings["alphas"],
        settings["folds"],
        settings["targets"],
        snakemake.params.seed,
    )
    curve = pd.DataFrame(result.scores, columns=result.alphas).rename_axis("fold").reset_index()
    curve = curve.melt("fold", var_name="alpha", value_name="score")
    curve["fold"] += 1
    curve["chosen"] = curve["alpha"] == result.best
else:
    curve = pd.DataFrame([{"fold": 0, "alpha": float(alpha), "score": None, "chosen": True}])
write_table(snakemake.output.curve, curve)
