"""Score decoders of a subject that see the first few components of the responses only."""

import pandas as pd

from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernels, read_taken
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.evaluation.controls.bottleneck import bottleneck_scores
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
tables = []
spaces = zip(params.spaces, files.kernels, read_kernels(files.kernels), files.curves, strict=True)
for space, kernel_file, (kernel, train_ids, test_ids), curve in spaces:
    source = Source(unit=read_taken(kernel_file).unit)
    train, true = (feature_table(files[f"features_{space}"], ids, source) for ids in (train_ids, test_ids))
    table = bottleneck_scores(
        kernel,
        train_ids,
        train,
        true,
        read_chosen(curve),
        params.calibration,
        params.bottleneck["components"],
        params.seed,
        params.bottleneck["targets"],
    )
    tables.append(table.assign(space=space))
write_table(snakemake.output.table, pd.concat(tables, ignore_index=True))
