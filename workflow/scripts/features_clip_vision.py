"""Write the CLIP vision contexts of one chunk of stimuli."""

from neural_recon import features
from neural_recon.jobs import start
from neural_recon.models import load_clip
from neural_recon.nsd import chunk_ids, read_stimuli

start(snakemake)
params, wildcards = snakemake.params, snakemake.wildcards
ids = chunk_ids(
    snakemake.input.design, wildcards.stimuli, params.subjects, int(wildcards.chunk), params.chunk_size
)
tokens = load_clip(params.models).vision(read_stimuli(snakemake.input.stimuli, ids))
features.write_chunk(snakemake.output.features, tokens.reshape(len(ids), -1), ids, {"space": "clip_vision"})
