"""The made-up lab's responses on two hemispheres, in GIFTI."""

from pathlib import Path

import nibabel
import numpy as np

from helpers import made_up_lab

LEFT, RIGHT = 70, 50  # vertices
LABELS = np.arange(LEFT + RIGHT) % 4  # of regions 0..3


def save(path: Path, values: np.ndarray, intent: str = "NIFTI_INTENT_TIME_SERIES") -> None:
    """A GIFTI file of values (vertices,) or (vertices, trials), an array per trial."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = values[:, None] if values.ndim == 1 else values
    kind = "NIFTI_TYPE_INT32" if values.dtype.kind == "i" else "NIFTI_TYPE_FLOAT32"
    arrays = [
        nibabel.gifti.GiftiDataArray(np.ascontiguousarray(one), intent=intent, datatype=kind)
        for one in columns.T
    ]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)


def on_surfaces(folder: Path, masked: bool = False) -> dict[str, np.ndarray]:
    """The lab's folder with vertices instead of volumes; each session's responses (trials, vertices)."""
    table = made_up_lab.write(folder)
    found = {}
    for path in [*folder.rglob("*.nii.gz")]:
        path.unlink()
    for n, ((subject, session), rows) in enumerate(table.groupby(["subject", "session"])):
        halves = [made_up_lab.responses(rows, seed + n) for seed in (20, 40)]
        values = np.concatenate(halves, axis=1)
        found[f"{subject} {session}"] = values
        for hemisphere, part in (("L", slice(0, LEFT)), ("R", slice(LEFT, None))):
            name = f"derivatives/{subject}/{subject}_{session}_hemi-{hemisphere}_betas.func.gii"
            save(folder / name, values[:, part].T)
    for subject in table["subject"].unique():
        for hemisphere, part in (("L", slice(0, LEFT)), ("R", slice(LEFT, None))):
            place = f"derivatives/{subject}/{subject}_hemi-{hemisphere}"
            save(folder / f"{place}_visual.label.gii", LABELS[part].astype(np.int32), "NIFTI_INTENT_LABEL")
            if masked:
                inside = (LABELS[part] > 0).astype(np.int32)
                save(folder / f"{place}_mask.shape.gii", inside, "NIFTI_INTENT_SHAPE")
    return found
