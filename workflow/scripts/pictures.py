"""Write base images and reconstructions as PNG, named as the images are, and a sheet of the first ones."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.generation.png_files import FIRST, file_names, write_folder, write_sheet
from neural_recon.workflow.jobs import start

start(snakemake)
files = {name: snakemake.input[name] for name in ("base", "final") if snakemake.input[name]}
kinds = {name: read_hdf5(path, "images", "image_id") for name, path in files.items()}
data = datasets.load(snakemake.config)
ids = sorted(kinds["final"]["image_id"].tolist())
called = file_names(ids, data.image_names(ids))
named = {
    kind: {**arrays, "image_id": [called[image_id] for image_id in arrays["image_id"].tolist()]}
    for kind, arrays in kinds.items()
}
write_folder(snakemake.output.folder, named)
some = ids[:FIRST]
write_sheet(snakemake.output.sheet, data.pictures(some), kinds, some)
