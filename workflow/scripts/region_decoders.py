"""Decode from each region, and from as many random voxels; score both."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.evaluation import regions
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.features import load
from neural_recon.models.loading import device
from neural_recon.workflow.jobs import start

start(snakemake)
params, files, output = snakemake.params, snakemake.input, snakemake.output
responses = read_hdf5(files.responses, "train", "test", "train_ids", "test_ids")
data = datasets.load(snakemake.config)
columns = regions.read_columns(data, files, params.sets, snakemake.wildcards.subject)
decoded = regions.score_regions(
    columns,
    responses,
    {space: files[f"features_{space}"] for space in params.ridge["alpha"]},
    params.ridge,
    data.pictures(responses["test_ids"]),
    load(*params.base) if params.base else None,
    PresetNetworks(params.preset, params.networks, where=device()),
    params.repairings,
    params.seed,
)
ids = responses["test_ids"]
for k, (name, scored) in enumerate(decoded):
    write_table(output.scores[k], scored.table)
    write_table(output.single[k], scored.single)
    if scored.images:
        arrays = {"images": scored.images[regions.REGION], "random": scored.images[regions.RANDOM]}
        write_hdf5(output.images[k], {**arrays, "image_id": ids}, {"regions": params.sets[name]})
