"""The command `neural-recon evaluate`."""

import contextlib
import logging
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neural_recon.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    reconstructions: Annotated[
        Path, typer.Option(help="Folder of pictures (png, jpg) named by image id: 00123.png or 123.png.")
    ],
    stimuli: Annotated[
        Path, typer.Option(help="Folder of what was seen, named alike; or NSD's stimuli (HDF5), or its tree.")
    ],
    preset: Annotated[
        Literal["brain_diffuser", "mindeye2", "native"],
        typer.Option(help="Whose sizes, SSIM and networks' inputs; native: the pictures' own size."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="The table (.tsv); single images' scores alongside it (.parquet). Default: "
            "others/NAME_PRESET.tsv in the results' folder, which joins the comparison in the report."
        ),
    ] = None,
    configfile: Annotated[
        Path,
        typer.Option(
            help="The configuration of the run whose comparison they join (without --output); its test "
            "images are tried where the pictures' names are questioned."
        ),
    ] = Path("config/demo.yaml"),
    weights: Annotated[
        Path,
        typer.Option(
            help="Folder of the networks' weights under their published names; what it lacks is not measured."
        ),
    ] = Path("resources/models"),
    clip: Annotated[
        Path | None,
        typer.Option(
            help="Folder of CLIP (image_encoder), such as Versatile Diffusion's; default: as fetched, in the "
            "folder of weights."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The method's name; default: the folder's.")] = None,
    names: Annotated[
        Literal["ids", "ids_from_1", "alike"] | None,
        typer.Option(
            help="What names are: NSD ids from 0, or from 1; or alike, any names that both folders share. "
            "Default: from 0, and questioned where they look like positions in a list."
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The names of the reconstructions are positions in a list: a text file with the 0-based NSD "
            "id of each, one a line; or brain_diffuser or mindeye2, for the order of these scripts.",
        ),
    ] = None,
) -> None:
    """Score a folder of pictures, from whatever method, with intervals and chance levels."""
    from neural_recon.config.configuration import read_config  # these take seconds to import
    from neural_recon.evaluation.folder_scores import evaluate_folder, write_scores
    from neural_recon.workflow.folder_evaluation import evaluate_into, split_lists

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    name = name or reconstructions.resolve().name
    given = (reconstructions, stimuli, preset, name, clip, weights, names, ids)
    joins = ""
    if output is None:
        output, summary = evaluate_into(read_config(configfile, Path.cwd()), *given)
        joins = (
            f"The next run with --configfile {configfile} takes this table up in its comparison and report "
            f"({output}); remove it, or give --output, to keep it out.\n"
        )
    elif output.suffix != ".tsv":
        raise InputError(f"{output}: expected a name that ends in .tsv.")
    else:
        config = None
        with contextlib.suppress(InputError):  # only its test images could be asked for
            config = read_config(configfile, Path.cwd())
        lists = partial(split_lists, config) if config else lambda _: ()
        summary, images = evaluate_folder(*given, lists)
        write_scores(output, summary, images)
    typer.echo(f"{as_text(summary)}\n\n{joins}scores: {output}")
    if summary["questioned"].iloc[0]:
        typer.echo(f"warning: {output} is questioned: {summary['questioned'].iloc[0]}", err=True)


def as_text(summary: "pd.DataFrame") -> str:
    """The summary for a terminal."""
    first = summary.iloc[0]
    lines = [
        f"{first['method']}: {first['n']} pictures, preset {first['preset']}, "
        f"neural-recon {first['version']}",
        "",
        f"{'':30}{'mean':>8}   {'95 % interval':20}{'chance':20}p (re-pairings)",
    ]
    for row in summary.itertuples():
        metric = row.metric + (" (lower)" if row.better == "lower" else "")
        if row.not_measured or not math.isfinite(row.mean):
            lines.append(f"{metric:30}not measured: {row.not_measured or 'no reason was given'}")
            continue
        interval = f"{row.ci_low:.4f} to {row.ci_high:.4f}"
        chance = f"{row.shuffled:.4f} ± {row.shuffled_sd:.4f}"
        lines.append(f"{metric:30}{row.mean:8.4f}   {interval:20}{chance:20}{row.p:.2g} ({row.repairings})")
    if first["questioned"]:
        lines += ["", *(f"QUESTIONED: {doubt}" for doubt in first["questioned"].split("; "))]
    return "\n".join(lines)
