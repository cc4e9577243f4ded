"""Write what each picture shows."""

from neural_recon.core.files import write_table
from neural_recon.datasets.nsd.shown_objects import from_coco, from_scenes
from neural_recon.workflow.jobs import start

start(snakemake)
files = snakemake.input
table = from_scenes(files.scenes) if files.scenes else from_coco(files.stimuli, files.annotations)
write_table(snakemake.output.content, table)
