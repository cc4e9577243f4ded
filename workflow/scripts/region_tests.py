"""Test a subject's regions against random and all voxels, over all images and by stratum."""

from pathlib import Path

import pandas as pd

from neural_recon.files import write_table
from neural_recon.jobs import start
from neural_recon.region_tests import by_strata, joined, paired
from neural_recon.strata import strata_of

start(snakemake)
files, subject, seed = snakemake.input, snakemake.wildcards.subject, snakemake.params.seed
regions = {Path(path).parent.name: pd.read_parquet(path) for path in files.regions}
scores = joined(regions, pd.read_parquet(files.scores))
strata = strata_of(pd.read_parquet(files.strata))
write_table(snakemake.output.tests, paired(subject, scores, seed))
write_table(snakemake.output.strata, by_strata(subject, scores, strata, seed))
