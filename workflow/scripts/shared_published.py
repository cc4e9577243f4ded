"""Take a fitted model of the authors as a subject's decoder."""

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.decoding.decoder import DECODERS
from neural_recon.decoding.shared_subject import weights
from neural_recon.decoding.shared_subject.network import Layout
from neural_recon.features.feature_files import FeatureTable
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
how = DECODERS.settings(params.decoder)
parts = {space: FeatureTable(files[f"features_{space}"], []).parts.tolist() for space in params.spaces}
voxels = {snakemake.wildcards.subject: len(read_hdf5(files.responses, "voxel")["voxel"])}
network = weights.published(files.weights, Layout.of(how, parts, voxels))
weights.write(snakemake.output.network, network, params.decoder)
