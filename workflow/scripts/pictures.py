"""Write base images and reconstructions as PNG, named by image id, and a sheet of the first ones."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.generation.png_files import write_folder, write_sheet
from neural_recon.workflow.jobs import start

FIRST = 12  # by image id: nobody chose them

start(snakemake)
files = {name: snakemake.input[name] for name in ("base", "final") if snakemake.input[name]}
kinds = {name: read_hdf5(path, "images", "image_id") for name, path in files.items()}
write_folder(snakemake.output.folder, kinds)
ids = sorted(kinds["final"]["image_id"])[:FIRST]
write_sheet(snakemake.output.sheet, datasets.load(snakemake.config).pictures(ids), kinds, ids)
