"""Score decoders of a subject that see the first few components of the responses only."""

import pandas as pd

from neural_recon.core.tables import write_table
from neural_recon.decoding.bottleneck import bottlenecks
from neural_recon.decoding.fitted import read_fitted
from neural_recon.evaluation.controls.bottleneck import bottleneck_scores
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
tables, kernel = [], None
for space, fitted in zip(params.spaces, read_fitted(files.kernels, files.curves), strict=True):
    if fitted.kernel is not kernel:  # which spaces share: its components are found once
        kernel = fitted.kernel
        kernels = list(bottlenecks(kernel, params.bottleneck["components"]))
    table = bottleneck_scores(
        kernels,
        fitted.train_ids,
        *fitted.both(files[f"features_{space}"]),
        fitted.alpha,
        params.calibration,
        params.seed,
        params.bottleneck["targets"],
    )
    tables.append(table.assign(space=space))
write_table(snakemake.output.table, pd.concat(tables, ignore_index=True))
