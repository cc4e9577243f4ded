"""The page on one subject's responses: can they be trusted, and where."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neural_recon.core.files import write_text
from neural_recon.report import plots
from neural_recon.report.brain import brain_map
from neural_recon.report.page import render
from neural_recon.responses import session_agreement, session_verdicts
from neural_recon.responses.quality import REPEATED, Quality, dropped

LOOKS = {  # marker, face and edge of a session
    "ok": ("o", "#0072B2", "#0072B2"),
    "not checked": ("o", "white", plots.GREY),
    "wrong": ("X", "#D55E00", "#D55E00"),
}
FIGURES = {
    "mean": "mean response\n({unit})",
    "spread": "spread, SD over\ntrials ({unit})",
    "agreement": "agreement with\nother sessions (r)",
}


def build(
    output: str | Path,
    subject: str,
    found: Quality,
    cortex: np.ndarray | None,
    demo: bool,
    unit: str = "% signal change",
) -> None:
    """Write the page: one HTML file without anything outside it.

    Args:
        output: the file.
        subject: such as "subj01".
        found: of `quality.examine`.
        cortex: as of `DataSet.cortex`; None: without the map.
        demo: whether the subject is simulated.
        unit: of the responses, as of `DataSet.unit`.
    """
    sessions, voxels = found.sessions, found.voxels
    figures = sessions[["agreement", "agreement_z", "reading_r", "reading_z", "mean", "spread"]]
    content = {
        "subject": subject,
        "demo": demo,
        "unit": unit,
        "sentence": session_verdicts.sentence(sessions),
        "state": state(sessions),
        "advice": session_verdicts.advice(sessions, subject),
        "sessions": [{**row, "look": kind(row["verdict"])} for row in sessions.to_dict("records")],
        "dashes": bool(figures.isna().any(axis=None)),
        "session_plot": session_plot(sessions, unit),
        "regions": found.regions.to_dict("records"),
        "names": _names(found.regions),
        "reliability": reliability_plot(found),
        "unmeasured": unmeasured(voxels),
        "in_a_list": "y" not in voxels,
        "map": "" if cortex is None else brain_map(voxels, cortex),
        "voxels": len(voxels),
        "dropped": dropped(voxels),
        "criterion": {
            "agrees": session_agreement.AGREES,
            "otherwise": session_agreement.OTHERWISE,
            "share": session_agreement.SHARE,
            "trials": session_agreement.TRIALS,
            "outlier": session_verdicts.OUTLIER,
            "fewest": session_verdicts.FEWEST,
        },
    }
    write_text(output, render("quality.html", content))


def kind(verdict: str) -> str:
    """ "ok", "not checked" or "wrong"."""
    return verdict if verdict in (session_verdicts.OK, session_verdicts.UNCHECKED) else "wrong"


def state(sessions: pd.DataFrame) -> str:
    """ "wrong", "note" (unchecked or outlying sessions) or "ok"."""
    if session_verdicts.faults(sessions):
        return "wrong"
    return (
        "note"
        if (sessions["verdict"] != session_verdicts.OK).any() or (sessions["outlier"] != "").any()
        else "ok"
    )


def unmeasured(voxels: pd.DataFrame) -> str:
    """How many of the voxels with data have no reliability, and why; empty where all have one."""
    kept = voxels["dropped"] == ""
    n, without = int(kept.sum()), int((kept & voxels["reliability"].isna()).sum())
    if not n:
        return "Reliability and noise ceiling are not measured: no voxel has data in every session."
    if without == n:
        return (
            f"Reliability and noise ceiling are not measured: fewer than {REPEATED} images were shown at "
            "least twice, or no voxel varies over these."
        )
    return (
        f"Of {n:,} voxels with data {without:,} have no reliability, as their responses do not vary over the "
        "repeated images; medians are over the others."
        if without
        else ""
    )


def session_plot(sessions: pd.DataFrame, unit: str) -> str:
    """A panel each for mean, spread and agreement; a dot per session."""
    x = np.arange(len(sessions))
    with matplotlib.rc_context({**plots.STYLE, "ytick.major.size": 3}):
        figure = Figure(figsize=(min(11, 4.5 + 0.2 * len(x)), 5.6), layout="constrained")
        panels = figure.subplots(3, 1, sharex=True)
        for axes, (name, label) in zip(panels, FIGURES.items(), strict=True):
            values = sessions[name].to_numpy(float)
            middle = np.nanmedian(values) if np.isfinite(values).any() else 0
            spread = np.nanmedian(np.abs(values - middle)) if np.isfinite(values).any() else 0
            if len(x) >= session_verdicts.FEWEST and spread > 0:
                half = session_verdicts.OUTLIER * spread / 0.6745
                axes.axhspan(middle - half, middle + half, color="#f0f3f5", lw=0, zorder=0)
            if name == "agreement":
                z = sessions["agreement_z"].to_numpy(float)  # r over its sd; without either no bar
                sd = np.abs(np.divide(values, z, out=np.full(len(z), np.nan), where=np.abs(z) > 0))
                axes.bar(x, 4 * sd, 0.5, -2 * sd, color="#c3c9cf", lw=0, zorder=1)
            for verdict, (marker, face, edge) in LOOKS.items():
                mine = (sessions["verdict"].map(kind) == verdict).to_numpy()
                size = 7 if verdict == "wrong" else 6
                axes.plot(x[mine], values[mine], marker, mfc=face, mec=edge, ms=size, label=verdict, zorder=3)
            out = sessions["outlier"].str.split(", ").map(lambda names, name=name: name in names).to_numpy()
            axes.plot(
                x[out], values[out], "o", mfc="none", mec=plots.INK, ms=12, label="stands out", zorder=2
            )
            axes.set_ylabel(label.format(unit=unit), fontsize=9)
            axes.axhline(0, color=plots.GREY, lw=0.8, zorder=1)  # small differences look small
            axes.margins(y=0.12)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.grid(axis="y", color="#e3e7ea", lw=0.8, zorder=0)
            axes.set_axisbelow(True)
        panels[-1].set(xlabel="session", xlim=(-0.6, len(x) - 0.4))
        every = max(1, len(x) // 20)
        panels[-1].set_xticks(x[::every], sessions["session"].astype(str)[::every])
        shown = {label: handle for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)
                 if len(handle.get_xdata())}  # fmt: skip
        figure.legend(shown.values(), shown, loc="outside upper right", ncols=4, fontsize=8.5)
        return plots.uri(figure)


def _names(regions: pd.DataFrame) -> dict[tuple[str, str], str]:
    """What the rows of a table of regions are called, by atlas and region: with the category where several
    atlases have the region."""
    return {
        (atlas, region): f"{region} ({atlas.removeprefix('floc-')})" if atlas.startswith("floc") else region
        for atlas, region in regions[["atlas", "region"]].itertuples(index=False)
    }


def reliability_plot(found: Quality) -> str:
    """Box plots of the voxels' reliability, a row per region; a dot where the region is one voxel."""
    voxels, groups = found.voxels, {}
    for (atlas, region), name in _names(found.regions).items():
        inside = voxels["reliability"][voxels[atlas] == region if atlas else slice(None)].to_numpy()
        groups[name] = inside[np.isfinite(inside)]
    with matplotlib.rc_context({**plots.STYLE, "ytick.labelsize": 9}):
        figure = Figure(figsize=(8, 0.9 + 0.25 * len(groups)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=plots.GREY, lw=0.8)
        for place, values in enumerate(groups.values()):
            if len(values) > 1:
                axes.boxplot(
                    [values], positions=[place], orientation="horizontal", widths=0.62, whis=(5, 95),
                    showfliers=False, patch_artist=True, manage_ticks=False,
                    boxprops={"facecolor": "#9cc3de", "edgecolor": "#3b6d8f", "linewidth": 0.9},
                    medianprops={"color": plots.INK, "linewidth": 1.5},
                    whiskerprops={"color": "#3b6d8f", "linewidth": 0.9}, capprops={"linewidth": 0},
                )  # fmt: skip
            else:
                axes.plot(values, [place] * len(values), "o", color="#3b6d8f", ms=6)
            axes.text(1.01, place, f"{len(values):,}", transform=axes.get_yaxis_transform(), va="center",
                      fontsize=8, color=plots.GREY)  # fmt: skip
        axes.text(1.01, -0.95, "voxels", transform=axes.get_yaxis_transform(), fontsize=8, color=plots.GREY)
        axes.set(xlabel="split-half reliability", ylim=(len(groups) - 0.4, -0.6), yticks=range(len(groups)))
        axes.set_yticklabels(groups)
        axes.grid(axis="x", color="#e3e7ea", lw=0.8)
        axes.set_axisbelow(True)
        return plots.uri(figure)
