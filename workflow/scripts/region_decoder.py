"""Decode from one region, and from as many random voxels; score both."""

from neural_recon import regions
from neural_recon.files import read_hdf5, write_hdf5, write_table
from neural_recon.jobs import start
from neural_recon.models import load_clip, load_vdvae
from neural_recon.networks import Judges
from neural_recon.nsd import read_stimuli

start(snakemake)
params, files, name = snakemake.params, snakemake.input, snakemake.wildcards.region
responses = read_hdf5(files.responses, "train", "test", "train_ids", "test_ids")
columns = regions.read_columns(files, {name: params.regions}, snakemake.wildcards.subject)[name]
table, single, images = regions.score_region(
    columns,
    responses,
    {space: files[space] for space in params.ridge["alpha"]},
    params.ridge,
    read_stimuli(files.stimuli, responses["test_ids"]),
    load_vdvae(files.weights, files.hparams),
    Judges(params.preset, load_clip(params.models, text=False)),
    params.repairings,
    params.seed,
)
write_table(snakemake.output.scores, table)
write_table(snakemake.output.single, single)
arrays = {"images": images[regions.REGION], "random": images[regions.RANDOM]}
write_hdf5(snakemake.output.images, {**arrays, "nsd_id": responses["test_ids"]}, {"regions": params.regions})
