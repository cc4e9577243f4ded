"""Score refits of each space's decoder on shuffled pairs: the null of its scores."""

from neural_recon.core.tables import write_table
from neural_recon.decoding.fitted import read_fitted
from neural_recon.evaluation.controls.shuffled_refits import refit_scores
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
every = read_fitted(files.kernels, files.curves)
for space, fitted, path in zip(params.spaces, every, snakemake.output.tables, strict=True):
    table = refit_scores(
        fitted.kernel,
        fitted.train_ids,
        *fitted.both(files[f"features_{space}"]),
        fitted.alpha,
        params.calibration,
        params.refits,
        params.seed,
        retrieval=space == params.retrieved,
    )
    write_table(path, table)
