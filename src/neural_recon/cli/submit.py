"""The commands `neural-recon submit` and `neural-recon board`."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from neural_recon.core.errors import InputError, first_mistake


def submit(
    output: Annotated[Path, typer.Argument(help="The file to write (.json).")],
    subject: Annotated[str, typer.Option(help="Whose pictures.")],
    configfile: Annotated[
        Path, typer.Option(help="The configuration of the run, or of the data set that pictures are of.")
    ] = Path("config/demo.yaml"),
    name: Annotated[
        str | None, typer.Option(help="What the result is called; default: the recipe, or the method.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="A table of neural-recon evaluate (.tsv): pictures of any method, instead of a run's."
        ),
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(min=1, help="With --pictures: of how many sessions, as its maker says.")
    ] = None,
    repetitions: Annotated[
        float | None, typer.Option(min=1, help="With --pictures: how often each test image was shown.")
    ] = None,
    statement: Annotated[
        str, typer.Option(help="With --pictures: what its maker says of leaks of the test set.")
    ] = "",
) -> None:
    """Bundle what a comparison needs of one subject's scores into one file, without pictures."""
    from neural_recon.config.configuration import read_config
    from neural_recon.evaluation import bundles  # takes seconds to import
    from neural_recon.workflow import submit as submission

    if output.suffix != ".json":
        raise InputError(f"{output}: expected a name that ends in .json; name the file so.")
    if pictures is None and (sessions or repetitions or statement):
        raise InputError(
            "submit: expected --sessions, --repetitions and --statement with --pictures alone, as a run "
            "knows them; leave them out."
        )
    config = read_config(configfile, Path.cwd())
    try:
        if pictures is None:
            bundle = submission.of_run(config, configfile, subject, name)
        else:
            bundle = submission.of_pictures(config, pictures, subject, name, sessions, repetitions, statement)
    except ValidationError as error:
        raise InputError(
            f"submit: expected a result that can be handed in, found {first_mistake(error)}; change that."
        ) from error
    bundles.write(output, bundle)
    n, metrics = len(bundle.image_ids), len(bundle.scores)
    typer.echo(
        f"{bundle.name}, {bundle.subject}: {n} images, {metrics} metrics under the preset {bundle.preset}; "
        f"{bundle.leaks.badge}; {output}"
    )


def board(
    folder: Annotated[Path, typer.Argument(help="The folder with the files of neural-recon submit (.json).")],
    output: Annotated[
        Path | None, typer.Option(help="Where the page goes; default: the same folder.")
    ] = None,
) -> None:
    """Put results that were handed in on one page, in groups of those that compare."""
    from neural_recon.evaluation import bundles  # takes seconds to import
    from neural_recon.report import board as pages

    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"{folder}: expected files of neural-recon submit (.json), found none.")
    pages.build(output or folder, bundles.groups({path: bundles.read(path) for path in paths}))
    typer.echo(f"{len(paths)} results; open {(output or folder) / pages.PAGE}")
