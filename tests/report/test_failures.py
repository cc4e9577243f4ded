"""The images that the report names as those where a decoder fails."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import draw, write_stimuli

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.report import failures
from neural_recon.report.files import SubjectFiles
from neural_recon.report.results import Results

IDS = list(range(20))
GAPS = {
    ("decoded", "base"): np.linspace(0.3, 0.9, 20),
    ("decoded", "final"): np.full(20, 0.6),
    ("true_features", "final"): np.linspace(0.9, 0.61, 20),
}


@pytest.fixture
def person(tmp_path, rng):
    """A subject whose last images have better base images, and whose first ones have higher ceilings."""
    rows = [
        pd.DataFrame({"variant": v, "picture": p, "metric": "clip_two_way", "image_id": IDS, "value": values})
        for (v, p), values in GAPS.items()
    ]
    paths = {name: tmp_path / f"{name}.h5" for name in ("base", "final", "true_features")}
    for path in paths.values():
        write_hdf5(path, {"image_id": np.array(IDS), "images": draw(rng, len(IDS), 32, 8)}, {})
    empty = {field.name: None for field in dataclasses.fields(Results)}
    no_files = {field.name: None for field in dataclasses.fields(SubjectFiles)}
    painted = {"true_features": paths.pop("true_features")}
    files = SubjectFiles(**{**no_files, **paths, "painted": painted, "subject": "subj01"})
    return Results(**{**empty, "images": pd.concat(rows, ignore_index=True), "files": files})


@pytest.fixture
def stimuli(tmp_path, rng):
    return write_stimuli(tmp_path / "stimuli.hdf5", IDS, draw(rng, len(IDS), 425, 20)).pictures


def test_the_widest_gaps_come_first(person, stimuli):
    base, ceiling = failures.section([person], stimuli)
    assert [card.image_id for card in base["cards"]] == IDS[:-11:-1]
    assert (base["wider"], base["total"]) == (10, 20)
    assert [card.image_id for card in ceiling["cards"]] == IDS[:10]
    assert (ceiling["wider"], ceiling["total"]) == (20, 20)
    first = ceiling["cards"][0]
    assert first.score == pytest.approx(0.3)
    assert [picture.label for picture in first.pictures] == [
        "seen",
        "true features 0.900",
        "final image 0.600",
    ]
    assert all(picture.source.startswith("data:") for picture in first.pictures)


def test_without_a_ceiling_or_a_gap_there_is_no_section(person, stimuli):
    images = person.images
    decoded = images[(images["variant"] == "decoded") & (images["picture"] == "final")]
    assert failures.section([dataclasses.replace(person, images=decoded)], stimuli) == []
    equal = images.assign(value=0.6)
    assert failures.section([dataclasses.replace(person, images=equal)], stimuli) == []
