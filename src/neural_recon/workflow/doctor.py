"""What is there and what is missing before a run: configuration, data, weights, GPU, memory, disk.

Every check runs, whatever the others found, so that one look shows all there is to fix.
"""

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from neural_recon import generation
from neural_recon.config.configuration import Config, read_config
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there, refusal, require_file
from neural_recon.datasets import trials
from neural_recon.demo.judge import SceneJudge
from neural_recon.evaluation import comparison, network_weights, networks
from neural_recon.evaluation.registry import NETWORKS
from neural_recon.features import picture_captions
from neural_recon.features.space import Space, space_kinds
from neural_recon.models import weights
from neural_recon.responses import session_verdicts
from neural_recon.workflow import data_checks
from neural_recon.workflow.machine_checks import (
    GB,
    Finding,
    check_disk,
    check_generator_memory,
    check_machine,
    size_said,
    weights_to_fetch,
)
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Plan

DEFAULT = Path("config/demo.yaml")
META = torch.device("meta")  # compares names and shapes without reading the values


def examine(configfile: Path, folder: Path, thorough: bool = False) -> tuple[list[Finding], str]:
    """All findings, and what to do next.

    Args:
        configfile: the configuration.
        folder: the project's, where the recipes and the table of weights lie.
        thorough: read all sessions through.
    """
    findings = []
    try:
        config = read_config(configfile, folder)
        table = weights.read_table(folder / weights.TABLE)
    except InputError as error:
        findings.append(Finding("configuration", "wrong", str(error)))
        findings += check_machine()
    else:
        subjects = ", ".join(config.subjects)
        findings.append(Finding("configuration", "ok", f"{configfile}: recipe {config.recipe}, {subjects}"))
        plan = Plan(config)
        downloads, n_bytes = check_downloads(plan)
        findings += [*check_data(plan, thorough), *downloads, *check_weights(config, table)]
        said = [one.text for one in findings if one.state == "wrong"]
        findings += [one for one in check_tables(plan) if one.text not in said]
        findings += check_files(plan, table, [one.text for one in findings if one.state == "wrong"])
        findings += check_machine()
        findings += check_generator_memory(config, table)
        findings += check_disk(plan, table, n_bytes)
    return findings, next_step(findings, configfile)


def check_data(plan: Plan, thorough: bool) -> Iterator[Finding]:
    """The data set: what all subjects share, then each subject's own; what is missing, and what is wrong."""
    config, folder = plan.config, plan.data.folder
    at = f"{folder}: " if folder else ""
    if config.demo is None:
        files = plan.shared_files()
        absent = {path: what for path, what in files.items() if not _there(path)}
        no_folder = folder is not None and not folder.is_dir()
        text = ", ".join(f"no {_bare(what)} ({path})" for path, what in absent.items())
        if absent and all(map(plan.data.fetches, absent)):
            yield Finding(
                "data", "note", f"{at}{'no such folder yet' if no_folder else text}; will be fetched"
            )
        elif no_folder and absent and not any(map(plan.data.fetches, absent)):
            yield Finding("data", "wrong", f"{at}no such folder; {plan.data.hint(next(iter(absent)))}")
        elif absent:
            yield Finding("data", "wrong", f"{at}{text}")
        else:
            yield Finding("data", "ok", f"{at}{', '.join(map(_bare, files.values()))}")
        yield from (Finding("data", "wrong", text) for text in data_checks.shared_mistakes(plan))
    else:
        yield Finding("data", "ok", f"simulated: the workflow writes {folder}")
    for subject in config.subjects:
        if config.demo is None:
            yield _subject_files(plan, subject)
            notes: list[str] = []
            mistakes = data_checks.subject_mistakes(plan, subject, thorough, notes)
            yield from (Finding(subject, "wrong", text) for text in mistakes)
            yield from (Finding(subject, "note", text) for text in notes)
        # without the design there is no split to check, and that was said above
        if config.demo is not None or all(map(_there, plan.read_for(["trials"], {"subject": subject}))):
            try:
                plan.trials(subject)
            except InputError as error:
                yield Finding(subject, "wrong", str(error))
        yield from check_quality(config, subject)


def check_quality(config: Config, subject: str) -> Iterator[Finding]:
    """What an earlier run found of the sessions that are used."""
    table = config.results / f"quality/{subject}/sessions.tsv"
    if _there(table):
        try:
            said = session_verdicts.require_agreement(table, subject, config.sessions(subject))
            yield Finding(f"quality of {subject}", "ok", f"{table}: {said}")
        except InputError as error:
            yield Finding(f"quality of {subject}", "wrong", str(error))


def _subject_files(plan: Plan, subject: str) -> Finding:
    """What there is of a subject's files, in numbers."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    for path, what in plan.subject_files(subject).items():
        name, _, number = _bare(what.removesuffix(f" of {subject}")).rpartition(" ")
        if not number.isdigit():  # but for one of several sessions
            name, number = f"{name} {number}".strip(), path.name.partition(".")[0]
        groups.setdefault(name, []).append((number, _there(path)))
    text = ", ".join(_count(name, found) for name, found in groups.items())
    absent = [path for path in plan.subject_files(subject) if not _there(path)]
    if not absent:
        return Finding(subject, "ok", text)
    if all(map(plan.data.fetches, absent)):
        return Finding(subject, "note", f"{text}; the rest will be fetched")
    return Finding(subject, "wrong", text)


def _bare(what: str) -> str:
    """A description without its article."""
    return re.sub("^(the|an?) ", "", what)


def _count(name: str, found: list[tuple[str, bool]]) -> str:
    """How many of some files there are, and where some are, which are missing."""
    absent = [which for which, there in found if not there]
    if len(found) == 1 and not found[0][0].isdigit():
        return f"no {name}" if absent else name
    plural = name if name == "betas" else f"{name}es" if name.endswith("s") else f"{name}s"
    said = f"{len(found) - len(absent)} of {len(found)} {plural}"
    return said + f" (missing {', '.join(absent)})" if 0 < len(absent) < len(found) else said


def _there(path: Path) -> bool:
    """Whether a file is there; of what cannot be reached `check_files` says why."""
    try:
        return is_there(path)
    except InputError:
        return True


def check_files(plan: Plan, table: weights.Table, said: Iterable[str]) -> Iterator[Finding]:
    """Every file that a run takes: there, or to be fetched, and open to us. What was said of one already is
    not said again.

    Args:
        said: what was found wrong so far.
    """
    files: dict[Path, str] = {}
    with contextlib.suppress(InputError):  # of weights that are nowhere, and said of them
        files.update((path, what) for what, path in plan.files(table))
    fetched = {weights.MODELS / place for place in weights_to_fetch(plan, table)}
    sentences = list(said)
    alike: dict[str, list[str]] = {}  # a closed folder or a share that is gone is one thing to fix
    for path, what in files.items():
        if path in fetched or plan.data.fetches(path) or any(str(path) in one for one in sentences):
            continue
        sentence = _refused(path, what)
        if sentence:
            alike.setdefault(sentence.partition(", found ")[2].replace(str(path), ""), []).append(sentence)
    for first, *others in alike.values():
        more = f" (and {len(others)} more files)" if others else ""
        yield Finding("files", "wrong", f"{first[:-1]}{more}.")


def _refused(path: Path, what: str) -> str:
    """Why a file cannot be read; nothing where it can."""
    try:
        require_file(path, what)
        if path.is_dir():
            next(path.iterdir(), None)
            return ""
        with path.open("rb") as file:
            file.read(1)
    except InputError as error:
        return str(error)
    except OSError as error:
        return str(refusal(path, error, what) or f"{path}: expected {what}, found {error}.")
    return ""


def check_tables(plan: Plan) -> Iterator[Finding]:
    """What a run reads besides data set and weights: lists of ids, a judge, other methods' scores."""
    config = plan.config
    readers: list[tuple[str, Callable[[], object]]] = [
        ("scores of another method", partial(comparison.other_lines, [path])) for path in plan.other_scores()
    ]
    for name in ("train", "test"):
        if path := getattr(config.split, name):
            readers.append((f"split.{name}", partial(trials.read_ids, path)))
    judge, scenes = config.evaluation.classifier, config.evaluation.scenes
    if judge and config.demo is not None:  # which writes its scenes itself
        from neural_recon.demo.classifier import SceneClassifier

        readers.append(("evaluation.classifier", partial(SceneClassifier.from_file, judge)))
    elif judge and scenes:
        readers.append(("evaluation.classifier", partial(SceneJudge, judge, scenes)))
    for topic, read in readers:
        try:
            read()
        except InputError as error:
            yield Finding(topic, "wrong", str(error))


def check_downloads(plan: Plan) -> tuple[list[Finding], float]:
    """What the run will fetch of the data set, and the bytes of it."""
    topic = "data to fetch"
    try:
        sums, unknown = plan.data.downloads(plan.missing())
    except InputError as error:
        return [Finding(topic, "wrong", str(error))], 0
    text = unknown or ", ".join(f"{owner} {size_said(size)}" for owner, size in sums.items())
    return [Finding(topic, "note", text)] if text else [], sum(sums.values())


def check_weights(config: Config, table: weights.Table) -> Iterator[Finding]:
    """Each model: to be fetched, or read and compared tensor by tensor with what it should hold."""
    preset, named = config.evaluation.preset, config.evaluation.networks
    absent = [name for name in network_weights.wanted(preset) if name not in named]
    if absent:
        text = f"evaluation.networks names no {', no '.join(absent)}: their scores will not be measured"
        yield Finding("weights", "note", text)
    for key, kind in space_kinds(config.computed_spaces).items():
        yield from _check_model(key, table, partial(_space, config, key, kind, table))
    if captioner := config.captioner:
        yield from _check_model("captioner", table, partial(_captioner, captioner.weights, table))
    yield from _check_model("generator", table, partial(_generator, config, table))
    for name in named:
        yield from _check_model(f"weights of {name}", table, partial(_network, config, name, table))


# where a model lies, the files that are read of it, and what compares them with what they must hold
Model = tuple[str, Sequence[str], Callable[[], object]]


def _check_model(topic: str, table: weights.Table, find: Callable[[], Model]) -> Iterator[Finding]:
    """One model: how much of it will be fetched, or whether it is what it should be."""
    try:
        where, files, compare = find()
        to_fetch = weights.missing(files, table)
        if to_fetch:
            size = size_said(sum(file.gigabytes for file in to_fetch.values()) * GB)
            there = len(files) - len(to_fetch)
            some = f" ({there} of {len(files)} files are there)" if there else ""
            terms = "".join(f"; {line}" for line in weights.terms(to_fetch, table))
            yield Finding(topic, "note", f"{where}: will be fetched, about {size}{some}{terms}")
        elif where:
            compare()
            yield Finding(topic, "ok", f"{where}: names and shapes are right")
    except InputError as error:
        yield Finding(topic, "wrong", str(error))


def _space(config: Config, key: str, kind: type[Space], table: weights.Table) -> Model:
    settings = config.computed_spaces[key]
    located = kind.locate(key, settings, table)
    where = getattr(located, "weights", "")
    return where, kind.files(settings, table), partial(kind.check, key.rpartition(".")[2], located)


def _captioner(value: str, table: weights.Table) -> Model:
    from neural_recon.models.blip import Blip  # takes seconds

    folder = weights.locate("captioner.weights", value, table, "folder")
    return str(folder), picture_captions.model_files(value, table), partial(Blip.from_folder, folder, META)


def _generator(config: Config, table: weights.Table) -> Model:
    painting = Painting(config.generator, table)
    loaded = generation.load(painting.settings, "meta")
    where = ", ".join(getattr(painting.settings, name) for name in painting.named)
    return where, [*painting.files, *painting.encoders], loaded.prepare


def _network(config: Config, name: str, table: weights.Table) -> Model:
    preset, networks_named = config.evaluation.preset, config.evaluation.networks
    named = {one: networks_named[one] for one in (name, NETWORKS[name].under) if one in networks_named}
    located = network_weights.locate(named, preset, table)
    files = network_weights.files_read(named, located, table)
    return located[name], files, partial(networks.PresetNetworks, preset, located, where=META)


def next_step(findings: list[Finding], configfile: Path) -> str:
    """The next command to type, or what to fix first."""
    wrong = {finding.topic for finding in findings if finding.state == "wrong"}
    named = f" --configfile {shlex.quote(str(configfile))}"
    again = "neural-recon doctor" + ("" if configfile == DEFAULT else named)
    if not wrong:
        cores = os.cpu_count()
        return "make demo" if configfile == DEFAULT else f"snakemake{named} --cores {cores} -n"
    advice = {
        "configuration": "fix the configuration (config/README.md has every key)",
        "data": "put the files where dataset names them, or have them fetched (README.md, Real data)",
        "quality": "fix the sessions that do not agree",
        "weights": "fix what is said of the weights",
        "disk": "make room, or set pathvars.results to a larger disk",
    }
    models = ("spaces.", "evaluation.encoding", "generator")
    topics = {"weights" if topic.startswith(models) else topic for topic in wrong}
    kinds = {next((kind for kind in advice if topic.startswith(kind)), "data") for topic in topics}
    return "; ".join(advice[kind] for kind in advice if kind in kinds) + f"; then {again}"
