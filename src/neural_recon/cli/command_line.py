"""The command `neural-recon`: a door to the package for each of its subcommands."""

import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Literal

import typer

from neural_recon import __version__
from neural_recon.cli.decode import decode
from neural_recon.cli.evaluate import evaluate
from neural_recon.cli.export import export
from neural_recon.cli.import_data import import_data
from neural_recon.cli.submit import board, submit
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import of_system

COLOURS = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "wrong": typer.colors.RED}
WIDTH = 110
NAME = "neural-recon"

EXIT_STATUS = (
    "Exit status: 0 done; 1 a mistake in what was given, or something found wrong; 2 wrong usage; "
    "130 interrupted (Ctrl-C). docs/command_line.md has an example of each command."
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
config_app = typer.Typer(no_args_is_help=True, help="Write a commented configuration; check one.")
options = {"debug": False}


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback(epilog=EXIT_STATUS)
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """From the voxels of a brain that saw a picture back to the picture."""
    options["debug"] = debug


@app.command()
def doctor(
    configfile: Annotated[Path, typer.Option(help="The configuration to look at.")] = Path(
        "config/demo.yaml"
    ),
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Read every session through: seconds each.")
    ] = False,
) -> None:
    """Say what is there and what is missing for a run, and what to type next (in the project's folder)."""
    from neural_recon.workflow.doctor import examine  # takes seconds to import

    findings, advice = examine(configfile, Path.cwd(), thorough)
    indent = max(len(finding.topic) for finding in findings) + 9
    width = min(shutil.get_terminal_size((WIDTH, 0)).columns, WIDTH)
    for finding in findings:
        mark = typer.style(f"{finding.state:5}", fg=COLOURS[finding.state])
        text = textwrap.fill(
            finding.text,
            width,
            initial_indent=" " * indent,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        typer.echo(f"{mark}  {finding.topic:{indent - 9}}  {text.lstrip()}")
    typer.echo(f"\nnext: {advice}")
    raise typer.Exit(any(finding.state == "wrong" for finding in findings))


@app.command()
def demo(
    cores: Annotated[
        int | None, typer.Option(min=1, help="Jobs at once, of up to 1.1 GB each; default: at most four.")
    ] = None,
    subject: Annotated[
        Literal["subj01", "subj02"] | None, typer.Option(help="One of the two subjects: half the time.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would run.")] = False,
) -> None:
    """Run the whole workflow on two simulated subjects: what `make demo` does (in the project's folder)."""
    from neural_recon.cli import demo_run

    folder, cores = Path.cwd(), cores or demo_run.default_cores()
    demo_run.check_folder(folder)
    if not dry_run:
        typer.echo(
            f"Two simulated subjects, from responses to a report; {cores} jobs at once. A first run takes "
            "5 to 15 minutes on two cores without a GPU and fills 0.6 GB; a later one does what is stale."
        )
    status = demo_run.run(folder, cores, subject, dry_run)
    if not (status or dry_run):
        page = folder / f"results/report/{subject or 'all'}.html"
        typer.echo(f"Open the report in a browser: {page}")
    raise typer.Exit(status)


@config_app.command()
def write(
    path: Annotated[
        Path,
        typer.Argument(
            help="The new file (.yaml), none is overwritten; with --dataset the folder to look at."
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="A kind of data set that is found by looking, as table; without it NSD."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The new file, with --dataset; default: config/FOLDER.yaml.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="The recipe, with --dataset.")] = None,
    small: Annotated[
        bool,
        typer.Option("--small", help="With --dataset: the small models that come along, for a first look."),
    ] = False,
) -> None:
    """Write a configuration with every key, its meaning, what it may be and its default."""
    from neural_recon.config.reference import write_found, write_template
    from neural_recon.datasets.dataset import DATA_SETS

    if dataset is None:
        if output or recipe or small:
            raise InputError(
                "config write: expected --output, --recipe and --small with --dataset alone, found none; add "
                "it, or leave them out."
            )
        write_template(path, Path.cwd())
        typer.echo(
            f"{path}: edit the lines marked EDIT; then neural-recon config validate {shlex.quote(str(path))}"
        )
        return
    found = DATA_SETS.load(dataset).found_in(path)
    output = output or Path("config") / f"{path.resolve().name}.yaml"
    write_found(output, Path.cwd(), found, small, recipe)
    for key, note in found.notes.items():
        typer.echo(f"{key}: {note}")
    then = f"neural-recon doctor --configfile {shlex.quote(str(output))}"
    typer.echo(f"{output}: check the lines marked CHECK; then {then}")


@config_app.command()
def validate(path: Annotated[Path, typer.Argument(help="The configuration to look at.")]) -> None:
    """Say all that is wrong with a configuration, as a run would find it; else what it asks for."""
    from neural_recon.workflow.config_check import examine

    wrong, summary = examine(path, Path.cwd())
    for topic, text in summary.items():
        typer.echo(f"{topic:12}{text}")
    for sentence in wrong:
        typer.echo(f"{typer.style('wrong', fg=COLOURS['wrong'])}       {sentence}")
    typer.echo(f"{path}: {f'{len(wrong)} to fix' if wrong else 'ok'}")
    raise typer.Exit(bool(wrong))


app.add_typer(config_app, name="config")
app.command()(decode)
app.command()(evaluate)
app.command()(export)
app.command("import")(import_data)
app.command()(submit)
app.command()(board)


@app.command()
def verify(
    results: Annotated[Path, typer.Argument(help="The results' folder, here or moved elsewhere.")],
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Hash all inputs too, not only weights and what has another time."),
    ] = False,
) -> None:
    """Compare results with the records of what made them: files, weights, data."""
    from neural_recon.workflow.verify import verify as check

    read, said = 0, 0

    def progress(n: int) -> None:
        nonlocal read, said
        read += n
        if sys.stderr.isatty() and read - said > 100_000_000:
            said = read
            typer.echo(f"\r{read / 1e9:.1f} GB read", err=True, nl=False)

    verdict = check(results, thorough, progress)
    if said:
        typer.echo("\r\033[K", err=True, nl=False)
    unchecked = [("unchecked", sentence) for sentence in verdict.unchecked]
    for state, sentence in (*verdict.wrong, *unchecked):
        mark = typer.style(f"{state:10}", fg=COLOURS["note" if state == "unchecked" else "wrong"])
        # names in records come from anywhere: no codes that a terminal obeys
        typer.echo(f"{mark}  {''.join(c if c.isprintable() else '?' for c in sentence)}")
    typer.echo(f"{results}: {verdict.summary()}")
    raise typer.Exit(bool(verdict.wrong))


def run() -> None:
    """The console script: whatever happens is one sentence, on the error stream, and an exit status."""
    try:
        app(prog_name=NAME)
    except Exception as error:
        if options["debug"]:
            raise
        typer.echo(f"error: {as_sentence(error)}", err=True)
        sys.exit(1)


def as_sentence(error: Exception) -> str:
    """One line on what went wrong, and where there is more to know."""
    if isinstance(error, InputError):
        return str(error)
    said = (of_system(error) if isinstance(error, OSError) else None) or error
    line = " ".join(f"{type(error).__name__}: {said}".split())
    more = f"`{NAME} --debug ...` shows where"
    # of the disk, the memory, or rights: nothing of ours
    if isinstance(error, OSError | MemoryError):
        return f"{line} ({more})"
    return f"{line} (a bug, which we did not foresee: {more}, CONTRIBUTING.md how to report it)"


if __name__ == "__main__":
    run()
