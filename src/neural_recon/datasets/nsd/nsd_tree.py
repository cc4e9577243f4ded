"""Readers of the Natural Scenes Dataset's own files (Allen et al. 2022, Nature Neuroscience).

Every array keeps NSD's orientation (x, y, z); ids of images are 0-based, sessions, trials, repetitions and
positions 1-based. What a file can say (shapes, which images are shared) is read from it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import NUMPY, UNKNOWN, WITHOUT_CONTENT, look
from neural_recon.core.hdf5 import dataset, open_hdf5
from neural_recon.core.refusals import is_there, refusal, require_file
from neural_recon.datasets.nsd.matlab import read_whole_numbers

# importing it takes longer than all else here, and only the design is read as a table
if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SESSIONS = dict(zip([f"subj{n:02d}" for n in range(1, 9)], [40, 40, 32, 30, 40, 32, 40, 30], strict=True))
SESSIONS_DESIGNED = 40  # in the experiment design, also of subjects who came less often
TRIALS_PER_SESSION = 750
PUBLISHED_SESSIONS = 37  # of the published decoders' split, for the subjects who came so often
PUBLISHED_IMAGES = {"train": 8859, "test": 982}
N_IMAGES = 73_000
LARGEST_SIDE = 2048  # of a picture; NSD's have 425
N_SHARED = 1000  # positions up to here of every subject's images are the shared ones
STIMULI = "NSD's nsd_stimuli.hdf5, which has the dataset imgBrick (73000, 425, 425, 3)"
CONVERT = "docs/troubleshooting.md shows how to make a table of strings (images, captions) of it"
SHARED = "shared"  # the list of stimuli that all subjects see

BUCKET_FOLDERS = ("nsddata", "nsddata_betas", "nsddata_stimuli")  # the others of the tree come from elsewhere

# atlas -> region -> label in the volume roi/{atlas}.nii.gz
REGIONS: dict[str, dict[str, int]] = {
    atlas: {name: label for label, name in enumerate(names.split(), start=1)}
    for atlas, names in {
        "nsdgeneral": "nsdgeneral",
        "prf-visualrois": "V1v V1d V2v V2d V3v V3d hV4",
        "prf-eccrois": "ecc0pt5 ecc1 ecc2 ecc4 ecc4+",  # named by the outer border in degrees
        "floc-faces": "OFA FFA-1 FFA-2 mTL aTL",
        "floc-bodies": "EBA FBA-1 FBA-2 mTL",
        "floc-places": "OPA PPA RSC",
        "floc-words": "OWFA VWFA-1 VWFA-2 mfs mTL",
        "streams": "early midventral midlateral midparietal ventral lateral parietal",
    }.items()
}
# parts that one speaks of together
UNIONS = {"prf-visualrois": {area: (f"{area}v", f"{area}d") for area in ("V1", "V2", "V3")}}


@dataclass(frozen=True)
class Tree:
    """Where the files of an NSD tree lie, named as in the public bucket."""

    root: Path | str
    space: str = "func1pt8mm"
    preparation: str = "betas_fithrf_GLMdenoise_RR"

    @property
    def expdesign(self) -> Path:
        return Path(self.root) / "nsddata/experiments/nsd/nsd_expdesign.mat"

    @property
    def stimuli(self) -> Path:
        return Path(self.root) / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"

    @property
    def stimulus_info(self) -> Path:
        """The table that names each image's origin in COCO."""
        return Path(self.root) / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"

    @property
    def captions(self) -> Path:
        return Path(self.root) / "annots/COCO_73k_annots_curated.npy"

    def roi(self, subject: str, atlas: str) -> Path:
        """The label volume of an atlas, such as "prf-visualrois"."""
        return Path(self.root) / f"nsddata/ppdata/{subject}/{self.space}/roi/{atlas}.nii.gz"

    def mask(self, subject: str) -> Path:
        """The volume `nsdgeneral`."""
        return self.roi(subject, "nsdgeneral")

    def betas(self, subject: str, session: int, format: str = "nii.gz") -> Path:
        """The single-trial responses of one session; format "nii.gz" or "hdf5"."""
        return self._betas_folder(subject) / f"betas_session{session:02d}.{format}"

    def ncsnr(self, subject: str) -> Path:
        """The volume of noise-ceiling signal-to-noise ratios."""
        return self._betas_folder(subject) / "ncsnr.nii.gz"

    def key(self, path: Path) -> str | None:
        """What the public bucket calls a file of the tree; None: it has no such folder."""
        if not path.is_relative_to(self.root):
            return None
        relative = path.relative_to(self.root)
        return relative.as_posix() if relative.parts[:1] and relative.parts[0] in BUCKET_FOLDERS else None

    def _betas_folder(self, subject: str) -> Path:
        return Path(self.root) / f"nsddata_betas/ppdata/{subject}/{self.space}/{self.preparation}"


def read_experiment(expdesign: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The variables of `nsd_expdesign.mat`: masterordering (trials,), subjectim (8, images) and sharedix
    (shared images,), int64 and 1-based, for `design_table`.

    Raises:
        InputError: no such file, or a file without these variables.
    """
    path = Path(expdesign)
    if not is_there(path, "NSD's experiment design"):
        raise InputError(f"{path}: expected NSD's experiment design, found no such file.")
    ordering, images, shared = read_whole_numbers(path, ("masterordering", "subjectim", "sharedix"))
    found = f"{ordering.shape} and {images.shape}"
    ordering = ordering.ravel()
    if images.ndim != 2 or len(images) != len(SESSIONS) or ordering.size < TRIALS_PER_SESSION:
        raise InputError(
            f"{path}: expected masterordering (1, trials) and subjectim ({len(SESSIONS)}, images), found "
            f"{found}."
        )
    for name, values, last in (
        ("masterordering's positions", ordering, images.shape[1]),
        ("subjectim's images", images, N_IMAGES),
    ):
        if values.min() < 1 or values.max() > last:
            raise InputError(
                f"{path}: expected {name} within 1 to {last}, found {values.min()} to {values.max()}."
            )
    return ordering, images, shared.ravel()


def design_table(
    masterordering: np.ndarray,
    subjectim: np.ndarray,
    sharedix: np.ndarray,
    subject: str,
    sessions: Sequence[int],
) -> pd.DataFrame:
    """Lay an experiment design out as one row per trial.

    Args:
        masterordering: (n_trials,) 1-based positions in a subject's images, the same for all subjects.
        subjectim: (8, n_images) 1-based image ids by subject and position.
        sharedix: 1-based ids of the images that all subjects saw.
        subject: "subj01" to "subj08".
        sessions: 1-based sessions, in the order wanted.

    Returns:
        Columns session, trial (1-based in the session), repetition (1-based, counted from session 1 on,
        whatever `sessions` holds), image_id (0-based), position (1-based), shared (bool).
    """
    if subject not in SESSIONS:
        raise InputError(f"subject: expected one of {', '.join(SESSIONS)}, found {subject!r}.")
    sessions = list(sessions)
    last = len(masterordering) // TRIALS_PER_SESSION
    wrong = [session for session in sessions if not 1 <= session <= last]
    if wrong or not sessions or len(set(sessions)) < len(sessions):
        raise InputError(f"sessions: expected different ones of the design's 1 to {last}, found {sessions}.")
    import pandas as pd

    repetition = pd.Series(masterordering).groupby(masterordering).cumcount().to_numpy() + 1
    rows = np.concatenate([np.arange((s - 1) * TRIALS_PER_SESSION, s * TRIALS_PER_SESSION) for s in sessions])
    position = masterordering[rows]
    image = subjectim[list(SESSIONS).index(subject), position - 1]
    return pd.DataFrame(
        {
            "session": rows // TRIALS_PER_SESSION + 1,
            "trial": rows % TRIALS_PER_SESSION + 1,
            "repetition": repetition[rows],
            "image_id": image - 1,
            "position": position,
            "shared": np.isin(image, sharedix),
        }
    )


def shared_as_met(expdesign: str | Path, sessions: int) -> np.ndarray:
    """NSD ids (0-based) of the shared images of the first `sessions`, or of all if the design has fewer, in
    the order in which they were first shown: the same for every subject.
    """
    ordering, images, _ = read_experiment(expdesign)
    import pandas as pd

    shown = pd.unique(pd.Series(ordering[: sessions * TRIALS_PER_SESSION]))
    return images[0, shown[shown <= N_SHARED] - 1] - 1


def shared_images(expdesign: str | Path) -> np.ndarray:
    """NSD ids (0-based) of the shared images in ascending order, as NSD's own names number them from 1."""
    _, _, shared = read_experiment(expdesign)
    return np.sort(shared) - 1


def read_stimuli(
    path: str | Path, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False
) -> np.ndarray:
    """Read pictures by their ids, in any order and with repetitions: uint8 (n, 425, 425, 3).

    With `empty_ok` a picture that was never filled in comes as it is, all zero: an excerpt of NSD may lack
    pictures that nothing later asks for.

    Raises:
        InputError: the file is missing or cut short, an id lies outside it, or pictures were never filled in
            (all zero, which no picture of NSD is).
    """
    ids, empty = np.asarray(image_ids, np.int64).ravel(), []
    with open_hdf5(path) as file:
        brick = _brick(path, file)
        _check_ids(path, ids, len(brick))
        pictures = np.empty((len(ids), *brick.shape[1:]), np.uint8)
        for image_id in np.unique(ids):
            try:
                picture = brick[image_id]
            except OSError as error:
                damaged = InputError(
                    f"{path}: the file is damaged at image {image_id} ({error}); fetch it again."
                )
                raise (refusal(path, error, "NSD's pictures") or damaged) from error
            if not picture.any():
                empty.append(int(image_id))
            pictures[ids == image_id] = picture
    if empty and not empty_ok:
        raise InputError(f"{_none_filled_in(path, empty, len(np.unique(ids)))}.")
    logger.info("%s: %d pictures", path, len(ids))
    return pictures


def check_filled(path: str | Path, image_ids: Sequence[int] | np.ndarray, more: str = "") -> None:
    """Look whether the pictures of ids are there, before any is used: one line of each is read, and all of
    those whose line is black.

    Args:
        more: what else may be wrong, at the end of the message.

    Raises:
        InputError: as of `read_stimuli`, with the number of all that are empty.
    """
    ids = np.unique(np.asarray(image_ids, np.int64))
    with open_hdf5(path) as file:
        brick = _brick(path, file)
        _check_ids(path, ids, len(brick))
        middle = brick.shape[1] // 2
        empty = [int(i) for i in ids if not brick[i, middle].any() and not brick[i].any()]
    if empty:
        raise InputError(f"{_none_filled_in(path, empty, len(ids))}{more}.")


def _none_filled_in(path: str | Path, empty: Sequence[int], asked: int) -> str:
    # one alone is not "as are 1 of the 40"
    others = f", as are {len(empty)} of the {asked} asked for" if len(empty) > 1 else ""
    without, these = ("them", "these images") if others else ("it", "this image")
    return (
        f"{path}: expected a picture for NSD id {empty[0]}, found an empty one (all zero){others}; the "
        f"file's download was not finished, or it is an excerpt without {without}: fetch it again, or leave "
        f"{these} out"
    )


def check_stimuli(path: str | Path) -> None:
    """Look at the pictures' file without reading it: all of NSD's must have room in it, as uint8 RGB.

    Raises:
        InputError: the file is missing, cut short or another one.
    """
    with open_hdf5(path) as file:
        brick = _brick(path, file)
        if len(brick) != N_IMAGES:
            raise InputError(
                f"{path}: expected imgBrick ({N_IMAGES}, height, width, 3), found imgBrick {brick.shape}; "
                f"name {STIMULI}."
            )


def _brick(path: str | Path, file: h5py.File) -> h5py.Dataset:
    brick = dataset(path, file, "imgBrick", filled=False, meant=STIMULI)
    if (
        brick.ndim != 4
        or brick.shape[3] != 3
        or max(brick.shape[1:3]) > LARGEST_SIDE
        or brick.dtype != np.uint8
    ):
        raise InputError(
            f"{path}: expected imgBrick as uint8 (images, height, width, 3), at most {LARGEST_SIDE} pixels a "
            f"side, found {brick.dtype} {brick.shape}; name {STIMULI}."
        )
    return brick


def read_captions(
    path: str | Path, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False
) -> list[list[str]]:
    """Read the captions of images, one to five each; empty ones are dropped.

    With `empty_ok` an image without captions has an empty list.

    Raises:
        InputError: the file is missing, cut short or no table of strings (images, 5), an id lies outside it,
            or an image has no caption at all.
    """
    ids = np.asarray(image_ids, np.int64).ravel()
    require_file(path, "the captions")
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a broken header raises many kinds
        if (said := refusal(path, error, "the captions")) is not None:
            raise said from error
        found = look(path)
        if found.kind in (NUMPY, UNKNOWN):  # numpy takes what it does not know for a pickle
            reason = str(error) if found.kind == NUMPY else found.text
            raise InputError(
                f"{path}: expected a whole .npy file of strings, found one that cannot be read ({reason})."
            ) from error
        way = found.cure if found.kind in WITHOUT_CONTENT else CONVERT
        raise InputError(
            f"{path}: expected a whole .npy file of strings, found one that cannot be read as such: "
            f"{found.text}; {way}."
        ) from error
    if not isinstance(table, np.ndarray) or table.dtype.kind != "U" or table.ndim != 2:
        raise InputError(
            f"{path}: expected strings (images, captions), one row for each NSD id, found "
            f"{look(path).text}; {CONVERT}."
        )
    _check_ids(path, ids, len(table))
    rows = np.ascontiguousarray(table[ids])
    codes = rows.view(np.dtype("u4").newbyteorder(rows.dtype.byteorder)) if rows.nbytes else rows
    if rows.nbytes and codes.max() > sys.maxunicode:
        raise InputError(f"{path}: expected text, found numbers that are no characters; fetch it again.")
    captions = [[str(caption) for caption in row if caption] for row in rows]
    empty = [int(image_id) for image_id, found in zip(ids, captions, strict=True) if not found]
    if empty and not empty_ok:
        others = f", as for {len(empty)} of the {len(ids)} asked for" if len(empty) > 1 else ""
        raise InputError(
            f"{path}: expected captions for every image, found none for NSD id {empty[0]}{others}; take a "
            f"file with all of them, or leave {'these images' if others else 'this image'} out."
        )
    return captions


def _check_ids(path: str | Path, ids: np.ndarray, n_images: int) -> None:
    outside = ids[(ids < 0) | (ids >= n_images)]
    if outside.size:
        raise InputError(f"{path}: expected NSD ids within 0 to {n_images - 1}, found {outside[0]}.")


def find_region(name: str) -> tuple[str, tuple[str, ...]]:
    """The atlas and its regions that a name means.

    One region ("V1v", "floc-faces/FFA-1", "streams/ventral"), a union ("V1": V1v and V1d), or all regions of
    an atlas ("floc-faces").

    Raises:
        InputError: no atlas has the region, or several have and the name does not say which.
    """
    if name in REGIONS:
        return name, tuple(REGIONS[name])
    atlas, _, region = name.rpartition("/")
    for a, unions in UNIONS.items():
        if region in unions and atlas in ("", a):
            return a, unions[region]
    found = [a for a, members in REGIONS.items() if region in members and atlas in ("", a)]
    if len(found) == 1:
        return found[0], (region,)
    if found:
        choices = ", ".join(f"{a}/{region}" for a in found)
        raise InputError(f"regions: {name!r} is in several atlases; write one of {choices}.")
    known = "; ".join(
        f"{a}: {' '.join([*members, *UNIONS.get(a, ())])}"
        for a, members in REGIONS.items()
        if atlas in ("", a)
    )
    known = known or "atlases: " + " ".join(REGIONS)
    raise InputError(f"regions: expected a known region, found {name!r} ({known}).")


def is_mask_file(name: str) -> bool:
    """Whether a region is given as a NIfTI file; what it has above zero is the region."""
    return name.endswith((".nii", ".nii.gz"))


def mask_files(names: Iterable[str], subject: str) -> dict[str, str]:
    """The NIfTI files among the names of regions, by name; `{subject}` in a path is filled in."""
    return {name: name.replace("{subject}", subject) for name in names if is_mask_file(name)}
