"""Write the CLIP vision contexts of one chunk of stimuli."""

from neural_recon import datasets
from neural_recon.features import extraction, feature_files
from neural_recon.models.loading import load_clip
from neural_recon.workflow.jobs import start

start(snakemake)
params = snakemake.params
data = datasets.load(snakemake.config)
ids = data.chunk_ids(*params.chunk, params.chunk_size)
pictures = data.pictures(ids, empty_ok=True)
tokens = extraction.vision_features(load_clip(params.models), pictures)
missing = ~pictures.any(axis=(1, 2, 3))
feature_files.write_chunk(snakemake.output.features, tokens, missing, ids, {"space": "clip_vision"})
