"""Paint one chunk of reconstructions."""

import numpy as np

from neural_recon.feature_files import read_rows, select_rows
from neural_recon.files import read_hdf5, write_hdf5
from neural_recon.jobs import start
from neural_recon.models import load_generator
from neural_recon.reconstruct import reconstruct, swapped_contexts

start(snakemake)
params, files = snakemake.params, snakemake.input
# how to compute changes no picture, so these are no parameters of the rule
effort = snakemake.config["generator"]
ids = contexts = np.asarray(params.nsd_ids)
if snakemake.wildcards.variant == "swapped":
    contexts = swapped_contexts(np.asarray(params.control_ids), ids, params.seed)
base = read_hdf5(files.base, "images", "nsd_id")
empty = read_hdf5(files.unconditional, "vision", "text")
images = reconstruct(
    load_generator(params.models, params.precision, effort["memory"], effort["compile"]),
    select_rows(files.base, base["images"], base["nsd_id"], ids),
    read_rows(files.vision, contexts),
    read_rows(files.text, contexts),
    (empty["vision"], empty["text"]),
    ids,
    params.seed,
    **params.generator,
    batch=effort["batch"],
)
arrays = {"images": images, "nsd_id": ids, "context_id": contexts}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
