"""Data sets: trials, voxels, pictures and captions, and the files they come in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural_recon.datasets.captioned import captioned
from neural_recon.datasets.dataset import DATA_SETS, SUBJECTS, DataSet

CAPTIONS = "captions"  # below the results


def load(config: Mapping[str, Any]) -> DataSet:
    """The data set of a configuration.

    Args:
        config: the configuration's sections `dataset`, `subjects`, and of captions that a model writes
            `captioner` and `pathvars`, plain values; others are not looked at.

    Raises:
        InputError: there is no such kind of data set.
        ValueError: a setting is wrong.
    """
    settings = DATA_SETS.settings(config["dataset"])
    of_one = SUBJECTS.section(settings.kind)
    subjects = {name: of_one.model_validate(one) for name, one in config.get("subjects", {}).items()}
    places = config.get("pathvars") or {}
    results = places.get("shared", places.get("results", "results"))
    return of_settings(settings, subjects, results if config.get("captioner") else None)


def of_settings(settings: Any, subjects: Mapping[str, Any], results: str | Path | None = None) -> DataSet:
    """The data set of checked settings.

    Args:
        settings: the section `dataset`.
        subjects: what it says of single subjects.
        results: the folder below which a captioning model's captions lie; None: the data set's own.
    """
    kind = DATA_SETS.load(settings.kind)
    if results is not None:
        kind = captioned(kind, Path(results) / CAPTIONS)
    return kind(settings, subjects)
