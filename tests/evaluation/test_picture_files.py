"""What a picture's file says of its pixels is used, or refused in one sentence."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from neural_recon.core.errors import InputError
from neural_recon.evaluation.folder_scores import evaluate_folder
from neural_recon.evaluation.picture_files import TURNED, one_size, read_picture

# columns of XYZ (D50)
SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
ADOBE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))


def profile(primaries, gamma: float, name: str) -> bytes:
    """An ICC profile (version 2) of three primaries, or of grey where there are none."""

    def numbers(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(65536 * value)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)
    text = name.encode() + b"\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(79)
    tags = {b"desc": described + bytes(-len(described) % 4), b"cprt": b"text" + bytes(4) + b"none\0\0\0\0"}
    tags[b"wtpt"] = b"XYZ " + bytes(4) + numbers(0.9642, 1, 0.8249)
    if primaries:
        for letter, column in zip("rgb", primaries, strict=True):
            tags[f"{letter}XYZ".encode()] = b"XYZ " + bytes(4) + numbers(*column)
            tags[f"{letter}TRC".encode()] = curve
    else:
        tags[b"kTRC"] = curve
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", offset + len(body), len(content))
        body += content
    head = bytearray(128)
    head[:4] = struct.pack(">I", 128 + len(table) + len(body))
    head[8:12], head[12:16], head[16:20], head[20:24] = (
        b"\2\x20\0\0",
        b"mntr",
        b"RGB " if primaries else b"GRAY",
        b"XYZ ",
    )
    head[36:40], head[68:80] = b"acsp", numbers(0.9642, 1, 0.8249)
    return bytes(head) + table + body


def chunks(path, width, height, depth, colour, rows, *more) -> None:
    """A PNG file of any depth and colour type, with more chunks before its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        *more,
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    ]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    )


@pytest.fixture
def picture(rng):
    return Image.fromarray(np.kron(rng.integers(0, 256, (5, 3, 3)), np.ones((8, 8, 1))).astype(np.uint8))


def stored(upright: Image.Image, orientation: int) -> tuple[Image.Image, bytes]:
    """A picture as a camera stores it, and the EXIF that says how it is to be turned."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return (upright.transpose(undo[orientation]) if orientation in undo else upright), exif.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_are_read_upright(tmp_path, picture, orientation, suffix):
    pixels, exif = stored(picture, orientation)
    pixels.save(tmp_path / f"1.{suffix}", exif=exif, quality=100, subsampling=0)
    found = read_picture(tmp_path / f"1.{suffix}")
    assert found.size == picture.size == (24, 40)
    assert found.info[TURNED] == (orientation != 1)
    assert np.abs(np.asarray(found).astype(int) - np.asarray(picture)).max() <= (0 if suffix == "png" else 6)


@pytest.mark.parametrize("preset", ["native", "brain_diffuser"])
def test_both_folders_are_scored_upright_and_it_is_said(tmp_path, preset, caplog):
    for folder, kept in (("pictures", (6, 1, 8)), ("stimuli", (1, 3, 1))):
        (tmp_path / folder).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3))
        for i, orientation in enumerate(kept):
            upright = Image.fromarray(np.kron(pixels[i], np.ones((8, 8, 1))).astype(np.uint8))
            turned, exif = stored(upright, orientation)
            turned.save(tmp_path / folder / f"{100 * i + 7}.png", exif=exif)
    summary, _ = evaluate_folder(tmp_path / "pictures", tmp_path / "stimuli", preset)
    assert summary.set_index("metric").loc["pixcorr", "mean"] == pytest.approx(1)
    assert "2 of 3 pictures are not stored upright (EXIF orientation): scored upright." in caplog.messages
    assert "1 of 3 stimuli are not stored upright (EXIF orientation): scored upright." in caplog.messages


def refuse(path, words):
    with pytest.raises(InputError, match=words) as error:
        read_picture(path)
    assert str(error.value).startswith(f"{path}: expected ")
    assert not re.search(r"[.!?]\s+[A-Z]", str(error.value))


@pytest.mark.parametrize(("colour", "size"), [(0, 2), (2, 6), (4, 4), (6, 8)])
def test_more_than_8_bits_are_refused_in_every_colour_type(tmp_path, colour, size):
    chunks(tmp_path / "1.png", 4, 4, 16, colour, [bytes([200, 255] * (2 * size))] * 4)
    refuse(tmp_path / "1.png", "of 8 bits, found (16 bits per channel|mode I;16)")


@pytest.mark.parametrize(
    ("depth", "row", "values"),
    [
        (1, b"\xa0", [255, 0, 255, 0]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x0f\x50", [0, 255, 85, 0]),
    ],
)
def test_fewer_bits_are_read_as_what_they_mean_unless_one_grey_is_transparent(tmp_path, depth, row, values):
    chunks(tmp_path / "1.png", 4, 1, depth, 0, [row])
    assert np.asarray(read_picture(tmp_path / "1.png"))[0].tolist() == [[value] * 3 for value in values]
    chunks(tmp_path / "2.png", 4, 1, depth, 0, [row], (b"tRNS", b"\0\1"))
    refuse(tmp_path / "2.png", "an opaque picture, found a transparent one")


def test_transparency_of_any_kind_is_refused(tmp_path):
    rows = [bytes([9, 9, 9, 8, 8, 8])] * 2
    chunks(tmp_path / "colour.png", 2, 2, 8, 2, rows, (b"tRNS", bytes([0, 9] * 3)))
    chunks(tmp_path / "palette.png", 2, 2, 8, 3, [b"\0\1"] * 2, (b"PLTE", bytes(6)), (b"tRNS", b"\x80"))
    Image.new("LA", (2, 2), (9, 250)).save(tmp_path / "grey.png")
    for name in ("colour", "palette", "grey"):
        refuse(tmp_path / f"{name}.png", "found a transparent one; fill its background")
    chunks(tmp_path / "opaque.png", 2, 2, 8, 2, rows, (b"tRNS", bytes([0, 7] * 3)))
    assert np.asarray(read_picture(tmp_path / "opaque.png"))[0].tolist() == [[9] * 3, [8] * 3]


def test_cmyk_and_animations_are_refused(tmp_path):
    Image.new("CMYK", (8, 8), (9, 9, 9, 9)).save(tmp_path / "1.jpg")
    refuse(tmp_path / "1.jpg", "found mode CMYK; save it as 8-bit RGB")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "2.png", save_all=True, append_images=frames[1:])
    refuse(tmp_path / "2.png", "one picture, found an animation of 3")


@pytest.mark.parametrize(
    ("icc", "mode", "found"),
    [
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "RGB", None),
        (profile(SRGB, 2.2, "c2"), "RGB", None),
        (profile(None, 2.2, "Gray Gamma 2.2"), "L", None),
        (profile(ADOBE, 2.2, "Adobe RGB (1998)"), "RGB", r"the profile 'Adobe RGB \(1998\)'"),
        (profile(DISPLAY_P3, 2.2, "Display P3"), "RGB", "the profile 'Display P3'"),
        (profile(ADOBE, 2.2, "sRGB, as it says"), "RGB", "the profile 'sRGB, as it says'"),
        (profile(None, 1.0, "linear"), "L", "the profile 'linear'"),
        (b"no profile at all", "RGB", "a profile that cannot be read"),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_other_colours_than_srgb_are_refused_by_what_they_are_not_by_their_name(
    tmp_path, icc, mode, found, suffix
):
    Image.new(mode, (8, 8), 120 if mode == "L" else (200, 100, 50)).save(
        tmp_path / f"1.{suffix}", icc_profile=icc
    )
    if found:
        refuse(tmp_path / f"1.{suffix}", f"the colours of sRGB, found {found}.*; convert it to sRGB")
    else:
        assert read_picture(tmp_path / f"1.{suffix}").mode == "RGB"


@pytest.mark.parametrize(
    ("gamma", "srgb", "fits"), [(45455, False, True), (100_000, False, False), (100_000, True, True)]
)
def test_a_gamma_of_its_own_is_refused(tmp_path, gamma, srgb, fits):
    more = [(b"gAMA", struct.pack(">I", gamma)), *([(b"sRGB", b"\0")] if srgb else [])]
    chunks(tmp_path / "1.png", 2, 1, 8, 0, [b"\x10\x20"], *more)
    if fits:
        assert np.asarray(read_picture(tmp_path / "1.png"))[0, :, 0].tolist() == [16, 32]
    else:
        refuse(tmp_path / "1.png", "found a gamma of 1; convert it")


def test_text_and_previews_in_a_file_do_not_matter(tmp_path, picture):
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", "a cat")
    picture.save(tmp_path / "1.png", pnginfo=info)
    jpeg = io.BytesIO()
    picture.save(
        jpeg, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=100, subsampling=0
    )
    (tmp_path / "2.jpg").write_bytes(jpeg.getvalue())
    for name in ("1.png", "2.jpg"):
        difference = np.asarray(read_picture(tmp_path / name)).astype(int) - np.asarray(picture)
        assert np.abs(difference).max() <= 6, name


def test_a_picture_that_may_not_be_read_is_not_called_broken(tmp_path, picture, monkeypatch):
    picture.save(tmp_path / "1.png")

    def refuses(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "1.png"))

    monkeypatch.setattr(Image, "open", refuses)
    refuse(tmp_path / "1.png", "found no permission to read it")
    with pytest.raises(InputError, match="found no permission to read it"):
        one_size({1: tmp_path / "1.png"})
