"""Write the CLIP text contexts of one chunk of stimuli."""

import numpy as np

from neural_recon import feature_files, features
from neural_recon.jobs import start
from neural_recon.models import load_clip
from neural_recon.nsd import chunk_ids, read_captions

start(snakemake)
params = snakemake.params
ids = chunk_ids(snakemake.input.design, *params.chunk, params.chunk_size)
captions = read_captions(snakemake.input.captions, ids, empty_ok=True)
tokens = features.text_features(load_clip(params.models), captions)
missing = np.array([not texts for texts in captions])
feature_files.write_chunk(snakemake.output.features, tokens, missing, ids, {"space": "clip_text"})
