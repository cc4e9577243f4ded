"""Train a network on other subjects."""

from neural_recon.core.tables import read_table
from neural_recon.decoding.decoder import DECODERS
from neural_recon.decoding.shared_subject import runs
from neural_recon.decoding.shared_subject.data import read_trained
from neural_recon.workflow.jobs import start

start(snakemake)
files, params, output = snakemake.input, snakemake.params, snakemake.output
how = DECODERS.settings(params.decoder)
own = read_table(files.own_trials)
test_ids = own.loc[own["split"] == "test", "image_id"].unique()
people = [
    read_trained(
        subject,
        files.responses[k],
        files.trials[k],
        {space: files[f"features_{space}_{k}"] for space in params.spaces},
        without=test_ids,
    )
    for k, subject in enumerate(params.subjects)
]
network, losses = runs.pretrain(how, people, params.seed, runs.checkpoint_of(output.network))
runs.store(network, losses, output.network, output.losses, params.decoder)
