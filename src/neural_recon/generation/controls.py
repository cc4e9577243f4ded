"""Every control there is: the one list of the pictures that the run's own are compared with, and what these
are painted from.

Rules, tests, tables, plots and cards read this list. A generator adds its own (`Generator.own_controls`). The
file of a control that is painted is `reconstructions/SUBJECT/NAME.h5`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.random_streams import shuffled_pairs
from neural_recon.core.tables import write_table
from neural_recon.features.feature_files import read_rows, select_rows

if TYPE_CHECKING:  # generators name their own controls
    from neural_recon.generation.generator import Generator

Picture = Literal["final", "base"]
Pair = tuple[str, str]  # variant and picture, as in all tables of scores


@dataclass(frozen=True)
class Control:
    """A variant of the pictures: the run's own (`RUN`), or one that they are compared with.

    Attributes:
        name: in the column `variant`, and of its file.
        title: in tables and plots.
        colour: in plots; "": grey.
        hollow: its markers are.
        response: it knows the response to the image.
        baseline: of training images, their dataset in `baselines/SUBJECT.h5`; these are the same whichever of
            the run's pictures they are compared with.
        against: what paired tests call it; "": there are none of it.
        compared: which of the run's pictures these compare with it.
        card: what the gallery says before its title; "": it is on no card.
    """

    name: str
    title: str
    colour: str = ""
    hollow: bool = False
    response: bool = True
    baseline: str = ""
    against: str = ""
    compared: tuple[Picture, ...] = ("final",)
    card: str = ""

    def picture(self, own: str) -> str:
        """What is compared with one of the run's pictures: a value of the column `picture`."""
        return "baseline" if self.baseline else own


@dataclass(frozen=True)
class Painted(Control):
    """One that is painted.

    Attributes:
        fit: whose base images and guides.
        swapped: the guides are another image's.
        base: it starts from base images, where the generator does.
        draw: of the noise.
        settings: of the generator, that differ from the run's.
        of: which generators it tells something of: every one, those where base images and guides both enter,
            or one whose configuration asks for it.
    """

    fit: str = "decoded"
    swapped: bool = False
    base: bool = True
    draw: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    of: Literal["every", "two stages", "asked"] = "every"


RUN = Painted("decoded", "", "#0072B2")
# in the order of tables and plots; colours of Okabe & Ito, told apart with any kind of colour vision
CONTROLS: dict[str, Control] = {
    one.name: one
    for one in (
        Painted("guides_only", "guides only", "#56B4E9", against="guides only", card="the image from",
                base=False, of="two stages"),
        Painted("true_features", "true features", "#009E73", against="its ceiling",
                card="the image from the picture's", fit="true_features"),
        Control("calibration_published", "published calibration", against="the published calibration",
                compared=("base",)),
        Control("calibration_train", "training calibration", against="the training calibration",
                compared=("base",)),
        Painted("shuffled", "shuffled decoder", "#CC79A7", hollow=True, response=False,
                against="the shuffled decoder", compared=("final", "base"), card="the final image of a",
                fit="shuffled"),
        # the mean of the training images' features
        Painted("prior", "prior alone", "#A6761D", response=False, card="the image from the", fit="prior",
                of="asked"),
        Painted("swapped", "swapped guides", "#D55E00", swapped=True, of="two stages"),
        Control("nearest_image", "nearest training image", "#56718A", baseline="nearest",
                against="the nearest training image", card="the"),
        Control("random_image", "random training image", "#56718A", baseline="random", response=False,
                against="a random training image"),
        Control("mean_image", "mean training image", "#56718A", baseline="mean", response=False,
                against="the mean image", compared=("final", "base")),
    )
}  # fmt: skip
# The fits that all results have: the decoder's, its control, and the ceiling.
FITS = (RUN.name, "shuffled", "true_features")


def controls(kind: type[Generator], settings: Generator.Settings, draws: int) -> list[Painted]:
    """The controls that are painted of a generator: those of every kind; further draws, `draws` with the
    run's, where the kind draws noise; those of two stages where there are two; the kind's own. Those that a
    configuration asks for are not among them.

    Raises:
        InputError: one of its own is named as another variant is.
    """
    known = [one for one in CONTROLS.values() if isinstance(one, Painted)]
    every, staged = ([one for one in known if one.of == of] for of in ("every", "two stages"))
    more = [_draw(k) for k in range(1, draws if kind.draws else 1)]
    taken = [one.name for one in kind.own_controls if by_name(one.name)]
    if taken:
        raise InputError(
            f"{settings.kind}: expected controls of other names than neural_recon.generation.controls has, "
            f"found {', '.join(taken)}; rename them."
        )
    return [*every, *more, *(staged if settings.two_stages else ()), *kind.own_controls]


def _draw(k: int) -> Painted:
    against = "another draw" if k == 1 else ""
    return Painted(f"seed{k}", f"draw {k + 1}", RUN.colour, against=against, draw=k)


def by_name(name: str, own: Iterable[Control] = ()) -> Control | None:
    """The run's own pictures or the control of this name; None: there is none.

    Args:
        own: a generator's.
    """
    if name.startswith("seed") and name.removeprefix("seed").isdigit():
        return _draw(int(name.removeprefix("seed")))
    if name.startswith("components_"):
        return Painted(name, f"{name.removeprefix('components_')} components", fit=name)
    return {one.name: one for one in (RUN, *CONTROLS.values(), *own)}.get(name)


def painted(name: str, own: Iterable[Control] = ()) -> Painted:
    """The same of one that is painted; a ValueError where there is none."""
    found = by_name(name, own)
    if not isinstance(found, Painted):
        raise ValueError(f"{name} is no way to paint.")
    return found


def of_components(k: int) -> str:
    """The fit of a decoder that sees the first k components of the responses only."""
    return f"components_{k}"


def comparisons(some: Iterable[Control]) -> dict[str, tuple[Pair, Pair]]:
    """What paired tests compare the run's pictures with: name -> the two, first minus second."""
    return {
        f"{own} against {one.against}": ((RUN.name, own), (one.name, one.picture(own)))
        for one in some
        if one.against
        for own in one.compared
    }


def all_comparisons(own: Iterable[Control] = ()) -> dict[str, tuple[Pair, Pair]]:
    """The same of every control, and of base images with final ones."""
    between = {"final against base": ((RUN.name, "final"), (RUN.name, "base"))}
    return between | comparisons([*CONTROLS.values(), _draw(1), *own])


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
    generator = generator.changed(how.settings)
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
