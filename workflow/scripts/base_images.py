"""Decode features into base images, of one or several fits."""

from pathlib import Path

import numpy as np

from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.core.tables import read_table
from neural_recon.features import load
from neural_recon.features.feature_files import read_rows
from neural_recon.workflow.jobs import start

start(snakemake)
trials = read_table(snakemake.input.trials)
test_ids = np.unique(trials.loc[trials["split"] == "test", "image_id"])
space = load(*snakemake.params.space)
for path in snakemake.output.images:
    fit = Path(path).stem
    source = snakemake.input[fit]
    # predictions are of all test images, or of those alone that are painted
    ids = np.unique(read_hdf5(source, "image_id")["image_id"]) if isinstance(source, str) else test_ids
    images = space.pictures(read_rows(source, ids))
    # which calibration that is stands in the predictions
    calibrated = {"calibration": read_parameters(source)["calibration"]} if fit == "recalibrated" else {}
    write_hdf5(path, {"images": images, "image_id": ids}, {"fit": fit, **calibrated})
