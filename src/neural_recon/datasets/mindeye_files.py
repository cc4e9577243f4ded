"""Readers of the files that MindEye2 (Scotti et al. 2024) was trained from: hub data set `pscotti/mindeyev2`.

Names, columns and units as its README says. They were made from NSD: image ids are NSD's from 0.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import explained
from neural_recon.core.hdf5 import NUMBERS, dataset, open_hdf5
from neural_recon.core.refusals import require_file

BETAS = "a file betas_all_subj…_fp32_renorm.hdf5, which has the dataset betas (trials, voxels)"
PICTURES = "coco_images_224_float16.hdf5, which has the dataset images (images, 3, height, width)"
TAR = "a tar file of samples with behav.npy"
MEMBER = ".behav.npy"  # past_behav.npy and others are of other trials
# of a row of behav.npy: the image (from 0), the session (from 1), the row of the betas (from 0)
COLUMNS = [0, 2, 5]
BLOCK = 512  # bytes; members of a tar begin at multiples of it
LARGEST_MEMBER = 2**16  # bytes; a row of 17 numbers has 264
LARGEST_SIDE = 2048  # of a picture
ROUNDING = 0.01  # pictures may leave [0, 1] by that much


def read_shown(path: Path) -> np.ndarray:
    """Which image each sample of a tar shows: int64 (n, 3), the image id, the session and the row of betas.

    Raises:
        InputError: the file is missing, cut short or no tar, or a sample has no such numbers.
    """
    require_file(path, TAR)
    try:
        with path.open("rb") as file:
            members = list(_members(file))
    except (OSError, ValueError, OverflowError) as error:
        damaged = InputError(f"{path}: expected {TAR}, found one that does not read ({error}); get it again.")
        raise (explained(path, error, TAR, "tar") or damaged) from error
    if not members:
        raise InputError(f"{path}: expected {TAR}, found none of them; name the folder wds as it was given.")
    return np.stack([_shown(path, name, content) for name, content in members])


def _members(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Name and content of each `MEMBER` of a tar, POSIX's ustar.

    Not by tarfile, which takes several times as long: every start of the workflow, and each job whose inputs
    depend on who saw what, reads the tars of all sessions, 30,000 samples of several members per subject.
    """
    while len(head := file.read(BLOCK)) == BLOCK:
        if not any(head):
            return
        name, size = head[:100].rstrip(b"\0").decode(), int(head[124:136].strip(b" \0"), 8)
        if head[257:262] != b"ustar" or size < 0:
            raise ValueError("no header of a member where one has to be")
        if name.endswith(MEMBER):
            content = file.read(min(size, LARGEST_MEMBER))
            yield name, content
            size -= len(content)
            file.seek(-len(content) % BLOCK, io.SEEK_CUR)
        file.seek(-(-size // BLOCK) * BLOCK, io.SEEK_CUR)
    raise ValueError("it is cut short")


def _shown(path: Path, member: str, content: bytes) -> np.ndarray:
    try:
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a broken header raises many kinds
        raise InputError(
            f"{path}: expected {member} as a whole .npy file of numbers, found none ({error}); get it again."
        ) from error
    found = f"{values.dtype} {values.shape}"
    if values.dtype.kind in NUMBERS and values.ndim in (1, 2) and values.size:
        row = np.atleast_2d(values)[0]
        if len(row) > max(COLUMNS):
            numbers = row[COLUMNS].astype(np.float64)
            if np.isfinite(numbers).all() and (numbers >= [0, 1, 0]).all() and not (numbers % 1).any():
                return numbers.astype(np.int64)
            found = f"{', '.join(f'{number:g}' for number in numbers)} there"
    raise InputError(
        f"{path}: expected {member} with the image in column 0, the session (from 1) in 2 and the row of the "
        f"betas in 5, found {found}; get it again."
    )


def read_betas(path: Path, rows: np.ndarray, n_voxels: int) -> np.ndarray:
    """The betas of some rows, ascending, float32 (n, n_voxels).

    Raises:
        InputError: the file is missing, damaged or of another shape, or has no such rows, or not numbers.
    """
    with open_hdf5(path) as file:
        data = open_betas(path, file)
        check_rows(path, data, rows)
        if data.shape[1] != n_voxels:
            raise InputError(
                f"{path}: expected betas of {n_voxels} voxels, as the table of voxels has, found "
                f"{data.shape[1]}; compute the voxels again."
            )
        values = data[rows].astype(np.float32)
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise InputError(
            f"{path}: expected finite betas, found others in row {rows[wrong.any(1).argmax()]} and at "
            f"{np.count_nonzero(wrong.any(0))} of {n_voxels} voxels; get the file again."
        )
    return values


def open_betas(path: Path, file: h5py.File) -> h5py.Dataset:
    """The dataset of an open file of betas, (trials, voxels)."""
    return dataset(path, file, "betas", ndim=2, kinds="f", meant=BETAS)


def check_rows(path: Path, data: h5py.Dataset, rows: np.ndarray) -> None:
    """Raise an InputError where the betas have no such rows."""
    outside = rows[rows >= len(data)]
    if outside.size:
        raise InputError(
            f"{path}: expected a row of betas for every trial, found {len(data)}, and a trial of row "
            f"{outside[0]}; get this file and the subject's folder of wds again, both of one subject."
        )


def read_pictures(path: Path, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> np.ndarray:
    """Pictures by their ids, in any order and with repetitions: uint8 (n, height, width, 3).

    With `empty_ok` a picture that was never filled in is all zero.

    Raises:
        InputError: the file is missing, damaged or of another shape, an id lies outside it, or a picture is
            empty, or no numbers from 0 to 1.
    """
    ids = np.asarray(image_ids, np.int64).ravel()
    with open_hdf5(path) as file:
        data = open_pictures(path, file)
        outside = ids[(ids < 0) | (ids >= len(data))]
        if outside.size:
            raise InputError(
                f"{path}: expected image ids within 0 to {len(data) - 1}, found {outside[0]}; get the whole "
                "file."
            )
        pictures = np.empty((len(ids), *data.shape[2:], 3), np.uint8)
        for image_id in np.unique(ids):
            picture = data[image_id].astype(np.float32)
            # not a number is neither
            if not (picture.min() >= -ROUNDING and picture.max() <= 1 + ROUNDING):
                raise InputError(
                    f"{path}: expected image {image_id} in numbers from 0 to 1, found {picture.min():g} to "
                    f"{picture.max():g}; get the file again."
                )
            if not picture.any() and not empty_ok:
                raise InputError(
                    f"{path}: expected a picture for image {image_id}, found an empty one (all zero); get "
                    "the whole file."
                )
            pictures[ids == image_id] = np.rint(255 * picture.clip(0, 1)).transpose(1, 2, 0)
    return pictures


def open_pictures(path: Path, file: h5py.File) -> h5py.Dataset:
    """The dataset of an open file of pictures, (images, 3, height, width).

    Raises:
        InputError: it is of another shape.
    """
    data = dataset(path, file, "images", ndim=4, kinds="f", filled=False, meant=PICTURES)
    if data.shape[1] != 3 or not 0 < max(data.shape[2:]) <= LARGEST_SIDE or not len(data):
        raise InputError(
            f"{path}: expected images (images, 3, height, width), at most {LARGEST_SIDE} pixels a side, "
            f"found {data.shape}; name {PICTURES}."
        )
    return data
