"""Ways to break a file: bytes, the content of a compressed one, values of a text, datasets of HDF5."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Mutation = Callable[[Path, np.random.Generator], None]  # changes the file in place

EXTREMES = (0, 1, -1, 2**7 - 1, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
VALUES = (
    "NaN", "-1", "0", "1e400", "-Infinity", "1" * 5000, "99999999999999999999", "1000000000", "0.5", "null",
    "true", "[]", "{}", '""', '"\\u0000"', '"../../../../etc/passwd"', '"' + "x" * 20000 + '"', "[" * 3000,
    "!!python/object/apply:os.system ['touch CANARY']", "&a [*a, *a]", "2001-99-99", "\x00", "\udc80", "é",
)  # fmt: skip


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data) + 1)]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    broken = np.frombuffer(data, np.uint8).copy()
    # half of them near the front, where headers are
    reach = len(broken) if rng.random() < 0.5 else min(len(broken), 600)
    for place in rng.integers(reach, size=rng.integers(1, 17)) if reach else ():
        broken[place] ^= 1 << rng.integers(8)
    return broken.tobytes()


def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    size = int(rng.integers(1, 300))
    start = int(rng.integers(len(data) + 1))
    block = (bytes(size), b"\xff" * size, rng.bytes(size))[rng.integers(3)]
    return data[:start] + block + data[start + size :]


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    start, source = (int(rng.integers(len(data) + 1)) for _ in range(2))
    return data[:start] + data[source : source + 200] + data[start:]


def number(data: bytes, rng: np.random.Generator) -> bytes:
    """An integer of 2, 4 or 8 bytes becomes an extreme one: sizes, counts, offsets."""
    width = (2, 4, 8)[rng.integers(3)]
    reach = len(data) if rng.random() < 0.4 else min(len(data), 800)
    start = int(rng.integers(max(reach // 2, 1))) * 2
    value = EXTREMES[rng.integers(len(EXTREMES))] & (2 ** (8 * width) - 1)
    return data[:start] + value.to_bytes(width, "little") + data[start + width :]


def text_value(data: bytes, rng: np.random.Generator) -> bytes:
    """One word or number of a text becomes something else."""
    words = list(re.finditer(rb"[-\w.]+", data))
    if not words:
        return b"\xff"
    word = words[rng.integers(len(words))]
    value = VALUES[rng.integers(len(VALUES))].encode(errors="surrogateescape")
    return data[: word.start()] + value + data[word.end() :]


ANY = (truncate, flip, flip, overwrite, insert, number, number)


def any_bytes(path: Path, rng: np.random.Generator) -> None:
    """Change the bytes; of a compressed file, or of the parts of a zip archive, half of the time inside."""
    data = path.read_bytes()
    change = ANY[rng.integers(len(ANY))]
    if rng.random() < 0.5 and data[:2] == b"\x1f\x8b":
        path.write_bytes(gzip.compress(change(gzip.decompress(data), rng), 1))
    elif rng.random() < 0.5 and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = list(parts)[rng.integers(len(parts))] if rng.random() < 0.3 else next(iter(parts))
        parts[name] = change(parts[name], rng)
        with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
    else:
        path.write_bytes(change(data, rng))


def any_text(path: Path, rng: np.random.Generator) -> None:
    if rng.random() < 0.7:
        path.write_bytes(text_value(path.read_bytes(), rng))
    else:
        any_bytes(path, rng)


def hdf5_dataset(path: Path, rng: np.random.Generator) -> None:
    """One dataset (or the attribute `parameters`) becomes another, or goes."""
    with h5py.File(path, "r+") as file:
        name = sorted(file)[rng.integers(len(file))]
        old = file[name]
        shape, dtype = old.shape, old.dtype
        if "parameters" in file.attrs and rng.random() < 0.1:
            wrong = (3, "", "{", "[]", "null", "[" * 3000, b"\xff", np.zeros(3))
            file.attrs["parameters"] = wrong[rng.integers(len(wrong))]
            return
        values = None if h5py.check_string_dtype(dtype) else old[()]
        del file[name]
        kind = rng.integers(12)
        if kind == 0:
            return
        if kind == 1:
            file.create_group(name)
        elif kind == 2:
            file[name] = np.array(["strings"] * max(1, len(shape)), object)
        elif kind == 3:
            file[name] = np.zeros(shape, np.complex64)
        elif kind == 4:
            file[name] = np.float32(1)
        elif kind == 5:
            file[name] = np.zeros((0, *shape[1:]), dtype)
        elif kind == 6:  # declared, never filled in
            file.create_dataset(name, (10**9, *shape[1:]), dtype, chunks=True)
        elif kind == 7:
            file[name] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == 8:
            file.create_dataset(name, shape or (1,), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
        elif kind == 9 and values is not None and values.dtype.kind == "f":
            values[rng.random(values.shape) < 0.1] = (np.nan, np.inf)[rng.integers(2)]
            file[name] = values
        elif kind == 10:
            file[name] = np.array([file.ref] * 2, h5py.ref_dtype)
        else:
            file.create_dataset(
                name, tuple(n + 1 for n in shape), dtype, compression="gzip" if shape else None
            )


def endless_zeros(start: bytes, wbits: int, gigabytes: int) -> bytes:
    """Some megabytes that zlib (or gzip, by `wbits`) inflates to `start` and then zeros, many of them."""
    packer = zlib.compressobj(9, wbits=wbits)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (gigabytes * 64)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG file that declares a size, whatever data it has."""
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    for name, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        file.write(len(content).to_bytes(4, "big") + name + content)
        file.write(zlib.crc32(name + content).to_bytes(4, "big"))
    return file.getvalue()
