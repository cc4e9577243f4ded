"""Files that are broken, or made to do harm: one clear error each, before memory or time is spent on them."""

import gzip
import os
import pickle
import subprocess
import sys
import zipfile

import h5py
import nibabel
import numpy as np
import pytest
import safetensors.torch
import scipy.io
import torch
from helpers import fuzz_readers
from helpers.fuzz_mutations import endless_zeros, png
from PIL import Image

from neural_recon.core import errors, hdf5, texts
from neural_recon.core.errors import InputError
from neural_recon.datasets import trials, volumes
from neural_recon.datasets.nsd import betas, coco, nsd_tree
from neural_recon.decoding import penalty_table
from neural_recon.evaluation.picture_files import picture_files, read_picture
from neural_recon.features.feature_files import FeatureTable, write_chunk
from neural_recon.models import checkpoints, model_folders
from neural_recon.models.clip import ClipContexts
from neural_recon.models.vdvae_blocks import parse_blocks
from neural_recon.responses.new_scans import new_responses

VOLUME = (5, 6, 4)
MASK = np.ones(VOLUME, bool)


class Payload:
    def __reduce__(self):
        return os.system, ("touch canary",)


@pytest.fixture(autouse=True)
def _canary(tmp_path, monkeypatch):
    """What would run would leave a file in the test's folder."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "canary").exists()


def refuses(match, call, *arguments):
    with pytest.raises(InputError, match=match) as raised:
        call(*arguments)
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) <= errors.LONGEST


def header(shape, dtype=np.int16, offset=352):
    found = nibabel.Nifti1Header()
    found.set_data_dtype(dtype)
    found.set_data_shape(shape)
    found["magic"], found["vox_offset"] = b"n+1", offset
    return found.binaryblock + bytes(4)


def test_a_seeded_set_of_cases_ends_well(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz_readers.py", "--cases", "319", "--seed", "1"])
    failed = fuzz_readers.main()
    said = capsys.readouterr().out
    assert not failed, said
    assert "319 cases, seed 1: 0 did not end well" in said


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((2000, 2000, 2000), "at most 16777216 voxels"),
        ((*VOLUME, 32767), "expected a volume"),
        (VOLUME, "more behind the data"),
    ],
)
def test_volumes_that_inflate_without_end(tmp_path, shape, match):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(endless_zeros(header(shape), 31, 24))
    refuses(match, volumes.read_labels, path)


@pytest.mark.parametrize(
    ("shape", "match"), [((*VOLUME, 32767), "1 to 30000 trials"), ((*VOLUME, 7), "more behind the data")]
)
def test_betas_that_inflate_without_end(tmp_path, shape, match):
    path = tmp_path / "new.nii.gz"
    path.write_bytes(endless_zeros(header(shape), 31, 24))
    refuses(match, new_responses, path, np.argwhere(MASK), VOLUME)


def test_betas_that_declare_more_than_the_file_can_hold(tmp_path):
    path, large = tmp_path / "betas.nii.gz", (50, 50, 50)
    path.write_bytes(gzip.compress(header((*large, 30000))))
    refuses("declares 7500000000 bytes", betas.read_betas, path, np.ones(large, bool))


def test_a_header_extension_is_not_read(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(endless_zeros(header(VOLUME, offset=2**31), 31, 24))
    refuses("data from byte 2147483648 on", volumes.read_labels, path)


def test_a_flipped_bit_in_a_mask_is_seen(tmp_path):
    path = tmp_path / "mask.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(np.random.default_rng(0).integers(0, 9, VOLUME).astype(np.int16), np.eye(4)), path
    )
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # of the checksum, which comes behind the last value
    path.write_bytes(data)
    refuses("CRC check failed", volumes.read_labels, path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e9, 0.5])
def test_labels_are_whole_numbers_of_32_bits(tmp_path, value):
    volume = np.zeros(VOLUME)
    volume[0, 0, 0] = value
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "mask.nii.gz")
    refuses("expected whole numbers", volumes.read_labels, tmp_path / "mask.nii.gz")


def sparse(path, name, shape, chunks=None):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, shape, np.int16, chunks=chunks)
    return path


def test_datasets_that_are_declared_and_not_there(tmp_path):
    path = sparse(tmp_path / "betas.hdf5", "betas", (7, *VOLUME[::-1]))
    refuses("expected 'betas' to be all there", betas.read_betas, path, MASK)
    path = sparse(tmp_path / "own.h5", "images", (10**6, 10**4, 100), (1, 1, 100))
    refuses("expected 'images' to be all there", hdf5.read_hdf5, path, "images")
    with h5py.File(tmp_path / "half.hdf5", "w") as file:
        data = file.create_dataset("betas", (7, *VOLUME[::-1]), np.int16, chunks=(1, *VOLUME[::-1]))
        data[:5] = 1
    refuses("expected 'betas' to be all there", betas.read_betas, tmp_path / "half.hdf5", MASK)


def test_chunks_of_gigabytes(tmp_path):
    path = sparse(tmp_path / "stimuli.hdf5", "imgBrick", (10**6, 16, 16, 3), (10**6, 16, 16, 3))
    refuses("in chunks of at most", nsd_tree.read_stimuli, path, [0])


def test_datasets_of_other_files_and_other_types(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(200)))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image_id"] = [1]
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("other.h5", "image_id")
        file.create_dataset("outside", (200,), "u1", external=[(str(secret), 0, 200)])
        layout = h5py.VirtualLayout((1,), np.int64)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "image_id", (1,))
        file.create_virtual_dataset("virtual", layout)
        file["group/x"] = 1
        file["reference"] = np.array([file.ref], h5py.ref_dtype)
    for name in ("linked", "outside", "virtual", "group"):
        refuses("to be a dataset in this file", hdf5.read_hdf5, tmp_path / "own.h5", name)
    refuses("of another type", hdf5.read_hdf5, tmp_path / "own.h5", "reference")


@pytest.mark.parametrize("value", ["{", "[]", 3, "[" * 3000, b"\xff"])
def test_parameters_that_are_no_mapping(tmp_path, value):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file.attrs["parameters"] = value
    refuses("'parameters'", hdf5.read_parameters, tmp_path / "own.h5")


def test_chunks_of_features_whose_arrays_do_not_fit(tmp_path, rng):
    path, ids = tmp_path / "chunk.h5", np.arange(4)
    write_chunk(path, rng.standard_normal((4, 6)), np.zeros(4, bool), ids, {}, [4, 2])
    for name, values in (("image_id", np.arange(5)), ("parts", [4, 3]), ("image_id", np.arange(4.0))):
        with h5py.File(path, "r+") as file:
            old = file[name][()]
            del file[name]
            file[name] = values
        refuses("compute it again", FeatureTable, [path], ids)
        with h5py.File(path, "r+") as file:
            del file[name]
            file[name] = old
    assert FeatureTable([path], ids).shape == (4, 6)


@pytest.mark.parametrize(
    "values", [{"a": 1}, "text", 1j, np.full((8, 9), np.nan), np.full((8, 9), 0.5), -1, 10**9]
)
def test_designs_of_other_things(tmp_path, values):
    content = {"masterordering": np.ones(750), "subjectim": np.ones((8, 9)), "sharedix": [1]}
    scipy.io.savemat(tmp_path / "design.mat", content | {"subjectim": values})
    refuses("design.mat", nsd_tree.read_experiment, tmp_path / "design.mat")


def test_a_design_that_inflates_without_end(tmp_path):
    path = tmp_path / "design.mat"
    scipy.io.savemat(path, {"x": 1})
    packed = endless_zeros(b"", 15, 2)
    path.write_bytes(path.read_bytes()[:128] + np.array([15, len(packed)], "<u4").tobytes() + packed)
    refuses("at most 67108864 bytes", nsd_tree.read_experiment, path)


def test_captions_that_are_pickles_or_archives_or_endless(tmp_path):
    path = tmp_path / "captions.npy"
    np.save(path, np.array([[Payload()]], object), allow_pickle=True)
    refuses("expected a whole .npy file", nsd_tree.read_captions, path, [0])
    path.write_bytes(pickle.dumps(Payload()))
    refuses("expected a whole .npy file", nsd_tree.read_captions, path, [0])
    with path.open("wb") as file:
        np.savez(file, a=1)
    refuses("found an archive", nsd_tree.read_captions, path, [0])
    with path.open("wb") as file:
        what = {"descr": "<U9", "fortran_order": False, "shape": (10**12, 5)}
        np.lib.format.write_array_header_1_0(file, what)
    refuses("expected a whole .npy file", nsd_tree.read_captions, path, [0])


def test_one_caption_does_not_blow_the_table_up(tmp_path):
    (tmp_path / "stimuli.csv").write_text("nsdId,cocoId\n0,1\n")
    (tmp_path / "captions.json").write_text(
        '{"annotations": [{"image_id": 1, "caption": "' + "x" * 5000 + '"}]}'
    )
    refuses("at most 1000 characters", coco.caption_table, "stimuli.csv", ["captions.json"])
    (tmp_path / "captions.json").write_text("[" * 100_000)
    refuses("does not parse", coco.caption_table, "stimuli.csv", ["captions.json"])


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_would_run_code(tmp_path, zipped):
    torch.save({"a": Payload()}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    refuses("torch refuses", checkpoints.read_tensors, tmp_path / "a.pth")


def test_weights_that_inflate_or_are_no_plain_numbers(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(10**7))
    refuses("inflates to 10000000 bytes", checkpoints.read_tensors, tmp_path / "a.pth")
    for tensor in (torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")):
        torch.save({"a": tensor}, tmp_path / "b.pth")
        refuses("b.pth: expected", checkpoints.read_tensors, tmp_path / "b.pth")
    torch.save({3: torch.zeros(2)}, tmp_path / "c.pth")
    refuses("expected a state dict", checkpoints.read_tensors, tmp_path / "c.pth")
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "d.safetensors")
    (tmp_path / "d.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    refuses("torch refuses", checkpoints.read_tensors, tmp_path / "d.safetensors")


def test_models_with_more_layers_than_any(tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 1000000000}')
    refuses("num_hidden_layers", model_folders.read_config, tmp_path)
    with pytest.raises(ValueError, match="at most 1000"):
        parse_blocks("1x1000000000,4x1")
    (tmp_path / "image_encoder").mkdir()
    (tmp_path / "image_encoder/config.json").write_text('{"hidden_size": "wide", "patch_size": [1]}')
    refuses("expected a configuration that makes a model", ClipContexts.from_pretrained, tmp_path, "cpu")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch canary']",
        "2001-99-99",
        "[" * 5000,
        "!!int ''",
        "\x00",
        "1" * 5000,
    ],
)
def test_yaml_that_makes_no_plain_values(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    refuses(
        "expected YAML for a thing|at most 1000 brackets",
        texts.read_yaml,
        tmp_path / "a.yaml",
        "a thing",
    )


def test_a_message_stays_one_short_line():
    levels = ["x"]
    for _ in range(30):
        levels = [levels] * 9  # 9^30 values, were they written out
    assert len(errors.quoted(levels)) < 5000
    text = str(InputError("a\nb\t\x00 \udc80" + "x" * 5000 + "end"))
    assert text.startswith("a b \\x00 \\udc80x")
    assert text.endswith("end")
    assert len(text) <= errors.LONGEST


def test_lists_and_curves_of_other_things(tmp_path):
    for content in (b"\x8c\n", b"1" * 5000, b"99999999999999999999\n"):
        (tmp_path / "ids.txt").write_bytes(content)
        refuses("ids.txt", trials.read_ids, tmp_path / "ids.txt")
    (tmp_path / "clusters.tsv").write_bytes(b"image_id\tsplit\nNaN\ttrain\n")
    refuses("whole numbers", trials.read_lists, None, None, tmp_path / "clusters.tsv")
    for text in ("group\tfeatures\n1\t\n", "group\tfeatures\talpha\tchosen\n1\t\t-5\tTrue\n", "\xe9"):
        (tmp_path / "alpha.tsv").write_bytes(text.encode("latin-1"))
        refuses("alpha.tsv", penalty_table.read_chosen, tmp_path / "alpha.tsv")


def test_pictures_of_other_formats_start_no_program(tmp_path, monkeypatch):
    """PIL would start Ghostscript for this one, whatever its name."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "1.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n")
    refuses("expected a whole picture", read_picture, path)
    Image.new("RGB", (16, 16)).save(path, "TIFF")
    refuses("expected a whole picture", read_picture, path)
    assert list(picture_files(tmp_path)) == [1]


@pytest.mark.parametrize("side", [5000, 10**5])
def test_pictures_that_declare_a_wall(tmp_path, side):
    (tmp_path / "1.png").write_bytes(png(side, side))
    refuses("1.png: expected", read_picture, tmp_path / "1.png")


def test_captions_of_numbers_that_are_no_characters(tmp_path):
    path = tmp_path / "captions.npy"
    np.save(path, np.array([["a dog", "a cat"]]))
    path.write_bytes(path.read_bytes()[:-4] + b"\xff\xff\xff\x7f")
    with pytest.raises(InputError, match="expected text, found numbers that are no characters"):
        nsd_tree.read_captions(path, np.array([0]))
