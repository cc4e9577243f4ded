"""Write the CLIP vision contexts of one chunk of stimuli."""

from neural_recon import feature_files, features
from neural_recon.jobs import start
from neural_recon.models import load_clip
from neural_recon.nsd import chunk_ids, read_stimuli

start(snakemake)
params = snakemake.params
ids = chunk_ids(snakemake.input.design, *params.chunk, params.chunk_size)
pictures = read_stimuli(snakemake.input.stimuli, ids, empty_ok=True)
tokens = features.vision_features(load_clip(params.models), pictures)
missing = ~pictures.any(axis=(1, 2, 3))
feature_files.write_chunk(snakemake.output.features, tokens, missing, ids, {"space": "clip_vision"})
