"""Data sets: trials, voxels, pictures and captions, and the files they come in."""

from collections.abc import Mapping
from typing import Any

from neural_recon.datasets.dataset import DATA_SETS, SUBJECTS, DataSet


def load(config: Mapping[str, Any]) -> DataSet:
    """The data set of a configuration.

    Args:
        config: the configuration's sections `dataset` and `subjects`, plain values; others are not looked at.

    Raises:
        InputError: there is no such kind of data set.
        ValueError: a setting is wrong.
    """
    settings = DATA_SETS.settings(config["dataset"])
    of_one = SUBJECTS.section(settings.kind)
    subjects = {name: of_one.model_validate(one) for name, one in config.get("subjects", {}).items()}
    return DATA_SETS.load(settings.kind)(settings, subjects)
