"""New scans decoded into pictures with the decoders of a run, on tiny random data."""

import json
import logging
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import kept_run
from helpers.kept_run import POSITIONS, VOLUME, predicted, write_betas
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from neural_recon.cli import command_line
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.generation.generator import Generator
from neural_recon.workflow import subject_decoders
from neural_recon.workflow.provenance import read

SPACES = ("vdvae", "vision", "text")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A project with the decoders that a run on a random subject kept, and tiny models."""
    return kept_run.make(tmp_path_factory.mktemp("run"))


def command(*arguments) -> int:
    """Exit status of `neural-recon decode`."""
    try:
        command_line.app(["decode", "--configfile", "mine.yaml", *map(str, arguments)])
    except SystemExit as done:
        return done.code


def test_a_new_session_becomes_pictures(run, rng, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    betas = rng.standard_normal((3, *VOLUME))
    rows = write_betas(tmp_path / "new.nii.gz", betas)
    assert command("--subject", "subj01", "--betas", tmp_path / "new.nii.gz") == 0
    output = run / "results/decoded/subj01/new"
    kept = run / "results/decoders/subj01"
    shared = read_hdf5(kept / "responses.h5", "mean", "std")
    features = read_hdf5(output / "features.h5")
    for space in SPACES:
        expected = predicted(
            kept / f"{space}.h5", kept / "responses.h5", (rows - shared["mean"]) / shared["std"]
        )
        np.testing.assert_allclose(features[space], expected, rtol=2e-3, atol=2e-3)
    names = ["00001", "00002", "00003"]
    assert features["name"].tolist() == names
    for kind in ("base", "final"):
        assert sorted(path.stem for path in (output / "pictures" / kind).iterdir()) == names
    assert Image.open(output / "sheet.png").size == (3 * 128, 2 * 128)
    provenance = json.loads((output / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["voxels"] == {"all": len(POSITIONS), "not_finite": 0, "constant": 0}
    assert provenance["betas"]["trials"] == 3
    assert provenance["betas"]["units"] == "NSD's integers, percent signal change x 300"
    assert provenance["betas"]["axes"] == "RAS, as they are"
    record = read(run / "results", "decoded/subj01/new")
    assert provenance["inputs"] == [one.model_dump() for one in record.made_by.inputs]
    assert [one.name for one in record.made_by.inputs[:6]] == ["betas", *["decoders"] * 5]
    assert {one.name for one in record.made_by.inputs[6:]} == {"weights"}
    assert all(one.sha256 for one in record.made_by.inputs)
    assert (record.made_by.rule, record.made_by.params) == ("decode", {"zscore": "train"})
    assert "features.h5" in record.output.files

    # a table of these responses, one condition each, is the same; a second call writes over the first
    pd.DataFrame(rows).to_parquet(tmp_path / "new.parquet")
    conditions = pd.DataFrame({"trial": [1, 2], "condition": ["cat", "dog"]})
    conditions.to_csv(tmp_path / "conditions.tsv", sep="\t", index=False)
    arguments = ("--subject", "subj01", "--betas", tmp_path / "new.parquet", "--average",
                 tmp_path / "conditions.tsv", "--output", tmp_path / "out")  # fmt: skip
    assert command(*arguments) == 0
    assert not (tmp_path / "out/captions.tsv").exists()
    monkeypatch.setattr(Generator, "captions", lambda _, guides, ids: [f"{len(guides)} of {i}" for i in ids])
    assert command(*arguments) == 0
    captions = pd.read_csv(tmp_path / "out/captions.tsv", sep="\t")
    assert captions.to_dict("list") == {"name": ["cat", "dog"], "caption": ["2 of 1", "2 of 2"]}
    for name, same in (("cat", "00001"), ("dog", "00002")):
        pair = [folder / "pictures/final" / f"{stem}.png"
                for folder, stem in ((tmp_path / "out", name), (output, same))]  # fmt: skip
        one, other = (np.asarray(Image.open(path)).astype(int) for path in pair)
        assert np.abs(one - other).max() <= 1
    assert not list(tmp_path.rglob(".part-*"))


def test_a_scan_stored_along_other_axes_gives_the_same_pictures(run, rng, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(run)
    caplog.set_level(logging.INFO)
    percent = rng.standard_normal((2, *VOLUME)).astype(np.float32).transpose(1, 2, 3, 0)
    image = nibabel.Nifti1Image(percent, np.eye(4))
    for name, codes in (("RAS", "RAS"), ("LAS", "LAS"), ("PIR", "PIR")):
        turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
        nibabel.save(image.as_reoriented(turn), tmp_path / f"{name}.nii.gz")
        assert command("--subject", "subj01", "--betas", tmp_path / f"{name}.nii.gz", "--output",
                       tmp_path / name) == 0  # fmt: skip
    for picture in (tmp_path / "RAS").rglob("*.png"):
        for name in ("LAS", "PIR"):
            other = tmp_path / name / picture.relative_to(tmp_path / "RAS")
            assert np.array_equal(np.asarray(Image.open(picture)), np.asarray(Image.open(other)))
    assert "LAS.nii.gz: stored as LAS" in caplog.text
    provenance = json.loads((tmp_path / "LAS/provenance.json").read_text(encoding="utf-8"))
    assert provenance["betas"]["axes"] == "LAS in the file, brought into RAS"
    assert provenance["betas"]["units"] == "percent signal change, as stored (float32)"

    affine = np.eye(4)
    affine[2, 3] = 0.5
    nibabel.save(nibabel.Nifti1Image(percent, affine), tmp_path / "moved.nii.gz")
    with pytest.raises(
        InputError, match=r"moved.nii.gz: .*decoders/subj01/responses.h5, found the first voxel at"
    ):
        command("--subject", "subj01", "--betas", tmp_path / "moved.nii.gz", "--output", tmp_path / "moved")
    assert not (tmp_path / "moved").exists()


@pytest.mark.parametrize("kind", ["guides_only", "base_only"])
def test_single_stages_decode_too(run, rng, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(run)
    config = yaml.safe_load((run / "mine.yaml").read_text(encoding="utf-8"))
    config["generator"] = {"kind": kind, **(config["generator"] if kind == "guides_only" else {})}
    (tmp_path / "kind.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    write_betas(tmp_path / "new.nii.gz", rng.standard_normal((2, *VOLUME)))
    given = ("--subject", "subj01", "--betas", tmp_path / "new.nii.gz")
    assert command(*given, "--output", tmp_path / "full") == 0
    given = (*given, "--configfile", tmp_path / "kind.yaml", "--output", tmp_path / kind)
    with monkeypatch.context() as patched:
        if kind == "base_only":  # needs no contexts, and so not those of nothing either
            patched.setattr(subject_decoders, "UNCONDITIONAL", Path("none"))
        assert command(*given) == 0
    base, final, full = (
        np.asarray(Image.open(folder / "pictures" / stage / "00001.png")).astype(int)
        for folder, stage in (
            (tmp_path / kind, "base"),
            (tmp_path / kind, "final"),
            (tmp_path / "full", "final"),
        )
    )
    assert final.shape == full.shape
    assert (final != full).any()
    assert (kind == "base_only") == np.array_equal(base, final)  # 64 pixels a side both
    provenance = json.loads((tmp_path / kind / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["generator"]["kind"] == kind
    assert "strength" not in provenance["generator"]
    read_too = [one["path"] for one in provenance["inputs"] if one["name"] == "weights"]
    assert any("image_unet" in path for path in read_too) == (kind == "guides_only")


def test_mistakes_of_the_command_are_one_sentence(run, rng, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    write_betas(tmp_path / "new.nii.gz", rng.standard_normal((3, *VOLUME)))
    betas = ("--betas", tmp_path / "new.nii.gz")
    with pytest.raises(InputError, match="expected one of subj01, found subj02"):
        command("--subject", "subj02", *betas)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="expected a new or empty folder"):
        command("--subject", "subj01", *betas, "--output", tmp_path)
    with pytest.raises(InputError, match="expected a new or empty folder"):
        command("--subject", "subj01", *betas, "--output", tmp_path / "mine.txt")
    with pytest.raises(InputError, match=r"at least 10 rows.*found 3"):
        command("--subject", "subj01", *betas, "--zscore", "session")
    path = run / "results/decoders/subj01/text.h5"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match=r"text.h5: expected a decoder kept.*run snakemake --configfile"):
        command("--subject", "subj01", *betas)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"text.h5: expected a whole HDF5 file"):
        command("--subject", "subj01", *betas)
    path.write_bytes(content)
    assert not (run / "results/decoded/subj01/new/.part").exists()
