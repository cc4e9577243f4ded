"""Put the scores of all regions alongside those of all voxels, and test them against each other."""

from pathlib import Path

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.region_tests import by_strata, joined, paired
from neural_recon.evaluation.regions import collect
from neural_recon.evaluation.strata import strata_of
from neural_recon.workflow.jobs import start

start(snakemake)
files, subject, seed = snakemake.input, snakemake.wildcards.subject, snakemake.params.seed
tables, single = (
    {Path(path).parent.name: read_table(path) for path in paths} for paths in (files.regions, files.single)
)
n_voxels = len(read_hdf5(files.responses, "voxel")["voxel"])
own = {
    space: len(read_hdf5(path, "columns")["columns"])
    for space, path in zip(snakemake.params.own, files.own, strict=True)
}
if snakemake.params.base in own:
    own["base"] = own[snakemake.params.base]
write_table(snakemake.output.scores, collect(read_table(files.summary), n_voxels, tables, own))
scores = joined(single, read_table(files.scores))
strata = strata_of(read_table(files.strata))
write_table(snakemake.output.tests, paired(subject, scores, seed))
write_table(snakemake.output.strata, by_strata(subject, scores, strata, seed))
