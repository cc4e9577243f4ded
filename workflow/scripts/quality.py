"""Look at a subject's sessions before anything is computed from them; write the tables and the page."""

from neural_recon import nsd
from neural_recon.files import read_hdf5, read_table, write_table
from neural_recon.jobs import start
from neural_recon.quality import examine
from neural_recon.report.quality import build

start(snakemake)
files, output, params = snakemake.input, snakemake.output, snakemake.params
trials, voxels = (read_table(files[name]) for name in ("trials", "voxels"))
found = examine((read_hdf5(path, "betas")["betas"] for path in files.betas), trials, voxels, params.seed)
for name in ("sessions", "regions", "voxels"):
    write_table(output[name], getattr(found, name))
build(output.page, snakemake.wildcards.subject, found, nsd.read_labels(files.mask), params.demo)
