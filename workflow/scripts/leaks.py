"""Look for traces of the test set in what the decoder was made from."""

from neural_recon.core.tables import write_table
from neural_recon.evaluation.controls.leaks import check_subject, require
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
table = check_subject(
    files,
    {space: files[f"features_{space}"] for space in params.spaces},
    params.zscore,
    params.calibration,
    params.cross_validation,
    params.seed,
)
require(table, snakemake.wildcards.subject)
write_table(snakemake.output.table, table)
