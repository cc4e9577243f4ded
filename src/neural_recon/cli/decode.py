"""The command `neural-recon decode`."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer


def decode(
    subject: Annotated[str, typer.Option(help="Whose responses they are.")],
    betas: Annotated[
        Path,
        typer.Option(
            help="Betas (.nii.gz, .hdf5) as NSD writes them, NSD-synthetic and NSD-imagery too, or as floats "
            "in percent signal change; an array (.npy) of trials and voxels, or of the volume; or a table "
            "(.tsv, .parquet) in percent signal change, one row per trial, one column per voxel."
        ),
    ],
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
        Path | None, typer.Option(help="Default: decoded/SUBJECT/FILE in the results' folder.")
    ] = None,
) -> None:
    """Turn responses that were not in the experiment into pictures (in the project's folder)."""
    from neural_recon.cli import decode_scans  # takes seconds to import
    from neural_recon.config.configuration import read_config

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = read_config(configfile, Path.cwd())
    folder = decode_scans.decode(config, configfile, subject, betas, zscore, average, output)
    typer.echo(f"pictures: {folder / 'pictures'}; overview: {folder / 'sheet.png'}")
