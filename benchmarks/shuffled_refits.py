"""How far decoders refitted on shuffled training pairs scatter around chance.

    python benchmarks/shuffled_refits.py [--subject subj01] [--space clip_vision] [--refits 12]

after `make demo`; prints each refit's two-way identification of the test images, their mean and deviation.
"""

import argparse
from pathlib import Path

import numpy as np

from neural_recon import metrics, ridge
from neural_recon.feature_files import FeatureTable, read_rows
from neural_recon.files import read_hdf5
from neural_recon.penalty import read_chosen
from neural_recon.shuffling import shuffled_pairs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--results", type=Path, default=Path("results"))
parser.add_argument("--subject", default="subj01")
parser.add_argument("--space", default="clip_vision")
parser.add_argument("--refits", type=int, default=12)
arguments = parser.parse_args()

data = read_hdf5(arguments.results / f"responses/{arguments.subject}.h5")
alpha = read_chosen(arguments.results / f"ridge/{arguments.subject}/{arguments.space}/alpha.tsv")
folder = arguments.results / f"features/{arguments.space}"
chunks = sorted([*folder.glob("shared_*.h5"), *folder.glob(f"{arguments.subject}_*.h5")])
truth = read_rows(chunks, data["test_ids"])
scores = []
for seed in range(arguments.refits):
    pairs = shuffled_pairs(len(data["train_ids"]), seed)
    targets = FeatureTable(chunks, data["train_ids"][pairs])
    predictions = ridge.predict(data["train"], data["test"], targets, alpha, "train")
    scores.append(metrics.two_way_identification(truth, predictions).mean())
print(*(f"{score:.3f}" for score in scores))
print(f"{np.mean(scores):.3f} +- {np.std(scores, ddof=1):.3f}")
