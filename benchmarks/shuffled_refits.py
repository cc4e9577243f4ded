"""How far decoders refitted on shuffled training pairs scatter around chance.

    python benchmarks/shuffled_refits.py [--subject subj01] [--space clip_vision] [--refits 12]
    python benchmarks/shuffled_refits.py --small      # on made-up responses, without a run: whether it runs

after `make demo`: two-way identification of the test images by each refit.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import table

from neural_recon import metrics, ridge
from neural_recon.feature_files import FeatureTable, read_rows, write_chunk
from neural_recon.files import read_hdf5, write_hdf5, write_table
from neural_recon.penalty import fixed_curve, read_chosen
from neural_recon.ridge import shuffled_images


def made_up(results: Path, subject: str, space: str) -> None:
    """Small files of random numbers where a run has its own."""
    rng, ids = np.random.default_rng(0), np.arange(30)
    arrays = {"train_ids": ids[:20], "test_ids": ids[20:]}
    arrays |= {"train": rng.standard_normal((20, 8)), "test": rng.standard_normal((10, 8))}
    write_hdf5(results / f"responses/{subject}.h5", arrays, {})
    write_table(results / f"ridge/{subject}/{space}/alpha.tsv", fixed_curve(100))
    chunk = results / f"features/{space}/shared_000.h5"
    write_chunk(chunk, rng.standard_normal((30, 6)), np.zeros(30, bool), ids, {})


def refit(results: Path, subject: str, space: str, refits: int) -> list[float]:
    """Mean two-way identification by each refit."""
    data = read_hdf5(results / f"responses/{subject}.h5")
    alpha = read_chosen(results / f"ridge/{subject}/{space}/alpha.tsv")
    folder = results / f"features/{space}"
    chunks = sorted([*folder.glob("shared_*.h5"), *folder.glob(f"{subject}_*.h5")])
    truth = read_rows(chunks, data["test_ids"])
    scores = []
    for seed in range(refits):
        targets = FeatureTable(chunks, shuffled_images(data["train_ids"], seed))
        predictions = ridge.predict(data["train"], data["test"], targets, alpha, "train")
        scores.append(float(metrics.two_way_identification(truth, predictions).mean()))
    return scores


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    if arguments.refits < 2:
        raise table.NoFigure(f"--refits: expected at least 2, for a deviation, found {arguments.refits}.")
    result = table.Table(
        {"two-way identification": ".3f"}, ("mean", "standard deviation", "lowest", "highest")
    )
    with tempfile.TemporaryDirectory() as temporary:
        results = arguments.results
        if arguments.small:
            results = Path(temporary)
            made_up(results, arguments.subject, arguments.space)
        scores = refit(results, arguments.subject, arguments.space, arguments.refits)
    result.add("mean", np.mean(scores))
    result.add("standard deviation", np.std(scores, ddof=1))
    result.add("lowest", min(scores))
    result.add("highest", max(scores))
    return f"{arguments.subject}, {arguments.space}, {arguments.refits} refits.", result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--results", type=Path, default=table.ROOT / "results")
    options.add_argument("--subject", default="subj01")
    options.add_argument("--space", default="clip_vision")
    options.add_argument("--refits", type=int, default=12)
    table.run(options, measure, small={"refits": 2})
