"""Test a subject's regions against random and all voxels, over all images and by stratum."""

from pathlib import Path

from neural_recon.files import read_table, write_table
from neural_recon.jobs import start
from neural_recon.region_tests import by_strata, joined, paired
from neural_recon.strata import strata_of

start(snakemake)
files, subject, seed = snakemake.input, snakemake.wildcards.subject, snakemake.params.seed
regions = {Path(path).parent.name: read_table(path) for path in files.regions}
scores = joined(regions, read_table(files.scores))
strata = strata_of(read_table(files.strata))
write_table(snakemake.output.tests, paired(subject, scores, seed))
write_table(snakemake.output.strata, by_strata(subject, scores, strata, seed))
