"""Paint the control images from the shuffled decoder, and draw the decoder's own pictures again."""

from pathlib import Path

import numpy as np

from neural_recon.feature_files import read_rows, select_rows
from neural_recon.files import read_hdf5, write_hdf5
from neural_recon.jobs import start
from neural_recon.models import load_generator
from neural_recon.reconstruct import reconstruct

start(snakemake)
params, files = snakemake.params, snakemake.input
effort, ids = snakemake.config["generator"], np.asarray(params.nsd_ids)
pipeline = load_generator(params.models, params.precision, effort["memory"], effort["compile"])
empty = read_hdf5(files.unconditional, "vision", "text")
for path in snakemake.output.images:
    variant = Path(path).stem
    which, draw = (1, 0) if variant == "shuffled" else (0, int(variant.removeprefix("seed")))
    base = read_hdf5(files.base[which], "images", "nsd_id")
    given = select_rows(files.base[which], base["images"], base["nsd_id"], ids)
    contexts = [read_rows(files[space][which], ids) for space in ("vision", "text")]
    none = (empty["vision"], empty["text"])
    how = {**params.generator, "batch": effort["batch"], "draw": draw}
    images = reconstruct(pipeline, given, *contexts, none, ids, params.seed, **how)
    arrays = {"images": images, "nsd_id": ids, "context_id": ids}
    write_hdf5(path, arrays, {**params.generator, "seed": params.seed, "draw": draw})
