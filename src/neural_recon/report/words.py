"""The report's sentences: names of scores, how to read them, and what to know before believing them."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from neural_recon.evaluation.registry import HEADLINE, METRICS, NEAREST, WRITTEN, better, compared
from neural_recon.report import spaces, variants

SUBJECT_SYMBOLS = "●■▲◆▼✚✖★"  # in the order of plots.MARKERS

SWAPPED_TITLES = {  # of pictures with another image's guides
    "guide_object": METRICS["guide_object"].title,
    "object": "object of the base image's picture named",
    "guide_two_way": METRICS["guide_two_way"].title,
    HEADLINE: "CLIP two-way, base image's picture",
}
_PICTURES = {"final": "final", "base": "base", "baseline": "picture"}
CAPTION_TITLES = {NEAREST: "nearest training caption", WRITTEN: "generator's caption"}


def metric_title(metric: str) -> str:
    """A score's name in a sentence; above numbers `heading`."""
    return METRICS[metric].title if metric in METRICS else metric.replace("_", " ")


def heading(metric: str) -> str:
    """A score's name above its numbers, with what is better where that is not the higher."""
    return metric_title(metric) + (" (lower is better)" if better(metric) == "lower" else "")


def metric_short(metric: str) -> str:
    """A score's name on a card."""
    return metric_title(metric).replace("two-way identification", "two-way")


def metric_caption(metric: str) -> str:
    """How to read a score."""
    return METRICS[metric].caption if metric in METRICS else ""


def row_label(variant: str, picture: str) -> str:
    """What a row of a table or plot shows, such as "final, true features"."""
    if spaces.is_space(picture):
        what = spaces.title(picture)
    elif picture in CAPTION_TITLES:
        what = CAPTION_TITLES[picture]
    elif picture == "baseline":
        return variants.label(variant)
    else:
        what = {"final": "final image", "base": "base image"}.get(picture, picture)
        if variant != "decoded":
            what = _PICTURES.get(picture, picture)
    how = "" if variant == "decoded" else variants.label(variant)
    return f"{what}, {how}" if how else what


def number(value: Any, digits: int = 3) -> str:
    """A score to three decimals, "–" for none."""
    if not finite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return f"−{text[1:]}" if text.startswith("-") and float(text) else text.lstrip("-")


def p_value(value: Any) -> str:
    """A p-value to three decimals."""
    if not finite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_said(value: Any) -> str:
    """A p-value in a sentence: "p < 0.001", "p = 0.012", "p not measured"."""
    if not finite(value):
        return "p not measured"
    return f"p {'' if value < 0.001 else '= '}{p_value(value)}"


def finite(value: Any) -> bool:
    """Whether there is a number, and it is neither NaN nor infinite."""
    return value is not None and math.isfinite(value)


def refits(score: Mapping[str, Any], variant: str = "") -> str:
    """What refits on shuffled pairs make of a score, "" without them.

    Args:
        score: a row of the summary.
        variant: its label; the shuffled decoder is one of the refits itself.
    """
    count = score.get("refits")
    if count is None or not finite(count):
        return ""
    p, k = float(score["refit_p"]), int(count)
    reach = round(p * (1 + k)) - 1
    which = f"one of {k + 1} shuffled refits, the others" if variant == variants.label("shuffled") else (
        f"{k} shuffled refits"
    )  # fmt: skip
    of = ""
    if number(score["refit_score"]) != number(score["mean"]):
        of = f" (by a sample of features, by which this is {number(score['refit_score'])})"
    return (
        f"{which} {number(score['refit_mean'])} ± {number(score['refit_sd'])}{of}: {reach or 'none'} "
        f"reach{'es' if reach <= 1 else ''} it, z = {number(score['refit_z'], 1)}, p = {p_value(p)}"
    )


def alpha(value: Any) -> str:
    """A ridge penalty."""
    if not finite(value):
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if not finite(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def megabytes(size: Any) -> str:
    """Bytes for people; "–" where they are not known."""
    if not isinstance(size, int | float) or not finite(size):
        return "–"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size:,} B"


def made_by(versions: Mapping[str, Mapping[str, str]]) -> str:
    """Which neural-recon wrote the results shown: subject -> result -> version."""
    found: dict[str, dict[str, list[str]]] = {}
    for subject, results in versions.items():
        for result, version in results.items():
            found.setdefault(version, {}).setdefault(subject, []).append(result)
    if len(found) == 1:
        return f"Responses and pictures were written by neural-recon, version {next(iter(found))}."
    where = []
    for version, people in sorted(found.items()):
        files = "; ".join(f"{subject}: {', '.join(names)}" for subject, names in people.items())
        where.append(f"{version} ({files})")
    return f"Responses and pictures were written by several versions of neural-recon: {'; '.join(where)}."


def simulated(medians: Mapping[str, Mapping[str, float]]) -> str:
    """The noise of simulated voxels: subject -> group of regions, "all voxels" first -> median ceiling."""
    people = []
    for subject, groups in medians.items():
        parts = [f"{name} {number(value, 2)}" for name, value in groups.items()]
        if parts:
            people.append(f"{subject}: {', '.join(parts)}")
    return f"Median noise ceiling of the simulated voxels: {'; '.join(people)}." if people else ""


_PAINTING = {  # (from a base image, under guides)
    (True, True): "from these a first generator paints a blurry base image, and a second one the final image",
    (False, True): "under some of these, its guides, a generator paints the final image; the base image "
    "alongside it comes from others and is no part of it",
    (True, False): "from some of these a generator paints a blurry base image, and from that alone comes the "
    "final image",
    (False, False): "a generator paints the final image without any of these",
}


def introduction(
    demo: bool,
    subjects: int,
    ceiling: bool,
    base: bool = True,
    guided: bool = True,
    visual: bool = True,
) -> str:
    """What one sees on the page, in one paragraph.

    `base`: the generator starts from base images; `guided`: predicted features guide it; `visual`: the voxels
    are known to be of visual cortex.
    """
    count = ("one", "two", "three", "four", "five", "six", "seven", "eight")[subjects - 1]
    if demo:
        people = f"{count} simulated brain{'s' if subjects > 1 else ''}"
    else:
        people = f"{count} {'people' if subjects > 1 else 'person'} in the scanner"
    return (
        f"Pictures were shown to {people}. A linear decoder learned, from some of the pictures, to turn the "
        f"responses of {'visual cortex' if visual else 'the voxels chosen'} into features of a picture; "
        f"{_PAINTING[base, guided]}. Below, "
        "each test picture is shown alongside what came out of the responses to it; the decoder was trained "
        "on none of them. Then come the scores, alongside what "
        f"chance reaches{' and what the same generator reaches with the true features' if ceiling else ''}."
    )


def notes(
    configuration: Mapping[str, Any],
    metrics: Sequence[str],
    ceiling: bool,
    less_data: bool = False,
    controls: Collection[str] = (),
    strata: bool = False,
    tuned: str = "",
) -> list[tuple[str, str]]:
    """What one has to know before believing the scores: (title, text) each.

    `tuned`: as of `DataSet.tuned`; `less_data`: how scores fall with less data is on the page; `controls`:
    which tables of controls are; `strata`: scores by similarity to the nearest training image are.
    """
    demo = configuration.get("demo") is not None
    decoder = configuration.get("decoder") or {}
    draws = (configuration.get("evaluation") or {}).get("draws", 1) if "seeds" in controls else 1
    found = []
    if demo:
        found.append((
            "Simulated data",
            "These voxels are simulated: filters, colour channels and preferences for kinds of objects, with "
            "noise. The pictures are drawings and the generators small. The figures say whether the method "
            "works on data of this kind; they say nothing about people, and do not compare with published "
            "figures.",
        ))  # fmt: skip
    calibration = decoder.get("calibration")
    alphas = set((decoder.get("alpha") or {}).values())
    penalty = "; the penalty alpha is cross-validated within them" if alphas == {"cv"} else (
        "; the penalty alpha is fixed by the configuration" if "cv" not in alphas else
        "; the penalty alpha is fixed by the configuration or cross-validated within them"
    )  # fmt: skip
    found.append((
        "Training and test",
        "Decoder, mean and standard deviation of the responses come from the training images"
        f"{penalty if alphas else ''}. Of the voxels selected only those without data in some session are "
        "left out.",
    ))  # fmt: skip
    if calibration == "train":
        found.append((
            "No test statistic (calibration: train)",
            "Mean and spread of the predictions come from held-out predictions within the training images; "
            "no statistic of the test set enters, and each test picture could have been decoded alone.",
        ))  # fmt: skip
    elif calibration == "published":
        found.append((
            "Test statistics enter (calibration: published)",
            "Predictions are z-scored with the mean and standard deviation of the test predictions, as the "
            "published scripts do. That looks at the whole test set at once and cannot be done for a single "
            "new scan; figures made so are not free of leakage.",
        ))  # fmt: skip
    elif calibration == "none":
        found.append((
            "No calibration",
            "Predictions are used as the decoder gives them: shrunk towards the training mean. No "
            "statistic of the test set enters.",
        ))  # fmt: skip
    if tuned:
        found.append((
            "Betas tuned on repetitions",
            f"The betas {tuned} were themselves tuned on repeated trials, those of test images "
            "included, before they were published. Nothing downstream can undo that.",
        ))  # fmt: skip
    if HEADLINE in metrics:
        judge = ""
        if set(compared("names")) & set(metrics):
            judge += (
                " Therefore a judge that decoder and generator never used names objects and backgrounds too."
            )
        others = [
            metric_short(m) for m in compared("network") if m in metrics and METRICS[m].network != "clip"
        ]
        if others:
            judge += f" Networks that the generator does not use score alongside it: {', '.join(others)}."
        judge = judge or (
            " A score by a network that the generator does not use would be the stronger evidence."
        )
        small = "A small CLIP" if demo else "CLIP"
        found.append(
            ("CLIP on both sides", f"{small} both conditions the generator and scores its pictures.{judge}")
        )
    found.append((
        "Chance is measured",
        "Chance levels are the mean score of the same pictures paired at random with the pictures seen; "
        "re-paired p is the share of such pairings that do at least as well. “Shuffled decoder” is a decoder "
        "refitted on training pairs put together at random: features and pictures that know nothing of the "
        "picture seen. One refit may by chance align with what many pictures share (their brightness, say), "
        "so refits scatter around chance more than re-pairings do, and re-paired p is too small for a single "
        "refit. Therefore the scores of predicted features are shown alongside many refits, with a p and z "
        "of their own. Pictures are painted for one of these refits only: their spread is not known.",
    ))  # fmt: skip
    if ceiling:
        found.append((
            "Ceiling",
            "“True features” are pictures painted from the test images' own features, not decoded ones: what "
            "a perfect decoder would reach with this generator. Controls may be painted for fewer images (n "
            "in the tables); identification takes all test images as rivals for them too, so that its scores "
            "compare.",
        ))  # fmt: skip
    found.append((
        "One draw per picture",
        f"Every picture{' of the gallery' if draws > 1 else ''} is the generator's first "
        f"{'' if draws > 1 else 'and only '}draw with the seed below; none was picked among several. "
        "Intervals (95 %, bootstrap over images) say how much the score depends on the choice of test "
        "images; not how much on the seed."
        + (
            f" For that some test images were painted {draws} times: “Several draws” has mean and spread."
            if draws > 1
            else ""
        ),
    ))  # fmt: skip
    answers = [
        *(["“Where it works and where not” shows how their scores go with similarity"] if strata else []),
        *(["“Clusters held out” answers it for training images"] if "clusters" in controls else []),
    ]
    missing = [
        (
            "What these test images would score without near twins"
            if strata
            else "How much these test images profit from near twins"
        )
        + " among the training images"
        + (f" ({'; '.join(answers)})" if answers else ""),
        *([] if less_data else ["how the scores fall with fewer voxels or trials"]),
        *([] if draws > 1 else ["how they vary between draws"]),
    ]
    found.append(("Not shown here", f"{'; '.join(missing)}."))
    return found
