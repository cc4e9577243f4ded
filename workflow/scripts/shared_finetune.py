"""Fine-tune a network on one subject, or train it anew; for the control on shuffled pairs."""

from neural_recon.decoding.decoder import DECODERS
from neural_recon.decoding.shared_subject import runs
from neural_recon.decoding.shared_subject.data import read_trained
from neural_recon.workflow.jobs import start

start(snakemake)
files, params, output = snakemake.input, snakemake.params, snakemake.output
how = DECODERS.settings(params.decoder)
one = read_trained(
    snakemake.wildcards.subject,
    files.responses[0],
    files.trials[0],
    {space: files[f"features_{space}_0"] for space in params.spaces},
    how.finetune.sessions,
    shuffled=params.seed if params.control else None,
)
network, losses = runs.finetune(
    how, one, params.seed, runs.checkpoint_of(output.network), files.start or None, params.control
)
runs.store(network, losses, output.network, output.losses, params.decoder)
