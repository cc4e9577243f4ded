"""The vocabulary of a SentencePiece model (`spiece.model`), without the library of that name.

The file is a protocol buffer: fields, each a key (number and type of what follows) and a value. Read are the
pieces with their scores, and the table by which texts are normalised.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

PIECES, NORMALISER = 1, 3  # fields of the model
PIECE, SCORE = 1, 2  # of a piece
TABLE = 2  # of the normaliser


def read(path: Path) -> tuple[list[tuple[str, float]], bytes]:
    """Pieces with their scores, by their ids, and the table of normalisation (may be empty).

    Raises:
        ValueError: it is no such file.
    """
    pieces, table = [], b""
    for field, value in _fields(path.read_bytes()):
        if field == PIECES:
            piece = dict(_fields(value))
            pieces.append((piece[PIECE].decode(), struct.unpack("<f", piece.get(SCORE, bytes(4)))[0]))
        elif field == NORMALISER:
            table = dict(_fields(value)).get(TABLE, b"")
    if not pieces:
        raise ValueError("no piece of a vocabulary")
    return pieces, table


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message, by their numbers; a whole number's value is left empty."""
    place = 0
    while place < len(message):
        key, place = _whole(message, place)
        match key & 7:
            case 0:  # a whole number
                _, place = _whole(message, place)
                size = 0
            case 1:
                size = 8
            case 2:  # text, bytes or a message
                size, place = _whole(message, place)
            case 5:
                size = 4
            case other:
                raise ValueError(f"a field of type {other}")
        if place + size > len(message):
            raise ValueError("a field that is cut short")
        yield key >> 3, message[place : place + size]
        place += size


def _whole(message: bytes, place: int) -> tuple[int, int]:
    """A whole number of seven bits per byte, lowest first, and the place after it."""
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("a number that is cut short")
        byte = message[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            return value, place
