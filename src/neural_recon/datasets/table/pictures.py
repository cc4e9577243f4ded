"""A lab's pictures, in a folder or an HDF5 file, their names and their captions."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.file_kinds import PICTURE, explained
from neural_recon.core.hdf5 import dataset, open_hdf5
from neural_recon.core.refusals import FOLDER, is_there
from neural_recon.core.tables import read_table

logger = logging.getLogger(__name__)

FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "TIFF",
    "WEBP",
)  # whatever the name says: one of PIL's readers starts a program
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
HDF5 = (".h5", ".hdf5")
WHAT = "the pictures: a folder of them, or an HDF5 file"
MODES = ("L", "RGB", "P", "1")  # of PIL: 8 bits a channel, nothing transparent


def picture_names(path: Path) -> list[str]:
    """The names of pictures in the order of their image ids: of files below a folder their paths without the
    ending, sorted; of an HDF5 file its dataset of as many strings, or else the rows' numbers from 0.

    Raises:
        InputError: there is no such folder or file, or no picture in it.
    """
    if not is_there(path, f"{FOLDER}pictures"):
        raise InputError(f"{path}: expected {WHAT}, found none; is dataset.pictures right?")
    if path.suffix in HDF5:
        with open_hdf5(path) as file:
            n_pictures = len(_stored(path, file))
            texts = [one for one in file.values() if isinstance(one, h5py.Dataset)
                     and one.shape == (n_pictures,) and h5py.check_string_dtype(one.dtype)]  # fmt: skip
            return (
                [_plain(name) for name in texts[0].asstr()[()]]
                if texts
                else list(map(str, range(n_pictures)))
            )
    names = [file.relative_to(path).with_suffix("").as_posix() for file in _files(path)]
    if not names:
        raise InputError(f"{path}: expected pictures ({', '.join(SUFFIXES)}), found none.")
    return [_plain(name) for name in names]


def _files(folder: Path) -> list[Path]:
    def hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if not hidden(path))


def _plain(name: str) -> str:
    """A name as text is usually written: some systems store accents as characters of their own."""
    return unicodedata.normalize("NFC", name)


def image_ids(names: Sequence[str], asked: Iterable[str]) -> dict[str, int]:
    """The image ids of names as a table writes them: with or without folders and ending, of HDF5 without
    names as numbers; those that there are none of are left out.

    Raises:
        InputError: a name that several pictures have.
    """
    known: dict[str, list[int]] = {}
    for image_id, name in enumerate(names):
        for key in {name, Path(name).name}:
            known.setdefault(key, []).append(image_id)
    numbered = list(names) == [str(n) for n in range(len(names))]
    found = {}
    for name in asked:
        plain = _plain(name)
        bare = plain.rpartition(".")[0] if plain.lower().endswith(SUFFIXES) else plain
        bare = str(int(bare)) if numbered and bare.isdecimal() else bare
        candidates = known.get(plain) or known.get(bare) or []
        if len(candidates) > 1 and names[candidates[0]] != bare:
            one, other = (names[image_id] for image_id in candidates[:2])
            raise InputError(
                f"trials: expected names that one picture has, found {quoted(name)}, which {quoted(one)} and "
                f"{quoted(other)} have; write the folder too."
            )
        if candidates:
            found[name] = candidates[0]
    return found


def read_pictures(path: Path, image_ids: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """Pictures by their ids, uint8 (n, size, size, 3): the square in the middle of each, resized.

    Raises:
        InputError: a picture that does not open, or is no plain 8-bit one; an id that there is none of.
    """
    ids = np.asarray(image_ids, np.int64).ravel()
    found = np.empty((len(ids), size, size, 3), np.uint8)
    if path.suffix in HDF5:
        with open_hdf5(path) as file:
            stored = _stored(path, file)
            _check_ids(path, ids, len(stored))
            for place, image_id in enumerate(ids):
                found[place] = _squared(Image.fromarray(stored[image_id]), size)
        return found
    files = _files(path)
    _check_ids(path, ids, len(files))
    for place, image_id in enumerate(ids):
        try:
            found[place] = _squared(_opened(files[image_id]), size)
        except OSError as error:
            raise InputError(
                f"{files[image_id]}: the picture is cut short or damaged ({error}); fetch it again."
            ) from error
    return found


def check_pictures(path: Path, image_ids: Sequence[int] | np.ndarray) -> None:
    """Look at the headers of pictures.

    Raises:
        InputError: as of `read_pictures`, but for damage behind the header.
    """
    if path.suffix in HDF5:
        with open_hdf5(path) as file:
            _check_ids(path, np.asarray(image_ids), len(_stored(path, file)))
        return
    files = _files(path)
    for image_id in image_ids:
        _opened(files[image_id]).close()


def smallest_side(path: Path) -> int:
    """The shortest side of any picture, in pixels."""
    if path.suffix in HDF5:
        with open_hdf5(path) as file:
            return min(_stored(path, file).shape[1:3])
    return min(min(_opened(file).size) for file in _files(path))


def _opened(path: Path) -> Image.Image:
    try:
        picture = Image.open(path, formats=FORMATS)
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        broken = InputError(f"{path}: expected a picture, found one that cannot be opened ({error}).")
        raise (explained(path, error, "a picture", PICTURE) or broken) from error
    transparent = "transparency" in picture.info
    if picture.mode not in MODES or transparent or turned:
        more = " with transparency" if transparent else ", stored turned (EXIF)" if turned else ""
        raise InputError(
            f"{path}: expected an upright picture of 8 bits a channel without transparency, found the mode "
            f"{picture.mode}{more}; save it as it was shown, as RGB."
        )
    return picture


def _squared(picture: Image.Image, size: int) -> np.ndarray:
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = picture.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(square if side == size else square.resize((size, size), Image.Resampling.BICUBIC))


def _stored(path: Path, file: h5py.File) -> h5py.Dataset:
    """The one dataset of pictures."""
    names = [
        name for name, one in file.items()
        if isinstance(one, h5py.Dataset) and one.dtype == np.uint8 and one.ndim == 4 and one.shape[3] == 3
    ]  # fmt: skip
    if len(names) != 1:
        raise InputError(
            f"{path}: expected one dataset of pictures, uint8 (n, height, width, 3), found {len(names)} "
            f"among {', '.join(file) or 'none'}."
        )
    return dataset(path, file, names[0])


def _check_ids(path: Path, ids: np.ndarray, n_images: int) -> None:
    outside = ids[(ids < 0) | (ids >= n_images)]
    if outside.size:
        raise InputError(f"{path}: expected image ids within 0 to {n_images - 1}, found {outside[0]}.")


def read_captions(path: Path, names: Sequence[str]) -> Mapping[int, list[str]]:
    """The captions of images by image id, from a TSV with the columns image and caption, one row each.

    Raises:
        InputError: the file is missing or no such table, or none of its names is a picture's.
    """
    what = "captions, with the columns image and caption"
    table = read_table(path, ["image", "caption"], what, dtype=str, keep_default_na=False)
    known = image_ids(names, table["image"].unique())
    captions: dict[int, list[str]] = {}
    for name, text in zip(table["image"], table["caption"].str.split().str.join(" "), strict=True):
        if name in known and text:
            captions.setdefault(known[name], []).append(text)
    if not captions:
        raise InputError(
            f"{path}: expected captions of the pictures, found none; are its names the pictures'?"
        )
    strangers = sorted(set(table["image"]) - set(known))
    if strangers:
        logger.info("%s: captions of %d other names, such as %r", path, len(strangers), strangers[0])
    return captions
