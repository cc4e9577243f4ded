"""Look at a subject's sessions before anything is computed from them; write the tables."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, write_table
from neural_recon.responses.quality import examine
from neural_recon.workflow.jobs import start

start(snakemake)
files, output = snakemake.input, snakemake.output
trials, voxels = (read_table(files[name]) for name in ("trials", "voxels"))
betas = (read_hdf5(path, "betas")["betas"] for path in files.betas)
atlases = datasets.load(snakemake.config).atlases
found = examine(betas, trials, voxels, snakemake.params.seed, atlases)
for name in ("sessions", "regions", "voxels"):
    write_table(output[name], getattr(found, name))
