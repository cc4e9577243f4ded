"""Write the demo's data set as an NSD tree: the same files, names, shapes and number formats.

One function a group of files, each deterministic in the demo's seed, so that they can run as separate jobs:
experiment; stimuli; and for each subject the regions, the noise-free signals (the only file that NSD does
not have) and every session's betas.
"""

import logging
import multiprocessing
import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from PIL import Image

from neural_recon.config.sections import Demo
from neural_recon.core.errors import InputError
from neural_recon.core.files import atomic
from neural_recon.core.hdf5 import atomic_hdf5, read_hdf5, write_hdf5
from neural_recon.core.tables import write_table
from neural_recon.datasets.nsd import betas, nsd_tree
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import brain, cortex, design
from neural_recon.demo.captions import captions
from neural_recon.demo.scenes import Scene, render, sample

logger = logging.getLogger(__name__)

SIDE = 425
N_CAPTIONS = 5
_COMPRESSION = 1  # zlib's fastest level: flat drawings shrink to a fortieth even so
_BATCH = 50


def scenes_path(tree: Tree) -> Path:
    """The table of what the pictures show; for scoring only, no step of the decoder reads it."""
    return Path(tree.root) / "annots/scenes.parquet"


def signals_path(tree: Tree, subject: str) -> Path:
    """The noise-free responses of a subject's voxels to its pictures."""
    return Path(tree.root) / f"simulation/{subject}.h5"


def scene(demo: Demo, image_id: int) -> Scene:
    """What the picture with this image id shows."""
    return sample(demo.seed, int(image_id))


def rendered_ids(demo: Demo) -> np.ndarray:
    """The ids of images with a picture: the first shared and each subject's first own ones; ascending."""
    shared = np.arange(1, max(demo.rendered_shared, demo.shared_images) + 1)
    own = np.arange(nsd_tree.N_SHARED + 1, nsd_tree.N_SHARED + demo.own_images + 1)
    plan = design.of(demo)
    return np.unique(np.concatenate([plan.ids(subject, np.r_[shared, own]) for subject in demo.subjects]))


def write_experiment(tree: Tree, demo: Demo) -> None:
    """Write the experiment design, the captions and the table of scenes.

    The captions are those of the pictures that exist; all other rows are empty strings.
    """
    design.write(tree.expdesign, design.of(demo))
    ids = rendered_ids(demo)
    scenes = [scene(demo, image_id) for image_id in ids]
    texts = [captions(one, demo.seed) for one in scenes]
    write_captions(tree.captions, ids, texts)
    write_table(scenes_path(tree), scene_table(ids, scenes))
    logger.info("%s: design, captions and scenes of %d pictures", tree.root, len(ids))


def write_captions(path: Path, ids: np.ndarray, texts: Sequence[Sequence[str]]) -> None:
    """Write NSD's table of captions: a row per image id, as many captions in each as in the others. Rows of
    images that are not given are holes in the file, and read as "".

    Not by a memory map: on a full disk that ends the process.
    """
    rows = np.array(texts, f"<U{max(len(text) for row in texts for text in row)}")
    shape = (nsd_tree.N_IMAGES, *rows.shape[1:])
    header = {"descr": rows.dtype.str, "fortran_order": False, "shape": shape}
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start, size = file.tell(), rows[0].nbytes
        for image_id, row in zip(ids, rows, strict=True):
            file.seek(start + int(image_id) * size)
            file.write(row.tobytes())
        file.truncate(start + nsd_tree.N_IMAGES * size)


def scene_table(ids: np.ndarray, scenes: list[Scene]) -> pd.DataFrame:
    """One row per picture: image_id, background, n_objects, and kind, colour, x, y and size (fractions of the
    picture) of the main and the second object; "" and nan without a second one."""
    rows = []
    for image_id, one in zip(ids, scenes, strict=True):
        row = {"image_id": int(image_id), "background": one.background, "n_objects": len(one.objects)}
        for name, thing in zip(("main", "second"), (*one.objects, None), strict=False):
            row |= {f"{name}_{key}": getattr(thing, key, "") for key in ("kind", "colour")}
            row |= {f"{name}_{key}": getattr(thing, key, np.nan) for key in ("x", "y", "size")}
        rows.append(row)
    return pd.DataFrame(rows)


def write_stimuli(tree: Tree, demo: Demo, processes: int = 1) -> None:
    """Render the pictures into `nsd_stimuli.hdf5`, in parallel; rows without a picture take no space."""
    ids = rendered_ids(demo)
    jobs = [(demo, int(image_id)) for image_id in ids]
    with (
        multiprocessing.get_context("fork").Pool(processes) as pool,
        atomic_hdf5(tree.stimuli) as file,
    ):
        brick = file.create_dataset(
            "imgBrick",
            (nsd_tree.N_IMAGES, SIDE, SIDE, 3),
            np.uint8,
            chunks=(1, SIDE, SIDE, 3),
            compression="gzip",
            compression_opts=_COMPRESSION,
        )
        for image_id, content in pool.imap(_compressed_picture, jobs, chunksize=16):
            # already compressed by the workers: HDF5 itself would do that in one thread
            brick.id.write_direct_chunk((image_id, 0, 0, 0), content)
    logger.info("%s: %d pictures", tree.stimuli, len(ids))


def _compressed_picture(job: tuple[Demo, int]) -> tuple[int, bytes]:
    demo, image_id = job
    return image_id, zlib.compress(render(scene(demo, image_id), SIDE).tobytes(), _COMPRESSION)


def write_subject(tree: Tree, demo: Demo, subject: str) -> None:
    """Write a subject's label volumes (-1 outside cortex) and the ncsnr its voxels were simulated with."""
    subject_brain = brain.grow(demo.seed, subject)
    for atlas, labels in subject_brain.cortex.labels.items():
        _save(tree.roi(subject, atlas), subject_brain.cortex.volume(labels, outside=-1))
    ncsnr = subject_brain.cortex.volume(subject_brain.ncsnr.astype(np.float32))
    _save(tree.ncsnr(subject), ncsnr)
    logger.info("%s: volume %s, %d cortical voxels", subject, ncsnr.shape, len(subject_brain.ncsnr))


def write_signals(tree: Tree, demo: Demo, subject: str) -> None:
    """Compute the noise-free responses to all pictures that a subject sees, from the tree's stimuli.

    HDF5: signals float32 (images, cortical voxels), mean 0 and variance 1; image_id, ascending.
    """
    trials = design.of(demo).trials(subject, list(range(1, demo.sessions + 1)))
    ids = np.unique(trials["image_id"])
    pictures = np.concatenate(
        [
            _shrink(nsd_tree.read_stimuli(tree.stimuli, ids[start : start + _BATCH]))
            for start in range(0, len(ids), _BATCH)
        ]
    )
    scenes = [scene(demo, image_id) for image_id in ids]
    signals = brain.signals(brain.grow(demo.seed, subject), pictures, scenes)
    write_hdf5(
        signals_path(tree, subject),
        {"signals": signals, "image_id": ids},
        {"subject": subject, "seed": demo.seed, "units": "standard deviations over the images"},
    )
    logger.info("%s: signals of %d voxels for %d pictures", subject, signals.shape[1], len(ids))


def _shrink(pictures: np.ndarray) -> np.ndarray:
    size = (brain.PIXELS, brain.PIXELS)
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures])


def write_betas(tree: Tree, demo: Demo, subject: str, session: int) -> None:
    """Write one session's betas as `.nii.gz` and `.hdf5`, from the file of `write_signals`."""
    stored = read_hdf5(signals_path(tree, subject), "signals", "image_id")
    shown = design.of(demo).trials(subject, [session])["image_id"]
    rows = np.searchsorted(stored["image_id"], shown)
    if not np.array_equal(stored["image_id"][np.minimum(rows, len(stored["image_id"]) - 1)], shown):
        raise InputError(
            f"{signals_path(tree, subject)}: expected the pictures of session {session}, found others; "
            "the demo has fewer sessions."
        )
    subject_brain = brain.grow(demo.seed, subject)
    percent = brain.betas(subject_brain, stored["signals"][rows], demo.seed, subject, session)
    limits = np.iinfo(np.int16)
    integers = np.clip(np.round(percent * betas.BETA_SCALE), limits.min, limits.max).astype(np.int16)

    x, y, z = subject_brain.cortex.voxels.T
    volumes = np.zeros((len(integers), *subject_brain.cortex.shape[::-1]), np.int16)  # (trials, z, y, x)
    volumes[:, z, y, x] = integers
    _save(tree.betas(subject, session, "nii.gz"), volumes.T)
    with atomic_hdf5(tree.betas(subject, session, "hdf5")) as file:
        file.create_dataset(
            "betas",
            data=volumes,
            chunks=(1, *volumes.shape[1:]),
            compression="gzip",
            compression_opts=_COMPRESSION,
            shuffle=True,
        )
    logger.info("%s, session %d: %d trials", subject, session, len(volumes))


def _save(path: Path, volume: np.ndarray) -> None:
    image = nibabel.Nifti1Image(volume, np.diag([cortex.VOXEL_MM] * 3 + [1]))
    image.header.set_xyzt_units("mm")
    with atomic(path) as temporary:
        nibabel.save(image, temporary)
