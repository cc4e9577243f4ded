"""Write a subject's averaged and z-scored responses."""

import pandas as pd

from neural_recon.files import read_hdf5
from neural_recon.jobs import start
from neural_recon.responses import prepare, write_responses
from neural_recon.verdicts import require_agreement

start(snakemake)
require_agreement(snakemake.input.quality, snakemake.wildcards.subject)
trials, voxels = (pd.read_parquet(snakemake.input[name]) for name in ("trials", "voxels"))
sessions = (read_hdf5(path, "betas")["betas"] for path in snakemake.input.betas)
prepared = prepare(sessions, trials, voxels, snakemake.params.zscore)
write_responses(snakemake.output.responses, prepared, {"zscore": snakemake.params.zscore})
