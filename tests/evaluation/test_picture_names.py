"""What pictures' names mean: ids from 0, NSD's own names from 1, positions in a list."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import nsd_tree
from neural_recon.evaluation.picture_files import picture_files
from neural_recon.evaluation.picture_names import Naming, look_like_positions, published_order, read_positions


def folder_of(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("shared0001_nsd02951.png", 2950),
        ("SHARED0001_NSD02951.PNG", 2950),
        ("shared0999_nsd73000.jpg", 72_999),
        ("shared0001_nsd00001.jpeg", 0),
        ("02951.png", 2951),
        ("2951.jpg", 2951),
        ("0.png", 0),
    ],
)
def test_names_and_their_images(tmp_path, name, image):
    assert list(picture_files(folder_of(tmp_path / "x", name))) == [image]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "nsd00123.png",
            "it is image 122 if it counts as NSD's own names do, and image 123 if it counts from 0",
        ),
        ("NSD_123.png", "it is image 122"),
        ("recon_nsd00123.png", "it is image 122"),
        ("recon_123.png", "rename it"),
        ("123_recon.png", "rename it"),
        ("subj01_00123.png", "rename it"),
        ("00123_0.png", "one picture per image is scored"),
        ("00123 (1).png", "one picture per image is scored"),
        ("00123-2.png", "one picture per image is scored"),
        ("shared0001_nsd00000.png", "found 'shared0001_nsd00000'"),
        ("shared0001_nsd73001.png", "found 'shared0001_nsd73001'"),
        ("shared0001.png", "found 'shared0001'"),
        ("73000.png", "--names ids_from_1"),
        ("-1.png", "found '-1'"),
        ("1e3.png", "found '1e3'"),
        ("12.0.png", "one picture per image"),
        ("１２.png", "found '１２'"),
        ("00123.png.png", "found '00123.png'"),
    ],
)
def test_other_names_are_refused_by_an_example_that_leads_to_no_wrong_image(tmp_path, name, words):
    with pytest.raises(InputError) as error:
        picture_files(folder_of(tmp_path / "x", "00003.png", name))
    said = str(error.value)
    assert words in said
    assert "ids count from 0, those names from 1" in said
    # the example is one image under both names
    example, own = re.search(
        r"such as (\d+)\.\w+ for the image that NSD's own names call nsd(\d+)", said
    ).groups()
    assert int(example) == int(own) - 1
    assert not re.search(r"[.!?]\s+[A-Z]", said)


def test_the_example_fits_the_way_of_counting(tmp_path):
    with pytest.raises(InputError, match=r"from 1 to 73000 .* 05428.png .* nsd05428 \(both count from 1\)"):
        picture_files(folder_of(tmp_path / "x", "00000.png"), Naming("ids_from_1"))


def test_ids_from_1_leave_nsds_own_names_alone(tmp_path):
    files = picture_files(
        folder_of(tmp_path / "x", "73000.png", "shared0001_nsd00004.png"), Naming("ids_from_1")
    )
    assert sorted(files) == [3, 72_999]


def test_one_image_under_two_names_is_refused(tmp_path, caplog):
    mixed = folder_of(tmp_path / "x", "00003.png", "shared0001_nsd00004.png")
    with pytest.raises(
        InputError, match=r"one picture of image 3, found 00003.png and shared0001_nsd00004.png"
    ):
        picture_files(mixed)
    (mixed / "00003.png").rename(mixed / "00004.png")
    with caplog.at_level(logging.WARNING):
        assert sorted(picture_files(mixed)) == [3, 4]
    assert (
        "names of two kinds, 1 of NSD's own, which count from 1, and 1 ids, which count from 0" in caplog.text
    )


def test_pictures_of_other_kinds_are_not_passed_over_in_silence(tmp_path, caplog):
    folder = folder_of(tmp_path / "x", "3.png", "4.webp", "5.tif", "notes.txt")
    assert list(picture_files(folder)) == [3]
    assert "2 pictures such as 4.webp are passed over" in caplog.text
    (folder / "3.png").unlink()
    with pytest.raises(InputError, match=r"found only others such as 4\.webp: save them as PNG"):
        picture_files(folder)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (range(50), "0 to 49"),
        (range(1, 51), "1 to 50"),
        ([0, 1], "0 to 1"),
        (sorted({*range(50)} - {7, 8}), "nearly all of 0 to 49"),
        ([7 * k + 3 for k in range(50)], None),
        (range(100, 150), None),
        ([0, 72_999], None),
    ],
)
def test_names_that_look_like_positions(names, found):
    assert look_like_positions({i: Path(f"{i:05d}.png") for i in names}) == found
    own = {i: Path(f"shared{i:04d}_nsd{i + 1:05d}.png") for i in names}
    assert look_like_positions(own) is None


def test_positions_in_a_list(tmp_path):
    (tmp_path / "ids.txt").write_text("\ufeff40\n7\n5427\n", encoding="utf-8")
    naming = read_positions(tmp_path / "ids.txt", None, 3)
    pictures = folder_of(tmp_path / "x", "0.png", "01.png", "2.png")
    assert {i: path.name for i, path in picture_files(pictures, naming).items()} == {
        40: "0.png", 7: "01.png", 5427: "2.png",
    }  # fmt: skip
    # some of them: still counted from 0
    (pictures / "0.png").unlink()
    assert sorted(picture_files(pictures, naming)) == [7, 5427]
    # from 1 only where nothing else fits
    (pictures / "3.png").write_bytes(b"")
    assert {i: path.name for i, path in picture_files(pictures, naming).items()} == {
        40: "01.png", 7: "2.png", 5427: "3.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.png", "3.png"], r"3.png: expected a position from 0 to 2 .*lists 3 images, found '3'"),
        (["0.png", "shared0001_nsd00003.png"], "expected a position in .*ids.txt as the name, such as 0.png"),
        (["0.png", "recon_1.png"], "found 'recon_1'"),
    ],
)
def test_names_that_are_no_positions_in_the_list(tmp_path, names, words):
    (tmp_path / "ids.txt").write_text("40\n7\n5427\n")
    with pytest.raises(InputError, match=words):
        picture_files(folder_of(tmp_path / "x", *names), read_positions(tmp_path / "ids.txt", None, 2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3\n4\n3\n", "each image once.*found 3 again"),
        ("3\n73000\n", "found 73000; ids count from 0"),
        ("", "empty"),
    ],
)
def test_lists_that_cannot_be_positions(tmp_path, text, words):
    (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        read_positions(tmp_path / "ids.txt", None, 2)


@pytest.fixture
def design(tmp_path, rng):
    """A design in NSD's layout: 40 sessions, 1,000 shared images, each position three times."""
    order = rng.permutation(np.repeat(np.arange(1, 10_001), 3))
    images = np.stack([rng.permutation(73_000)[:10_000] + 1 for _ in range(8)])
    images[:, :1000] = images[0, :1000]
    path = tmp_path / "nsd_expdesign.mat"
    shared = np.sort(images[:1, :1000])
    scipy.io.savemat(path, {"masterordering": order[None], "subjectim": images, "sharedix": shared})
    return path, order, images


def test_orders_of_published_scripts(design):
    """As the scripts themselves go through a subject's trials."""
    path, order, images = design
    met = {}
    for trial in range(37 * 750):  # ozcelikfu/brain-diffuser, data/prepare_nsddata.py
        if order[trial] <= 1000:
            met.setdefault(images[4, order[trial] - 1] - 1, []).append(trial)
    found = published_order("brain_diffuser", path)
    assert found[: len(met)].tolist() == list(met)
    assert len(found) == len(set(found.tolist())) == 1000
    # MedARC-AI/MindEyeV2, src/recon_inference.py
    assert published_order("mindeye2", path, 1000).tolist() == sorted(images[0, :1000] - 1)
    fewer = nsd_tree.shared_as_met(path, 30)
    assert published_order("mindeye2", path, len(fewer)).tolist() == sorted(fewer)
    with pytest.raises(InputError, match=r"--ids mindeye2: expected as many pictures as .* 1000\), found 5"):
        read_positions("mindeye2", path, 5)
    assert read_positions("brain_diffuser", path, 5).positions.tolist() == found.tolist()
    for nowhere in (None, path.parent / "nothing.mat"):
        with pytest.raises(InputError, match=r"--ids brain_diffuser: expected nsd_expdesign.mat"):
            read_positions("brain_diffuser", nowhere, 5)
