"""Results to hand in, with made-up scores."""

from typing import Any

import numpy as np

from neural_recon.evaluation.bundles import Bundle, Recipe, Scored
from neural_recon.evaluation.controls.leaks import HOLDS, NOTHING
from neural_recon.evaluation.leak_statement import LeakStatement

IDS = list(range(3, 3 + 2 * 60, 2))
# metric: (chance, what a good decoder adds to it)
METRICS = {
    "pixcorr": (0.02, 0.3),
    "ssim": (0.25, 0.12),
    "clip_two_way": (0.5, 0.45),
    "swav_distance": (0.65, -0.25),
}
CHECKED = LeakStatement(calibration="train", checks={"images": HOLDS, "z-scores": HOLDS, "alpha": NOTHING})


def bundle(name: str, subject: str, level: float = 0.5, **changed: Any) -> Bundle:
    """The result of a decoder that is as good as `level` says, from 0 to 1; some of its fields changed."""
    rng = np.random.default_rng(list(f"{subject}{level}".encode()))
    shared = np.random.default_rng(list(subject.encode())).standard_normal(
        len(IDS)
    )  # images are hard or easy
    scores = {}
    for metric, (chance, gain) in METRICS.items():
        noise = 0.3 * abs(gain) * (shared + rng.standard_normal(len(IDS)))
        scores[metric] = Scored(values=(chance + level * gain + noise).round(6).tolist(), chance=chance)
    fields: dict[str, Any] = {
        "kind": "run",
        "name": name,
        "subject": subject,
        "dataset": "Natural Scenes Dataset (Allen et al. 2022)",
        "simulated": False,
        "preset": "brain_diffuser",
        "sessions": 40,
        "training_images": 9000,
        "image_ids": IDS,
        "pictures_sha256": "a" * 64,
        "repetitions": [3] * len(IDS),
        "scores": scores,
        "leaks": CHECKED,
        "recipe": Recipe(name=name, sha256="b" * 64, spaces={"vision": "versatile_vision"}, decoder="ridge",
                         generator="versatile_diffusion"),
        "versions": {"made by": "neural-recon 0.1.0", "with": "Python 3.11.9, numpy 2.4.6"},
        "hashes": {"summary": "c" * 64},
    }  # fmt: skip
    return Bundle(**{**fields, **changed})


def others(name: str, subject: str, level: float, **changed: Any) -> Bundle:
    """Somebody else's pictures."""
    fields = dict.fromkeys(("sessions", "training_images", "recipe"))
    stated = LeakStatement(stated="trained on sessions 1 to 40, test images left out")
    fields |= {"kind": "pictures", "repetitions": 3.0, "leaks": stated}
    return bundle(name, subject, level, **{**fields, **changed})


def five() -> list[Bundle]:
    """Two recipes, two subjects, and somebody else's pictures."""
    runs = [
        bundle(recipe, subject, level + shift)
        for recipe, level in (("brain_diffuser", 0.7), ("takagi", 0.4))
        for subject, shift in (("subj01", 0.0), ("subj02", -0.1))
    ]
    return [*runs, others("a lab's pictures", "subj01", 0.6)]
