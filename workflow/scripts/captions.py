"""Build the captions of NSD's images from COCO's."""

from neural_recon.coco import write_captions
from neural_recon.jobs import start

start(snakemake)
write_captions(snakemake.output.captions, snakemake.input.stimuli, snakemake.input.annotations)
