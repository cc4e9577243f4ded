"""Paint the control images from the shuffled decoder, as other draws, and without their base images."""

from pathlib import Path

import numpy as np

from neural_recon import generators
from neural_recon.files import write_hdf5
from neural_recon.jobs import start

start(snakemake)
params, files, ids = snakemake.params, snakemake.input, np.asarray(snakemake.params.nsd_ids)
generator = generators.load(params.models, snakemake.config["generator"])
for path in snakemake.output.images:
    variant = Path(path).stem
    which = 1 if variant == "shuffled" else 0
    draw = int(variant.removeprefix("seed")) if variant.startswith("seed") else 0
    base, *predicted = (files[name] and files[name][which] for name in ("base", "vision", "text"))
    base = None if variant == "contexts_only" else generators.read_base(base, ids)
    contexts = generators.read_contexts(*predicted, files.unconditional, ids)
    images = generator.paint(base, contexts, ids, params.seed, draw)
    arrays = {"images": images, "nsd_id": ids, "context_id": ids}
    made_of = {"base_image": base is not None, "seed": params.seed, "draw": draw}
    write_hdf5(path, arrays, {**params.generator, **made_of})
