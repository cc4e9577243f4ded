"""How far chance carries a decoder that knows nothing: its spread over refits on shuffled training pairs.

    python benchmarks/shuffled_refits.py [--subject subj01] [--space vision] [--refits 100]
    python benchmarks/shuffled_refits.py --small      # on made-up responses, without a run: whether it runs

after `make demo`: two-way identification of the test images by the decoder, by refits as the workflow makes
them (`evaluation.shuffled_refits`; here are more), which reuse the decoder's weights, and by a few that are
fitted anew on the same shuffled pairs, which must agree.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import table

from neural_recon.core.hdf5 import read_hdf5, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.decoding import ridge
from neural_recon.decoding.kernel import Kernel
from neural_recon.decoding.penalty_table import fixed_curve, read_chosen
from neural_recon.evaluation import metrics
from neural_recon.evaluation.controls.shuffled_refits import TARGETS, pairs_of, refit_scores
from neural_recon.features.feature_files import FeatureTable, write_chunk

SEED = 0  # of the run
ANEW = 3


def made_up(results: Path, subject: str, space: str) -> None:
    """Small files of random numbers where a run has its own."""
    rng, ids = np.random.default_rng(0), np.arange(30)
    arrays = {"train_ids": ids[:20], "test_ids": ids[20:]}
    arrays |= {"train": rng.standard_normal((20, 8)), "test": rng.standard_normal((10, 8))}
    write_hdf5(results / f"responses/{subject}.h5", arrays, {})
    write_table(results / f"ridge/{subject}/{space}/alpha.tsv", fixed_curve(100))
    chunk = results / f"features/{space}/shared_000.h5"
    write_chunk(chunk, rng.standard_normal((30, 6)), np.zeros(30, bool), ids, {})


def refit(
    results: Path, subject: str, space: str, refits: int
) -> tuple[float, list[float], list[float], float, float]:
    """Two-way identification: of the decoder, of refits, of some fitted anew; seconds of one of each."""
    data = read_hdf5(results / f"responses/{subject}.h5")
    alpha = read_chosen(results / f"ridge/{subject}/{space}/alpha.tsv")
    folder = results / f"features/{space}"
    chunks = sorted([*folder.glob("shared_*.h5"), *folder.glob(f"{subject}_*.h5")])
    ids = data["train_ids"]
    train, true = (FeatureTable(chunks, rows) for rows in (ids, data["test_ids"]))
    if train.shape[1] > TARGETS:
        raise table.NoFigure(f"{space}: expected at most {TARGETS} features, found {train.shape[1]}.")
    began = time.perf_counter()
    kernel = Kernel.of(data["train"], data["test"], images=ids)
    scored = refit_scores(kernel, ids, train, true, alpha, "train", refits, SEED)
    reused = (time.perf_counter() - began) / (refits + 1)
    scores = scored[scored["metric"] == "two_way"].set_index("refit")["score"]
    truth = true[:, :].astype(np.float32)
    began, fitted = time.perf_counter(), []
    for number in range(1, min(refits, ANEW) + 1):
        targets = FeatureTable(chunks, pairs_of(ids, SEED, number))
        kernel = Kernel.of(data["train"], data["test"], images=ids)
        found = ridge.together(ridge.predict_blocks(kernel, targets, alpha, "train", SEED))
        fitted.append(float(metrics.two_way_identification(truth, found).mean()))
    anew = (time.perf_counter() - began) / len(fitted)
    if not np.allclose(fitted, scores.loc[1 : len(fitted)], atol=1e-3):
        raise table.NoFigure(f"expected refits that agree, found {fitted} and {list(scores)}.")
    return float(scores[0]), list(scores.drop(0)), fitted, reused, anew


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    if arguments.refits < 2:
        raise table.NoFigure(f"--refits: expected at least 2, for a deviation, found {arguments.refits}.")
    columns = {
        "two-way identification": ".3f",
        "standard deviation": ".3f",
        "lowest": ".3f",
        "highest": ".3f",
    }
    result = table.Table(
        {**columns, "seconds each": ".2f"}, ("the decoder", "refits of its weights", "refits fitted anew")
    )
    with tempfile.TemporaryDirectory() as temporary:
        results = arguments.results
        if arguments.small:
            results = Path(temporary)
            made_up(results, arguments.subject, arguments.space)
        own, scores, fitted, reused, anew = refit(
            results, arguments.subject, arguments.space, arguments.refits
        )
    result.add("the decoder", own, *[table.NONE] * 4)
    for row, found, seconds in (
        ("refits of its weights", scores, reused),
        ("refits fitted anew", fitted, anew),
    ):
        result.add(row, np.mean(found), np.std(found, ddof=1), min(found), max(found), seconds)
    said = f"{arguments.subject}, {arguments.space}, {arguments.refits} refits, {len(fitted)} fitted anew."
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--results", type=Path, default=table.ROOT / "results")
    options.add_argument("--subject", default="subj01")
    options.add_argument("--space", default="vision")
    options.add_argument("--refits", type=int, default=100)
    table.run(options, measure, small={"refits": 2})
