"""Pick the training images that stand in for reconstructions, and their mean."""

from pathlib import Path

import numpy as np

from neural_recon import datasets
from neural_recon.core.files import read_table
from neural_recon.evaluation.controls.baselines import write_baselines
from neural_recon.models.model_folders import picture_size, read_config
from neural_recon.workflow.jobs import start

start(snakemake)
files = snakemake.input
trials = read_table(files.trials)
train_ids, test_ids = (np.unique(trials.loc[trials["split"] == s, "image_id"]) for s in ("train", "test"))
unet, vae = (read_config(Path(snakemake.params.models) / part) for part in ("image_unet", "vae"))
write_baselines(
    snakemake.output.images,
    datasets.load(snakemake.config).pictures,
    files.predictions,
    files.features,
    train_ids,
    test_ids,
    picture_size(unet, vae),
    snakemake.params.seed,
)
