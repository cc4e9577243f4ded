"""Write the kernel of a subject's responses, or of what some spaces are predicted from."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge_files import write_kernel
from neural_recon.decoding.sources import Source, Taken, columns_of
from neural_recon.workflow.jobs import start

start(snakemake)
files, source = snakemake.input, Source(*snakemake.params.source)
data = read_hdf5(files.responses, "train", "test", "train_ids", "test_ids", "voxel")
columns = None
if source.regions:
    data_set, voxels = datasets.load(snakemake.config), read_table(files.voxels)
    inside = data_set.in_regions(snakemake.wildcards.subject, voxels, source.regions)
    key = f"decoder.regions.{snakemake.wildcards.space}"
    columns = columns_of(key, source.regions, inside, data["voxel"])
take = Taken(columns, source.unit)
kernel = Kernel.of(
    take(data["train"]), take(data["test"]), images=data["train_ids"], intercept=source.intercept
)
ids = {name: data[name] for name in ("train_ids", "test_ids")}
write_kernel(snakemake.output.kernel, kernel, ids, take)
