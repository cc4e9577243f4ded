"""Put the report together."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from neural_recon.core.errors import InputError
from neural_recon.core.files import write_text
from neural_recon.datasets.dataset import DataSet
from neural_recon.decoding.decoder import DECODERS, Decoder
from neural_recon.evaluation.registry import better
from neural_recon.generation.generator import GENERATORS
from neural_recon.report import (
    album,
    amount,
    brain,
    captions,
    controls,
    encoding,
    failures,
    fidelity,
    gallery,
    generalisation,
    image_names,
    overview,
    published,
    records,
    regions,
    results,
    retrieval,
    single_stage,
    spaces,
    strata,
    tables,
    variants,
    words,
)
from neural_recon.report.files import SubjectFiles
from neural_recon.report.results import Results
from neural_recon.responses import session_verdicts

logger = logging.getLogger(__name__)


def build(
    output: str | Path,
    subjects: Sequence[SubjectFiles],
    data: DataSet,
    benchmarks: str | Path | None,
    configuration: Mapping[str, Any],
    title: str = "Pictures from brain responses",
    contents: str | Path | None = None,
    provenance: str | Path | None = None,
) -> None:
    """Write the report: one HTML file without anything outside it.

    Args:
        output: the file.
        subjects: where each subject's results lie, in the order of the page.
        data: the data set.
        benchmarks: folder of Snakemake's benchmark files, a folder per rule; None leaves the times out.
        configuration: the resolved configuration, plain values.
        title: heading of the page.
        contents: table of what the stimuli show (`album.CONTENT`), to filter the gallery by; None without.
        provenance: folder of the jobs' records, a JSON file a result; None where there are none.

    Raises:
        InputError: no subject, or a file that is missing or not what it must be.
    """
    if not subjects:
        raise InputError("report: expected at least one subject, found none.")
    spaces.use(configuration.get("spaces") or {})
    variants.use(configuration.get("generator") or {})
    image_names.use(data.image_names)
    people = [results.read(files, data.atlases) for files in subjects]
    demo, painting = configuration.get("demo") is not None, configuration.get("generator") or {}
    stimuli, tuned = data.pictures, "" if demo else data.tuned
    metrics = [m for m in tables.MAIN_METRICS if any(m in p.measured for p in people)]
    ceiling = any(p.score("true_features", "final", m) for p in people for m in metrics)
    names = [person.subject for person in people]
    content: dict[str, Any] = {
        "title": title,
        "demo": demo,
        "introduction": words.introduction(
            demo, len(people), ceiling, *_stages(painting), visual=demo or data.published is not None
        ),
        "headlines": [overview.headline(person) for person in people],
        "caveats": overview.caveats(people, configuration, tuned),
        "not_measured": overview.not_measured(people),
        "galleries": [gallery.first_cards(person, stimuli) for person in people],
        "album": album.build(people, stimuli, metrics, contents),
        "together": gallery.shared_cards(people, stimuli),
        "swapped": [
            entry for entry in (gallery.swapped_cards(person, stimuli) for person in people) if entry
        ],
        "single_stage": single_stage.section(people, stimuli, painting),
        "regions": [entry for entry in (regions.section(p, stimuli) for p in people) if entry],
        "generalisation": generalisation.section(people, configuration),
        "strata": strata.section(people),
        "encoding": encoding.section(people, configuration),
        "failures": failures.section(people, stimuli),
        "fidelity": fidelity.section(people, metrics),
        "by_ceiling": failures.by_ceiling(people),
        "published": published.section(people, demo or data.published is not None),
        "symbols": tables.symbols(people),
        "plots": tables.score_plots(people, metrics),
        "tables": [tables.score_table(person, metrics) for person in people],
        "feature_plot": tables.feature_plot(people),
        "feature_table": tables.feature_table(people),
        "retrieval": retrieval.section(people),
        "captions": captions.section(people, configuration),
        "captions_by": overview.captioner(configuration),
        "pairings": tables.pairings(people),
        "lower": any(better(metric) == "lower" for metric in metrics),
        "tests": tables.tests(people),
        "decodable": amount.decodable(people),
        "data_amount": amount.less_data(people),
        "controls": controls.section(people, tuned),
        "decoder": tables.decoder(people),
        "decoder_said": _decoder_said(configuration),
        "quality": [entry for entry in (_quality(person, output) for person in people) if entry],
        "maps": [entry for entry in (_map(person, data) for person in people) if entry],
        "simulated": words.simulated(
            {p.subject: results.medians(p.ceilings) for p in people} if demo else {}
        ),
        "notes": words.notes(
            configuration,
            metrics,
            ceiling,
            all(person.data_amount is not None for person in people),
            set.intersection(*(set(person.controls) for person in people)),
            all(person.files.strata is not None for person in people),
            tuned,
        ),
        "seed": configuration.get("seed"),
        "demo_seed": (configuration.get("demo") or {}).get("seed"),
        "preset": (configuration.get("evaluation") or {}).get("preset"),
        "made_by": words.made_by({person.subject: person.versions for person in people}),
        "made": records.section(provenance, benchmarks, configuration, names),
        "alone": names[0] if len(names) == 1 else None,
    }
    text = render("template.html", content)
    write_text(output, text)
    logger.info("%s: %d subjects, %d images at %d px, %.1f MB", output, len(people),
                content["album"]["images"], content["album"]["side"], len(text) / 1e6)  # fmt: skip


def _stages(painting: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a section `generator` starts from base images, and whether features guide it."""
    if "kind" not in painting:
        return True, True
    roles = GENERATORS.load(painting["kind"]).Settings.roles
    return painting.get("base") is not None, bool(roles)


def _decoder_said(configuration: Mapping[str, Any]) -> str:
    """What the decoder is, in a sentence; without a configuration, that it is one."""
    kind = (configuration.get("decoder") or {}).get("kind")
    return (DECODERS.load(kind) if kind else Decoder).sentence


def render(template: str, content: Mapping[str, Any]) -> str:
    """A template of this package filled in."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neural_recon", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number,
        p_value=words.p_value,
        p_said=words.p_said,
        percent=fidelity.percent,
        refits=words.refits,
        duration=words.duration,
        alpha=words.alpha,
        megabytes=words.megabytes,
    )
    environment.tests["finite"] = words.finite
    return environment.get_template(template).render(content)


def _quality(person: Results, page: str | Path) -> dict[str, Any] | None:
    """The verdict on a subject's sessions, and where the page on it lies."""
    table, about = person.files.quality, person.files.quality_page
    if table is None or about is None:
        return None
    link = os.path.relpath(about, Path(page).parent)
    sentence = session_verdicts.sentence(session_verdicts.read_sessions(table))
    return {"subject": person.subject, "sentence": sentence, "link": Path(link).as_posix()}


def _map(person: Results, data: DataSet) -> dict[str, Any] | None:
    """A few slices of a subject's noise ceilings, where voxels and their volume are at hand."""
    files, cortex = person.files, data.cortex(person.subject)
    if files.quality_voxels is None or cortex is None:
        return None
    voxels = results.table(files.quality_voxels, ("x", "y", "z", "noise_ceiling", "dropped"))
    return {
        "subject": person.subject,
        "source": brain.brain_map(voxels, cortex, most=5),
        "dropped": bool((voxels["dropped"] != "").any()),
    }
