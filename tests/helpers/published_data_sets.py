"""Small data sets in the layouts in which some are published, their names and quirks included."""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
from PIL import Image

from helpers.made_up_lab import AFFINE, SHAPE, mask

N_TRAIN, N_TEST = 16, 4
INSIDE = np.flatnonzero(mask().reshape(-1))  # of the volume, in C order


def picture(path: Path, seed: int, size: tuple[int, int] = (72, 64)) -> None:
    """A picture of a few colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(path)


def responses(names: Sequence[str], n: int, seed: int) -> np.ndarray:
    """float32 (trials, n): each name has its own pattern; without a name there is noise alone."""
    rng = np.random.default_rng(seed)
    tuning = {name: np.random.default_rng(abs(hash_of(name))).normal(size=n) for name in set(names) if name}
    known = np.stack([tuning.get(name, np.zeros(n)) for name in names])
    return (2 * known + rng.normal(size=known.shape)).astype(np.float32)


def hash_of(name: str) -> int:
    """A number that is a name's own, the same in every process."""
    return int.from_bytes(name.encode()[-7:].rjust(8, b"\0"), "big")


def volumes(values: np.ndarray, where: np.ndarray = INSIDE) -> np.ndarray:
    """(x, y, z, trials) of responses (trials, voxels) of the mask."""
    found = np.zeros((len(values), int(np.prod(SHAPE))), np.float32)
    found[:, where] = values
    return np.moveaxis(found.reshape(-1, *SHAPE), 0, -1)


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE) -> None:
    """A NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def things_names() -> tuple[list[str], list[str]]:
    """Names of files of training and test pictures; one object is called as another with a number."""
    concepts = ["aardvark", "bracelet1", "bracelet2", *(f"thing{n}" for n in range(17))]
    names = [f"{concept}_{n % 9 + 1:02}s.jpg" for n, concept in enumerate(concepts)]
    return names[:N_TRAIN], names[N_TRAIN:]


def things_fmri(folder: Path, brain_mask: bool = False, catch: bool = False) -> None:
    """Two people, two sessions of two runs; training pictures once, test pictures in every run.

    Args:
        brain_mask: whether there are masks as volumes.
        catch: whether the tables have catch trials, as those of the volumes do.
    """
    train, test = things_names()
    for n, name in enumerate([*train, *test, "nobody_01s.jpg"]):
        picture(folder / f"images/{name.rpartition('_')[0]}/{name}", n)
    tables = folder / "betas_csv"
    tables.mkdir(parents=True)
    for number in (1, 2):
        subject, rng, rows = f"sub-{number:02}", np.random.default_rng(number), []
        for n, part in enumerate(np.split(rng.permutation(train), 4)):
            shown = [("train", name) for name in part] + [("test", name) for name in test]
            shown += [("catch", "catch_003.jpg")] * catch
            rows += [(n // 2 + 1, n % 2 + 1, *shown[place]) for place in rng.permutation(len(shown))]
        table = pd.DataFrame(rows, columns=["session", "run", "trial_type", "stimulus"])
        table["concept"] = table["stimulus"].str.rpartition("_")[0]
        table.assign(subject_id=number, trial_id=range(len(table)))[
            ["trial_type", "session", "run", "subject_id", "trial_id", "stimulus", "concept"]
        ].to_csv(tables / f"{subject}_StimulusMetadata.csv", index=False)
        values = responses(list(table["stimulus"]), len(INSIDE), number)
        voxels = pd.DataFrame(np.stack(np.unravel_index(INSIDE, SHAPE), axis=1))
        voxels.columns = pd.Index(["voxel_x", "voxel_y", "voxel_z"])
        voxels.insert(0, "voxel_id", range(len(voxels)))
        voxels["nc_testset"] = np.linspace(0, 60, len(voxels))
        voxels["prf-eccentricity"] = 1.5
        # of 0 and 1; the lateral occipital complex lies in a region of another map, too
        voxels["V1"] = (voxels["voxel_x"] < 2).astype(int)
        voxels["LO1 (prf)"] = (voxels["voxel_x"] == 3).astype(int)
        voxels["lLOC"] = (voxels["voxel_x"] > 2).astype(int)
        voxels["rFFA"] = 0
        voxels.to_csv(tables / f"{subject}_VoxelMetadata.csv", index=False)
        # as pandas stores a table of numbers with to_hdf, in its fixed format
        with h5py.File(tables / f"{subject}_ResponseData.h5", "w") as file:
            group = file.create_group("ResponseData")
            group.attrs["pandas_type"] = np.bytes_(b"frame")
            group["axis1"] = np.arange(len(voxels))
            group["block0_values"] = values.T.astype(np.float64)
            group["block1_values"] = np.arange(len(voxels))[:, None]
        if brain_mask:
            save(folder / f"brainmasks/{subject}_space-T1w_brainmask.nii.gz", mask())


def tables(folder: Path) -> list[str]:
    """The names of the pictures of the first person's trials in THINGS-fMRI."""
    return list(pd.read_csv(folder / "betas_csv/sub-01_StimulusMetadata.csv")["stimulus"])


def bold5000(folder: Path, model: str = "TYPED-FITHRF-GLMDENOISE-RR") -> None:
    """Two people; the headers of betas have another origin than the masks', and regions are misspelt."""
    names = [f"COCO_train2014_{n:012}.jpg" for n in range(8)]
    names += [f"n01440764_{n}.JPEG" for n in range(6)] + [f"beach{n}.jpg" for n in range(6)]
    for n, name in enumerate(names):
        picture(folder / f"Scene_Stimuli/Original_Images/all/{name}", n, (200, 150))
        picture(folder / f"Scene_Stimuli/Presented_Stimuli/all/{name}", n, (64, 64))
    wrong = np.diag([2.0, 2, 2, 1])
    for number, subject in enumerate(("CSI1", "CSI2"), start=1):
        rng, shown = np.random.default_rng(number), []
        # more trials in the second session than in the first; four images in all
        for session, extra in ((1, 0), (2, 4)):
            part = [*names[:4] * 2, *names[4:16][session - 1 :: 2], *names[16 : 16 + extra]]
            part = list(rng.permutation(part))
            values = volumes(responses(part, len(INSIDE), 10 * number + session))
            save(folder / f"{subject}_GLMbetas-{model}_ses-{session:02}.nii.gz", values, wrong)
            shown += part
        (folder / f"{subject}_imgnames.txt").write_text("\n".join(shown) + "\n", encoding="utf-8")
        save(folder / f"{subject}_brainmask.nii.gz", mask())
        inside = np.zeros(SHAPE, np.uint8)
        inside[3:, :, 0] = 1
        called = "LHLO" if subject == "CSI2" else "LHLOC"
        save(folder / f"sub-{subject}/sub-{subject}_mask-{called}.nii.gz", inside)
        save(folder / f"sub-{subject}/sub-{subject}_mask-RHPPA.nii.gz", inside[::-1])


def god(folder: Path) -> None:
    """Two people; training pictures once, test pictures five times, imagined ones without a picture."""
    pictures = {1518878.005958 + n + n * 1e-6: f"n{1518878 + n:08}_{5958 + n}.JPEG" for n in range(20)}
    for n, name in enumerate(pictures.values()):
        picture(folder / f"images/{name}", n)
    numbers, n_voxels = list(pictures), 30
    for subject in (1, 2):
        rng = np.random.default_rng(subject)
        train, test = rng.permutation(numbers[:16]), rng.permutation(np.repeat(numbers[16:], 5))
        imagined = np.floor(numbers[16:])
        label = np.concatenate([train, test, imagined])
        kind = np.repeat([1, 2, 3], [len(train), len(test), len(imagined)])
        session = np.concatenate([np.repeat([1, 2], 8), np.repeat([1, 2], 10), np.ones(4)])
        names = [pictures.get(number, "") for number in label]
        values = responses(names, n_voxels, subject)
        matrix = np.column_stack([values, session, kind, label])
        keys = ["VoxelData", "ROI_V1", "ROI_LOC", "ROI_VC", "voxel_x", "Session", "DataType", "stimulus_id"]
        about = np.full((len(keys), matrix.shape[1]), np.nan)
        about[:4, :n_voxels] = 0
        about[0, :n_voxels], about[1, :10], about[2, 20:30], about[3, :30] = 1, 1, 1, 1
        about[4, :n_voxels] = np.linspace(-30, 30, n_voxels)
        for row, column in ((5, n_voxels), (6, n_voxels + 1), (7, n_voxels + 2)):
            about[row, column] = 1
        folder.mkdir(exist_ok=True)
        with h5py.File(folder / f"Subject{subject}.h5", "w") as file:
            file["dataset"] = matrix
            file["metadata/key"] = [key.encode() for key in keys]
            file["metadata/description"] = [b"" for _ in keys]
            file["metadata/value"] = about
            file.create_group("vmap")


def laion_fmri(folder: Path, newer: bool = True) -> None:
    """Two people, two sessions; regions overlap; splits of one subject's pool and of the shared images.

    Args:
        newer: the layout with an archive of pictures, captions, no mask, and regions on two grids.
    """
    names = [f"shared_12rep_LAION_cluster_{n}_i0.jpg" for n in range(8)]
    names += [f"sub-01_unique_{n}.jpg" for n in range(8)] + [
        f"shared_4rep_OOD_shape_{n}.png" for n in range(4)
    ]
    for n, name in enumerate(names):
        picture(folder / f"stimuli/images/{name}", n)
    if newer:
        files = [folder / f"stimuli/images/{name}" for name in names]
        pd.DataFrame({"image_name": names}).to_csv(folder / "stimuli/task-images_metadata.csv", index=False)
        said = [(name, source, f"{source} says {name}") for name in names for source in ("human", "ai")]
        captions = pd.DataFrame(said, columns=["image_name", "source", "caption"])
        captions.to_csv(folder / "stimuli/task-images_desc-captions.csv", index=False)
        with h5py.File(folder / "stimuli/task-images_stimuli.h5", "w") as file:
            kind = h5py.vlen_dtype(np.uint8)
            stored = file.create_dataset("images", (len(files),), dtype=kind)
            for n, path in enumerate(files):
                stored[n] = np.frombuffer(path.read_bytes(), np.uint8)
                path.unlink()
    for number, subject in ((1, "sub-01"), (3, "sub-03")):
        base, rng = folder / f"derivatives/glmsingle-tedana/{subject}", np.random.default_rng(number)
        for session in (1, 2):
            stem = f"{subject}_ses-{session:02}_task-images"
            shown = rng.permutation([*names, *names[16:]])
            values = volumes(responses(list(shown), len(INSIDE), 10 * number + session))
            func = base / f"ses-{session:02}/func"
            save(func / f"{stem}_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz", values)
            rows = {"session": session, "run": np.arange(len(shown)) // 12 + 1}
            rows |= {"beta_index": np.arange(len(shown)), "label": shown}
            # the rows need not be in order
            table = pd.DataFrame(rows).iloc[::-1]
            table.to_csv(func / f"{stem}_desc-SingletrialBetas_trials.tsv", sep="\t", index=False)
        stem, regions = f"{subject}_task-images_space-T1w", {"V1v": mask(), "EVC": mask()}
        regions["V1v"][2:] = 0
        if newer:
            fit = np.where(mask() > 0, 12.5, np.nan).astype(np.float32)
            save(base / f"{stem}_stat-rsquare_desc-R2mean_statmap.nii.gz", fit)
            rois = folder / f"derivatives/rois/{subject}/retinotopy"
            for name, inside in regions.items():
                save(rois / f"{subject}_space-T1w_res-1pt8_label-{name}_mask.nii.gz", inside)
                other = np.ones((6, 5, 4), np.uint8)
                save(rois / f"{subject}_space-T1w_res-1pt5_label-{name}_mask.nii.gz", other)
        else:
            save(base / f"{stem}_desc-meanR2gt15mask_mask.nii.gz", mask())
            for name, inside in regions.items():
                save(folder / f"derivatives/atlases/{subject}/rois/{name}.nii.gz", inside)
    splits = {"tau": (names[:12], names[12:16]), "ood": (names[:16], names[16:])}
    for pool in ("sub-01", "shared"):
        for name, (train, test) in splits.items():
            kept = [one for one in train if pool == "sub-01" or one.startswith("shared")]
            tested = test if pool == "sub-01" else [*names[6:8], *test]
            trained = [one for one in kept if one not in tested]
            place = folder / f"splits/{pool}/{name}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            variant = {"variant_id": 0, "train_ids": trained, "test_ids": tested}
            place.write_text(
                json.dumps({"name": name, "pool": pool, "variants": [variant]}), encoding="utf-8"
            )


def cneuromod_things(folder: Path) -> None:
    """Two people; of the second the tenth session has a run without betas, and its sessions come as they are
    named: 10 behind 2. A tenth of the pictures is enough to test on."""
    names = [f"images_fmri/thing{n}/thing{n}_02s.jpg" for n in range(40)]
    for n, name in enumerate(names):
        picture(folder / name, n)
    for number, subject in ((1, "sub-03"), (2, "sub-06")):
        rng = np.random.default_rng(number)
        path = folder / f"glmsingle/{subject}/glmsingle/output"
        path.mkdir(parents=True)
        called = f"{subject}_task-things_space-T1w_model-fitHrfGLMdenoiseRR_stat-trialBetas_desc-zscore"
        with h5py.File(path / f"{called}_statseries.h5", "w") as file:
            for session in (1, 2, 10):
                for run in (1, 2):
                    shown = rng.permutation(names)[:12]
                    stem = f"{subject}_ses-{session:03}_task-things_run-{run}_events.tsv"
                    place = folder / f"things/{subject}/ses-{session:03}/func/{stem}"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    rows = {"TrialNumber": range(1, 13), "image_path": shown, "exclude_session": session == 2}
                    pd.DataFrame(rows).to_csv(place, sep="\t", index=False)
                    if (subject, session, run) != ("sub-06", 10, 2):
                        stems = [name.rpartition("/")[2].removesuffix(".jpg") for name in shown]
                        values = responses(stems, len(INSIDE), 100 * session + run)
                        file[f"{session}/{run}/betas"] = values
            file["mask_array"] = mask().astype(np.float64)
            file["mask_affine"] = AFFINE


def algonauts2023(folder: Path) -> None:
    """Two people who saw some of the same pictures, so many that a tenth is enough to test on; hemispheres of
    different size, and pickled names."""
    for number, subject in ((1, "subj01"), (2, "subj06")):
        shown = [f"nsd-{n:05}" for n in range(number, 40 * number, number)]
        for n, name in enumerate(shown, start=1):
            seed = int(name[-5:])
            picture(folder / f"{subject}/training_split/training_images/train-{n:04}_{name}.png", seed)
        lengths = {"lh": 14, "rh": 12 + number}
        for side, n in lengths.items():
            place = folder / f"{subject}/training_split/training_fmri/{side}_training_fmri.npy"
            place.parent.mkdir(parents=True, exist_ok=True)
            np.save(place, responses(shown, n, number))
            labels = np.zeros(n, np.float32)
            labels[:5] = 1
            for atlas in ("prf-visualrois", "floc-faces"):
                place = folder / f"{subject}/roi_masks/{side}.{atlas}_challenge_space.npy"
                place.parent.mkdir(exist_ok=True)
                np.save(place, labels if atlas == "prf-visualrois" else labels[::-1] * 2)
        np.save(folder / f"{subject}/roi_masks/mapping_prf-visualrois.npy", {0: "Unknown", 1: "V1v"})
