"""The model card of a decoder that is handed on: Markdown under a head of YAML, in the hub's form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import yaml

from neural_recon import __version__
from neural_recon.datasets.dataset import Terms
from neural_recon.datasets.grids import Grid
from neural_recon.decoding.decoder import Holding
from neural_recon.evaluation.leak_statement import LeakStatement
from neural_recon.report import words

# variant -> what the scores of its final images are, in the card's table
SHOWN = {
    "decoded": "decoded",
    "shuffled": "trained on shuffled pairs",
    "true_features": "true features (ceiling)",
}
TAGS = ("fmri", "brain-decoding", "image-reconstruction")
NOT_FOR = (
    "on anybody but the person it was trained on: it is a map of that person's voxels",
    "to find out what somebody saw, thought or remembers without their informed consent, or outside a study "
    "that an ethics committee has approved",
    "as evidence: in court, in an interrogation, in hiring, insurance or any decision about a person",
    "for diagnosis or treatment",
    "as a picture of what was seen: details come from the generator's knowledge of pictures, and the scores "
    "above say how much comes from the brain",
)


class SpaceFacts(NamedTuple):
    """What is said of one space's decoder."""

    kind: str
    components: tuple[int, int] | None  # kept, of how many
    error: float | None  # what leaving out components was found to cost, where any were
    difference: float  # from the run's predictions of the test images, in units of their spread


@dataclass(frozen=True)
class Card:
    """All that the card says.

    Attributes:
        numbers: of images, trials and repetitions (`results.amount`).
        scores: `scores/SUBJECT/summary.tsv`.
        weights: place in the project and sha256.
        files: name and bytes of the kept files.
        versions: of what fitted the decoders, by name.
    """

    subject: str
    recipe: str
    terms: Terms
    simulated: bool
    sessions: Sequence[int]
    numbers: Mapping[str, float]
    preset: str
    decoder: str
    generator: str
    spaces: Mapping[str, SpaceFacts]
    zscore: str
    voxels: int
    grid: Grid
    scores: pd.DataFrame
    leaks: LeakStatement
    held: Holding
    weights: Sequence[tuple[str, str]]
    files: Mapping[str, int]
    versions: Mapping[str, str]


def text(card: Card) -> str:
    """The card, ready to be written as README.md."""
    final = _final(card.scores)
    head = yaml.safe_dump(_head(card, final), sort_keys=False, allow_unicode=True, width=1000)
    sections = [f"---\n{head}---", *_introduction(card), *_scores(card, final), *_files(card), *_terms(card)]
    return "\n\n".join(sections) + "\n"


def _final(scores: pd.DataFrame) -> pd.DataFrame:
    """The final images' scores, one row per metric and column per variant that is shown."""
    mine = scores[(scores["picture"] == "final") & scores["variant"].isin(SHOWN) & scores["mean"].notna()]
    return mine.set_index(["metric", "variant"])


def _head(card: Card, final: pd.DataFrame) -> dict[str, Any]:
    """What the hub reads (huggingface.co/docs/hub/model-cards): licence, tags, results."""
    licence = {"license": "mit"} if card.terms.licence == "MIT" else {
        "license": "other",
        "license_name": card.terms.licence,
        **({"license_link": card.terms.address} if card.terms.address else {}),
    }  # fmt: skip
    metrics = [
        {"type": metric, "name": words.metric_title(metric), "value": round(float(row["mean"]), 4)}
        for (metric, variant), row in final.iterrows()
        if variant == "decoded"
    ]
    return {
        **licence,
        "library_name": "neural-recon",
        "tags": [*TAGS, *(["simulated"] if card.simulated else [])],
        "model-index": [
            {
                "name": f"{card.recipe}, {card.subject}",
                "results": [
                    {
                        "task": {"type": "image-reconstruction", "name": "Pictures from fMRI responses"},
                        "dataset": {"type": "fmri", "name": card.terms.name},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }


def _introduction(card: Card) -> list[str]:
    n, grid = card.numbers, card.grid
    where = f"a volume of {' x '.join(map(str, grid.shape))}"
    if grid.affine is not None:
        where += f" with the affine {[[round(float(v), 4) for v in row] for row in grid.affine[:3]]}"
    simulated = "\n\n**Simulated data: no brain, no photograph.**" if card.simulated else ""
    return [
        f"# {card.recipe}, {card.subject}: pictures from fMRI responses{simulated}",
        "Decodes new responses of the person it was trained on into pictures, by neural-recon:",
        "```sh\nneural-recon decode --decoder THIS_FOLDER --betas NEW.nii.gz\n```",
        "## What it was trained on",
        _list(
            f"data: {card.terms.name}, {card.subject}, sessions {_ranges(card.sessions)}",
            f"training: {n['training images']:,.0f} images, {n['training trials']:,.0f} trials",
            f"test: {n['test images']:,.0f} images of {n['repetitions per test image']:.3g} "
            "repetitions on average",
            f"voxels: {card.voxels:,}, in {where}; z-scored "
            + ("by the training images" if card.zscore == "train" else "session by session"),
            f"decoder: {card.decoder}; generator: {card.generator}",
        ),
    ]


def _scores(card: Card, final: pd.DataFrame) -> list[str]:
    there = [name for name in SHOWN if name in final.index.get_level_values("variant")]
    lines = [
        f"| metric | {' | '.join(SHOWN[name] for name in there)} | chance |",
        f"|---|{'---|' * len(there)}---|",
    ]
    for metric in dict.fromkeys(final.index.get_level_values("metric")):
        cells = [_cell(final, metric, name) for name in there]
        chance = words.number(float(final.loc[(metric, "decoded"), "shuffled"]))
        lines.append(f"| {words.metric_title(metric)} | {' | '.join(cells)} | {chance} |")
    return [
        "## How good it is",
        f"Final images of the test set under the preset {card.preset}; intervals are 95 % over images "
        "(bootstrap), chance re-pairs pictures at random. Controls may be of fewer images (n).",
        "\n".join(lines),
        f"Leaks of the test set: {card.leaks.text}.",
    ]


def _cell(final: pd.DataFrame, metric: str, variant: str) -> str:
    if (metric, variant) not in final.index:
        return "–"
    row = final.loc[(metric, variant)]
    interval = f"[{words.number(float(row['ci_low']))}, {words.number(float(row['ci_high']))}]"
    return f"{words.number(float(row['mean']))} {interval}, n = {row['n']:.0f}"


def _files(card: Card) -> list[str]:
    spaces = ["| space | kind | components | difference from the run |", "|---|---|---|---|"]
    for name, facts in card.spaces.items():
        kept = "all"
        if facts.components and facts.components[0] < facts.components[1]:
            kept = f"{facts.components[0]} of {facts.components[1]}, at a relative error of {facts.error:.3g}"
        spaces.append(f"| {name} | {facts.kind} | {kept} | {facts.difference:.2g} |")
    files = [f"{name}: {size:,} bytes" for name, size in card.files.items()]
    return [
        "## Size and error",
        f"{sum(card.files.values()):,} bytes in all.",
        _list(*files),
        "\n".join(spaces),
        "Difference from the run: root mean square over the test images and features between what this "
        "folder and what the run predicted, each feature in units of its predictions' standard deviation.",
        "## What it tells of the training responses",
        card.held.said,
    ]


def _terms(card: Card) -> list[str]:
    address = f" ({card.terms.address})" if card.terms.address else ""
    made = {"written by": f"neural-recon {__version__}", **card.versions}
    return [
        "## Terms",
        f"Made from: {card.terms.name}. Terms of the data: {card.terms.licence}{address}; they hold for what "
        "is made from the data too. Each network below has a licence of its own.",
        "## What it must not be used for",
        _list(*NOT_FOR),
        "## What made it",
        _list(*(f"{name}: {version}" for name, version in made.items())),
        "Weights of networks, by place and sha256:",
        _list(*(f"`{place}`: {sha256}" for place, sha256 in card.weights)),
    ]


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending whole numbers in short: 1 to 3, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
