"""Sessions of a subject with a signal that repeats, and the verdicts on them."""

import numpy as np
import pandas as pd

from neural_recon.responses.quality import examine

TRIALS = 240


def plan(rng, sessions: int, repeats: int = 3) -> pd.DataFrame:
    """A trial table: every image so often, in random order; a tenth of the images test."""
    n = sessions * TRIALS // repeats
    order = rng.permutation(np.repeat(np.arange(n), repeats))
    table = pd.DataFrame({"session": np.repeat(np.arange(1, sessions + 1), TRIALS), "image_id": order})
    table["trial"] = table.groupby("session").cumcount() + 1
    return table.assign(split=np.where(order < n / 10, "test", "train"))


def measure(rng, table, n_voxels=60, ncsnr=0.6) -> list[np.ndarray]:
    """Betas of each session: image signal, noise of which a fifth is common to all voxels, drift and gain."""
    signal = ncsnr * rng.standard_normal((table["image_id"].max() + 1, n_voxels))
    found = []
    for _, part in table.groupby("session"):
        noise = np.sqrt(4 / 5) * rng.standard_normal((len(part), n_voxels))
        noise += np.sqrt(1 / 5) * rng.standard_normal((len(part), 1))
        drift = np.linspace(-0.5, 0.5, len(part))[:, None] + rng.normal(1, 0.3, n_voxels)
        found.append((1.3 * (signal[part["image_id"]] + noise + drift)).astype(np.float32))
    return found


def cortex(n_voxels=60) -> pd.DataFrame:
    """A table of voxels in two regions."""
    x, y, z = np.unravel_index(np.arange(n_voxels), (5, 4, -(-n_voxels // 20)))
    areas = np.where(np.arange(n_voxels) < n_voxels // 2, "V1v", "hV4")
    return pd.DataFrame({"x": x, "y": y, "z": z, "prf-visualrois": areas})


def verdict(betas, table, seed=0) -> list[str]:
    """The verdict on each session."""
    return examine(betas, table, cortex(betas[0].shape[1]), seed).sessions["verdict"].tolist()
