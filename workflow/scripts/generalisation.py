"""Decode other sessions of a subject by its kept decoders and their controls, and paint what they predict."""

from pathlib import Path

import numpy as np

from neural_recon import datasets, decoding, generation
from neural_recon.config.sections import Generalisation
from neural_recon.core.tables import read_table, write_table
from neural_recon.decoding.decoder import DECODERS
from neural_recon.evaluation.controls import training_pictures
from neural_recon.features.space import SPACES
from neural_recon.workflow import generalisation
from neural_recon.workflow.jobs import start

start(snakemake)
files, params, names = snakemake.input, snakemake.params, snakemake.wildcards
others = generalisation.Others.of(
    names.other, Generalisation.model_validate(params.how), names.subject, params.person
)
spaces = {name: SPACES.settings(settings) for name, settings in params.spaces.items()}
trials = [read_table(path) for path in files.trials]
trained = np.concatenate([table.loc[table["split"] == "train", "image_id"] for table in trials])
settings = {**snakemake.config["generator"], **params.generator}
rows, fits = generalisation.decoded(
    others,
    decoding.load(DECODERS.settings(params.decoder), params.seed),
    {name: [Path(path) for path in files[name]] for name in spaces},
    read_table(files.voxels),
    spaces,
    params.base,
    generation.load(settings, unconditional=files.unconditional),
    params.seed,
    training_pictures.small(datasets.load(snakemake.config).pictures, np.unique(trained)),
)
for path in snakemake.output.fits:
    generalisation.write(path, rows, *fits[Path(path).stem])
write_table(snakemake.output.rows, rows)
