"""Write the kernel of a subject's responses."""

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.ridge_files import write_kernel
from neural_recon.workflow.jobs import start

start(snakemake)
data = read_hdf5(snakemake.input.responses, "train", "test", "train_ids", "test_ids")
kernel = Kernel.of(data["train"], data["test"], images=data["train_ids"])
write_kernel(snakemake.output.kernel, kernel, {name: data[name] for name in ("train_ids", "test_ids")})
