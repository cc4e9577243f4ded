"""Write what each picture shows."""

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.demo.scene_content import from_scenes
from neural_recon.workflow.jobs import start

start(snakemake)
scenes = snakemake.input.scenes
table = from_scenes(scenes) if scenes else datasets.load(snakemake.config).content()
write_table(snakemake.output.content, table)
