"""Write the report."""

import dataclasses
from pathlib import Path

from neural_recon.report.files import SubjectFiles
from neural_recon.report.page import build
from neural_recon.report.results import if_there
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
subjects = [
    dataclasses.replace(SubjectFiles.among(subject, params.results, files), mask=mask)
    for subject, mask in zip(params.subjects, files.masks, strict=True)
]
build(
    snakemake.output.page,
    subjects,
    files.stimuli,
    params.benchmarks,
    snakemake.config,
    contents=files.content or None,
    provenance=if_there(Path(params.results) / "provenance"),
)
