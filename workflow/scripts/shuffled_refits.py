"""Score refits of each space's decoder on shuffled pairs: the null of its scores."""

from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernel
from neural_recon.evaluation.controls.shuffled_refits import refit_scores
from neural_recon.features.feature_files import FeatureTable
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
kernel, train_ids, test_ids = read_kernel(snakemake.input.kernel)
for space, curve, path in zip(params.spaces, snakemake.input.curves, snakemake.output.tables, strict=True):
    train, true = (FeatureTable(snakemake.input[f"features_{space}"], ids) for ids in (train_ids, test_ids))
    table = refit_scores(
        kernel,
        train_ids,
        train,
        true,
        read_chosen(curve),
        params.calibration,
        params.refits,
        params.seed,
        retrieval=space == params.retrieved,
    )
    write_table(path, table)
