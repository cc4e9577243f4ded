"""Units of responses."""

from pathlib import Path

import numpy as np

# The median of |response| over a mask's voxels is 1 to 3 %. Beyond these it is likely in other units.
TYPICAL = (0.02, 30)  # % signal change


def doubtful_units(path: str | Path, values: np.ndarray, units: str) -> str:
    """A sentence where responses are too large or too small for percent signal change, else nothing.

    Args:
        path: of their file.
        values: (n_trials, n_voxels).
        units: how they were taken, in words.
    """
    median = typical_size(values)
    if not median or TYPICAL[0] <= median <= TYPICAL[1]:
        return ""
    return (
        f"{path}: the median response is {median:.3g} % signal change (taken: {units}), 1 to 3 would be "
        "usual; are they in other units?"
    )


def typical_size(values: np.ndarray) -> float:
    """The median of |response| over some trials, of those that are finite and not 0; 0 without any."""
    some = np.abs(values[:: max(1, len(values) // 20)])
    some = some[np.isfinite(some) & (some > 0)]
    return float(np.median(some)) if some.size else 0.0
