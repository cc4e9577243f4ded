"""Paint the control images again: from other features, from other draws, and without their base images."""

from pathlib import Path

import numpy as np

from neural_recon.core.files import write_hdf5
from neural_recon.generation import generators
from neural_recon.generation.reconstruct import swapped_contexts
from neural_recon.workflow.jobs import start

start(snakemake)
params, files, ids = snakemake.params, snakemake.input, np.asarray(snakemake.params.image_ids)
generator = generators.load(params.models, snakemake.config["generator"])
for path in snakemake.output.images:
    variant = Path(path).stem
    fit = variant if variant in ("shuffled", "true_features") else "decoded"
    draw = int(variant.removeprefix("seed")) if variant.startswith("seed") else 0
    base, vision, text = (files.get(f"{name}_{fit}") for name in ("base", "vision", "text"))
    context_ids = swapped_contexts(ids, params.seed) if variant == "swapped" else ids
    start_from = None if variant == "contexts_only" else generators.read_base(base, ids)
    contexts = generators.read_contexts(vision, text, files.unconditional, context_ids)
    images = generator.paint(start_from, contexts, ids, params.seed, draw)
    arrays = {"images": images, "image_id": ids, "context_id": context_ids}
    made_of = {"base_image": start_from is not None, "seed": params.seed, "draw": draw}
    write_hdf5(path, arrays, {**params.generator, **made_of})
