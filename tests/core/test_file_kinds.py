"""Another format is called what it is, by every reader, and no library's advice is passed on."""

import gzip
import json
import pickle
import re
import zipfile
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import safetensors.torch
import scipy.io
import torch
from helpers.places import ROOT, SHARED
from PIL import Image

from neural_recon.core import file_kinds, hdf5, tables, texts
from neural_recon.core.errors import InputError
from neural_recon.datasets import nifti
from neural_recon.datasets.nsd import matlab, nsd_tree
from neural_recon.evaluation.picture_files import read_picture
from neural_recon.models import checkpoints, weights

HTML = b"\n<!DOCTYPE html><html><head><title>Log in</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 123\n"
BYTES = {
    "empty": (b"", "an empty file"),
    "zeros": (bytes(9000), "zeros, as of a download"),
    "page": (HTML, "a web page"),
    "error": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "a server's error message"),
    "lfs": (POINTER, "a pointer of git-LFS"),
    "annex": (b"/annex/objects/SHA256E-s1--ab.nii.gz\n", "a pointer of git-annex"),
    "mapping": (b'{"0": ["a cat"]}', "JSON text (a mapping)"),
    "list": (b'\xef\xbb\xbf[["a cat"]]', "JSON text (a list)"),
    "text": ("größer\n".encode(), "text that begins with 'größer"),
    "utf16": ("a cat".encode("utf-16"), "text in UTF-16"),
    "pickle": (pickle.dumps({"a": 1}), "a Python pickle, which could run code"),
    "gzip": (gzip.compress(b'{"a": 1}'), "a gzip file of JSON text"),
    "webp": (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP picture"),
    "excel": (None, "an Excel or Word document"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", BYTES)
def test_looks(name):
    content, expected = BYTES[name]
    path = Path("file")
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("[Content_Types].xml", "")
    else:
        path.write_bytes(content)
    assert file_kinds.look(path).text.startswith(expected)


def test_what_libraries_write_is_known():
    np.save("a.npy", np.zeros((3, 5)))
    np.savez("a.npz", x=1, y=2)
    np.save("o.npy", np.array([["a"], None], object), allow_pickle=True)
    h5py.File("a.h5", "w").close()
    pd.DataFrame({"a": [1]}).to_parquet("a.parquet")
    torch.save({"a": torch.zeros(2)}, "new.pth")
    torch.save({"a": torch.zeros(2)}, "old.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file({"a": torch.zeros(2)}, "a.safetensors")
    scipy.io.savemat("a.mat", {"a": 1})
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), name)
    nibabel.save(nibabel.Nifti2Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), "b.nii")
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (4, 4)).save(name)
    found = {path.name: file_kinds.look(path) for path in Path().iterdir()}
    kinds = {
        "a.npy": "numpy", "a.npz": "npz", "o.npy": "objects", "a.h5": "hdf5", "a.parquet": "parquet",
        "new.pth": "torch", "old.pth": "torch", "a.safetensors": "safetensors", "a.mat": "matlab",
        "a.nii": "nifti", "a.nii.gz": "nifti", "b.nii": "nifti", "a.png": "picture", "a.jpg": "picture",
    }  # fmt: skip
    assert {name: one.kind for name, one in found.items()} == kinds
    assert found["a.npy"].text == "a .npy file of <f8 (3, 5)"
    assert found["a.npz"].text == "an archive (.npz) of the arrays x, y"
    assert "an object array (2,), pickled" in found["o.npy"].text


READERS = {
    "a.h5": hdf5.read_hdf5,
    "a.parquet": tables.read_table,
    "a.tsv": lambda path: tables.read_table(path, ["a"]),
    "a.mat": lambda path: matlab.read_whole_numbers(Path(path), ["a"]),
    "a.safetensors": checkpoints.read_tensors,
    "a.pth": checkpoints.read_tensors,
    "a.npy": lambda path: nsd_tree.read_captions(path, [0]),
    "a.png": lambda path: read_picture(Path(path)),
    "a.json": lambda path: texts.read_json(path, "settings"),
    "s.hdf5": lambda path: nsd_tree.read_stimuli(path, [0]),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["page", "lfs", "zeros", "pickle", "gzip"])
def test_every_reader_says_what_it_found(name, kind):
    if (name, kind) == ("a.tsv", "gzip"):
        pytest.skip("pandas inflates by the name alone")
    content, expected = BYTES[kind]
    Path(name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        READERS[name](name)
    said = str(caught.value)
    assert said.startswith(f"{name}: expected ")
    assert expected in said
    for advice in ("unsafely", "weights_only", "allow_pickle", "fetch or compute", "damaged"):
        assert advice not in said


@pytest.mark.parametrize("name", READERS)
def test_every_reader_tells_a_refusal_from_damage(name, monkeypatch):
    """A share that goes away between looking and reading."""
    Path(name).write_bytes(b"x" * 100)

    def stale(*_, **__):
        raise OSError(116, "Stale file handle", name)

    monkeypatch.setattr("builtins.open", stale)
    monkeypatch.setattr("io.open", stale)
    monkeypatch.setattr(Path, "open", stale)
    monkeypatch.setattr(h5py, "File", stale)
    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", stale)
    monkeypatch.setattr(pd, "read_csv", stale)
    monkeypatch.setattr(safetensors, "safe_open", stale)
    monkeypatch.setattr(torch, "load", stale)
    monkeypatch.setattr(np, "load", stale)
    monkeypatch.setattr(scipy.io, "loadmat", stale)
    with pytest.raises(InputError, match="does not give it") as caught:
        READERS[name](name)
    assert "fetch" not in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_names_a_folder_and_a_dangling_link(name):
    Path(name).mkdir()
    with pytest.raises(InputError, match="found a folder"):
        READERS[name](name)
    Path(name).rmdir()
    Path(name).symlink_to("/mnt/gone")
    with pytest.raises(InputError, match="-> /mnt/gone"):
        READERS[name](name)


def test_another_layout_is_not_to_be_fetched_again():
    with h5py.File("s.hdf5", "w") as file:
        file["images"] = np.zeros((2, 3), np.uint8)
        file.create_group("more")
    with pytest.raises(InputError) as caught:
        nsd_tree.read_stimuli("s.hdf5", [0])
    said = str(caught.value)
    assert "expected the dataset 'imgBrick', found ['images', 'more'] ((2, 3), a group)" in said
    assert "name NSD's nsd_stimuli.hdf5" in said
    assert "fetch" not in said
    scipy.io.savemat("a.mat", {"b": np.ones((2, 3))})
    with pytest.raises(InputError, match=r"found no a among b \(2, 3\)"):
        matlab.read_whole_numbers(Path("a.mat"), ["a"])


def test_a_checkpoint_with_more_than_tensors():
    torch.save({"a": torch.zeros(2), "path": Path("x")}, "a.pth")
    with pytest.raises(InputError, match="found other Python objects, such as pathlib") as caught:
        checkpoints.read_tensors("a.pth")
    assert "weights_only" not in str(caught.value)
    torch.save({"a": torch.zeros(20_000)}, "b.pth")
    Path("b.pth").write_bytes(Path("b.pth").read_bytes()[:-900])
    with pytest.raises(InputError, match="expected a whole file of named tensors"):
        checkpoints.read_tensors("b.pth")


def test_single_file_weights_lead_to_the_folder():
    torch.save({"a": torch.zeros(2)}, "vd-four-flow-v1-0-fp16.pth")
    Path("pretrained").mkdir()
    Path("pretrained/vd-four-flow-v1-0.pth").write_bytes(POINTER)
    for value, looks in (
        ("vd-four-flow-v1-0-fp16.pth", "a file of torch (zip)"),
        ("pretrained", "a pointer of git-LFS"),
    ):
        with pytest.raises(InputError) as caught:
            weights.locate(
                "weights.versatile", value, {}, "folder", ("image_unet", "text_unet", "vae", "image_encoder")
            )
        said = str(caught.value)
        assert looks in said
        assert "name an entry of config/weights.yaml, which is fetched" in said
        assert "name the folder" not in said
    for ending in ("safetensors", "bin"):
        Path(ending).mkdir()
        Path(f"{ending}/vd-four-flow.{ending}").write_bytes(POINTER)
        with pytest.raises(InputError, match="single files, such as"):
            weights.locate(
                "weights.versatile", ending, {}, "folder", ("image_unet", "text_unet", "vae", "image_encoder")
            )
    with pytest.raises(InputError, match=r"found the folder pretrained; name the file \(there are vd-four"):
        weights.locate("spaces.vdvae.weights", "pretrained", {})


def converted(source: str) -> np.ndarray:
    """What the page on troubleshooting makes of captions."""
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    part = page.split("## Captions of your own")[1]
    code = re.search(r"```python\n(.*?)```", part, re.DOTALL)[1]
    exec(code.replace("captions.json", source), {})
    return np.load("captions_table.npy")


def test_captions_are_converted_as_the_page_says():
    rows = [["a cat", "a dog"], "one", ["1", "2", "3", "4", "5", "6"]]
    Path("list.json").write_text(json.dumps(rows), encoding="utf-8")
    Path("map.json").write_text(json.dumps({"7": ["größer"]}), encoding="utf-8")
    lists = np.empty(3, object)
    lists[:] = rows
    np.save("lists.npy", lists, allow_pickle=True)
    for source in ("list.json", "map.json", "lists.npy"):
        with pytest.raises(InputError, match=r"docs/troubleshooting\.md shows how") as caught:
            nsd_tree.read_captions(source, [0])
        assert "unsafely" not in str(caught.value)
        table = converted(source)
        assert table.shape == (nsd_tree.N_IMAGES, 5)
        if source == "map.json":
            assert nsd_tree.read_captions("captions_table.npy", [7]) == [["größer"]]
        else:
            expected = [["a cat", "a dog"], ["one"], ["1", "2", "3", "4", "5"]]
            assert nsd_tree.read_captions("captions_table.npy", [0, 1, 2]) == expected


@pytest.mark.skipif(not (SHARED / "cases/captions").is_dir(), reason="../shared/cases is not here")
def test_captions_of_users():
    for name, looks in (
        ("nsd_captions.json", "JSON text (a mapping)"),
        ("cap_object.npy", "an object array (73000,)"),
    ):
        Path(name).symlink_to(SHARED / "cases/captions" / name)
        with pytest.raises(InputError) as caught:
            nsd_tree.read_captions(name, [0])
        assert looks in str(caught.value)
        converted(name)
        assert nsd_tree.read_captions("captions_table.npy", [0])[0][0].startswith("An orange boat")


@pytest.mark.parametrize(
    "page",
    [
        b"\xef\xbb\xbf<!DOCTYPE html>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">',
        b"<!-- a login -->\n<!-- again -->\n<html>",
    ],
    ids=["mark", "xml", "comments"],
)
def test_web_pages_are_known_however_they_begin(page):
    Path("page.pth").write_bytes(page)
    assert file_kinds.look("page.pth").kind == "page"


def test_captions_that_never_came_are_not_to_be_converted():
    for name, content in (("page", b"<html>"), ("pointer", POINTER), ("empty", b""), ("zeros", bytes(99))):
        Path(name).write_bytes(content)
        with pytest.raises(InputError, match="put the right file there") as caught:
            nsd_tree.read_captions(name, [0])
        assert "shows how" not in str(caught.value)


def test_only_python_objects_are_called_so():
    """A file that is cut within its header holds none; what a file has alongside tensors is told."""
    tensors = {"a": torch.zeros(3)}
    safetensors.torch.save_file(tensors, "whole.safetensors")
    Path("cut.pth").write_bytes(Path("whole.safetensors").read_bytes()[:20])
    Path("cut.safetensors").write_bytes(Path("whole.safetensors").read_bytes()[:-4])
    for name in ("cut.pth", "cut.safetensors"):
        with pytest.raises(InputError, match="fetch it again, or name another") as caught:
            checkpoints.read_tensors(name)
        assert "Python objects" not in str(caught.value)
    torch.save({"epoch": 3, "state_dict": tensors}, "training.pth")
    with pytest.raises(InputError, match=r"found a mapping of epoch \(int\), state_dict \(dict\); save the"):
        checkpoints.read_tensors("training.pth")


def test_a_volume_under_the_other_ending_is_told_so():
    volume = nibabel.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4)).to_bytes()
    Path("a.nii.gz").write_bytes(volume)
    Path("b.nii").write_bytes(gzip.compress(volume))
    for name, ending in (("a.nii.gz", r"\.nii"), ("b.nii", r"\.nii\.gz")):
        with pytest.raises(
            InputError, match=rf"a (gzipped )?NIfTI volume, whose name must end in {ending}\)"
        ):
            nifti.open_nifti(name)
    packed = bytearray(gzip.compress(volume))
    packed[-8:-4] = b"abcd"
    Path("c.nii.gz").write_bytes(packed)
    with pytest.raises(InputError, match="damaged"):
        nifti.open_nifti("c.nii.gz")
