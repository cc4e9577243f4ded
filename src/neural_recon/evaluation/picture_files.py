"""Pictures from anywhere as 8-bit sRGB, and the folders they lie in.

What a file says of its pixels is used or refused, never passed over: which way up they are (EXIF), how many
bits they have, what they are transparent on, whose colours they are (ICC), how many pictures there are.
"""

import functools
import io
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import PICTURE, explained
from neural_recon.core.refusals import kind_of
from neural_recon.evaluation.picture_names import Naming
from neural_recon.evaluation.ssim_variants import RADIUS

logger = logging.getLogger(__name__)

THREADS = 4  # decoding leaves the interpreter free
SUFFIXES = (".png", ".jpg", ".jpeg")
OTHERS = (".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".jp2", ".avif", ".heic")  # pictures all the same
FORMATS = ("PNG", "JPEG")  # whatever the name says, no other reader is to run: one of them starts a program
MOST_PIXELS = 4096**2  # of a picture; published ones have 1024 a side at most
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # 8 bits a channel, or fewer
TURNED = "turned"  # of a picture's info: it was not stored upright
SRGB_GAMMA, GAMMAS = 1 / 2.2, 0.02  # as PNG says it, and how far off is the same
SAME_COLOURS = 4  # levels of 255 on average: a gamma of 2.2 differs by 2 from sRGB, other primaries by 12


def picture_files(folder: Path, naming: Naming | None = None) -> dict[int, Path]:
    """The pictures of a folder by NSD id.

    Raises:
        InputError: no such folder, no pictures, a picture's name that is no id, or two for one id.
    """
    folder, naming = Path(folder), naming or Naming()
    paths = picture_paths(folder)
    files: dict[int, Path] = {}
    for path, image in naming.images(paths).items():
        other = files.setdefault(image, path)
        if other != path:
            alike = naming.numbers == "alike" or (other.stem.isdigit() and path.stem.isdigit())
            raise InputError(
                f"{folder}: expected one picture of image {image}, found {other.name} and {path.name}"
                f"{'' if alike else ' (NSD’s own names count from 1, ids from 0)'}."
            )
    own = sum(not path.stem.isdigit() for path in paths)
    if 0 < own < len(paths) and naming.numbers != "alike":
        logger.warning(
            "%s: names of two kinds, %d of NSD's own, which count from 1, and %d ids, which count from %d.",
            folder, own, len(paths) - own, naming.first,
        )  # fmt: skip
    return files


def picture_paths(folder: Path) -> list[Path]:
    """The PNG and JPEG files of a folder; hidden ones, subfolders and others are passed over.

    Raises:
        InputError: no such folder, or no pictures in it.
    """
    if kind_of(folder, "a folder of pictures") != "folder":
        raise InputError(f"{folder}: expected a folder of pictures, found none.")
    every = [path for path in sorted(folder.iterdir()) if not (path.name.startswith(".") or path.is_dir())]
    paths = [path for path in every if path.suffix.lower() in SUFFIXES]
    others = [path for path in every if path.suffix.lower() in OTHERS]
    if not paths:
        found = f"only others such as {others[0].name}: save them as PNG" if others else "none"
        raise InputError(
            f"{folder}: expected pictures ({', '.join(SUFFIXES)}), such as 00123.png of the image 123, found "
            f"{found}."
        )
    if others:
        logger.warning(
            "%s: %d pictures such as %s are passed over: only PNG and JPEG are read.",
            folder, len(others), others[0].name,
        )  # fmt: skip
    return paths


def read_picture(path: Path) -> Image.Image:
    """A picture as 8-bit RGB, upright; `TURNED` in its info says that it was stored otherwise.

    Raises:
        InputError: it cannot be read, is an animation, has more than 8 bits a channel or other colours than
            sRGB, or is transparent somewhere.
    """
    try:
        with Image.open(path, formats=FORMATS) as opened:
            check_pixels(path, opened.size)
            stored = "".join(str(tile.args) for tile in opened.tile)
            opened.load()
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
            frames = getattr(opened, "n_frames", 1) if opened.format == "PNG" else 1  # JPEG: previews
            image = ImageOps.exif_transpose(opened) if turned else opened.copy()
    except InputError:
        raise
    except Exception as error:  # a broken picture raises many kinds
        damaged = InputError(
            f"{path}: expected a whole picture, found one that cannot be read ({error}); write it again."
        )
        raise (explained(path, error, "a whole picture (PNG or JPEG)", PICTURE) or damaged) from error
    if frames > 1:
        raise InputError(f"{path}: expected one picture, found an animation of {frames}; save the one meant.")
    if image.mode not in MODES:
        raise InputError(
            f"{path}: expected an RGB or grey picture of 8 bits, found mode {image.mode}; save it as 8-bit "
            "RGB."
        )
    if ";16" in stored:
        raise InputError(
            f"{path}: expected an RGB or grey picture of 8 bits, found 16 bits per channel; save it as 8-bit "
            "RGB."
        )
    _check_opaque(path, image, stored)
    _check_colours(path, image)
    image = image.convert("RGB")
    image.info[TURNED] = turned
    return image


def read_pictures(files: Mapping[int, Path], image_ids: np.ndarray) -> list[Image.Image]:
    """The pictures of images, some at a time: `read_picture` of their files."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read_picture, [files[i] for i in image_ids]))


def check_pixels(path: Path, size: tuple[int, int]) -> None:
    """Raise an InputError on more pixels than are read."""
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"{path}: expected a picture of at most {MOST_PIXELS} pixels, found {size[0]} x {size[1]}; "
            "make it smaller."
        )


def _check_opaque(path: Path, image: Image.Image, stored: str) -> None:
    if not image.has_transparency_data:
        return
    # of fewer bits than 8 the library finds no pixel of the transparent grey
    few = image.mode == "1" or (image.mode == "L" and any(f";{bits}" in stored for bits in (2, 4)))
    if few or np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise InputError(f"{path}: expected an opaque picture, found a transparent one; fill its background.")


def _check_colours(path: Path, image: Image.Image) -> None:
    """What is not sRGB: its numbers mean other colours than those of the pictures it is compared with."""
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    found = _other_colours(profile) if profile else None
    if not profile and gamma and "srgb" not in image.info and abs(gamma - SRGB_GAMMA) > GAMMAS:
        found = f"a gamma of {gamma:g}"
    if found:
        raise InputError(
            f"{path}: expected the colours of sRGB, found {found}; convert it to sRGB, or take that entry "
            "out where the numbers are meant as they are."
        )


@functools.lru_cache(maxsize=64)
def _other_colours(profile: bytes) -> str | None:
    """A profile's name, if colours under it are others than in sRGB, whatever it calls itself."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(opened).strip() or "a profile without a name"
        mode = {"RGB": "RGB", "GRAY": "L"}.get(opened.profile.xcolor_space.strip())
        if mode is None:
            return f"the profile {name!r}"
        levels = np.arange(0, 256, 15).astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
        values = colours if mode == "RGB" else levels[None]
        shown = ImageCms.profileToProfile(
            Image.fromarray(values), opened, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except Exception as error:  # a broken profile raises many kinds
        return f"a profile that cannot be read ({error})"
    difference = np.abs(np.asarray(shown).astype(int) - (values if mode == "RGB" else values[..., None]))
    return f"the profile {name!r}" if difference.mean() > SAME_COLOURS else None


def one_size(files: dict[int, Path]) -> int:
    """The side of all pictures, from their headers; a square stays one whichever way it is turned.

    Raises:
        InputError: a file that is no picture, or one that is not square, too small, or not like the others.
    """
    first: tuple[int, int] | None = None
    for path in files.values():
        try:
            with Image.open(path, formats=FORMATS) as image:
                size = image.size
        except Exception as error:
            other = InputError(f"{path}: expected a picture, found a file that is none ({error}).")
            raise (explained(path, error, "a picture (PNG or JPEG)", PICTURE) or other) from error
        check_pixels(path, size)
        first = first or size
        if size != first or size[0] != size[1] or size[0] <= 2 * RADIUS:
            raise InputError(
                f"{path}: expected square pictures of one size above {2 * RADIUS} pixels for the preset "
                f"native, found {size[0]} x {size[1]} alongside {first[0]} x {first[1]}; another preset "
                "resizes them."
            )
    if first is None:
        raise ValueError("files: expected at least one picture, found none")
    return first[0]
