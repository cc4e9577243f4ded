"""NIfTI files: what the header says, and a stream of the data behind it that is never held whole."""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip, igzip_lib

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import NIFTI, UNKNOWN, look
from neural_recon.core.refusals import refusal, require_file
from neural_recon.datasets import grids
from neural_recon.datasets.grids import Grid, Placement

MOST_VOXELS = 2**24  # of a volume; func1mm has 4 million
MOST_OFFSET = 2**20  # bytes before the data: a header and what little may follow it
LARGEST_RATIO = 100  # of data to their .gz file; NSD's betas are 5 times as large
SMALL = 64 * 2**20  # bytes that need no such check

PAIRS = (b"ni1", b"ni2")  # magic words of headers whose data lie in another file

BROKEN = (EOFError, OSError, zlib.error, igzip_lib.IsalError)  # the first also for a header that is odd


@dataclass(frozen=True, eq=False)
class Nifti:
    """What the header of a NIfTI file says of its data."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int  # bytes
    slope: float
    inter: float
    affine: np.ndarray | None  # (4, 4), voxel indices to mm; None: the header has none
    remark: str  # a sentence on an affine that is in doubt, or ""

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether the header gives the stored numbers a scale."""
        return (self.slope, self.inter) != (1.0, 0.0)

    @property
    def packed(self) -> bool:
        return self.path.name.endswith(".gz")


def open_nifti(path: str | Path) -> Nifti:
    """What the header says; nothing behind it is read, however much it declares.

    Raises:
        InputError: the file is missing, cut short, or no NIfTI file.
    """
    import nibabel  # few jobs open a volume, and planning none
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError

    path = Path(path)
    require_file(path, "a NIfTI file")
    try:
        with stream(path) as file:
            block = file.read(nibabel.Nifti2Header.sizeof_hdr)
    except EOFError as error:
        raise damaged(path, error) from error
    except BROKEN as error:
        raise (refusal(path, error, "a NIfTI file") or _other(path, error)) from error
    try:
        for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
            if kind.may_contain_header(block):
                header = kind(block[: kind.sizeof_hdr])
                break
        else:
            raise EOFError("no header of NIfTI-1 or NIfTI-2")
        shape = tuple(int(n) for n in header.get_data_shape())
        slope, inter = header.get_slope_inter()
        affine, remark = _affine(path, header)
        image = Nifti(
            path,
            shape,
            header.get_data_dtype(),
            header.get_data_offset(),
            1.0 if slope is None else slope,
            0.0 if inter is None else inter,
            affine,
            remark,
        )
        if header["magic"].item() in PAIRS:
            raise EOFError("it is one of a pair, .hdr and .img: save it as one file, .nii.gz")
        if not shape or min(shape) < 1 or not kind.sizeof_hdr <= image.offset <= MOST_OFFSET:
            raise EOFError(f"shape {shape}, data from byte {image.offset} on")
    except (*BROKEN, ValueError, OverflowError, HeaderDataError, HeaderTypeError) as error:
        raise _other(path, error) from error
    return image


def _affine(path: Path, header: Any) -> tuple[np.ndarray | None, str]:
    """The sform if its code is set, else the qform if its code is; else nothing is known of the axes."""
    from nibabel.spatialimages import HeaderDataError

    found, spoilt = {}, []
    for name, read in (("sform", header.get_sform), ("qform", header.get_qform)):
        try:
            affine, code = read(coded=True)
        except (HeaderDataError, ValueError):
            spoilt.append(name)
            continue
        if code > 0 and affine is not None and grids.usable(affine):
            found[name] = np.asarray(affine, np.float64)
        elif code != 0:
            spoilt.append(name)
    remark = ""
    if spoilt:
        taken = f"its {next(iter(found))} is taken" if found else "its axes are not known"
        remark = f"{path}: the header's {' and '.join(spoilt)} is no affine of a volume; {taken}."
    elif len(found) == 2 and grids.differences(found["qform"], found["sform"]):
        names = " and ".join(f"{name} ({grids.axis_names(affine)})" for name, affine in found.items())
        remark = f"{path}: the header's {names} disagree on where the voxels lie; the sform is taken."
    return next(iter(found.values()), None), remark


def placed(
    image: Nifti,
    shape: Sequence[int],
    grid: Grid | None,
    published: bool = False,
    what: str = "the mask's volume",
) -> Placement:
    """How the voxels of a file come to lie in a grid: `grids.place`, with what is odd about its header."""
    found = grids.place(image.path, shape, image.affine, grid, published, what)
    remarks = [image.remark] if image.remark else []
    if found.turned and image.affine is not None and grids.made_up(image.affine, shape):
        remarks.append(
            f"{image.path}: its header, whose word is taken, is the one that nibabel makes up for a file "
            "without any word on its axes; if it was saved again from such a file, left and right are now "
            "exchanged."
        )
    return replace(found, remarks=(*remarks, *found.remarks))


def stream(path: str | Path) -> BufferedIOBase:
    """The bytes of a file, inflated if its name ends in .gz; each `readinto` fills its buffer."""
    return igzip.open(path) if str(path).endswith(".gz") else Path(path).open("rb")


def read_volume(image: Nifti) -> np.ndarray:
    """The values (x, y, z) as the file has them, scaled as its header says.

    Raises:
        InputError: the file is no volume of numbers, or cut short.
    """
    path, shape = image.path, volume_shape(image)
    if image.dtype.kind not in "iuf" or math.prod(shape) > MOST_VOXELS:
        raise InputError(
            f"{path}: expected numbers, at most {MOST_VOXELS} voxels, found {image.dtype} {image.shape}."
        )
    content = bytearray(image.n_bytes)
    try:
        with stream(path) as file:
            file.read(image.offset)
            if file.readinto(content) < len(content):
                raise EOFError("the data end too early")
            check_end(file)
    except BROKEN as error:
        raise damaged(path, error) from error
    values = np.frombuffer(content, image.dtype).reshape(shape, order="F")
    return values.astype(np.float64) * image.slope + image.inter if image.scaled else values


def each_volume(image: Nifti) -> Iterator[np.ndarray]:
    """The stored numbers of a file's volumes, one after the other, x fastest, each in the place of the last.

    Raises:
        InputError: the file is cut short or damaged.
    """
    content = bytearray(math.prod(image.shape[:3]) * image.dtype.itemsize)
    stored = np.frombuffer(content, image.dtype)
    try:
        # One pass from front to end: slices of a gzipped dataobj would each start again from the beginning.
        with stream(image.path) as file:
            file.read(image.offset)
            for volume in range(1, image.shape[3] + 1):
                if file.readinto(content) < len(content):
                    raise EOFError(f"the data end in volume {volume}")
                yield stored
            check_end(file)
    except BROKEN as error:
        raise damaged(image.path, error) from error


def volume_shape(image: Nifti) -> tuple[int, ...]:
    """(x, y, z) of a file of one volume; some programs write a fourth axis of length 1.

    Raises:
        InputError: the file has another number of axes.
    """
    if len(image.shape) < 3 or max(image.shape[3:], default=1) > 1:
        raise InputError(f"{image.path}: expected a volume (x, y, z), found the shape {image.shape}.")
    return image.shape[:3]


def check_size(image: Nifti) -> None:
    """Before memory is asked for and time spent: what is declared must be within what the file can hold."""
    most = image.path.stat().st_size * (LARGEST_RATIO if image.packed else 1)
    if image.n_bytes > max(most, SMALL):
        raise InputError(
            f"{image.path}: expected a file whose size fits its header, found one that declares "
            f"{image.n_bytes} bytes, and {most} would be many; fetch it again."
        )


def check_end(file: BufferedIOBase) -> None:
    if file.read(1):  # or else the end is reached, where gzip checks its checksum
        raise EOFError("there is more behind the data")


def check_whole(image: Nifti) -> None:
    """Whether the data end where the header says, as a reader would find it; cheap for files that do.

    A gzip file ends in the size of what it holds, so four bytes tell. Of a file of several members, as
    programs write that compress in parallel, they tell of the last member only, and padding hides them: such
    a file is read through before anything is said against it. Only a reader finds what is wrong further in
    front, such as two copies one behind the other.

    Raises:
        InputError: the end is missing, or there is more behind it.
    """
    size = image.offset + image.n_bytes
    if not image.packed:
        if image.path.stat().st_size != size:
            raise InputError(
                f"{image.path}: the file is cut short or damaged (its end is missing); fetch it again."
            )
        return
    try:
        with image.path.open("rb") as file:
            file.seek(-4, 2)
            if int.from_bytes(file.read(4), "little") == size % 2**32:
                return
        with stream(image.path) as inflated:
            block = bytearray(2**20)
            while size > 0:
                read = inflated.readinto(memoryview(block)[: min(size, len(block))])
                if not read:
                    raise EOFError("the data end too early")
                size -= read
            check_end(inflated)
    except BROKEN as error:
        raise damaged(image.path, error) from error


def damaged(path: Path, error: BaseException) -> InputError:
    """The sentence for a file that is cut short or damaged, or that the system does not continue giving."""
    broken = InputError(f"{path}: the file is cut short or damaged ({error}); fetch it again.")
    return refusal(path, error, "a whole NIfTI file") or broken


def _other(path: Path, error: BaseException) -> InputError:
    """The sentence for a file that is none in NIfTI, or not what its name says, with what it looks like."""
    found = look(path)
    like = "" if found.kind == UNKNOWN else f"; it looks like {found.text}"
    gzipped = "gzip" in found.text
    if found.kind == NIFTI and gzipped != path.name.endswith(".gz"):
        like += f", whose name must end in {'.nii.gz' if gzipped else '.nii'}"
    elif found.kind in (NIFTI, "gzip"):
        if isinstance(error, BROKEN[1:]):
            return damaged(path, error)
        like = like if found.kind == "gzip" else ""
    return InputError(
        f"{path}: expected a NIfTI file, found one that cannot be opened ({error}{like}); {found.cure}."
    )
