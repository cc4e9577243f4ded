"""Write a space's features of one chunk of stimuli."""

import numpy as np

from neural_recon.datasets.nsd.nsd_tree import chunk_ids, read_captions, read_stimuli
from neural_recon.features import feature_files, load
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
ids = chunk_ids(files.design, *params.chunk, params.chunk_size)
space = load(snakemake.wildcards.space, params.settings, params.seed)
if space.reads == "pictures":
    batch = read_stimuli(files.pictures, ids, empty_ok=True)
    missing = ~batch.any(axis=(1, 2, 3))
else:
    batch = read_captions(files.captions, ids, empty_ok=True)
    missing = np.array([not texts for texts in batch])
features = space.encode(batch, ids)
settings = {**params.settings, "seed": params.seed}
feature_files.write_chunk(snakemake.output.features, features, missing, ids, settings, space.parts)
