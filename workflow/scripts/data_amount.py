"""Refit a subject's decoders on fewer sessions and on fewer voxels."""

import numpy as np
import pandas as pd

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.decoding.sources import Source
from neural_recon.evaluation.controls.data_amount import Decoder, learning_curves, sample_features
from neural_recon.responses.session_verdicts import require_agreement
from neural_recon.workflow.jobs import start

start(snakemake)
params, inputs = snakemake.params, snakemake.input
require_agreement(inputs.quality, snakemake.wildcards.subject)
trials, voxels = (read_table(inputs[name]) for name in ("trials", "voxels"))
ids = np.unique(trials.loc[trials["split"] != "unused", "image_id"])
amount, data = params.amount, datasets.load(snakemake.config)
decoder = Decoder(params.alpha, params.cross_validation, params.calibration, params.seed)
sources = {space: Source(*given) for space, given in params.sources.items()}
curves = []
for source in dict.fromkeys(sources.values()):
    regions = source.regions
    table = learning_curves(
        lambda: (read_hdf5(path, "betas")["betas"] for path in inputs.betas),
        trials,
        voxels,
        params.responses["zscore"],
        {
            space: sample_features(inputs[f"features_{space}"], ids, amount["targets"], params.seed, source)
            for space in params.alpha
            if sources[space] == source
        },
        decoder,
        amount["sessions"],
        amount["voxels"],
        amount["draws"],
        params.responses["average"] and not source.single,
        source,
        data.in_regions(snakemake.wildcards.subject, voxels, regions) if regions else None,
    )
    curves.append(table)
write_table(snakemake.output.curves, pd.concat(curves, ignore_index=True))
