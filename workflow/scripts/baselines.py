"""Pick the training images that stand in for reconstructions, and their mean."""

import numpy as np

from neural_recon import datasets, generation
from neural_recon.core.tables import read_table
from neural_recon.evaluation.controls.baselines import write_baselines
from neural_recon.workflow.jobs import start

start(snakemake)
files = snakemake.input
trials = read_table(files.trials)
train_ids, test_ids = (np.unique(trials.loc[trials["split"] == s, "image_id"]) for s in ("train", "test"))
generator = generation.load({**snakemake.config["generator"], **snakemake.params.generator})
write_baselines(
    snakemake.output.images,
    datasets.load(snakemake.config).pictures,
    files.predictions,
    files.features,
    train_ids,
    test_ids,
    generator.side() or snakemake.params.base_side,
    snakemake.params.seed,
)
