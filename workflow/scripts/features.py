"""Write a space's features of one chunk of stimuli."""

import numpy as np

from neural_recon import datasets, features
from neural_recon.features.feature_files import write_chunk
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
data = datasets.load(snakemake.config)
ids = data.chunk_ids(*params.chunk, params.chunk_size)
space = features.load(snakemake.wildcards.space, params.settings, params.seed)
if space.reads == "pictures":
    batch = data.pictures(ids, empty_ok=True)
    missing = ~batch.any(axis=(1, 2, 3))
else:
    batch = data.captions(ids, empty_ok=True)
    missing = np.array([not texts for texts in batch])
values, settings = space.encode(batch, ids), {**params.settings, "seed": params.seed}
write_chunk(snakemake.output.features, values, missing, ids, settings, space.parts)
