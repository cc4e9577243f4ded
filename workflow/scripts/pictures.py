"""Write base images and reconstructions as PNG, named by NSD id, and a sheet of the first ones."""

from neural_recon.files import read_hdf5
from neural_recon.jobs import start
from neural_recon.nsd import read_stimuli
from neural_recon.pictures import write_folder, write_sheet

FIRST = 12  # by NSD id: nobody chose them

start(snakemake)
kinds = {name: read_hdf5(snakemake.input[name], "images", "nsd_id") for name in ("base", "final")}
write_folder(snakemake.output.folder, kinds)
ids = sorted(kinds["final"]["nsd_id"])[:FIRST]
write_sheet(snakemake.output.sheet, read_stimuli(snakemake.input.stimuli, ids), kinds, ids)
