"""The pictures that are painted again as controls: what each is painted from.

Rules, scores and report read this list. A control's file is `reconstructions/SUBJECT/NAME.h5`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.random_streams import shuffled_pairs
from neural_recon.core.tables import write_table
from neural_recon.features.feature_files import read_rows, select_rows
from neural_recon.generation.generator import Generator


@dataclass(frozen=True)
class Painted:
    """One way to paint pictures; the run's own is `RUN`.

    Attributes:
        name: of the file.
        title: in tables and plots.
        fit: whose base images and guides.
        swapped: the guides are another image's.
        base: it starts from base images, where the generator does.
        draw: of the noise.
    """

    name: str
    title: str
    fit: str = "decoded"
    swapped: bool = False
    base: bool = True
    draw: int = 0


RUN = Painted("decoded", "")
FITS = (
    Painted("true_features", "true features", fit="true_features"),
    Painted("shuffled", "shuffled decoder", fit="shuffled"),
)
STAGES = (
    Painted("swapped", "swapped guides", swapped=True),
    Painted("guides_only", "guides only", base=False),
)
# without any response: the mean of the training images' features, where the configuration asks for it
PRIOR = Painted("prior", "prior alone", fit="prior")

TITLES = {one.name: one.title for one in (RUN, *FITS, PRIOR, *STAGES)}


def controls(kind: type[Generator], settings: Generator.Settings, draws: int) -> list[Painted]:
    """The controls that tell something of a generator: the true features, the shuffled decoder; of kinds that
    draw noise other draws, `draws` with the run's; and where base images and guides both enter, another
    image's guides, and guides alone."""
    more = [_draw(k) for k in range(1, draws if kind.draws else 1)]
    return [*FITS, *more, *(STAGES if settings.two_stages else ())]


def _draw(k: int) -> Painted:
    return Painted(f"seed{k}", f"draw {k + 1}", draw=k)


def by_name(name: str) -> Painted | None:
    """The way to paint that has this name; None: there is none."""
    if name.startswith("seed") and name.removeprefix("seed").isdigit():
        return _draw(int(name.removeprefix("seed")))
    if name.startswith("components_"):
        return Painted(name, f"{name.removeprefix('components_')} components", fit=name)
    return {one.name: one for one in (RUN, *FITS, PRIOR, *STAGES)}.get(name)


def of_components(k: int) -> str:
    """The fit of a decoder that sees the first k components of the responses only."""
    return f"components_{k}"


def swapped_ids(control_ids: np.ndarray, seed: int) -> np.ndarray:
    """Whose guides each control image gets in the swapped control: those of another control image."""
    return control_ids[shuffled_pairs(len(control_ids), seed)]


def paint(
    generator: Generator,
    how: Painted,
    files: Mapping[str, Any],
    image_ids: np.ndarray,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Pictures painted in one of these ways: arrays and parameters of their file.

    Args:
        files: the base images `base_FIT`, and for each role the predicted or true features `ROLE_FIT`: a file
            of predictions, or the chunks with the true features.

    Raises:
        InputError: an image that is not there, or as `Generator.paint`.
    """
    guide_ids = swapped_ids(image_ids, seed) if how.swapped else image_ids
    guides = {role: read_rows(files[f"{role}_{how.fit}"], guide_ids) for role in generator.settings.guides}
    base = None
    if how.base and generator.settings.base:
        base = read_base(files[f"base_{how.fit}"], image_ids)
    images = generator.paint(base, guides, image_ids, seed, how.draw)
    made_of = {"base_image": base is not None, "seed": seed, "draw": how.draw}
    arrays = {"images": images, "image_id": image_ids, "guide_id": guide_ids}
    if captions := generator.captions(guides, image_ids):
        arrays["caption"] = np.array(captions)
    return arrays, {**generator.settings.changing, **made_of}


def write_captions(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the captions of painted pictures (arrays of `paint`) as a table: image_id, caption."""
    import pandas as pd  # takes long, and few generators have captions

    write_table(path, pd.DataFrame({name: arrays[name] for name in ("image_id", "caption")}))


def read_base(path: str | Path, image_ids: np.ndarray) -> np.ndarray:
    """The base images uint8 (n, H, W, 3) of some images.

    Raises:
        InputError: an image that is not there.
    """
    arrays = read_hdf5(path, "images", "image_id")
    return select_rows(path, arrays["images"], arrays["image_id"], image_ids)
