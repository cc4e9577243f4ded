"""Paint one chunk of reconstructions."""

import numpy as np

from neural_recon.core.files import write_hdf5
from neural_recon.generation import generators
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
ids = np.asarray(params.image_ids)
# of these settings those that change a picture are parameters of the rule, too
generator = generators.load(params.models, snakemake.config["generator"])
given = generators.read_contexts(files.vision, files.text, files.unconditional, ids)
images = generator.paint(generators.read_base(files.base, ids), given, ids, params.seed)
arrays = {"images": images, "image_id": ids, "context_id": ids}
write_hdf5(snakemake.output.images, arrays, {**params.generator, "seed": params.seed})
