"""Noise ceilings on slices through the brain."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from neural_recon.report import plots


def brain_map(voxels: pd.DataFrame, labels: np.ndarray, most: int = 15, row: int = 5) -> str:
    """Axial slices through the mask: noise ceiling in colour, dropped voxels, cortex and the rest in grey.

    Volumes run from left to right, from posterior to anterior and from inferior to superior.

    Args:
        voxels: of the mask: x, y, z, noise_ceiling, dropped (a reason, or "").
        labels: the volume (x, y, z) of `DataSet.cortex`.
        most: slices at most, evenly spread from bottom to top.
        row: slices side by side.
    """
    places = tuple(voxels[list("xyz")].to_numpy().T)
    ceiling = np.full(labels.shape, np.nan)
    ceiling[places] = voxels["noise_ceiling"]
    ground = np.where(labels >= 0, 1, 0)
    ground[places] = np.where(voxels["dropped"] != "", 2, 1)
    low = [max(axis.min() - 2, 0) for axis in places[:2]]
    high = [axis.max() + 3 for axis in places[:2]]
    slices = np.unique(places[2])
    slices = slices[np.unique(np.linspace(0, len(slices) - 1, most + 2).round().astype(int))]
    if len(slices) > most:
        slices = slices[1:-1]  # the ends hold a few voxels only
    there = ceiling[np.isfinite(ceiling)]
    top = max(float(np.quantile(there, 0.99)) if there.size else 1, 0.05)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    rows, columns = -(-len(slices) // row), min(len(slices), row)
    shape = ground[window].shape[:2]
    width = 10.4 / row * columns
    greys = ListedColormap(["#ffffff", "#d5dade", "#D55E00"])
    with matplotlib.rc_context(plots.STYLE):
        height = width / columns * shape[1] / shape[0] + 0.25
        figure = Figure(figsize=(width + 0.9, rows * height + 0.1), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False)
        for axes in panels.flat:
            axes.axis("off")
        for axes, z in zip(panels.flat, slices, strict=False):
            look = {"origin": "lower", "interpolation": "nearest", "aspect": "equal"}
            axes.imshow(ground[window][:, :, z].T, cmap=greys, vmin=0, vmax=2, **look)
            image = axes.imshow(ceiling[window][:, :, z].T, cmap="viridis", vmin=0, vmax=top, **look)
            axes.set_title(f"z = {z}", fontsize=8.5, color=plots.GREY, pad=2, loc="center")
        for x, side in ((0.0, "L"), (1.0, "R")):
            panels[0, 0].text(x, 0.98, side, transform=panels[0, 0].transAxes, fontsize=9, va="top",
                              ha="left" if side == "L" else "right")  # fmt: skip
        one = rows == 1  # too low for the whole label
        figure.colorbar(
            image, ax=panels, label="noise ceiling" + ("" if one else " (share of variance)"),
            shrink=0.95 if one else 0.7, aspect=12 if one else 30, extend="max",
        )  # fmt: skip
        return plots.uri(figure)
