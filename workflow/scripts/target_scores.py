"""Score every target of each space: r, R2 and their ceiling, per target, and per layer or token."""

import numpy as np

from neural_recon.core.hdf5 import open_hdf5, read_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding.penalty_table import read_chosen
from neural_recon.decoding.ridge_files import read_kernel, read_taken
from neural_recon.decoding.sources import Source, feature_table
from neural_recon.decoding.target_scores import by_part, score_targets
from neural_recon.workflow.jobs import start

start(snakemake)
files, params = snakemake.input, snakemake.params
read = None
for k, space in enumerate(params.spaces):
    if files.kernels[k] != read:
        read, kernel, data = files.kernels[k], None, None  # one at a time in memory
        names = ("train", "test", "trials", "train_ids", "test_ids", "trial_ids")
        data, take = read_hdf5(files.responses[k], *names), read_taken(read)
        image = np.searchsorted(data["test_ids"], data["trial_ids"])
        trials = take(data.pop("trials"), data.pop("test")[image] if take.unit else None)
        kernel = read_kernel(read)[0].of_others(take(data.pop("train")), trials)
    source, paths = Source(unit=take.unit), files[f"features_{space}"]
    train, true = (feature_table(paths, data[name], source) for name in ("train_ids", "test_ids"))
    with open_hdf5(files.predictions[k]) as file:
        predicted, alpha = file["predictions"], read_chosen(files.curves[k])
        table = score_targets(kernel, image, train, true, predicted, alpha, true.parts, params.seed)
    write_table(snakemake.output.targets[k], table)
    write_table(snakemake.output.summaries[k], by_part(table, len(data["test_ids"])))
