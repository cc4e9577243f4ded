"""Write one space's decoder, for new scans."""

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.random_streams import shuffled_images
from neural_recon.decoding.kept_decoders import write_decoder
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernel, read_taken
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
kernel, train_ids, _ = read_kernel(files.kernel)
take = read_taken(files.kernel)
paired_ids = shuffled_images(train_ids, params.seed) if params.shuffled else train_ids
features = feature_table(files.features, paired_ids, Source(unit=take.unit))
write_decoder(
    snakemake.output.decoder,
    files.shared,
    take(read_hdf5(files.responses, "train")["train"]),
    kernel,
    features,
    read_chosen(files.curve),
    params.calibration,
    params.seed,
    params.keep_error,
    tokens=features.parts if take.unit else None,
)
