"""Write the CLIP text contexts of one chunk of stimuli."""

from neural_recon import features
from neural_recon.jobs import start
from neural_recon.models import load_clip
from neural_recon.nsd import chunk_ids, read_captions

start(snakemake)
params, wildcards = snakemake.params, snakemake.wildcards
ids = chunk_ids(
    snakemake.input.design, wildcards.stimuli, params.subjects, int(wildcards.chunk), params.chunk_size
)
tokens = features.text_features(load_clip(params.models), read_captions(snakemake.input.captions, ids))
features.write_chunk(snakemake.output.features, tokens, ids, {"space": "clip_text"})
