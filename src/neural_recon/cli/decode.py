"""The command `neural-recon decode`."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from neural_recon.core.errors import InputError


def decode(
    betas: Annotated[
        Path,
        typer.Option(
            help="Betas: NIfTI of floats in percent signal change, such as GLMsingle's, or as NSD writes "
            "them (.nii.gz, .hdf5; NSD-synthetic and NSD-imagery too); an array (.npy) of trials and voxels, "
            "or of the volume; or a table (.tsv, .parquet) in percent signal change, one row per trial, one "
            "column per voxel."
        ),
    ],
    subject: Annotated[
        str | None, typer.Option(help="Whose responses they are; of a folder handed on: the one it is of.")
    ] = None,
    decoder: Annotated[
        Path | None,
        typer.Option(help="A folder of neural-recon export, instead of the decoders that a run kept."),
    ] = None,
    configfile: Annotated[Path, typer.Option(help="The configuration of the run that kept decoders.")] = Path(
        "config/demo.yaml"
    ),
    zscore: Annotated[
        Literal["train", "session"] | None,
        typer.Option(help="By the training images, or by these responses; default: as in training."),
    ] = None,
    average: Annotated[
        Path | None,
        typer.Option(help="TSV with the columns trial (from 1) and condition: average each condition first."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Default: decoded/SUBJECT/FILE in the results' folder, or with --decoder here."),
    ] = None,
) -> None:
    """Turn responses that were not in the experiment into pictures (in the project's folder)."""
    from neural_recon.config.configuration import read_config
    from neural_recon.workflow import (  # takes seconds to import
        decode_scans,
        exported_decoders,
        subject_decoders,
    )

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if decoder is not None:
        found = exported_decoders.of_folder(decoder)
        if subject not in (None, found.subject):
            raise InputError(
                f"--subject: expected {found.subject}, as {decoder} says, found {subject}; leave it out."
            )
    elif subject is None:
        raise InputError("decode: expected --subject or --decoder, found neither; give one of them.")
    else:
        config = read_config(configfile, Path.cwd())
        found = subject_decoders.of_run(config, configfile, subject)
    folder = decode_scans.decode(found, betas, zscore, average, output)
    typer.echo(f"pictures: {folder / 'pictures'}; overview: {folder / 'sheet.png'}")
