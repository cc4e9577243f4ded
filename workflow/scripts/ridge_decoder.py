"""Write one space's decoder, for new scans."""

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.decoding.kept_decoders import write_decoder
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernel
from neural_recon.features.feature_files import FeatureTable
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
kernel, train_ids, _ = read_kernel(files.kernel)
write_decoder(
    snakemake.output.decoder,
    files.shared,
    read_hdf5(files.responses, "train")["train"],
    kernel,
    FeatureTable(files.features, train_ids),
    read_chosen(files.curve),
    params.calibration,
    params.seed,
    params.keep_error,
)
