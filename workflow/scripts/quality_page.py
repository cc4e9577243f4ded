"""Write the page on the quality of a subject's responses."""

from neural_recon import nsd
from neural_recon.files import read_table
from neural_recon.jobs import start
from neural_recon.quality import Quality
from neural_recon.report.quality import build
from neural_recon.verdicts import read_sessions

start(snakemake)
files = snakemake.input
regions = read_table(files.regions).fillna({"atlas": ""})  # of all voxels
found = Quality(read_sessions(files.sessions), regions, read_table(files.voxels))
labels = nsd.read_labels(files.mask)
build(snakemake.output.page, snakemake.wildcards.subject, found, labels, snakemake.params.demo)
