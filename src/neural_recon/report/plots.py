"""The report's plots: functions from tables to SVG pictures, as data URIs."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural_recon.core.tables import rows_with
from neural_recon.evaluation.registry import METRICS
from neural_recon.report import spaces, variants
from neural_recon.report.words import row_label

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

MARKERS = "os^DvPX*"  # a subject each; words.SUBJECT_SYMBOLS shows the same
INK, GREY = "#22262b", variants.GREY
STYLE: "dict[RcKeyType, Any]" = {
    "font.size": 9.5,
    "axes.edgecolor": "#aab1b8",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.8,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "svg.hashsalt": "report",  # the same numbers give the same file
}


def uri(figure: Figure) -> str:
    """A figure as SVG in a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def largest(columns: Iterable[pd.Series], otherwise: float) -> float:
    """The largest finite number of some columns; without any `otherwise`."""
    numbers = [column[np.isfinite(column.to_numpy(float))] for column in columns]
    return max((float(found.max()) for found in numbers if len(found)), default=otherwise)


def rows_of(summary: pd.DataFrame, metric: str) -> list[tuple[str, str]]:
    """The (variant, picture) that have a score, what was decoded first, controls last."""
    pairs = set(
        summary.loc[summary["metric"] == metric, ["variant", "picture"]].itertuples(index=False, name=None)
    )
    named = spaces.ordered(filter(spaces.is_space, (picture for _, picture in pairs)))
    pictures = ["final", "base", *named]

    def place(pair: tuple[str, str]) -> tuple[float | str, ...]:
        variant = variants.place(pair[0])
        picture = pictures.index(pair[1]) if pair[1] in pictures else len(pictures)
        # feature spaces one after the other, pictures variant by variant
        return (picture, variant) if spaces.is_space(pair[1]) else (variant, picture, *pair)

    return sorted((tuple(pair) for pair in pairs), key=place)


def scores(summary: pd.DataFrame, metric: str, subjects: Sequence[str]) -> str:
    """One metric of all subjects: one row per variant, dots with 95 % intervals, chance as grey bars.

    Args:
        summary: the summaries of all subjects, one below the other.
        metric: which score.
        subjects: in the order of their markers.
    """
    frame = summary[(summary["metric"] == metric) & summary["mean"].notna()]
    rows = rows_of(frame, metric)
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(5.6, 0.7 + (0.3 + 0.05 * max(len(subjects), 2)) * max(len(rows), 2)),
            layout="constrained",
        )
        axes = figure.subplots()
        step = min(0.28, 0.62 / len(subjects))
        for place, (variant, picture) in enumerate(rows):
            if place % 2 == 0:
                axes.axhspan(place - 0.5, place + 0.5, color="#f3f5f7", lw=0, zorder=0)
            mine = rows_with(frame, variant=variant, picture=picture)
            of_space = spaces.is_space(picture)
            colour = spaces.colour(picture) if of_space else variants.colour(variant, picture)
            for k, subject in enumerate(subjects):
                found = mine[mine["subject"] == subject]
                if len(found):
                    _dot(axes, found.iloc[0], place + step * (k - (len(subjects) - 1) / 2), step, k, colour,
                         hollow=variants.known(variant).hollow)  # fmt: skip
        axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
        axes.set_yticklabels([row_label(*row) for row in rows])
        low, high = axes.get_xlim()
        known = METRICS.get(metric)
        if known and known.chance is not None:
            low, high = min(low, known.chance - 0.1), 1.01
        elif known and known.of == "names":
            low, high = 0, 1.01
        elif known and known.of == "pixels":
            low = min(low, 0)
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        return uri(figure)


def _dot(axes: Axes, row: pd.Series, y: float, step: float, subject: int, colour: str, hollow: bool) -> None:
    """One score: dot, interval, and its own chance level with two standard deviations around it."""
    if np.isfinite(row["shuffled"]):
        spread = 2 * (row["shuffled_sd"] if np.isfinite(row["shuffled_sd"]) else 0)
        axes.fill_betweenx(
            [y - step / 2, y + step / 2], row["shuffled"] - spread, row["shuffled"] + spread,
            color="#c3c9cf", lw=0, zorder=1,
        )  # fmt: skip
        axes.plot([row["shuffled"]] * 2, [y - step / 2, y + step / 2], color=GREY, lw=1.3, zorder=2)
    if np.isfinite(row["ci_low"]) and np.isfinite(row["ci_high"]):
        axes.plot(
            [row["ci_low"], row["ci_high"]], [y, y], color=colour, lw=2.2, solid_capstyle="butt", zorder=3
        )
    axes.plot(
        row["mean"], y, MARKERS[subject % len(MARKERS)], color=colour, ms=6.5, mew=1.4,
        mfc="white" if hollow else colour, mec=colour if hollow else "white", zorder=4,
    )  # fmt: skip


def loss_curves(tables: Mapping[str, pd.DataFrame]) -> str | None:
    """A decoder's total loss over the epochs: a panel per training, a line per subject.

    Args:
        tables: subject -> table training, epoch, images (training or held out), loss, value.

    Returns:
        None without any table.
    """
    if not tables:
        return None
    trainings = list(dict.fromkeys(name for table in tables.values() for name in table["training"]))
    with matplotlib.rc_context({**STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(max(3.5 * len(trainings), 4.5), 2.9), layout="constrained")
        panels = figure.subplots(1, len(trainings), squeeze=False)[0]
        for axes, training in zip(panels, trainings, strict=True):
            for k, (subject, table) in enumerate(tables.items()):
                total = rows_with(table, training=training, loss="total")
                for images, style in (("training", "-"), ("held out", "--")):
                    mine = total[total["images"] == images]
                    label = subject if images == "training" else None
                    axes.plot(mine["epoch"], mine["value"], style, color=f"C{k}", lw=1.4, label=label)
            axes.set(title=training, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panels[0].set_ylabel("loss")
        panels[0].legend()
        return uri(figure)


def alpha_curves(curves: Mapping[str, Mapping[str, pd.DataFrame]]) -> str | None:
    """Cross-validated R^2 over the ridge penalty: a panel a feature space, a line per subject or group of it.

    Args:
        curves: subject -> space -> table alpha, fold, score, chosen, group.

    Returns:
        None where every penalty was fixed.
    """
    tried = {
        space: {s: c[space] for s, c in curves.items() if space in c and c[space]["score"].notna().any()}
        for space in dict.fromkeys(space for tables in curves.values() for space in tables)
    }
    tried = {space: tables for space, tables in tried.items() if tables}
    if not tried:
        return None
    with matplotlib.rc_context({**STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(max(3.5 * len(tried), 4.5), 2.9), layout="constrained")
        panels = figure.subplots(1, len(tried), squeeze=False)[0]
        for axes, (space, tables) in zip(panels, tried.items(), strict=True):
            colour = spaces.colour(space)
            for k, subject in enumerate(curves):
                if subject not in tables:
                    continue
                marker, style = MARKERS[k % len(MARKERS)], ("-", "--", ":", "-.")[k % 4]
                table = tables[subject].dropna(subset="score")
                groups = [group for _, group in table.groupby("group")]
                alone = len(groups) == 1  # the folds of many groups would hide their lines
                for n, group in enumerate(groups):
                    mean = group.groupby("alpha")["score"].mean()
                    if alone:
                        axes.plot(
                            group["alpha"], group["score"], marker, color=colour, ms=3.5, alpha=0.35, mew=0
                        )
                    axes.plot(
                        mean.index, mean, style, color=colour, lw=1.6 if alone else 0.7,
                        label=None if n else subject,
                    )  # fmt: skip
                    chosen = group.loc[is_true(group["chosen"]), "alpha"].unique()
                    axes.plot(
                        chosen, mean.loc[chosen], marker, color=colour, ms=9 if alone else 4, mec=INK,
                        mew=1.2 if alone else 0.5,
                    )  # fmt: skip
            axes.axhline(0, color=GREY, lw=0.8, ls=":")
            axes.set(xscale="log", title=spaces.title(space), xlabel="alpha")
            axes.yaxis.set_major_locator(MaxNLocator(5))
        panels[0].set_ylabel("held-out R²")
        if len(curves) > 1:
            panels[-1].legend(fontsize=8.5)
        return uri(figure)


def is_true(column: pd.Series) -> np.ndarray:
    """A column of booleans, however the table's reader took them."""
    return column.astype(str).str.lower().isin(["true", "1", "1.0"]).to_numpy()


def noise_ceilings(ceilings: Mapping[str, Mapping[str, np.ndarray]]) -> str | None:
    """Box plots of the voxels' noise ceilings: a panel per subject, a row per region.

    Args:
        ceilings: subject -> region -> (n_voxels,) share of variance.

    Returns:
        None where no voxel has a noise ceiling.
    """
    regions = list(dict.fromkeys(r for groups in ceilings.values() for r, v in groups.items() if len(v)))
    if not regions:
        return None
    with matplotlib.rc_context({**STYLE, "ytick.labelsize": 9}):
        figure = Figure(
            figsize=(max(3.2 * len(ceilings) + 1.4, 5), 0.9 + 0.25 * len(regions)), layout="constrained"
        )
        panels = figure.subplots(1, len(ceilings), sharex=True, sharey=True, squeeze=False)[0]
        top = max((np.quantile(v, 0.95) for g in ceilings.values() for v in g.values() if len(v)), default=1)
        top = min(1.0, max(1.25 * float(top), 0.1))
        for axes, (subject, groups) in zip(panels, ceilings.items(), strict=True):
            places = [k for k, region in enumerate(regions) if len(groups.get(region, ()))]
            axes.boxplot(
                [groups[regions[k]] for k in places], positions=places, orientation="horizontal", widths=0.62,
                whis=(5, 95), showfliers=False, patch_artist=True, manage_ticks=False,
                boxprops={"facecolor": "#9cc3de", "edgecolor": "#3b6d8f", "linewidth": 0.9},
                medianprops={"color": INK, "linewidth": 1.5},
                whiskerprops={"color": "#3b6d8f", "linewidth": 0.9}, capprops={"linewidth": 0},
            )  # fmt: skip
            for k in places:
                axes.text(1.01, k, f"{len(groups[regions[k]]):,}", transform=axes.get_yaxis_transform(),
                          va="center", fontsize=8, color=GREY)  # fmt: skip
            axes.set(title=subject, xlabel="noise ceiling (share of variance)", xlim=(-0.01 * top, top))
            axes.set(ylim=(len(regions) - 0.4, -0.6), yticks=range(len(regions)))
            axes.set_yticklabels(regions)
            axes.grid(axis="x", color="#e3e7ea", lw=0.8)
            axes.set_axisbelow(True)
            axes.text(1.01, -0.95, "voxels", transform=axes.get_yaxis_transform(), fontsize=8, color=GREY)
        return uri(figure)
