"""The Natural Scenes Dataset (Allen et al. 2022), read from its tree as the public bucket names its files."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from neural_recon.core.errors import InputError
from neural_recon.datasets import volumes
from neural_recon.datasets.dataset import AXES, Betas, DataSet, Part, PublishedSplit, Size, Terms
from neural_recon.datasets.nsd import betas, coco, nsd_tree, shown_objects, tree_checks, voxels
from neural_recon.datasets.nsd.nsd_tree import REGIONS, SHARED, TRIALS_PER_SESSION, Tree

if TYPE_CHECKING:
    import pandas as pd

    from neural_recon.datasets.grids import Grid

TERMS = "https://naturalscenesdataset.org"
CAPTIONS = ("captions_train2017.json", "captions_val2017.json")  # COCO's
INSTANCES = ("instances_train2017.json", "instances_val2017.json")
IMAGES_DESIGNED = 10_000  # a subject's, shared ones included
TYPICAL_VOXELS = 16_000  # nsdgeneral at 1.8 mm has 12,682 to 15,724 in the subjects with all sessions


class NSD(DataSet):
    """The Natural Scenes Dataset."""

    class Settings(DataSet.Settings):
        """Where the data lie, and which of them to use."""

        root: str = Field(description="Folder of the NSD tree, as the bucket names its files.")
        accept_terms: bool = Field(
            False,
            description=f"Whether you have read and accept NSD's terms ({TERMS}): then the files that are "
            "needed and not there are fetched.",
        )
        space: Literal["func1pt8mm", "func1mm"] = Field("func1pt8mm", description="Volume space.")
        preparation: Literal["betas_assumehrf", "betas_fithrf", "betas_fithrf_GLMdenoise_RR"] = Field(
            "betas_fithrf_GLMdenoise_RR", description="Preparation of the betas."
        )
        captions: str | None = Field(
            None, description="The curated captions; default: annots/COCO_73k_annots_curated.npy in the root."
        )
        coco: str | None = Field(
            None,
            description="Folder with COCO's captions_train2017.json and captions_val2017.json: captions are "
            "taken from these instead.",
        )
        instances: str | None = Field(
            None,
            description="Folder with COCO's instances_train2017.json and instances_val2017.json: what each "
            "picture shows, for scores by number of objects and main category.",
        )
        atlases: list[str] = Field(
            ["prf-visualrois", "floc-faces", "floc-bodies", "floc-places", "floc-words"],
            description="Atlases whose region names are kept with the voxels.",
        )
        regions: list[str] = Field(
            [],
            description='Only the voxels of these regions of nsdgeneral: names ("V1", "V1v", "floc-faces", '
            '"floc-faces/FFA-1", "streams/ventral") or NIfTI masks ({subject} is filled in); empty: all.',
        )

        @model_validator(mode="after")
        def _one_source_of_captions(self) -> NSD.Settings:
            if self.captions and self.coco:
                raise ValueError("captions come from captions or from coco: give one of them")
            return self

        @model_validator(mode="after")
        def _known_regions(self) -> NSD.Settings:
            for atlas in self.atlases:
                if atlas not in REGIONS:
                    raise ValueError(f"unknown atlas {atlas!r}; known are {', '.join(REGIONS)}")
            _check_regions(self.regions, self.atlases)
            return self

    class Subject(DataSet.Subject):
        """One person's data."""

        format: Literal["nii.gz", "hdf5"] = Field(
            "nii.gz", description="Which of the published betas to read."
        )

    published = PublishedSplit(nsd_tree.PUBLISHED_SESSIONS, nsd_tree.PUBLISHED_IMAGES)
    n_images = nsd_tree.N_IMAGES
    subjects = tuple(nsd_tree.SESSIONS)
    atlases = REGIONS

    terms = Terms(
        "Natural Scenes Dataset (Allen et al. 2022)", "NSD's terms and conditions", TERMS, responses=False
    )

    @functools.cached_property
    def tree(self) -> Tree:
        """Where the files lie."""
        return Tree(self.settings.root, self.settings.space, self.settings.preparation)

    @functools.cached_property
    def _experiment(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return nsd_tree.read_experiment(self.tree.expdesign)

    def sessions(self, subject: str) -> list[int]:
        return list(range(1, nsd_tree.SESSIONS[subject] + 1))

    def trials(self, subject: str, sessions: Sequence[int]) -> pd.DataFrame:
        """As of `nsd_tree.design_table`."""
        return nsd_tree.design_table(*self._experiment, subject, sessions)

    # --- pictures

    def pictures(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> np.ndarray:
        return nsd_tree.read_stimuli(self.tree.stimuli, image_ids, empty_ok)

    @property
    def offers(self) -> frozenset[str]:
        content = {"content"} if self.settings.instances else set()
        return frozenset({"captions", "noise_ceilings", *content})

    @property
    def _captions(self) -> Path:
        return Path(self.settings.captions) if self.settings.captions else self.tree.captions

    def captions(self, image_ids: Sequence[int] | np.ndarray, empty_ok: bool = False) -> list[list[str]]:
        if not self.settings.coco:
            return nsd_tree.read_captions(self._captions, image_ids, empty_ok)
        return [[text for text in row if text] for row in self._coco_captions[np.asarray(image_ids)].tolist()]

    @functools.cached_property
    def _coco_captions(self) -> np.ndarray:
        return coco.caption_table(self.tree.stimulus_info, self._of_coco("coco", CAPTIONS))

    def content(self) -> pd.DataFrame | None:
        if not self.settings.instances:
            return None
        return shown_objects.from_coco(self.tree.stimulus_info, self._of_coco("instances", INSTANCES))

    def _of_coco(self, key: str, names: Sequence[str]) -> list[str]:
        return [f"{getattr(self.settings, key)}/{name}" for name in names]

    # --- lists: positions up to `N_SHARED` are the images all subjects see, the others each subject's own

    def lists(self, subject: str) -> tuple[str, ...]:
        return (SHARED, subject)

    def list_ids(self, name: str) -> np.ndarray:
        _, images, _ = self._experiment
        ids = images[0 if name == SHARED else list(nsd_tree.SESSIONS).index(name)] - 1
        return ids[: nsd_tree.N_SHARED] if name == SHARED else ids[nsd_tree.N_SHARED :]

    # --- responses

    def voxels(self, subject: str) -> pd.DataFrame:
        atlases = {atlas: self.tree.roi(subject, atlas) for atlas in self.settings.atlases}
        masks = nsd_tree.mask_files(self.settings.regions, subject)
        return voxels.read_voxels(self.tree.mask(subject), atlases, self.settings.regions, masks, self.notes)

    def betas(self, subject: str, session: int, table: pd.DataFrame) -> Betas:
        path, grid = self._session(subject, session), self.grid(subject)
        found = betas.open_betas(path, grid, TRIALS_PER_SESSION)
        mask = voxels.voxel_mask(table, tuple(grid.shape))
        values = betas.read_betas(path, mask, TRIALS_PER_SESSION, grid)
        return Betas(values, {"source": str(path), "stored": found.units, "axes": found.axes})

    def _session(self, subject: str, session: int) -> Path:
        of = self.of.get(subject) or self.Subject()
        return self.tree.betas(subject, session, of.format)

    def ncsnr(self, subject: str, table: pd.DataFrame) -> np.ndarray:
        positions = table[AXES].to_numpy()
        return volumes.read_ncsnr(self.tree.ncsnr(subject), positions, self.grid(subject), self.notes)

    def grid(self, subject: str) -> Grid:
        return volumes.read_grid(self.tree.mask(subject), self.notes)

    def cortex(self, subject: str) -> np.ndarray:
        return volumes.read_labels(self.tree.mask(subject), notes=self.notes)

    @property
    def tuned(self) -> str:
        return self.settings.preparation if "GLMdenoise_RR" in self.settings.preparation else ""

    def in_regions(self, subject: str, table: pd.DataFrame, regions: Iterable[str]) -> np.ndarray:
        """As of `voxels.in_regions`, masks among the regions included."""
        regions = list(regions)
        grid = volumes.read_grid(self.tree.mask(subject), notes=[])  # said in the log of the voxels
        masks = {
            name: volumes.read_labels(path, grid, notes=self.notes)
            for name, path in nsd_tree.mask_files(regions, subject).items()
        }
        return voxels.in_regions(table, regions, masks, tuple(grid.shape))

    def check_regions(self, regions: Sequence[str]) -> None:
        _check_regions(regions, self.settings.atlases)

    def region_files(self, subject: str, regions: Iterable[str]) -> dict[Path, str]:
        files = nsd_tree.mask_files(regions, subject).values()
        return {Path(path): f"a region's mask of {subject}" for path in files}

    # --- files

    def files(self, part: Part, subject: str = "", session: int = 0) -> dict[Path, str]:
        tree, settings = self.tree, self.settings
        mask = {tree.mask(subject): f"the mask of {subject}"}
        match part:
            case "trials" | "lists":
                return {tree.expdesign: "NSD's experiment design"}
            case "pictures":
                return {tree.stimuli: "NSD's pictures"}
            case "captions" if not settings.coco:
                return {self._captions: "the captions"}
            case "captions":
                return self._coco_files("coco", CAPTIONS)
            case "content":
                return self._coco_files("instances", INSTANCES) if settings.instances else {}
            case "voxels":
                atlases = {tree.roi(subject, atlas): f"an atlas of {subject}" for atlas in settings.atlases}
                return mask | atlases | self.region_files(subject, settings.regions)
            case "grid" | "cortex":
                return mask
            case "noise_ceilings":
                return {**mask, tree.ncsnr(subject): f"the noise ceilings of {subject}"}
            case "betas":
                return {**mask, self._session(subject, session): f"session {session} of {subject}"}

    def _coco_files(self, key: str, names: Sequence[str]) -> dict[Path, str]:
        paths = zip(self._of_coco(key, names), names, strict=True)
        annotations = {Path(path): f"the {name} of COCO" for path, name in paths}
        return {self.tree.stimulus_info: "the stimulus table", **annotations}

    def decisive(self, part: Part) -> dict[str, Any]:
        """Where files lie says the rest."""
        names = ("atlases", "regions") if part == "voxels" else ()
        return {name: getattr(self.settings, name) for name in names}

    # --- fetching

    @property
    def folder(self) -> Path:
        return Path(self.settings.root)

    def hint(self, path: Path) -> str:
        of_coco = path.name in (*CAPTIONS, *INSTANCES)
        offer = f" Or to fetch it, read the terms at {TERMS} and set dataset.accept_terms: true."
        key = "dataset.instances or dataset.coco" if of_coco else "dataset.root"
        return f"is {key} right?" + (offer if self._obtainable(path) else "")

    def _obtainable(self, path: Path) -> bool:
        """Whether a file is one that can be fetched: one of NSD's bucket, or the captions."""
        return self.tree.key(path) is not None or path == self.tree.captions

    def fetches(self, path: Path) -> bool:
        return self.settings.accept_terms and self._obtainable(path)

    def objects(self, missing: Iterable[Path]) -> dict[str, Path]:
        """Those of some files that come from NSD's bucket, by their keys there."""
        keys = {self.tree.key(path): path for path in missing}
        return {key: path for key, path in keys.items() if key is not None}

    def fetch_for_planning(self, missing: Iterable[Path]) -> None:
        """Fetch the experiment design."""
        key = self.tree.key(self.tree.expdesign)
        if key is not None and self.tree.expdesign in missing:
            # boto3 takes long to import, and most runs have no use for it
            from neural_recon.datasets.nsd import bucket

            bucket.fetch_object(key, self.tree.expdesign)

    def downloads(self, missing: Iterable[Path]) -> tuple[dict[str, int], str]:
        """Bytes by subject and "shared", as the bucket says."""
        objects = self.objects(missing)
        if not objects:
            return {}, ""
        from neural_recon.datasets.nsd import bucket

        try:
            known = bucket.listing(objects)
        except InputError as error:
            return {}, f"{len(objects)} files, how large is not known: {error}"
        return {owner: size for owner, (_, size) in bucket.still_to_fetch(objects, known)}, ""

    # --- before a run

    def mistakes(self, used: Sequence[np.ndarray]) -> Iterator[str]:
        return tree_checks.shared_mistakes(self, used)

    def subject_mistakes(
        self, subject: str, sessions: Sequence[int], regions: Iterable[str], ncsnr: bool, thorough: bool
    ) -> Iterator[str]:
        return tree_checks.subject_mistakes(self, subject, sessions, regions, ncsnr, thorough)

    def size(self, subject: str, sessions: Sequence[int]) -> Size:
        trials, shared = TRIALS_PER_SESSION * len(sessions), nsd_tree.N_SHARED
        own = max(0, min(IMAGES_DESIGNED, trials) - shared)
        return Size(trials, shared, {SHARED: shared, subject: own})

    def n_voxels(self, subject: str) -> int:
        """Of the mask, or about as many as NSD's subjects have."""
        try:
            return int(volumes.read_mask(self.tree.mask(subject), notes=[]).sum())
        except InputError:
            return TYPICAL_VOXELS


def _check_regions(regions: Sequence[str], atlases: Sequence[str]) -> None:
    """Raise a ValueError unless every region is a mask file, or known and in one of the atlases."""
    for region in regions:
        if nsd_tree.is_mask_file(region):
            continue
        try:
            atlas, _ = nsd_tree.find_region(region)
        except InputError as error:
            raise ValueError(str(error)) from error
        if atlas not in atlases:
            raise ValueError(f"region {region!r} lies in the atlas {atlas!r}: add it to dataset.atlases")
