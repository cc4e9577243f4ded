"""One sheet of all subjects: the first pictures that each saw, and what was reconstructed of them."""

from pathlib import Path

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.features.feature_files import select_rows
from neural_recon.generation.png_files import FIRST, write_groups
from neural_recon.workflow.jobs import start

start(snakemake)
data, recipe = datasets.load(snakemake.config), Path(snakemake.params.recipe).stem
groups = {}
for subject, path in zip(snakemake.params.subjects, snakemake.input.final, strict=True):
    final = read_hdf5(path, "images", "image_id")
    ids = sorted(final["image_id"].tolist())[:FIRST]
    painted = select_rows(path, final["images"], final["image_id"], ids)
    groups[f"{subject}: seen, and reconstructed by {recipe}"] = (data.pictures(ids), painted)
write_groups(snakemake.output.sheet, groups)
