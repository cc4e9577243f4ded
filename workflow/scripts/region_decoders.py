"""Decode from each region, and from as many random voxels; score both."""

from neural_recon import datasets
from neural_recon.core.files import read_hdf5, write_hdf5, write_table
from neural_recon.evaluation import regions
from neural_recon.evaluation.networks import Judges
from neural_recon.models.loading import load_clip, load_vdvae
from neural_recon.workflow.jobs import start

start(snakemake)
params, files, output = snakemake.params, snakemake.input, snakemake.output
responses = read_hdf5(files.responses, "train", "test", "train_ids", "test_ids")
data = datasets.load(snakemake.config)
columns = regions.read_columns(data, files, params.sets, snakemake.wildcards.subject)
decoded = regions.score_regions(
    columns,
    responses,
    {space: files[space] for space in params.ridge["alpha"]},
    params.ridge,
    data.pictures(responses["test_ids"]),
    load_vdvae(files.weights, files.hparams),
    Judges(params.preset, load_clip(params.models, text=False)),
    params.repairings,
    params.seed,
)
for (name, scored), *paths in zip(decoded, output.scores, output.single, output.images, strict=True):
    write_table(paths[0], scored.table)
    write_table(paths[1], scored.single)
    arrays = {"images": scored.images[regions.REGION], "random": scored.images[regions.RANDOM]}
    write_hdf5(paths[2], {**arrays, "image_id": responses["test_ids"]}, {"regions": params.sets[name]})
