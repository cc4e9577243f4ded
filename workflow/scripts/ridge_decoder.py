"""Write one space's decoder, for new scans."""

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.random_streams import shuffled_images
from neural_recon.decoding.fitted import read_fitted
from neural_recon.decoding.kept_decoders import write_decoder
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
(fitted,) = read_fitted([files.kernel], [files.curve])
paired_ids = shuffled_images(fitted.train_ids, params.seed) if params.shuffled else fitted.train_ids
features = fitted.features(files.features, paired_ids)
write_decoder(
    snakemake.output.decoder,
    files.shared,
    fitted.taken(read_hdf5(files.responses, "train")["train"]),
    fitted.kernel,
    features,
    fitted.alpha,
    params.calibration,
    params.seed,
    params.keep_error,
    tokens=features.parts if fitted.taken.unit else None,
)
