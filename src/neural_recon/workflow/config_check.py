"""What is wrong with a configuration, as a run would find it before it starts, without a network."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from neural_recon.config.configuration import Config, checked, read_raw
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import all_there
from neural_recon.evaluation import network_weights
from neural_recon.features.space import space_kinds
from neural_recon.models import weights
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Plan


def examine(configfile: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """All mistakes, a sentence each, and what the configuration asks for, by topic.

    Args:
        configfile: the configuration.
        folder: the project's, where the recipes and the table of weights lie.
    """
    try:
        raw = read_raw(configfile)
    except InputError as error:
        return [str(error)], {}
    config, wrong = checked(raw, folder)
    if config is None:
        return wrong, {}
    plan = Plan(config)
    summary = {
        "recipe": config.recipe,
        "spaces": ", ".join(config.spaces),
        "decoder": ", ".join(
            f"{name} {_short(value)}" for name, value in config.decoder if value is not None
        ),
        "generator": ", ".join(f"{name} {value}" for name, value in config.generator.changing.items()),
        "evaluation": config.evaluation.preset,
        "results": str(config.results),
    }
    checks: list[Callable[[], None]] = [plan.check_files, partial(_check_weights, config, folder)]
    # before the design is fetched there are no trials to count
    planned = config.demo is not None or all_there(plan.read_for(["trials"], {}))
    for subject in config.subjects:
        sessions = len(config.sessions(subject))
        summary[subject] = f"{sessions} session{'s' if sessions > 1 else ''}"
        if planned:
            checks.append(partial(_count, plan, subject, summary))
        else:
            summary[subject] += ", images not known before the design is there"
    for check in checks:
        try:
            check()
        except InputError as error:
            wrong.append(str(error))
    return wrong, summary


def _check_weights(config: Config, folder: Path) -> None:
    table = weights.read_table(folder / weights.TABLE)
    for key, kind in space_kinds(config.computed_spaces).items():
        kind.locate(key, config.computed_spaces[key], table)
    if config.captioner:
        weights.locate("captioner.weights", config.captioner.weights, table, "folder")
    Painting(config.generator, table)
    network_weights.locate(config.evaluation.networks, config.evaluation.preset, table)


def _count(plan: Plan, subject: str, summary: dict[str, str]) -> None:
    trials = plan.trials(subject)
    images = trials.groupby("split")["image_id"].nunique()
    summary[subject] += (
        f", {len(trials):,} trials, {images.get('train', 0):,} training and {images.get('test', 0):,} test "
        f"images, {len(plan.feature_chunks(subject))} chunks of features a space"
    )


def _short(value: object) -> str:
    """A setting in a few words."""
    if isinstance(value, dict):
        return " ".join(f"{name} {_short(one)}" for name, one in value.items())
    return f"{value:,.10g}" if isinstance(value, float) else str(value)
