"""Decode from each region, and from as many random voxels; score both."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding.sources import Source
from neural_recon.evaluation import regions
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.features import load
from neural_recon.models.loading import choose_device
from neural_recon.workflow.jobs import start

start(snakemake)
params, files, output = snakemake.params, snakemake.input, snakemake.output
responses = read_hdf5(files.responses, "train", "test", "train_ids", "test_ids")
data = datasets.load(snakemake.config)
names = ("train", "test", "train_ids", "test_ids")
single = read_hdf5(files.single, *names) if files.single else {}
columns = regions.read_columns(data, files, params.sets, snakemake.wildcards.subject)
sources = {space: Source(*given) for space, given in params.sources.items()}
width = responses["train"].shape[1]
own = regions.read_columns(
    data, files, {space: source.regions for space, source in sources.items() if source.regions},
    snakemake.wildcards.subject, "decoder.regions",
)  # fmt: skip
decoded = regions.score_regions(
    columns,
    responses,
    {space: files[f"features_{space}"] for space in params.ridge["alpha"]},
    params.ridge,
    data.pictures(responses["test_ids"]),
    load(*params.base) if params.base else None,
    PresetNetworks(params.preset, params.networks, where=choose_device()),
    params.repairings,
    params.seed,
    {space: (source, len(own.get(space, range(width)))) for space, source in sources.items()},
    single,
)
ids = responses["test_ids"]
for k, (name, scored) in enumerate(decoded):
    write_table(output.scores[k], scored.table)
    write_table(output.single[k], scored.single)
    if scored.images:
        arrays = {"images": scored.images[regions.REGION], "random": scored.images[regions.RANDOM]}
        write_hdf5(output.images[k], {**arrays, "image_id": ids}, {"regions": params.sets[name]})
