"""The report's section on regions: what each region's decoder reads, what synthetic responses decode to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_recon.core.files import read_hdf5, read_parameters
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.region_tests import TESTS
from neural_recon.evaluation.regions import ALL, RANDOM, REGION, SCORES, ZERO
from neural_recon.report import gallery, plots, results
from neural_recon.report.gallery import Card, Picture
from neural_recon.report.results import Results

SPACES = {"base": "base image, CLIP", "vdvae": "VDVAE latents", "clip_vision": "CLIP vision",
          "clip_text": "CLIP text"}  # fmt: skip
COLOURS = {"base": "#CC79A7", **plots.SPACE_COLOURS}
SHOWN = 6  # test images whose base images are shown by region
UNUSUAL = ["region", "voxels", "norm", "norm_ratio", "mean_sd"]


def section(person: Results, stimuli: Pictures) -> dict[str, Any] | None:
    """One subject's regions; None where the configuration names none."""
    folder = person.files.regions
    if folder is None:
        return None
    scores = results.table(folder / "scores.tsv", SCORES)
    return {
        "subject": person.subject,
        "dots": dots(scores),
        "map": heat_map(scores, results.table(folder / "tests.tsv", TESTS)),
        "rows": _rows(scores),
        "spaces": list(SPACES.values()),
        "cards": _base_images(person, folder, stimuli, names_of(scores)),
        "synthetic": _synthetic(person.subject, folder),
    }


def names_of(scores: pd.DataFrame) -> list[str]:
    """The regions, in the order of the table."""
    return [name for name in dict.fromkeys(scores["region"]) if name != ALL]


def _cell(scores: pd.DataFrame, region: str, decoder: str, space: str) -> dict[str, Any] | None:
    mine = scores[(scores["region"] == region) & (scores["decoder"] == decoder) & (scores["space"] == space)]
    return mine.iloc[0].to_dict() if len(mine) else None


def _rows(scores: pd.DataFrame) -> list[tuple[str, str, int, list[dict[str, Any] | None]]]:
    """Region, decoder, voxels, and the score in each space."""
    found = []
    for region, decoder in scores[["region", "decoder"]].drop_duplicates().itertuples(index=False):
        voxels = scores.loc[(scores["region"] == region) & (scores["decoder"] == decoder), "voxels"]
        cells = [_cell(scores, region, decoder, space) for space in SPACES]
        found.append((region, decoder, int(voxels.iloc[0]), cells))
    return found


def dots(scores: pd.DataFrame) -> str:
    """A panel a space, a row a region: its decoder, and that of as many random voxels, with intervals."""
    regions = [ALL, *names_of(scores)]
    sizes = scores.drop_duplicates("region").set_index("region")["voxels"]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(11, 0.9 + 0.34 * len(regions)), layout="constrained")
        panels = figure.subplots(1, len(SPACES), sharex=True, sharey=True)
        for axes, (space, title) in zip(panels, SPACES.items(), strict=True):
            everything = _cell(scores, ALL, ALL, space)
            if everything:
                axes.axvline(everything["score"], color=plots.INK, lw=0.8, ls=":", zorder=1)
            for place, region in enumerate(regions):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color="#f3f5f7", lw=0, zorder=0)
                _dot(axes, _cell(scores, region, ALL, space), place, plots.INK, plots.INK)
                _dot(axes, _cell(scores, region, REGION, space), place - 0.16, COLOURS[space], COLOURS[space])
                _dot(axes, _cell(scores, region, RANDOM, space), place + 0.2, plots.GREY, "white")
            axes.set(title=title, ylim=(len(regions) - 0.5, -0.5), yticks=range(len(regions)))
        panels[0].set_yticklabels([f"{name} ({sizes[name]:,})" for name in regions])
        panels[0].set_xlim(-plots.largest([-scores["low"]], 0) - 0.02, 1.01)
        figure.supxlabel("two-way identification", fontsize=9.5)
        return plots.uri(figure)


def _dot(axes: Axes, row: dict[str, Any] | None, y: float, colour: str, face: str) -> None:
    if row is None:
        return
    axes.plot([row["chance"] + k * row["chance_sd"] for k in (-2, 2)], [y, y], color="#c3c9cf", lw=4,
              solid_capstyle="butt", zorder=1)  # fmt: skip
    axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=2, solid_capstyle="butt", zorder=3)
    axes.plot(row["score"], y, "o", color=colour, ms=5.5, mfc=face, mec=colour, zorder=4)


def heat_map(scores: pd.DataFrame, tests: pd.DataFrame) -> str:
    """Region by space: the score, and its difference to as many random voxels (* where p_holm < 0.05)."""
    regions = names_of(scores)
    tests = tests[tests["against"] == RANDOM]
    p = tests.pivot(index="region", columns="space", values="p_holm").reindex(regions, columns=list(SPACES))
    p = p.to_numpy(float)

    def grid(decoder: str) -> np.ndarray:
        cells = [[_cell(scores, region, decoder, space) for space in SPACES] for region in regions]
        return np.array([[np.nan if c is None else c["score"] for c in row] for row in cells], float)

    own = grid(REGION)
    difference = own - grid(RANDOM)
    largest = max(0.02, plots.largest([pd.Series(np.abs(difference).ravel())], 0))
    with matplotlib.rc_context({**plots.STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(9.5, 1.4 + 0.36 * len(regions)), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, values, title, look, digits in (
            (panels[0], own, "score of the region's decoder",
             {"cmap": "Blues", "vmin": 0.5, "vmax": 1}, "{:.3f}"),
            (panels[1], difference, "minus as many random voxels",
             {"cmap": "PuOr_r", "vmin": -largest, "vmax": largest}, "{:+.3f}"),
        ):  # fmt: skip
            image = axes.imshow(values, aspect="auto", **look)
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    star = "*" if values is difference and p[row, column] < 0.05 else ""
                    dark = sum(image.to_rgba(value)[:3]) < 1.5
                    axes.text(column, row, digits.format(value).replace("-", "−") + star, ha="center",
                              va="center", fontsize=8.5, color="white" if dark else plots.INK)  # fmt: skip
            axes.set(title=title, xticks=range(len(SPACES)), yticks=range(len(regions)))
            axes.set_xticklabels(SPACES.values(), rotation=20, ha="right", fontsize=8.5)
            axes.set_yticklabels(regions)
            axes.tick_params(length=0)
        return plots.uri(figure)


def _base_images(person: Results, folder: Path, stimuli: Pictures, regions: Sequence[str]) -> list[Card]:
    """Test images evenly spread by image id, with the base image of all voxels and of each region."""
    there = np.sort(results.picture_ids(person.files.base))
    ids = [int(there[k]) for k in gallery.evenly(len(there), SHOWN)]
    columns = {"seen": gallery.stimuli_of(stimuli, ids), ALL: gallery.small_of(person.files.base, ids)}
    for region in regions:
        columns[region] = gallery.small_of(folder / region / "base_images.h5", ids)
    return [
        Card(person.subject, i, None, 0, [
            Picture(label, source[i], f"{label}, image id {i}, {person.subject}")
            for label, source in columns.items()
        ], [])
        for i in ids
    ]  # fmt: skip


def _synthetic(subject: str, folder: Path) -> dict[str, Any]:
    """What synthetic responses were painted as, and how far they are from real ones."""
    table = results.table(folder / "synthetic.tsv", UNUSUAL)
    pictures = read_hdf5(folder / "synthetic.h5", "base", "final", "region")
    cards = [
        Card(subject, -1, None, 0, [
            Picture(region, gallery.data_uri(image), f"{kind} of a synthetic response, {region}")
            for region, image in zip(pictures["region"], pictures[name], strict=True)
        ], [kind])
        for name, kind in (("base", "base image"), ("final", "final image"))
    ]  # fmt: skip
    amplitude = read_parameters(folder / "synthetic_features.h5")["amplitude"]
    return {
        "cards": cards,
        "amplitude": amplitude,
        "rows": table[table["region"] != ZERO].to_dict("records"),
    }
