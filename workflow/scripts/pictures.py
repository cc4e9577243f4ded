"""Write base images and reconstructions as PNG, named by NSD id."""

from neural_recon.files import read_hdf5
from neural_recon.jobs import start
from neural_recon.pictures import write_folder

start(snakemake)
kinds = {name: read_hdf5(snakemake.input[name], "images", "nsd_id") for name in ("base", "final")}
write_folder(snakemake.output.folder, kinds)
