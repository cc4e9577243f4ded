"""Write the page on the quality of a subject's responses."""

from neural_recon import datasets
from neural_recon.core.tables import read_table
from neural_recon.report.quality import build
from neural_recon.responses.quality import Quality
from neural_recon.responses.session_verdicts import read_sessions
from neural_recon.workflow.jobs import start

start(snakemake)
files = snakemake.input
regions = read_table(files.regions).fillna({"atlas": ""})  # of all voxels
found = Quality(read_sessions(files.sessions), regions, read_table(files.voxels))
subject = snakemake.wildcards.subject
data = datasets.load(snakemake.config)
build(snakemake.output.page, subject, found, data.cortex(subject), snakemake.params.demo, data.unit)
