"""Cut a subject's images into clusters of similar ones, and hold whole ones out."""

import numpy as np

from neural_recon import datasets
from neural_recon.core.tables import write_table
from neural_recon.features.clusters import cluster_split, summaries
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
data = datasets.load(snakemake.config)
ids = np.unique(data.trials(snakemake.wildcards.subject, params.sessions)["image_id"])
table = cluster_split(summaries(files.features, ids, params.parts), ids, **params.clusters, seed=params.seed)
write_table(snakemake.output.clusters, table)
