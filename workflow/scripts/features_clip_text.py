"""Write the CLIP text contexts of one chunk of stimuli."""

import numpy as np

from neural_recon import datasets
from neural_recon.features import extraction, feature_files
from neural_recon.models.loading import load_clip
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
data = datasets.load(snakemake.config)
ids = data.chunk_ids(*params.chunk, params.chunk_size)
captions = data.captions(ids, empty_ok=True)
tokens = extraction.text_features(load_clip(params.models), captions)
missing = np.array([not texts for texts in captions])
feature_files.write_chunk(snakemake.output.features, tokens, missing, ids, {"space": "clip_text"})
