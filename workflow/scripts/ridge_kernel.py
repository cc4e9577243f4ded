"""Write the kernel of a subject's responses."""

from neural_recon.files import read_hdf5
from neural_recon.jobs import start
from neural_recon.kernel import Kernel
from neural_recon.ridge_files import write_kernel

start(snakemake)
data = read_hdf5(snakemake.input.responses, "train", "test", "train_ids", "test_ids")
kernel = Kernel.of(data["train"], data["test"], images=data["train_ids"])
write_kernel(snakemake.output.kernel, kernel, {name: data[name] for name in ("train_ids", "test_ids")})
