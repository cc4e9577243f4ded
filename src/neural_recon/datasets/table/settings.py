"""What a configuration says of a lab's own data."""

from typing import Self

from pydantic import Field, model_validator

from neural_recon.datasets.dataset import AXES, DataSet
from neural_recon.datasets.table import trial_rows
from neural_recon.datasets.table.arrays import Axes, Units
from neural_recon.datasets.table.surfaces import is_surface


class TableSettings(DataSet.Settings):
    """Where the lab's files lie; paths are relative to the folder."""

    folder: str = Field(description="The lab's folder.")
    trials: str = Field(
        "trials.tsv",
        description="TSV with one row per trial: subject, session, trial, image; and split, if any.",
    )
    betas: str | list[str] = Field(
        description="Single-trial responses: a path with {subject} and {session} as the table of trials "
        "has them; {session:02} is the number at the end with two digits. Without a session one file has "
        "all of a subject's trials. NIfTI, HDF5 (GLMsingle's too), .mat of v7.3, GIFTI, CIFTI, .npy. Several "
        "paths: other places of the same trials, as the two hemispheres.",
    )
    dataset: str | None = Field(
        None,
        description="Name of the betas in HDF5; {session} is filled in as in paths, and * stands for all "
        "names, as of a session's runs, one behind the other; default: betasmd (GLMsingle's), betas, or "
        "the only one.",
    )
    axes: Axes | None = Field(
        None, description="Axes of arrays, where neither shape nor whoever wrote them tells."
    )
    units: Units | None = Field(
        None,
        description="Of the betas: percent (signal change), percent_x300 (NSD's integers), zscored, or "
        "arbitrary; default: as GLMsingle's files have them, percent, and of others it must be stated.",
    )
    pickles: bool = Field(
        False,
        description="Whether .npy files of pickled objects, as GLMsingle's are, may be opened, which "
        "runs code of whoever wrote them.",
    )
    mask: str | list[str] | None = Field(
        None,
        description="Voxels above 0 are decoded from: NIfTI, GIFTI, CIFTI or .npy, {subject} is filled in; "
        "several paths: the hemispheres; default: all that vary.",
    )
    regions: dict[str, str | list[str]] = Field(
        {},
        description="Atlas -> its labels, NIfTI, GIFTI, CIFTI or .npy; {subject} is filled in; several "
        "paths: the hemispheres.",
    )
    names: dict[str, str] = Field(
        {}, description="Atlas -> TSV of the names of its labels: label, name; default: by number."
    )
    pictures: str = Field(
        "pictures",
        description="Folder of pictures, or an HDF5 file with them, uint8 (n, height, width, 3), and "
        "their names; without names images are numbered from 0.",
    )
    size: int = Field(
        425,
        ge=8,
        le=2048,
        description="Side of the pictures, in pixels: the square in the middle of each, resized.",
    )
    captions: str | None = Field(
        None,
        description="TSV with the columns image and caption, one row per caption; trials of images "
        "without one are left out.",
    )
    leave_out: dict[str, list[str]] = Field(
        {},
        description="Column of the trials -> values: such trials, as catch trials, are left out; so are "
        "those without an image.",
    )

    tuned: str | None = Field(
        None,
        description="A name of the betas, where they were tuned on repeated trials, those of test images "
        "included; default: that of their files, where GLMsingle's (TYPEC, TYPED) say so.",
    )
    title: str | None = Field(
        None,
        description="What the data set is called in model cards and bundles of results.",
    )
    licence: str = Field("unknown", description="Of the data, in a few words.")
    address: str = Field("", description="Where the terms of the data are read.")
    share_responses: bool = Field(
        False,
        description="Whether responses may be passed on, and so decoders that hold them or give them "
        "back (`neural-recon export`).",
    )

    @model_validator(mode="after")
    def _names_of_atlases(self) -> Self:
        for atlas in self.names:
            if atlas not in self.regions:
                raise ValueError(f"names.{atlas}: there is no such atlas in regions")
        several = isinstance(self.betas, list) and not all(map(is_surface, self.betas))
        if self.betas == [] or (several and "voxels" not in (self.axes or "")):
            raise ValueError("betas: several paths need axes, voxels,trials or trials,voxels")
        if taken := {*AXES, *(trial_rows.COLUMNS)} & set(self.regions):
            raise ValueError(f"regions.{min(taken)}: expected another name, as a column is called so")
        return self
