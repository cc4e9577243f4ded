"""A data set and features of the sizes that NSD and the published models have, with made-up contents.

Every image has a few hidden values. Responses, pictures, captions and stand-ins for features follow from
them, so that decoders find something; nothing else is meant by them. All of it is seeded and the same
whatever is written first; a file that is there is not written again.
"""

import multiprocessing
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from isal import igzip, isal_zlib
from PIL import Image

from neural_recon.core.files import atomic
from neural_recon.core.hdf5 import atomic_hdf5, read_hdf5
from neural_recon.datasets.nsd import betas, nsd_tree
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import design
from neural_recon.demo.tree import write_captions
from neural_recon.features.feature_files import write_chunk

SUBJECT = "subj01"
HIDDEN = 48  # values of an image that all else follows from
SIDE = 425
WORDS = [
    "cat",
    "dog",
    "bus",
    "tree",
    "boat",
    "girl",
    "boy",
    "house",
    "kite",
    "bench",
    "bird",
    "pizza",
    "train",
]
NOISES = 8  # volumes of noise that trials take in turn, outside the voxels that are read


@dataclass(frozen=True)
class Size:
    """How large all of it is."""

    shape: tuple[int, int, int]  # of the volumes
    voxels: int  # of the mask
    sessions: int


FULL = Size((81, 104, 83), 15_724, 40)
SMALL = Size((12, 14, 11), 300, 1)


def experiment(size: Size) -> design.Design:
    """NSD's: 1,000 shared images and 9,000 of the subject's own, each three times in forty sessions; of fewer
    sessions those are full that there are."""
    images = size.sessions * nsd_tree.TRIALS_PER_SESSION // design.REPETITIONS
    shared = min(nsd_tree.N_SHARED, images // 5)
    return design.make(0, size.sessions, shared, images - shared)


def shown(size: Size) -> np.ndarray:
    """The ids of the images that the subject sees, ascending."""
    return np.unique(experiment(size).trials(SUBJECT, list(range(1, size.sessions + 1)))["image_id"])


def hidden(ids: Iterable[int]) -> np.ndarray:
    """Of images, float32 (n, `HIDDEN`)."""
    return np.stack([np.random.default_rng([1, int(i)]).standard_normal(HIDDEN, np.float32) for i in ids])


def once(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file that is not there; it appears under its name when it is whole."""
    if not path.is_file():
        with atomic(path) as temporary:
            write(temporary)


def write_tree(root: Path, size: Size, formats: Iterable[str], processes: int) -> Tree:
    """The subject's NSD tree."""
    tree = Tree(root)
    if not tree.stimuli.is_file():  # the last of these
        design.write(tree.expdesign, experiment(size))
        _write_captions(tree, size)
        _write_brain(tree, size)
        _write_stimuli(tree, size, processes)
    jobs = [
        (tree, size, session, format)
        for session in range(1, size.sessions + 1)
        for format in formats
        if not tree.betas(SUBJECT, session, format).is_file()
    ]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(_write_session, jobs, chunksize=1)
    return tree


def _write_captions(tree: Tree, size: Size) -> None:
    ids = shown(size)
    order = np.argsort(-np.abs(hidden(ids)[:, : len(WORDS)]), axis=1)[:, :7]
    texts = [[" ".join(WORDS[w] for w in row[k : k + 3]) for k in range(5)] for row in order]
    write_captions(tree.captions, ids, texts)


def _write_brain(tree: Tree, size: Size) -> None:
    """Cortex is the outer third of an ellipsoid; the mask its hindmost voxels, which each atlas cuts along
    another axis into its regions and a rest."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in size.shape], indexing="ij"))
    radius = np.sqrt(np.square(grid).sum(0))
    cortex = (radius < 0.95) & (radius > 0.6)
    places = np.flatnonzero(cortex)
    general = places[np.argsort(grid[1].ravel()[places], kind="stable")[: size.voxels]]
    rng = np.random.default_rng(2)

    def save(path: Path, where: np.ndarray, values: np.ndarray, outside: float = -1) -> None:
        volume = np.full(size.shape, outside, np.int16 if values.dtype.kind == "i" else np.float32)
        volume[cortex] = 0
        volume.ravel()[where] = values
        with atomic(path) as temporary:
            nibabel.save(nibabel.Nifti1Image(volume, np.diag([1.8, 1.8, 1.8, 1])), temporary)

    for k, (atlas, names) in enumerate(nsd_tree.REGIONS.items()):
        along = grid[k % 3].ravel()[general] + grid[(k + 1) % 3].ravel()[general] * k / 5
        parts = np.array_split(np.argsort(along, kind="stable"), len(names) + 1)
        for label, part in zip([*names.values(), 0], parts, strict=True):
            along[part] = label
        save(tree.roi(SUBJECT, atlas), general, along.astype(np.int16))
    save(tree.ncsnr(SUBJECT), general, rng.uniform(0.1, 1, len(general)).astype(np.float32), 0)
    save(tree.mask(SUBJECT), general, np.ones(len(general), np.int16))


def _write_stimuli(tree: Tree, size: Size, processes: int) -> None:
    ids = shown(size)
    with (
        multiprocessing.get_context("spawn").Pool(processes) as pool,
        atomic_hdf5(tree.stimuli) as file,
    ):
        shape = (nsd_tree.N_IMAGES, SIDE, SIDE, 3)
        brick = file.create_dataset(
            "imgBrick", shape, np.uint8, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1
        )
        for image_id, content in zip(ids, pool.imap(_compressed_picture, ids, chunksize=16), strict=True):
            brick.id.write_direct_chunk((image_id, 0, 0, 0), content)


def _compressed_picture(image_id: int) -> bytes:
    """Clouds of colour, and a grain that compresses about as photographs do."""
    coarse = hidden([image_id])[0].reshape(4, 4, 3)
    levels = np.clip(128 + 45 * coarse, 0, 255).astype(np.uint8)
    picture = np.asarray(Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
    grain = np.random.default_rng([3, int(image_id)]).integers(-3, 4, (SIDE, SIDE, 1))
    return zlib.compress(np.clip(picture + grain, 1, 255).astype(np.uint8).tobytes(), 1)


def _write_session(tree: Tree, size: Size, session: int, format: str) -> None:
    """Betas of one session, trial by trial: a volume at a time in memory."""
    mask = np.asarray(nibabel.load(tree.mask(SUBJECT)).dataobj)
    ncsnr = np.asarray(nibabel.load(tree.ncsnr(SUBJECT)).dataobj)[mask == 1]
    ids = experiment(size).trials(SUBJECT, [session])["image_id"].to_numpy()
    rng = np.random.default_rng([4, session])
    weights = np.random.default_rng(5).standard_normal((HIDDEN, size.voxels), np.float32) / HIDDEN**0.5
    signals = hidden(ids) @ weights
    cortex = np.flatnonzero((mask >= 0).ravel(order="F"))
    where = np.ravel_multi_index(np.nonzero(mask == 1), size.shape, order="F")
    noise = np.zeros((NOISES, mask.size), np.int16)  # x fastest, as in the files
    noise[:, cortex] = np.random.default_rng(6).normal(0, 450, (NOISES, len(cortex)))

    def volumes() -> Iterable[bytes]:
        for k, signal in enumerate(signals):
            volume = noise[k % NOISES].copy()
            percent = 1.5 * (signal * ncsnr + rng.standard_normal(size.voxels, np.float32))
            volume[where] = np.clip(percent * betas.BETA_SCALE, -32_000, 32_000)
            yield volume.tobytes()

    path = tree.betas(SUBJECT, session, format)
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "hdf5":
        shape = (len(ids), *size.shape[::-1])
        with atomic_hdf5(path) as file:
            data = file.create_dataset(
                "betas", shape, np.int16, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1
            )
            for k, volume in enumerate(volumes()):
                data.id.write_direct_chunk((k, 0, 0, 0), isal_zlib.compress(volume, 1))
        return
    header = nibabel.Nifti1Image(
        np.broadcast_to(np.int16(0), (*size.shape, len(ids))), np.diag([1.8, 1.8, 1.8, 1])
    ).header
    header.set_data_dtype(np.int16)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, np.nan, np.nan
    with atomic(path) as temporary, igzip.open(temporary, "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for volume in volumes():
            file.write(volume)


def write_stand_in(path: Path, ids: np.ndarray, like: Path, space: str) -> None:
    """Features of some images in the place of a model's: of the width, parts, mean and scale of a file that
    the model made, and half of their variance from the hidden values.

    Args:
        like: features of the same space by the model.
    """
    real = read_hdf5(like, "features", "parts", "missing")
    rows = real["features"][~real["missing"]].astype(np.float32)
    mean, scale = rows.mean(0), rows.std(0)
    mixing = np.random.default_rng([7, *space.encode()]).standard_normal((HIDDEN, len(mean)), np.float32)
    values = hidden(ids) @ (mixing * (0.5 / HIDDEN) ** 0.5)
    rng = np.random.default_rng([8, *space.encode(), int(ids[0])])
    values += rng.standard_normal(values.shape, np.float32) * np.float32(0.5**0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = {"stand_in": "made up by benchmarks/full_size.py, not by the model"}
    write_chunk(
        path, values * scale + mean, np.zeros(len(ids), bool), ids, parameters, real["parts"].tolist()
    )
