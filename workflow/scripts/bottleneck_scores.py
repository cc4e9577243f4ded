"""Score pictures of decoders that see the first components of the responses only."""

import numpy as np

from neural_recon import datasets
from neural_recon.core.tables import read_table, write_table
from neural_recon.evaluation.controls.bottleneck_pictures import score_pictures
from neural_recon.evaluation.networks import PresetNetworks
from neural_recon.models.loading import choose_device
from neural_recon.workflow.jobs import start

start(snakemake)
params, files = snakemake.params, snakemake.input
trials = read_table(files.trials)
table = score_pictures(
    {"base": files.base, "final": files.final},
    datasets.load(snakemake.config).pictures,
    np.unique(trials.loc[trials["split"] == "test", "image_id"]),
    np.asarray(params.image_ids),
    PresetNetworks(params.preset, params.networks, where=choose_device()),
    params.preset,
    params.repairings,
    params.seed,
)
write_table(snakemake.output.table, table)
