"""Write a subject's averaged and z-scored responses."""

from neural_recon import datasets
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table
from neural_recon.responses.preparation import prepare, write_responses
from neural_recon.responses.session_verdicts import require_agreement
from neural_recon.workflow.jobs import start

start(snakemake)
require_agreement(snakemake.input.quality, snakemake.wildcards.subject)
trials, voxels = (read_table(snakemake.input[name]) for name in ("trials", "voxels"))
sessions = (read_hdf5(path, "betas")["betas"] for path in snakemake.input.betas)
how = {name: snakemake.params[name] for name in ("zscore", "average")}
data, subject = datasets.load(snakemake.config), snakemake.wildcards.subject
ncsnr = data.ncsnr(subject, voxels) if snakemake.params.noise_ceiling == "ncsnr" else None
prepared = prepare(sessions, trials, voxels, **how, ncsnr=ncsnr)
write_responses(snakemake.output.responses, prepared, how, data.grid(subject))
