"""Score refits of each space's decoder on shuffled pairs: the null of its scores."""

from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernels, read_taken
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.evaluation.controls.shuffled_refits import refit_scores
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
for space, kernel_file, found, curve, path in zip(
    params.spaces,
    files.kernels,
    read_kernels(files.kernels),
    files.curves,
    snakemake.output.tables,
    strict=True,
):
    kernel, train_ids, test_ids = found
    source = Source(unit=read_taken(kernel_file).unit)
    train, true = (feature_table(files[f"features_{space}"], ids, source) for ids in (train_ids, test_ids))
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
