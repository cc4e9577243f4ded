"""Paint one chunk of reconstructions."""

import numpy as np

from neural_recon import generators
from neural_recon.files import write_hdf5
from neural_recon.jobs import start
from neural_recon.reconstruct import swapped_contexts

start(snakemake)
params, files = snakemake.params, snakemake.input
ids = contexts = np.asarray(params.nsd_ids)
if snakemake.wildcards.variant == "swapped":
    contexts = swapped_contexts(np.asarray(params.control_ids), ids, params.seed)
# of these settings those that change a picture are parameters of the rule, too
generator = generators.load(params.models, snakemake.config["generator"])
given = generators.read_contexts(files.vision, files.text, files.unconditional, contexts)
images = generator.paint(generators.read_base(files.base, ids), given, ids, params.seed)
arrays = {"images": images, "nsd_id": ids, "context_id": contexts}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
