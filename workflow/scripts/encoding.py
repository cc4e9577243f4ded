"""Fit encoding models of a subject's voxels, and compare what they predict of pictures with responses."""

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.evaluation.encoding import region_columns, score_subject
from neural_recon.features import load
from neural_recon.workflow.jobs import start

start(snakemake)
params, files, output = snakemake.params, snakemake.input, snakemake.output
data, subject = datasets.load(snakemake.config), snakemake.wildcards.subject
scores, tests, voxels = score_subject(
    subject,
    files,
    data.pictures,
    load("encoding", params.space, params.seed),
    region_columns(data, files, params.sets, subject),
    params.seed,
    params.repairings,
)
write_table(output.scores, scores)
write_table(output.tests, tests)
write_table(output.voxels, voxels)
