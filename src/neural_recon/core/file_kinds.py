"""What a file looks like that is not what it should be, by its first bytes: for messages, never for reading.

A library that meets another format speaks of its own: of a missing footer, of a header that is too large, or
of how to load the file unsafely. The owner of the file needs to hear what it is.
"""

import ast
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.refusals import refusal

HEAD = 4096  # bytes that are looked at
PICTURE, TEXT, JSON, HDF5, NUMPY, PARQUET, MATLAB, NIFTI = (
    "picture", "text", "json", "hdf5", "numpy", "parquet", "matlab", "nifti",
)  # fmt: skip
TORCH, SAFETENSORS = "torch", "safetensors"
OBJECTS = "objects"  # of Python, pickled in a .npy file
EMPTY, UNKNOWN = "empty", ""
WITHOUT_CONTENT = (EMPTY, "zeros", "page", "lfs", "annex")  # nothing to convert: the file never came

_LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # the magic number of torch before 1.6, pickled
_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": (HDF5, "an HDF5 file"),
    b"MATLAB 7.3": (HDF5, "a MATLAB file of version 7.3, which is HDF5"),
    b"MATLAB 5.0": (MATLAB, "a MATLAB file"),
    b"PAR1": (PARQUET, "a Parquet table"),
    b"ARROW1": ("arrow", "an Arrow (Feather) table"),
    b"\x89PNG\r\n\x1a\n": (PICTURE, "a PNG picture"),
    b"\xff\xd8\xff": (PICTURE, "a JPEG picture"),
    b"GIF8": ("gif", "a GIF picture"),
    b"II*\0": ("tiff", "a TIFF picture"),
    b"MM\0*": ("tiff", "a TIFF picture"),
    b"BM": ("bmp", "a BMP picture"),
    b"%PDF": ("pdf", "a PDF document"),
    b"BZh": ("bzip2", "a bzip2 file"),
    b"\xfd7zXZ\0": ("xz", "an xz file"),
    b"\x28\xb5\x2f\xfd": ("zstd", "a Zstandard file"),
    b"7z\xbc\xaf\x27\x1c": ("7z", "a 7z archive"),
    b"version https://git-lfs.github.com/spec": (
        "lfs",
        "a pointer of git-LFS instead of the content (git lfs pull gets it)",
    ),
    b"/annex/objects/": (
        "annex",
        "a pointer of git-annex instead of the content (datalad get gets it)",
    ),
    _LEGACY_TORCH: (TORCH, "a file of torch before 1.6"),
}
# after a byte-order mark, a declaration of XML, and comments
_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype html|html|head|body)",
    re.IGNORECASE | re.DOTALL,
)
_ERROR = re.compile(rb"\s*<\?xml[^>]*>\s*<Error>")
_BOM = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Look:
    """What a file looks like: a word for programs, words for a sentence, and what its owner can do."""

    kind: str
    text: str
    cure: str = "put the right file there, or name another"


def look(path: str | os.PathLike[str]) -> Look:
    """What a file looks like; of the kind UNKNOWN where its bytes say nothing."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
            size = os.fstat(file.fileno()).st_size
        if head.startswith(b"PK\3\4"):
            return _archive(path)
    except (OSError, ValueError):
        return Look(UNKNOWN, "a file that cannot be read")
    return _of(head, size)


def explained(
    path: str | os.PathLike[str], error: BaseException, what: str, *kinds: str
) -> InputError | None:
    """Why a library could not read a file, where the file is not to blame for being damaged.

    The system did not give it, or it looks like another kind of file than those of `kinds`. None: it looks
    like what it should be, or like nothing known, and the reader has its own sentence for damage.
    """
    return refusal(path, error, what) or another_kind(path, what, *kinds)


def another_kind(path: str | os.PathLike[str], what: str, *kinds: str) -> InputError | None:
    """The sentence for a file that looks like another kind than those of `kinds`, if it does."""
    found = look(path)
    if found.kind in (UNKNOWN, *kinds):
        return None
    return InputError(
        f"{path}: expected {what}, found {found.text}, which cannot be read as such; {found.cure}."
    )


def _of(head: bytes, size: int) -> Look:
    """Of the first bytes of a file of `size`."""
    if not size:
        return Look(EMPTY, "an empty file")
    if not head.strip(b"\0"):
        return Look("zeros", "zeros, as of a download that reserved its space and never came")
    for begin, known in _BEGINNINGS.items():
        if head.startswith(begin):
            return Look(*known)
    if head.startswith(b"\x93NUMPY"):
        return _numpy(head)
    if head.startswith(b"\x1f\x8b"):
        return _gzip(head)
    if len(head) >= 348 and head[344:348] in (b"n+1\0", b"ni1\0", b"n+2\0"):
        return Look(NIFTI, "a NIfTI volume")
    if head[4:8] == b"n+2\0":
        return Look(NIFTI, "a NIfTI volume")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Look("webp", "a WebP picture")
    if head[4:12] in (b"ftypheic", b"ftypmif1", b"ftypavif"):
        return Look("heif", "a HEIF or AVIF picture")
    if head[257:262] == b"ustar":
        return Look("tar", "a tar archive")
    if len(head) > 9 and head[8:9] == b"{" and 2 <= struct.unpack("<Q", head[:8])[0] <= size:
        return Look(SAFETENSORS, "a safetensors file")
    if _PAGE.match(head):
        return Look("page", "a web page (of a login, or an error, saved in the file's place?)")
    if _ERROR.match(head):
        return Look("page", "a server's error message, saved in the file's place")
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        return Look("pickle", "a Python pickle, which could run code and is not opened")
    return _text(head)


def _text(head: bytes) -> Look:
    if head.startswith(_BOM):
        return Look("utf16", "text in UTF-16", "save it as UTF-8")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # else a letter that is cut at the end of what was read
            return Look(UNKNOWN, f"bytes that begin with {quoted(head[:8])}")
        text = head[: error.start].decode("utf-8-sig")
    start = text.lstrip()
    if not all(c.isprintable() or c.isspace() for c in text):
        return Look(UNKNOWN, f"bytes that begin with {quoted(head[:8])}")
    if start[:1] in ("{", "[") and re.match(r'[{\[]\s*(["{\[\]}\d-]|true|false|null|$)', start):
        return Look(JSON, "JSON text (a mapping)" if start[0] == "{" else "JSON text (a list)")
    return Look(TEXT, f"text that begins with {quoted(start[:40])}")


def _numpy(head: bytes) -> Look:
    """A .npy file, with what its header says of the array."""
    said = re.search(rb"\{.*?\}", head, re.DOTALL)
    try:
        header = ast.literal_eval(said[0].decode("latin-1")) if said else {}
        descr, shape = str(header["descr"]), tuple(header["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return Look(NUMPY, "a .npy file without a header that reads")
    if "O" in descr:
        return Look(OBJECTS, f"an object array {shape}, pickled Python objects that could run code")
    return Look(NUMPY, f"a .npy file of {descr} {shape}")


def _gzip(head: bytes) -> Look:
    try:
        inside = zlib.decompressobj(31).decompress(head, HEAD)
        found = _of(inside, len(inside))
    except zlib.error:
        return Look("gzip", "a gzip file")
    if found.kind == NIFTI:
        return Look(NIFTI, "a gzipped NIfTI volume")
    return Look("gzip", f"a gzip file of {found.text}" if found.kind else "a gzip file")


def _archive(path: str | os.PathLike[str]) -> Look:
    """A zip archive, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, MemoryError):
        return Look("zip", "a zip archive that is cut short")
    if any(name.endswith("data.pkl") for name in names):
        return Look(TORCH, "a file of torch (zip)")
    if names and all(name.endswith(".npy") for name in names):
        arrays = ", ".join(name.removesuffix(".npy") for name in names[:5])
        return Look("npz", f"an archive (.npz) of the arrays {arrays}")
    if "[Content_Types].xml" in names:
        return Look("office", "an Excel or Word document", "save it as text")
    return Look("zip", f"a zip archive with {names[0] if names else 'nothing in it'}", "unpack it")
