"""What commands read of a finished run."""

from pathlib import Path

from neural_recon.config.configuration import Config
from neural_recon.config.recipe_files import recipe_file
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.evaluation import leak_statement
from neural_recon.evaluation.leak_statement import LeakStatement
from neural_recon.workflow import provenance
from neural_recon.workflow.provenance import Versions


def needed(config: Config, configfile: Path, name: str) -> Path:
    """A file below the results.

    Raises:
        InputError: it is not there yet.
    """
    path = config.results / name
    if not is_there(path):
        raise InputError(
            f"{path}: expected a result of a finished run, found no such file; run snakemake --configfile "
            f"{configfile} --cores 2 {path}."
        )
    return path


def check_subject(config: Config, subject: str) -> None:
    """Raise an InputError unless the configuration has the subject that `--subject` names."""
    if subject not in config.decoded:
        raise InputError(f"--subject: expected one of {', '.join(config.decoded)}, found {subject}.")


def leaks_of(config: Config, subject: str) -> LeakStatement:
    """What is known of leaks of a subject's test set into its decoders."""
    tuned = "" if config.demo else config.data.tuned
    table = config.results / f"controls/{subject}/leaks.tsv"
    return leak_statement.of_run(getattr(config.decoder, "calibration", "none"), tuned, table)


def recipe_sha256(config: Config) -> str:
    """The hash of the recipe's file, in the folder that the command runs in."""
    return provenance.sha256_of(recipe_file(config.recipe, Path.cwd()))


def versions_of(results: Path, path: Path) -> Versions | None:
    """Of the program that made a result, by its record; None where there is none."""
    try:
        return provenance.read(results, path.relative_to(results).as_posix()).made_by.versions
    except InputError:
        return None


def in_words(versions: Versions | None) -> dict[str, str]:
    """The same for people."""
    if versions is None:
        return {"made by": "not recorded"}
    changed = ", changed since" if versions.modified else ""
    commit = f" (commit {versions.commit}{changed})" if versions.commit else ""
    packages = ", ".join(f"{name} {version}" for name, version in versions.packages.items())
    return {
        "made by": f"neural-recon {versions.neural_recon}{commit}",
        "with": f"Python {versions.python}, {packages}",
    }
