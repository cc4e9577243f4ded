"""Put a subject's kept decoders into a folder of their own, with a model card (`exported_decoders`)."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neural_recon import decoding
from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.core.files import part_of, remove_parts, write_text
from neural_recon.core.hdf5 import read_hdf5, read_parameters
from neural_recon.core.tables import read_table
from neural_recon.decoding import kept_voxels
from neural_recon.decoding.decoder import Holding
from neural_recon.features.feature_files import read_rows
from neural_recon.features.space import space_kinds
from neural_recon.models import weights
from neural_recon.report import model_card
from neural_recon.report.results import SUMMARY, amount
from neural_recon.workflow import exported_decoders, finished, recording, subject_decoders
from neural_recon.workflow.decode_scans import parameters
from neural_recon.workflow.exported_decoders import Exported
from neural_recon.workflow.provenance import Content, Input
from neural_recon.workflow.subject_decoders import SubjectDecoders

logger = logging.getLogger(__name__)


def export(
    config: Config, configfile: Path, subject: str, output: Path, recoverable: bool = False
) -> Holding:
    """Write the folder; returns what its files hold of the training responses.

    The same results give the same bytes. The folder appears under its name when it is whole.

    Args:
        output: a name that nothing has yet.
        recoverable: the user's yes to hand on decoders that training responses can be computed from, where
            the data set's terms do not allow to pass responses on.

    Raises:
        InputError: decoders, scores or records are missing; the decoders hold training responses, which the
            data set's terms do not allow to pass on, or give them back without that yes; a kind is somebody's
            own module; or there is an output.
    """
    if output.exists():
        raise InputError(f"{output}: expected a name that nothing has yet, found one; name another folder.")
    sections = [*config.spaces.values(), config.decoder, config.generator]
    exported_decoders.check_kinds((one.kind for one in sections), configfile)
    found = subject_decoders.of_run(config, configfile, subject)
    held = holding(found)
    if held.responses and not config.terms.responses:
        raise InputError(
            f"{found.files[0]}: expected decoders without training responses, as the terms of the data set "
            f"({config.terms.name}) do not allow to pass these on, found some that hold them; set "
            f"decoder.keep to another form in {configfile} (docs/sharing.md) and run again."
        )
    if held.recoverable and not config.terms.responses and not recoverable:
        raise InputError(
            f"{output}: whoever has the training pictures can compute the mean response to each from these "
            f"decoders, and the terms of the data set ({config.terms.name}) do not allow to pass responses "
            "on; read docs/sharing.md, ask those who gave you the data, and export with --recoverable if you "
            "may."
        )
    wanted = ("scores/{}/summary.tsv", "responses/{}.h5")
    summary, responses = (finished.needed(config, configfile, name.format(subject)) for name in wanted)
    if found.unconditional:
        finished.needed(config, configfile, str(subject_decoders.UNCONDITIONAL))
    differences = against_the_run(found, config, configfile)
    read = _weights(config, found)
    leaks = config.results / f"controls/{subject}/leaks.tsv"
    begun = recording.begin_command(
        "export",
        {"subject": subject},
        {},
        config.model_dump(mode="json"),
        [output],
        {"decoders": found.files, "weights": read, "scores": [summary, leaks], "responses": [responses]},
    )
    # results are named by their places below the results' folder, others as they are
    sums = {one.path: _content(one) for one in begun.inputs}
    base = config.results / "decoders" / subject
    names = {
        path: exported_decoders.UNCONDITIONAL
        if path == found.unconditional
        else f"{exported_decoders.KEPT}/{path.relative_to(base)}"
        for path in found.files
    }
    manifest = Exported(
        format=exported_decoders.FORMAT,
        subject=subject,
        recipe=exported_decoders.Recipe(name=Path(config.recipe).stem, sha256=finished.recipe_sha256(config)),
        seed=config.seed,
        spaces=config.spaces,
        decoder=config.decoder,
        generator=config.generator,
        base=config.base,
        kept={space: (names[one.voxels], names[one.decoder]) for space, one in found.kept.items()},
        weights={str(path): sums[str(path)] for path in read},
        files={name: sums[path.relative_to(config.results).as_posix()] for path, name in names.items()},
        made_by=finished.versions_of(config.results, next(iter(found.kept.values())).decoder),
    )
    card = _card(config, found, manifest, held, differences, summary, responses)
    _write(output, names, manifest, model_card.text(card))
    recording.finish(begun)
    return held


def _content(read: Input) -> Content:
    if read.sha256 is None:
        raise InputError(
            f"{read.path}: expected a file that stays as it is, found one that changed meanwhile; export it "
            "again."
        )
    return Content(size=read.size, sha256=read.sha256)


def _card(
    config: Config,
    found: SubjectDecoders,
    manifest: Exported,
    held: Holding,
    differences: Mapping[str, float],
    summary: Path,
    responses: Path,
) -> model_card.Card:
    voxels = next(iter(found.kept.values())).voxels
    return model_card.Card(
        subject=found.subject,
        recipe=manifest.recipe.name,
        terms=config.terms,
        simulated=config.demo is not None,
        sessions=config.sessions(found.subject),
        numbers=amount(read_hdf5(responses, "train_ids", "train_repetitions", "test_repetitions")),
        preset=config.evaluation.preset,
        decoder=config.decoder.kind,
        generator=config.generator.kind,
        spaces={name: _about(found, name, differences[name]) for name in found.kept},
        zscore=str(read_parameters(voxels)["zscore"]),
        voxels=len(read_hdf5(voxels, "mean")["mean"]),
        grid=kept_voxels.grid(voxels),
        scores=read_table(summary, SUMMARY),
        leaks=finished.leaks_of(config, found.subject),
        held=held,
        weights=[(place, content.sha256) for place, content in manifest.weights.items()],
        files={name: content.size for name, content in manifest.files.items()},
        versions=finished.in_words(manifest.made_by),
    )


def _write(output: Path, names: Mapping[Path, str], manifest: Exported, card: str) -> None:
    """The folder, under its name when it is whole."""
    remove_parts(output)
    part = part_of(output)
    try:
        for path, name in names.items():
            place = part / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        write_text(part / exported_decoders.MANIFEST, manifest.model_dump_json(indent=1) + "\n")
        write_text(part / exported_decoders.CARD, card)
        exported_decoders.read(part)  # every byte once more: what was copied is what is said
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def holding(found: SubjectDecoders) -> Holding:
    """What all files of decoders hold of the training responses."""
    decoder = decoding.load(found.decoder, found.seed)
    every = [decoder.held(voxels, decoders) for voxels, decoders in found.by_voxels().items()]
    said = " ".join(dict.fromkeys(one.said for one in every))
    return Holding(any(one.responses for one in every), said, any(one.recoverable for one in every))


def _weights(config: Config, found: SubjectDecoders) -> list[Path]:
    """The files of weights that features and pictures are made with, of those that are still there."""
    table = weights.read_table(weights.TABLE)
    kinds, painting = space_kinds(config.spaces), found.painting
    of_spaces = [path for name, kind in kinds.items() for path in kind.files(config.spaces[name], table)]
    every = [Path(path) for path in dict.fromkeys([*of_spaces, *painting.files, *painting.encoders])]
    for path in every:
        if not path.exists():
            logger.warning("%s: not here any more, so its hash is not in the folder", path)
    return [path for path in every if path.exists()]


def against_the_run(found: SubjectDecoders, config: Config, configfile: Path) -> dict[str, float]:
    """How far each space's kept decoder is from the run's predictions of the test images.

    The root mean square of the difference, each feature in units of the spread of the run's predictions.

    Raises:
        InputError: responses or predictions are missing.
    """
    decoder = decoding.load(found.decoder, found.seed)
    differences = {}
    for voxels, decoders in found.by_voxels().items():
        # spaces that share voxels share the responses that these are z-scored for
        folder = config.decoder.responses_of(next(iter(decoders)), config.responses.average)
        responses = finished.needed(config, configfile, f"{folder}/{found.subject}.h5")
        arrays = read_hdf5(responses, "test", "test_ids")
        # the images' ids, as the run: what is drawn follows from them
        predicted = decoder.predict_kept(voxels, decoders, arrays["test"], arrays["test_ids"])
        for space, values in predicted.items():
            path = finished.needed(config, configfile, f"predictions/{found.subject}/{space}/decoded.h5")
            expected = read_rows(path, arrays["test_ids"]).astype(np.float32)
            spread = expected.std(axis=0)
            moving = spread > 0
            scaled = (values[:, moving] - expected[:, moving]) / spread[moving]
            differences[space] = float(np.sqrt(np.mean(scaled**2)))
    return differences


def _about(found: SubjectDecoders, space: str, difference: float) -> model_card.SpaceFacts:
    said = parameters(found.kept[space].decoder)
    return model_card.SpaceFacts(
        kind=found.spaces[space].kind,
        components=(said["components"], said["of"]) if "components" in said else None,
        error=said.get("relative_error"),
        difference=difference,
    )
