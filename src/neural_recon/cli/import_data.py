"""The command `neural-recon import`."""

import logging
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from neural_recon.core.errors import InputError


def import_data(
    kind: Annotated[str, typer.Argument(help="The data set; docs/other_data.md lists them.")],
    source: Annotated[Path, typer.Argument(help="The folder with its files, as they are published.")],
    output: Annotated[Path, typer.Argument(help="The new folder.")],
    split: Annotated[
        str | None, typer.Option(help="Which of the published splits, where there are several.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="The recipe of the configuration.")] = None,
    small: Annotated[
        bool, typer.Option("--small", help="The small models that come along, for a first look.")
    ] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch first what is missing, where that can be done.")
    ] = False,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You have read and accept the terms; with --fetch.")
    ] = False,
    subject: Annotated[list[str] | None, typer.Option(help="Whose files to fetch; default: all.")] = None,
) -> None:
    """Turn a published data set into a folder that a run reads: tables, and links to the files."""
    from neural_recon.config.reference import WITHOUT_TEXT, write_found, write_generalisation
    from neural_recon.datasets.importer import IMPORTERS, import_into

    chosen = IMPORTERS.load(kind)
    terms = f"{chosen.terms.name}: responses {chosen.terms.licence}, {chosen.terms.address}"
    typer.echo(f"{terms}; pictures {chosen.pictures_terms}")
    if fetch:
        if not accept_terms:
            raise InputError(
                f"{kind}: expected its terms to be accepted before anything is fetched, found --fetch alone; "
                f"read them ({chosen.terms.address}) and add --accept-terms."
            )
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        chosen.fetch(source, subject or [])
    found = import_into(chosen(source, split), output)
    recipe = recipe or (None if found.settings.get("captions") else WITHOUT_TEXT[small])
    written = output / "config.yaml"
    try:
        write_found(written, Path.cwd(), found, small, recipe, output.resolve().name)
    except Exception:  # as of a recipe that reads captions: the folder can then be made again
        shutil.rmtree(output)
        raise
    for key, note in found.notes.items():
        typer.echo(f"{key}: {note}")
    if chosen.generalisation is not None:
        extra = write_generalisation(output / "generalisation.yaml", kind, found, chosen.generalisation)
        typer.echo(
            f"{extra}: to test decoders of the main experiment on these sessions, give it behind their "
            f"configuration: snakemake --configfile CONFIG.yaml {shlex.quote(str(extra))} --cores 2"
        )
    then = f"neural-recon doctor --configfile {shlex.quote(str(written))}"
    typer.echo(f"{written}: check the lines marked CHECK; then {then}")
