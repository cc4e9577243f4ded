"""The report's section on regions: what each region's decoder reads, what synthetic responses decode to."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_recon.core.hdf5 import read_hdf5, read_parameters
from neural_recon.core.tables import first_with, rows_with
from neural_recon.datasets.dataset import Pictures
from neural_recon.evaluation.region_tests import TESTS
from neural_recon.evaluation.regions import ALL, RANDOM, REGION, SCORES, ZERO
from neural_recon.report import gallery, image_names, plots, results, spaces
from neural_recon.report.files import SubjectFiles
from neural_recon.report.gallery import Card, Picture
from neural_recon.report.results import Results

BASE = "base"  # base images, alongside the spaces of the features
BASE_COLOUR = "#CC79A7"
SHOWN = 6  # test images whose base images are shown by region
UNUSUAL = ["region", "voxels", "norm", "norm_ratio", "mean_sd"]


def section(person: Results, stimuli: Pictures) -> dict[str, Any] | None:
    """One subject's regions; None where the configuration names none."""
    files = person.files
    if files.region_scores is None or files.region_tests is None:
        return None
    scores = results.table(files.region_scores, SCORES)
    return {
        "subject": person.subject,
        "dots": dots(scores),
        "map": heat_map(scores, results.table(files.region_tests, TESTS)),
        "rows": _rows(scores),
        "spaces": list(map(title_of, columns_of(scores))),
        "cards": _base_images(person, stimuli),
        "synthetic": _synthetic(files),
    }


def names_of(scores: pd.DataFrame) -> list[str]:
    """The regions, in the order of the table."""
    return [name for name in dict.fromkeys(scores["region"]) if name != ALL]


def columns_of(scores: pd.DataFrame) -> list[str]:
    """What is scored: base images, where there are any, then the spaces of the recipe."""
    found = list(dict.fromkeys(scores["space"]))
    return [*([BASE] if BASE in found else []), *spaces.ordered(filter(spaces.is_space, found))]


def title_of(column: str) -> str:
    """A heading of these."""
    return "base image, CLIP" if column == BASE else spaces.title(column)


def _cell(scores: pd.DataFrame, region: str, decoder: str, space: str) -> dict[str, Any] | None:
    return first_with(scores, region=region, decoder=decoder, space=space)


def _rows(scores: pd.DataFrame) -> list[tuple[str, str, int, list[dict[str, Any] | None]]]:
    """Region, decoder, voxels, and the score in each space."""
    found = []
    for region, decoder in scores[["region", "decoder"]].drop_duplicates().itertuples(index=False):
        voxels = rows_with(scores, region=region, decoder=decoder)["voxels"]
        cells = [_cell(scores, region, decoder, space) for space in columns_of(scores)]
        found.append((region, decoder, int(voxels.iloc[0]), cells))
    return found


def dots(scores: pd.DataFrame) -> str:
    """A panel per space, a row per region: its decoder, and that of as many random voxels, with intervals."""
    regions, columns = [ALL, *names_of(scores)], columns_of(scores)
    sizes = scores.drop_duplicates("region").set_index("region")["voxels"]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(11, 0.9 + 0.34 * len(regions)), layout="constrained")
        panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
        for axes, space in zip(panels, columns, strict=True):
            colour = BASE_COLOUR if space == BASE else spaces.colour(space)
            everything = _cell(scores, ALL, ALL, space)
            if everything:
                axes.axvline(everything["score"], color=plots.INK, lw=0.8, ls=":", zorder=1)
            for place, region in enumerate(regions):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color="#f3f5f7", lw=0, zorder=0)
                _dot(axes, _cell(scores, region, ALL, space), place, plots.INK, plots.INK)
                _dot(axes, _cell(scores, region, REGION, space), place - 0.16, colour, colour)
                _dot(axes, _cell(scores, region, RANDOM, space), place + 0.2, plots.GREY, "white")
            axes.set(title=title_of(space), ylim=(len(regions) - 0.5, -0.5), yticks=range(len(regions)))
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
    regions, columns = names_of(scores), columns_of(scores)
    tests = tests[tests["against"] == RANDOM]
    p = tests.pivot(index="region", columns="space", values="p_holm").reindex(regions, columns=columns)
    p = p.to_numpy(float)

    def grid(decoder: str) -> np.ndarray:
        cells = [[_cell(scores, region, decoder, space) for space in columns] for region in regions]
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
            axes.set(title=title, xticks=range(len(columns)), yticks=range(len(regions)))
            axes.set_xticklabels(map(title_of, columns), rotation=20, ha="right", fontsize=8.5)
            axes.set_yticklabels(regions)
            axes.tick_params(length=0)
        return plots.uri(figure)


def _base_images(person: Results, stimuli: Pictures) -> list[Card]:
    """Test images evenly spread by image id, with the base image of all voxels and of each region."""
    if person.files.base is None:
        return []
    there = np.sort(results.picture_ids(person.files.base))
    ids = [int(there[k]) for k in gallery.evenly(len(there), SHOWN)]
    columns = {"seen": gallery.stimuli_of(stimuli, ids), ALL: gallery.small_of(person.files.base, ids)}
    for region, path in person.files.region_images.items():
        columns[region] = gallery.small_of(path, ids)
    return [
        Card(person.subject, i, None, 0, [
            Picture(label, source[i], f"{label}, {image_names.said(i)}, {person.subject}")
            for label, source in columns.items()
        ], [])
        for i in ids
    ]  # fmt: skip


def _synthetic(files: SubjectFiles) -> dict[str, Any] | None:
    """What synthetic responses were painted as, and how far they are from real ones."""
    if files.synthetic_table is None or files.synthetic is None or files.synthetic_features is None:
        return None
    table = results.table(files.synthetic_table, UNUSUAL)
    pictures = read_hdf5(files.synthetic)
    cards = [
        Card(files.subject, -1, None, 0, [
            Picture(region, gallery.data_uri(image), f"{kind} of a synthetic response, {region}")
            for region, image in zip(pictures["region"], pictures[name], strict=True)
        ], [kind])
        for name, kind in (("base", "base image"), ("final", "final image"))
        if name in pictures
    ]  # fmt: skip
    amplitude = read_parameters(files.synthetic_features)["amplitude"]
    return {
        "cards": cards,
        "amplitude": amplitude,
        "rows": table[table["region"] != ZERO].to_dict("records"),
    }
