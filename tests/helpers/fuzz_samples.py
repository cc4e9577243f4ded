"""Every file that the project reads: a whole sample of each, how it is read, and files made to do harm."""

import gzip
import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import safetensors.torch
import scipy.io
import torch
import yaml
from PIL import Image

from helpers import prepared_mindeye
from helpers.fuzz_mutations import Mutation, any_bytes, any_text, endless_zeros, hdf5_dataset, png
from helpers.published_layouts import ROOT, write_vdvae, write_versatile
from neural_recon import generation
from neural_recon.config.configuration import read_config
from neural_recon.core import hdf5, tables
from neural_recon.datasets import mindeye_files, trials, volumes
from neural_recon.datasets.grids import Grid
from neural_recon.datasets.nsd import coco, nsd_tree
from neural_recon.datasets.nsd.betas import check_betas, read_betas
from neural_recon.decoding import kept_decoders, penalty_table, ridge_files
from neural_recon.decoding.kernel import Kernel
from neural_recon.evaluation.folder_scores import evaluate_folder
from neural_recon.features.feature_files import FeatureTable, read_rows, write_chunk
from neural_recon.models import checkpoints, loading, weights
from neural_recon.report import results
from neural_recon.responses import new_scans, session_verdicts

VOLUME, TRIALS, P = (5, 6, 4), 7, 9
RNG = np.random.default_rng(5)
MASK = np.zeros(VOLUME, bool)
MASK.flat[RNG.permutation(MASK.size)[:P]] = True
POSITIONS = np.argwhere(MASK)
IDS = np.arange(4)
PACKED = zlib.compress(bytes(2**20))


@dataclass(frozen=True)
class Reader:
    """Something that is read: the folder it lies in, its files, the call, and what to try on them.

    `read` raises AssertionError where what comes back is not what its documentation says.
    """

    folder: str
    files: tuple[str, ...]
    read: Callable[[Path], None]
    mutations: tuple[Mutation, ...]


class Payload:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch CANARY",)


# --- samples ---


def write_samples(root: Path) -> None:
    """Write one whole sample of everything."""
    for reader in READERS.values():
        (root / reader.folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    ordering = np.tile(np.arange(1, 1001), 3)[: 2 * 750]
    images = np.arange(1, 8001).reshape(8, 1000)
    design = {"masterordering": ordering, "subjectim": images, "sharedix": images[0, :10]}
    scipy.io.savemat(root / "tree/design.mat", design, do_compression=True)
    scipy.io.savemat(root / "tree/plain.mat", design)
    betas = rng.integers(-900, 900, (*VOLUME, TRIALS)).astype(np.int16)
    for name, volume in (
        ("betas.nii.gz", betas),
        ("mask.nii.gz", MASK.astype(np.int16)),
        ("ncsnr.nii.gz", rng.random(VOLUME).astype(np.float32)),
    ):
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), root / "tree" / name)
    nibabel.save(nibabel.Nifti2Image(betas, np.eye(4)), root / "tree/betas2.nii.gz")
    turned = betas.transpose(3, 2, 1, 0)
    for name, how in (
        ("betas.hdf5", {}),
        ("voxels.hdf5", {"chunks": (TRIALS, 1, 6, 5), "compression": "gzip"}),
    ):
        with h5py.File(root / "tree" / name, "w") as file:
            file.create_dataset("betas", data=turned, **how)
    pictures = rng.integers(1, 255, (5, 16, 16, 3), dtype=np.uint8)
    with h5py.File(root / "tree/stimuli.hdf5", "w") as file:
        file["imgBrick"] = pictures
    np.save(root / "tree/captions.npy", np.array([["a cat", "two", "", "", ""]] * 5))
    annotations = [{"image_id": 10 + k, "caption": f"caption {k}"} for k in range(5)]
    (root / "coco/captions.json").write_text(json.dumps({"annotations": annotations}))
    pd.DataFrame({"nsdId": range(5), "cocoId": range(10, 15)}).to_csv(root / "coco/stimuli.csv")

    prepared_mindeye.write(root / "prepared")

    write_vdvae(root / "models")
    (root / "models/hparams.json").write_text(json.dumps(write_vdvae(root / "models")[1]))
    folder = write_versatile(root / "models", safetensors=True)
    for branch in ("image_unet", "vae"):  # one torch file is enough
        weights_file = folder / branch / "diffusion_pytorch_model.safetensors"
        if branch == "vae":
            torch.save(safetensors.torch.load_file(weights_file), weights_file.with_suffix(".bin"))
            weights_file.unlink()
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5).half()}
    safetensors.torch.save_file(tensors, root / "tensors/new.safetensors")
    torch.save(tensors, root / "tensors/zip.pth")
    torch.save(tensors, root / "tensors/old.th", _use_new_zipfile_serialization=False)

    (root / "config/config/recipes").mkdir(parents=True, exist_ok=True)
    for name in ("nsd.yaml", "weights.yaml", "recipes/brain_diffuser.yaml"):
        (root / "config/config" / name).write_text((ROOT / "config" / name).read_text())
    (root / "tables/ids.txt").write_text("3\n1\n2\n")
    clusters = pd.DataFrame({"image_id": range(4), "cluster": 1, "split": ["train", "test"] * 2})
    clusters.to_csv(root / "tables/clusters.tsv", sep="\t", index=False)
    rows = pd.DataFrame(rng.standard_normal((TRIALS, P)), columns=[f"voxel{k}" for k in range(P)])
    rows.to_csv(root / "tables/new.tsv", sep="\t", index=False)
    rows.to_parquet(root / "tables/new.parquet")
    np.save(root / "tables/new.npy", rows.to_numpy(np.float32))
    conditions = pd.DataFrame({"trial": range(1, 5), "condition": ["a", "b"] * 2})
    conditions.to_csv(root / "tables/conditions.tsv", sep="\t", index=False)
    for name in ("new.parquet", "new.tsv"):
        own = pd.DataFrame({"image_id": range(9), "split": ["test", "train", "unused"] * 3})
        tables.write_table(root / "own" / name, own)
    sessions = {"session": [1, 2], "verdict": ["fits"] * 2, "reading": "", "remark": "", "outlier": ""}
    tables.write_table(root / "own/sessions.tsv", pd.DataFrame(sessions))
    tables.write_table(root / "own/alpha.tsv", penalty_table.fixed_curve(100.0))
    for k in range(3):
        Image.fromarray(pictures[k]).save(root / f"pictures/{k}.png")
        Image.fromarray(pictures[k]).save(root / f"pictures/1{k}.jpg")

    features = rng.standard_normal((4, 6)).astype(np.float32)
    write_chunk(root / "own/chunk.h5", features, np.zeros(4, bool), IDS, {"space": "vdvae"}, [4, 2])
    train = rng.standard_normal((6, P)).astype(np.float32)
    kernel = Kernel.of(train, train[:2])
    ridge_files.write_kernel(root / "own/kernel.h5", kernel, {"train_ids": np.arange(6), "test_ids": IDS[:2]})
    responses = {"train": train, "mean": np.zeros(P), "std": np.ones(P)}
    kept_decoders.write_shared(
        root / "own/responses.h5", responses, POSITIONS, VOLUME, kernel, "kernel", {"zscore": "train"}
    )
    targets = rng.standard_normal((6, 6)).astype(np.float32)
    kept_decoders.write_decoder(
        root / "own/decoder.h5", root / "own/responses.h5", train, kernel, targets, 10.0, "train", 0, 0.01
    )
    hdf5.write_hdf5(
        root / "own/predictions.h5",
        {"predictions": features, "image_id": IDS, "name": np.array(list("abcd"))},
        {},
    )
    hdf5.write_hdf5(root / "own/pictures.h5", {"images": pictures[:4], "image_id": IDS}, {})


# --- reading, and what must hold of what comes back ---


def design(path: Path) -> None:
    table = nsd_tree.design_table(*nsd_tree.read_experiment(path), "subj02", [1, 2])
    assert len(table) == 1500
    assert table["image_id"].between(0, nsd_tree.N_IMAGES - 1).all()


def betas(path: Path) -> None:
    check_betas(path, VOLUME, TRIALS)
    found = read_betas(path, MASK, TRIALS)
    assert found.shape == (TRIALS, P)
    assert found.dtype == np.float32  # of a file of floats also NaN: such voxels are dropped later
    assert read_betas(path, MASK).shape == (TRIALS, P)


def new_betas(path: Path) -> None:
    found = new_scans.new_responses(path, POSITIONS, Grid("the decoder", VOLUME, np.eye(4))).values
    assert found.ndim == 2
    assert found.shape[1] == P
    assert len(found)
    assert found.dtype == np.float32


def mask(path: Path) -> None:
    found = volumes.read_labels(path)
    assert found.dtype == np.int32
    assert found.ndim == 3
    assert volumes.read_mask(path).any()


def ncsnr(path: Path) -> None:
    assert volumes.read_ncsnr(path, POSITIONS).shape == (P,)


def stimuli(path: Path) -> None:
    found = nsd_tree.read_stimuli(path, [3, 0, 3])
    assert found.dtype == np.uint8
    assert found.ndim == 4
    assert len(found) == 3
    assert found.shape[3] == 3
    nsd_size, nsd_tree.N_IMAGES = nsd_tree.N_IMAGES, 5
    try:
        nsd_tree.check_stimuli(path)
    finally:
        nsd_tree.N_IMAGES = nsd_size


def captions(path: Path) -> None:
    assert all(len(row) > 0 for row in nsd_tree.read_captions(path, [4, 0]))


def coco_captions(path: Path) -> None:
    table = coco.caption_table(path.parent / "stimuli.csv", [path.parent / "captions.json"])
    assert table.shape[1] == 5
    assert table.nbytes < 2**20


def tensors(path: Path) -> None:
    found = checkpoints.read_tensors(path)
    module = torch.nn.Module()
    module.a, module.b = (torch.nn.Parameter(torch.zeros(n)) for n in ((3, 4), (5,)))
    checkpoints.load_tensors(module, found, path)
    assert module.a.shape == (3, 4)
    assert module.b.sum().isreal()


def vdvae(path: Path) -> None:
    folder = path.parent
    loading.load_vdvae(folder / "imagenet64-iter-1600000-model-ema.th", folder / "hparams.json")


def versatile(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "versatile-diffusion")


def clip(path: Path) -> None:
    model = loading.load_clip(versatile(path))
    text = model.text(["a cat"])
    assert text.shape == (1, 77, 32)


def shown(path: Path) -> None:
    found = mindeye_files.read_shown(path)
    assert found.dtype == np.int64
    assert (found >= [0, 1, 0]).all()


def prepared_betas(path: Path) -> None:
    rows, n_voxels = np.arange(3, 9), prepared_mindeye.VOXELS
    found = mindeye_files.read_betas(path, rows, n_voxels)
    assert found.shape == (len(rows), n_voxels)
    assert np.isfinite(found).all()


def prepared_pictures(path: Path) -> None:
    found = mindeye_files.read_pictures(path, [3, 0, 3])
    assert found.dtype == np.uint8
    assert found.shape[::3] == (3, 3)


def generator(path: Path) -> None:
    spaces = {"base": "base", "vision": "vision", "text": "text"}
    generation.load({"kind": "versatile_diffusion", "weights": str(versatile(path)), **spaces}).prepare()


def configuration(path: Path) -> None:
    folder = next(parent for parent in path.parents if (parent / "config").is_dir())
    found = read_config(folder / "config/nsd.yaml", folder)
    table = weights.read_table(folder / "config/weights.yaml")
    weights.locate("spaces.vdvae.weights", found.spaces["vdvae"].weights, table)


def ids(path: Path) -> None:
    assert trials.read_ids(path).dtype == np.int64


def clusters(path: Path) -> None:
    assert all(part.dtype == np.int64 for part in trials.read_lists(None, None, path))


def conditions(path: Path) -> None:
    assert new_scans.read_conditions(path, TRIALS).index.isin(range(TRIALS)).all()


def pictures(path: Path) -> None:
    preset = ("native", "brain_diffuser")[path.stat().st_size % 2]
    summary, _ = evaluate_folder(path.parent, path.parent, preset)
    assert np.isfinite(summary["mean"].dropna()).all()


def table(path: Path) -> None:
    found = tables.read_table(path, ["image_id", "split"])
    assert {"image_id", "split"} <= set(found)


def report_table(path: Path) -> None:
    assert "session" in session_verdicts.read_sessions(path)
    assert results.table(path, ["verdict"]) is not None


def alpha(path: Path) -> None:
    assert np.all(np.asarray(penalty_table.read_chosen(path)) > 0)


def chunk(path: Path) -> None:
    features = FeatureTable([path], IDS[::-1])
    assert features[:, 1:4].shape == (4, 3)
    assert features.parts.sum() == features.shape[1]


def kernel(path: Path) -> None:
    found, train_ids, test_ids = ridge_files.read_kernel(path)
    assert found.n_train == len(train_ids)
    assert found.n_test == len(test_ids)


def decoder(path: Path) -> None:
    folder = path.parent
    shared = hdf5.read_hdf5(folder / "responses.h5", "x_y_z", "volume", "mean", "std")
    hdf5.read_parameters(folder / "responses.h5")
    rows = np.ones((2, len(shared["mean"])), np.float32)
    scores = kept_decoders.project(folder / "responses.h5", rows)
    assert kept_decoders.predict(folder / "decoder.h5", folder / "responses.h5", scores).shape == (2, 6)


def predictions(path: Path) -> None:
    assert read_rows(path, IDS[::-1]).shape[0] == 4
    hdf5.read_hdf5(path)


def picture_file(path: Path) -> None:
    found = dict(results.each_picture(path, IDS))
    assert set(found) <= set(IDS.tolist())
    assert all(p.ndim == 3 for p in found.values())


# --- files made to do harm ---


def nifti_bomb(path: Path, rng: np.random.Generator) -> None:
    """Much more than any volume, declared and there; or much more behind what is declared."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    kind = rng.integers(4)
    shape = [(2000, 2000, 2000), (*VOLUME, 32767), VOLUME, (*VOLUME, TRIALS)][kind]
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    start = bytearray(header.binaryblock + bytes(4))
    if kind == 2 and rng.random() < 0.5:  # a header extension of 2 GB
        start[108:112] = np.float32(2**31).tobytes()
        start[348:] = bytes([1, 0, 0, 0]) + (2**31 - 16).to_bytes(4, "little") + bytes(4)
    path.write_bytes(endless_zeros(bytes(start), 31, 24))


def betas_extremes(path: Path, rng: np.random.Generator) -> None:
    """NaN, other types, scaling."""
    dtype = (np.float32, np.float64, np.uint16, np.int32, np.complex64)[rng.integers(5)]
    values = rng.standard_normal((*VOLUME, TRIALS)).astype(dtype)
    if values.dtype.kind == "f":
        values[0] = np.nan
    image = nibabel.Nifti1Image(values if rng.random() < 0.5 else values[..., 0], np.eye(4))
    if rng.random() < 0.3:
        image.header.set_slope_inter(1e38, np.float32(rng.choice([1e38, 3])))
    path.write_bytes(gzip.compress(image.to_bytes(), 1))


def hdf5_sparse(path: Path, rng: np.random.Generator) -> None:
    """Declared, compressed, never or hardly filled in; a chunk of gigabytes."""
    with h5py.File(path, "w") as file:
        for name, dtype in (("betas", np.int16), ("imgBrick", np.uint8)):
            tail = VOLUME[::-1] if name == "betas" else (16, 16, 3)
            kind = rng.integers(4)
            n = 10**6 if kind else 5
            if kind == 3 and name == "imgBrick":
                tail = (10**5, 10**5, 3)
            chunks = ((n if kind == 2 else 1), *(min(n, 64) for n in tail))
            data = file.create_dataset(name, (n, *tail), dtype, chunks=chunks, compression="gzip")
            data.id.write_direct_chunk((0,) * data.ndim, PACKED)


def npy_harm(path: Path, rng: np.random.Generator) -> None:
    kind = rng.integers(5)
    if kind == 0:
        np.save(path, np.array([Payload()] * 5, object), allow_pickle=True)
    elif kind == 1:
        path.write_bytes(pickle.dumps(Payload()))
    elif kind == 2:
        with path.open("wb") as file:
            shape = (10**12, 5) if rng.random() < 0.5 else (5, 2**40)
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<U9", "fortran_order": False, "shape": shape}
            )
    elif kind == 3:
        np.savez(path.with_suffix(".npz"), a=1)
        path.with_suffix(".npz").rename(path)
    else:
        dtype = (np.float64, "S9", "M8[s]", "i4,f8")[rng.integers(4)]
        np.save(path, np.zeros((5, 5), dtype))


def torch_harm(path: Path, rng: np.random.Generator) -> None:
    kind = rng.integers(6)
    if kind == 0:
        torch.save({"a": Payload()}, path)
    elif kind == 1:
        path.write_bytes(pickle.dumps(Payload()))
    elif kind == 2:
        torch.save([torch.zeros(3, 4), 1, {"b": {"c": torch.zeros(5)}}], path)
    elif kind == 3:  # a record that inflates to gigabytes
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("x/data.pkl", bytes(2**27))
    elif kind == 4:
        values = torch.zeros(5)
        values[2] = torch.nan
        strange = (
            torch.zeros(1).expand(3, 4),
            torch.zeros(3, 4).to_sparse(),
            torch.zeros(3, 4, device="meta"),
        )
        torch.save({"a": strange[rng.integers(3)], "b": values}, path)
    else:
        torch.save({"a": torch.zeros(1).expand(10**6, 10**6), 3: torch.zeros(5).to(torch.complex64)}, path)


def safetensors_harm(path: Path, rng: np.random.Generator) -> None:
    length = (2**63, 2**40, 10**8, 2, 0)[rng.integers(5)]
    shape = ([3, 4], [2**40, 2**40], [10**9, 10**9], [-1])[rng.integers(4)]
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 48]}}).encode()
    length = len(header) if rng.random() < 0.5 else length
    path.write_bytes(length.to_bytes(8, "little") + header + bytes(48))


def mat_harm(path: Path, rng: np.random.Generator) -> None:
    kind = rng.integers(3)
    values = {"masterordering": np.arange(1500), "subjectim": np.ones((8, 1000)), "sharedix": [1]}
    name = list(values)[rng.integers(3)]
    if kind == 0:
        odd = ({"a": 1}, "text", np.array([{}, 1], object), 1j, np.full((8, 1000), np.nan), [])
        values[name] = odd[rng.integers(6)]
    elif kind == 1:
        values[name] = np.full((8, 1000), (-5, 10**9, 0.5, np.inf, 1e300)[rng.integers(5)])
    scipy.io.savemat(path, values, do_compression=bool(rng.integers(2)))
    if kind == 2:  # a variable that inflates to gigabytes
        numbers = [14, 2**31 + 56, 6, 8, 6, 0, 5, 8, 1, 2**28, 1, 14]
        start = np.array(numbers, "<u4").tobytes() + b"masterordering\0\0"
        start += np.array([9, 2**31], "<u4").tobytes()
        packed = endless_zeros(start, zlib.MAX_WBITS, 2)
        tag = np.array([15, len(packed)], "<u4").tobytes()
        path.write_bytes(path.read_bytes()[:128] + tag + packed)


def picture_harm(path: Path, rng: np.random.Generator) -> None:
    kind = rng.integers(6)
    if kind == 0:
        path.write_bytes(png(10**5, 10**5, zlib.compress(bytes(10**6))))
    elif kind == 1:  # just below the library's own limit
        path.write_bytes(png(13000, 13000, zlib.compress(bytes(10**7))))
    elif kind == 2:  # a program for a printer
        path.write_bytes(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n(CANARY) (w) file\n"
        )
    elif kind == 3:
        size = (13000, 13000) if rng.random() < 0.5 else (16, 16)
        Image.new("L", size).save(path, format=("TIFF", "BMP", "GIF", "WEBP")[rng.integers(3)])
    elif kind == 4:
        Image.new(("I;16", "RGBA", "1", "P", "F")[rng.integers(4)], (16, 16)).save(path, "PNG")
    else:
        Image.new("RGB", (int(rng.integers(1, 3)), int(rng.integers(1, 5000)))).save(path)


def yaml_harm(path: Path, rng: np.random.Generator) -> None:
    kind = rng.integers(7)
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    texts = (
        "!!python/object/apply:os.system ['touch CANARY']",
        "recipe: brain_diffuser\nnsd: !!python/object/new:os.system [touch CANARY]",
        bomb,
        f"recipe: brain_diffuser\n{bomb}seed: *i\n",
        "[" * 5000,
        "a: &a {b: *a}",
        yaml.safe_dump({1: 2, "x": 3, None: 4, (1, 2): 5}),
    )
    path.write_text(texts[kind])


def json_harm(path: Path, rng: np.random.Generator) -> None:
    if path.suffix != ".json":
        any_text(path, rng)
        return
    old = json.loads(path.read_text())
    kind = rng.integers(6)
    if kind == 0:
        path.write_text("[" * 100_000)
    elif kind == 1:
        path.write_text(("[]", "3", "null", '"x"', "{}", "")[rng.integers(6)])
    elif kind == 2 and isinstance(old, Mapping) and "annotations" in old:
        old["annotations"][0]["caption"] = "x" * 10**7
        path.write_text(json.dumps(old))
    elif isinstance(old, Mapping):
        name = list(old)[rng.integers(len(old))] if old else "x"
        values = (
            10**9,
            -1,
            0,
            10**30,
            0.5,
            None,
            "x",
            [],
            {},
            True,
            [10**9] * 4,
            "os.system",
            "1x1000000000",
        )
        old[name] = values[rng.integers(len(values))]
        path.write_text(json.dumps(old))


def parquet_harm(path: Path, rng: np.random.Generator) -> None:
    kind = rng.integers(4)
    if kind == 0:
        pd.DataFrame({f"v{k}": [Payload.__name__] * 3 for k in range(P)}).to_parquet(path)
    elif kind == 1:  # a column that is one number, many times
        import pyarrow as pa
        import pyarrow.parquet as pq

        column = pa.array(np.zeros(10**6))
        with pq.ParquetWriter(path, pa.schema([(f"v{k}", pa.float64()) for k in range(P)])) as writer:
            for _ in range(60):
                writer.write_table(pa.table({f"v{k}": column for k in range(P)}))
    elif kind == 2:
        pd.DataFrame({f"v{k}": [np.nan, np.inf] for k in range(P)}).to_parquet(path)
    else:
        pd.DataFrame({"image_id": [[1]], "split": [{"a": 1}]}).to_parquet(path)


BYTES, TEXT, HDF5 = any_bytes, any_text, (any_bytes, any_bytes, hdf5_dataset)
VD = "models/versatile-diffusion"
SETTINGS = (TEXT, json_harm)
READERS = {
    "design": Reader("tree", ("design.mat", "plain.mat"), design, (BYTES, BYTES, BYTES, mat_harm)),
    "betas nii.gz": Reader(
        "tree", ("betas.nii.gz", "betas2.nii.gz"), betas, (BYTES, BYTES, BYTES, betas_extremes)
    ),
    "betas hdf5": Reader("tree", ("betas.hdf5", "voxels.hdf5"), betas, (*HDF5, *HDF5, hdf5_sparse)),
    "new scan": Reader(
        "tree",
        ("betas.nii.gz", "betas.hdf5"),
        new_betas,
        (BYTES, BYTES, BYTES, BYTES, betas_extremes, nifti_bomb),
    ),
    "mask, atlas": Reader(
        "tree", ("mask.nii.gz",), mask, (BYTES, BYTES, BYTES, BYTES, betas_extremes, nifti_bomb)
    ),
    "ncsnr": Reader("tree", ("ncsnr.nii.gz",), ncsnr, (BYTES, BYTES, BYTES, betas_extremes)),
    "stimuli": Reader("tree", ("stimuli.hdf5",), stimuli, (*HDF5, *HDF5, hdf5_sparse)),
    "captions": Reader("tree", ("captions.npy",), captions, (BYTES, BYTES, npy_harm)),
    "COCO": Reader("coco", ("captions.json", "stimuli.csv"), coco_captions, (TEXT, TEXT, json_harm)),
    "prepared trials": Reader("prepared", ("wds/subj01/train/0.tar",), shown, (BYTES, BYTES, BYTES)),
    "prepared betas": Reader(
        "prepared", (prepared_mindeye.betas_file(Path(), "subj01").name,), prepared_betas, HDF5
    ),
    "prepared pictures": Reader("prepared", (prepared_mindeye.PICTURES,), prepared_pictures, HDF5),
    "safetensors": Reader("tensors", ("new.safetensors",), tensors, (BYTES, BYTES, safetensors_harm)),
    "torch files": Reader("tensors", ("zip.pth", "old.th"), tensors, (BYTES, BYTES, torch_harm)),
    "VDVAE": Reader("models", ("hparams.json",), vdvae, SETTINGS),
    "CLIP folder": Reader(
        VD,
        (
            "image_encoder/config.json",
            "text_encoder/config.json",
            "tokenizer/vocab.json",
            "tokenizer/merges.txt",
            "tokenizer/tokenizer_config.json",
            "image_feature_extractor/preprocessor_config.json",
        ),
        clip,
        SETTINGS,
    ),
    "generator folder": Reader(
        VD,
        ("image_unet/config.json", "vae/config.json", "scheduler/scheduler_config.json"),
        generator,
        SETTINGS,
    ),
    "configuration": Reader(
        "config/config",
        ("nsd.yaml", "recipes/brain_diffuser.yaml", "weights.yaml"),
        configuration,
        (TEXT, TEXT, yaml_harm),
    ),
    "split list": Reader("tables", ("ids.txt",), ids, (TEXT,)),
    "clusters": Reader("tables", ("clusters.tsv",), clusters, (TEXT,)),
    "voxel table": Reader("tables", ("new.tsv",), new_betas, (TEXT,)),
    "voxel parquet": Reader(
        "tables", ("new.parquet",), new_betas, (BYTES, BYTES, BYTES, BYTES, BYTES, parquet_harm)
    ),
    "voxel array": Reader("tables", ("new.npy",), new_betas, (BYTES, BYTES, npy_harm)),
    "conditions": Reader("tables", ("conditions.tsv",), conditions, (TEXT,)),
    "pictures": Reader("pictures", ("0.png", "11.jpg"), pictures, (BYTES, picture_harm)),
    "own tables": Reader("own", ("new.parquet", "new.tsv"), table, (BYTES, TEXT)),
    "own verdicts": Reader("own", ("sessions.tsv",), report_table, (TEXT,)),
    "own alpha": Reader("own", ("alpha.tsv",), alpha, (TEXT,)),
    "own features": Reader("own", ("chunk.h5",), chunk, HDF5),
    "own kernel": Reader("own", ("kernel.h5",), kernel, HDF5),
    "own decoders": Reader("own", ("responses.h5", "decoder.h5"), decoder, HDF5),
    "own predictions": Reader("own", ("predictions.h5",), predictions, HDF5),
    "own pictures": Reader("own", ("pictures.h5",), picture_file, HDF5),
}
