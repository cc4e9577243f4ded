"""How far decoders refitted on shuffled training pairs scatter around chance.

    python benchmarks/shuffled_refits.py [--subject subj01] [--space clip_vision] [--refits 100]

after `make demo`; prints each refit's two-way identification of the test images, their mean and deviation,
and what the decoder itself reaches beside them. A run makes `evaluation.shuffled_refits`; here are more.
"""

import argparse
from pathlib import Path

import numpy as np

from neural_recon.feature_files import FeatureTable
from neural_recon.penalty import read_chosen
from neural_recon.refits import against_refits
from neural_recon.ridge_files import read_kernel
from neural_recon.shuffled_refits import refit_scores

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--results", type=Path, default=Path("results"))
parser.add_argument("--subject", default="subj01")
parser.add_argument("--space", default="clip_vision")
parser.add_argument("--refits", type=int, default=100)
parser.add_argument("--calibration", default="train")
parser.add_argument("--seed", type=int, default=0, help="of the run")
arguments = parser.parse_args()

folder = arguments.results / f"ridge/{arguments.subject}"
kernel, train_ids, test_ids = read_kernel(folder / "kernel.h5")
alpha = read_chosen(folder / arguments.space / "alpha.tsv")
features = arguments.results / f"features/{arguments.space}"
chunks = sorted([*features.glob("shared_*.h5"), *features.glob(f"{arguments.subject}_*.h5")])
train, true = (FeatureTable(chunks, ids) for ids in (train_ids, test_ids))
table = refit_scores(
    kernel, train_ids, train, true, alpha, arguments.calibration, arguments.refits, arguments.seed
)
null = table[(table["metric"] == "two_way") & (table["refit"] > 0)]["score"]
found = against_refits(table, "two_way")
print(*(f"{score:.3f}" for score in null))
print(f"{np.mean(null):.3f} +- {np.std(null, ddof=1):.3f}")
print(f"the decoder: {found['refit_score']:.3f}, z {found['refit_z']:.1f}, p {found['refit_p']:.3f}")
