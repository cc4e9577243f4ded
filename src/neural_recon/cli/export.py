"""The command `neural-recon export`."""

import logging
from pathlib import Path
from typing import Annotated

import typer


def export(
    output: Annotated[Path, typer.Argument(help="The new folder.")],
    subject: Annotated[str, typer.Option(help="Whose decoders.")],
    configfile: Annotated[Path, typer.Option(help="The configuration of the run that kept decoders.")] = Path(
        "config/demo.yaml"
    ),
    recoverable: Annotated[
        bool,
        typer.Option(
            "--recoverable", help="Export although training responses can be computed from the decoders."
        ),
    ] = False,
) -> None:
    """Put a subject's kept decoders into a folder to hand on, with a model card (in the project's folder)."""
    from neural_recon.config.configuration import read_config
    from neural_recon.workflow.export import export as write  # takes seconds to import

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    held = write(read_config(configfile, Path.cwd()), configfile, subject, output, recoverable)
    typer.echo(f"{held.said}\ndecoder: {output}; read {output / 'README.md'} before you pass it on")
