"""The made-up lab's responses on two hemispheres, in GIFTI, or at grayordinates, in CIFTI."""

from pathlib import Path

import nibabel
import numpy as np
from nibabel import cifti2

from helpers import made_up_lab

LEFT, RIGHT = 70, 50  # vertices
LABELS = np.arange(LEFT + RIGHT) % 4  # of regions 0..3


def save(path: Path, values: np.ndarray, intent: str = "NIFTI_INTENT_TIME_SERIES") -> None:
    """A GIFTI file of values (vertices,) or (vertices, trials), one array per trial."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = values[:, None] if values.ndim == 1 else values
    kind = "NIFTI_TYPE_INT32" if values.dtype.kind == "i" else "NIFTI_TYPE_FLOAT32"
    arrays = [
        nibabel.gifti.GiftiDataArray(np.ascontiguousarray(one), intent=intent, datatype=kind)
        for one in columns.T
    ]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)


def save_cifti(path: Path, values: np.ndarray) -> None:
    """A CIFTI file of values (maps, LEFT + RIGHT): vertices of both hemispheres, and voxels of a thalamus."""
    voxels = np.zeros((4, 3, 2), bool)
    voxels.flat[::2] = True
    right = RIGHT - int(voxels.sum())
    axis = cifti2.BrainModelAxis
    places = (
        axis.from_surface(np.arange(0, 2 * LEFT, 2), 2 * LEFT, "CIFTI_STRUCTURE_CORTEX_LEFT")
        + axis.from_surface(np.arange(right), right, "CIFTI_STRUCTURE_CORTEX_RIGHT")
        + axis.from_mask(voxels, affine=np.eye(4), name="CIFTI_STRUCTURE_THALAMUS_LEFT")
    )
    named = [f"map {n}" for n in range(len(values))]
    table = {n: (f"label {n}", (0, 0, 0, 1)) for n in range(5)}
    maps = cifti2.LabelAxis(named, [table] * len(values)) if ".dlabel." in path.name else None
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(cifti2.Cifti2Image(values, (maps or cifti2.ScalarAxis(named), places)), path)


def responses(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """The lab's folder without its volumes; of each subject and session values (trials, LEFT + RIGHT)."""
    table = made_up_lab.write(folder)
    for path in [*folder.rglob("*.nii.gz")]:
        path.unlink()
    return {
        key: np.concatenate([made_up_lab.responses(rows, seed + n) for seed in (20, 40)], axis=1)
        for n, (key, rows) in enumerate(table.groupby(["subject", "session"]))
    }


def at_grayordinates(folder: Path, masked: bool = False) -> dict[tuple[str, str], np.ndarray]:
    """The lab's folder in CIFTI; of each subject and session responses (trials, grayordinates)."""
    found = responses(folder)
    for (subject, session), values in found.items():
        save_cifti(folder / f"derivatives/{subject}/{subject}_{session}_betas.dscalar.nii", values)
    for subject in {subject for subject, _ in found}:
        place = f"derivatives/{subject}/{subject}"
        save_cifti(folder / f"{place}_visual.dlabel.nii", LABELS[None].astype(np.float32))
        if masked:
            save_cifti(folder / f"{place}_mask.dscalar.nii", (LABELS > 0)[None].astype(np.float32))
    return found


def on_surfaces(folder: Path, masked: bool = False) -> dict[tuple[str, str], np.ndarray]:
    """The same with GIFTI of two hemispheres: responses (trials, vertices)."""
    found = responses(folder)
    for hemisphere, part in (("L", slice(0, LEFT)), ("R", slice(LEFT, None))):
        for (subject, session), values in found.items():
            name = f"derivatives/{subject}/{subject}_{session}_hemi-{hemisphere}_betas.func.gii"
            save(folder / name, values[:, part].T)
        for subject in {subject for subject, _ in found}:
            place = f"derivatives/{subject}/{subject}_hemi-{hemisphere}"
            save(folder / f"{place}_visual.label.gii", LABELS[part].astype(np.int32), "NIFTI_INTENT_LABEL")
            if masked:
                inside = (LABELS[part] > 0).astype(np.int32)
                save(folder / f"{place}_mask.shape.gii", inside, "NIFTI_INTENT_SHAPE")
    return found
