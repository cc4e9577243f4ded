"""Look for traces of the test set in what the decoder was made from."""

from neural_recon.config_sections import SPACES
from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.leaks import check_subject, require

start(snakemake)
params, files = snakemake.params, snakemake.input
table = check_subject(
    files,
    {space: files[space] for space in SPACES},
    params.zscore,
    params.average,
    params.calibration,
    params.cross_validation,
    params.seed,
)
require(table, snakemake.wildcards.subject)
write_table(snakemake.output.table, table)
