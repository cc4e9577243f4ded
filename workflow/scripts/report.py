"""Write the report."""

from pathlib import Path

from neural_recon import datasets
from neural_recon.report.files import SubjectFiles
from neural_recon.report.page import build
from neural_recon.report.results import if_there
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
shared = snakemake.config["pathvars"].get("shared")  # of a recipe in a comparison
subjects = [SubjectFiles.among(subject, params.results, files, shared) for subject in params.subjects]
build(
    snakemake.output.page,
    subjects,
    datasets.load(snakemake.config),
    params.benchmarks,
    snakemake.config,
    contents=files.content or None,
    provenance=if_there(Path(params.results) / "provenance"),
)
