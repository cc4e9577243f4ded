"""Build the captions of NSD's images from COCO's."""

from neural_recon.datasets.nsd.coco import write_captions
from neural_recon.workflow.jobs import start

start(snakemake)
write_captions(snakemake.output.captions, snakemake.input.stimuli, snakemake.input.annotations)
