"""The head of the page: the main score of each subject, and what to know before quoting it."""

from collections.abc import Mapping, Sequence
from typing import Any

from neural_recon.core.kinds import as_released
from neural_recon.decoding.decoder import DECODERS
from neural_recon.evaluation.registry import HEADLINE, PUBLISHED_TITLES
from neural_recon.features.space import SPACES
from neural_recon.generation.generator import GENERATORS
from neural_recon.report import gallery, penalties, spaces, words
from neural_recon.report.results import Results


def headline(person: Results) -> dict[str, Any]:
    """A subject's main score alongside base images, ceiling and (in it) chance."""
    return {
        "subject": person.subject,
        "images": person.data["test images"],
        "score": person.score(*gallery.SCORE),
        "base": person.score("decoded", "base", HEADLINE),
        "ceiling": person.score("true_features", "final", HEADLINE),
    }


def caveats(people: Sequence[Results], configuration: Mapping[str, Any], tuned: str) -> list[tuple[str, str]]:
    """What the main score rests on, each in a line: (what, how it is); `tuned` as of `DataSet.tuned`."""
    decoder = configuration.get("decoder") or {}
    found = []
    if configuration.get("demo") is not None:
        found.append(("Data", "simulated: voxels, pictures and noise. Nothing here is about people."))
    else:
        found.append(("Data", "measured responses; figures are of each subject, never pooled."))
    found.append(("Amount", "; ".join(_amount(person) for person in people) + "."))
    preset = (configuration.get("evaluation") or {}).get("preset")
    if preset:
        sizes = (
            "at the size of the final images"
            if preset == "native"
            else "sizes and SSIM as published under it"
        )
        found.append(("Preset", f"{preset}: {sizes}. Figures compare under the same preset only."))
    found.append(("Penalty", penalties.in_short(people)))
    found.append(("Leakage", _leakage(decoder.get("calibration"), tuned)))
    if said := captioner(configuration):
        found.append(("Captions", said))
    if (regions := regions_read(configuration)) and any(regions.values()):
        each = (f"{space} from {', '.join(names) or 'all'}" for space, names in regions.items())
        found.append(("Voxels", f"{'; '.join(each)}."))
    if ways := released_ways(configuration):
        found.append(
            ("As released", f"{'; '.join(ways)}. Not the defaults here; docs/method.md has the why.")
        )
    found.append(("Not measured", not_measured(people)))
    return [(what, how) for what, how in found if how]


def captioner(configuration: Mapping[str, Any]) -> str:
    """Who wrote the captions, where it was no person; else ""."""
    named = configuration.get("captioner")
    if not named:
        return ""
    return (
        f"written by BLIP from the pictures ({named['weights']}), not by people: what is predicted from "
        "captions, and what captions are compared with, is what that model says of a picture."
    )


def regions_read(configuration: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Of each space by its title, the regions it is predicted from; none: all voxels."""
    decoder = configuration.get("decoder")
    if not decoder:
        return {}
    settings = DECODERS.settings(decoder)
    return {spaces.title(space): settings.regions_of(space) for space in configuration.get("spaces") or {}}


def released_ways(configuration: Mapping[str, Any]) -> list[str]:
    """The settings of spaces, decoder and generator that go the released code's way, not the default's."""
    own = {f"spaces.{name}": (SPACES, raw) for name, raw in (configuration.get("spaces") or {}).items()}
    parts = {"decoder": DECODERS, "generator": GENERATORS}
    seams = own | {name: (kinds, configuration.get(name)) for name, kinds in parts.items()}
    return [
        way for place, (kinds, raw) in seams.items() if raw for way in as_released(kinds.settings(raw), place)
    ]


def _amount(person: Results) -> str:
    data = person.data
    return (
        f"{person.subject}: {data['test images']:,} test images × "
        f"{data['repetitions per test image']:.3g} repetitions, decoder from "
        f"{data['training images']:,} images"
    )


def _leakage(calibration: str | None, tuned: str) -> str:
    if calibration == "published":
        return (
            "not free of it: predictions are scaled by statistics of the test set, as in published scripts."
        )
    betas = (
        f"; but the betas {tuned} were tuned on repetitions of test images before they were published"
        if tuned
        else ""
    )
    return f"none known here: decoder, penalty and scaling come from the training images alone{betas}."


def not_measured(people: Sequence[Results]) -> str:
    """Which scores are missing for the final images, and why: those with a reason, then the usual ones
    that are not in the tables at all."""
    variant, picture, _ = gallery.SCORE
    reasons: dict[str, list[str]] = {}
    for metric in dict.fromkeys([*PUBLISHED_TITLES, *(m for p in people for m in p.summary["metric"])]):
        if any(person.score(variant, picture, metric) for person in people):
            continue
        why = next((w for w in (p.missing(variant, picture, metric) for p in people) if w), "")
        if why or metric in PUBLISHED_TITLES:
            reasons.setdefault(why or "not among the scores computed", []).append(words.metric_title(metric))
    return "".join(f"{', '.join(names)} ({why}). " for why, names in reasons.items()).strip()
