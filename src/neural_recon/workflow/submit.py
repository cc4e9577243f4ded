"""Bundle one subject's scores into a file to hand in (`evaluation.bundles`)."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from neural_recon import __version__
from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError, quoted
from neural_recon.core.hdf5 import read_hdf5
from neural_recon.core.tables import read_table, rows_with
from neural_recon.evaluation import bundles
from neural_recon.evaluation.bundles import Bundle, Recipe
from neural_recon.evaluation.leak_statement import LeakStatement
from neural_recon.workflow import finished, provenance


def of_run(config: Config, configfile: Path, subject: str, name: str | None = None) -> Bundle:
    """The bundle of a run's subject.

    Args:
        name: default: the recipe's.

    Raises:
        InputError: there is no such subject, or a result is missing.
    """
    finished.check_subject(config, subject)
    files = {
        "scores of single images": f"scores/{subject}/images.parquet",
        "summary": f"scores/{subject}/summary.tsv",
        "responses": f"responses/{subject}.h5",
        "final images": f"reconstructions/{subject}/decoded.h5",
    }
    paths = {what: finished.needed(config, configfile, below) for what, below in files.items()}
    final = {}
    for what in ("scores of single images", "summary"):
        table = read_table(paths[what], ["variant", "picture", "metric"])
        final[what] = rows_with(table, variant="decoded", picture="final")
    images, summary = final.values()
    ids = sorted(int(i) for i in images["image_id"].unique())
    responses = read_hdf5(paths["responses"], "train_ids", "test_ids", "test_repetitions")
    repetitions = dict(
        zip(responses["test_ids"].tolist(), responses["test_repetitions"].tolist(), strict=True)
    )
    chance = dict(zip(summary["metric"], summary["shuffled"], strict=True))
    versions = finished.versions_of(config.results, paths["summary"])
    return Bundle(
        kind="run",
        name=name or Path(config.recipe).stem,
        subject=subject,
        dataset=config.terms.name,
        simulated=config.demo is not None,
        preset=config.evaluation.preset,
        sessions=len(config.sessions(subject)),
        training_images=len(np.unique(responses["train_ids"])),
        image_ids=ids,
        pictures_sha256=bundles.digest_of(config.data.pictures, ids),
        repetitions=[repetitions[i] for i in ids],
        scores=bundles.scored(images, chance, ids),
        leaks=finished.leaks_of(config, subject),
        recipe=Recipe(
            name=Path(config.recipe).stem,
            sha256=finished.recipe_sha256(config),
            spaces={space: settings.kind for space, settings in config.spaces.items()},
            decoder=config.decoder.kind,
            generator=config.generator.kind,
        ),
        versions={"written by": f"neural-recon {__version__}", **finished.in_words(versions)},
        hashes={what: provenance.sha256_of(path) for what, path in paths.items()},
    )


def of_pictures(
    config: Config,
    table: Path,
    subject: str,
    name: str | None = None,
    sessions: int | None = None,
    repetitions: float | None = None,
    statement: str = "",
) -> Bundle:
    """The bundle of pictures of any method, scored by `neural-recon evaluate`.

    Args:
        config: whose data set has the pictures seen.
        table: the summary; the scores of single images lie alongside it.
        subject: whose responses the pictures were decoded from.
        name: default: the method's in the table.
        sessions, repetitions, statement: what the pictures' maker says of the data, and of leaks.

    Raises:
        InputError: a file is missing or no such table, or it has names that the data set does not have.
    """
    images_path = table.with_suffix(".parquet")
    summary = read_table(table, ["method", "preset", "metric", "shuffled", "questioned", "version"])
    images = read_table(images_path, ["metric", "image_id", "value"])
    if not len(summary) or not len(images):
        raise InputError(f"{table}: expected scores, found none; score the pictures again.")
    first = summary.iloc[0]
    if "image" in images:
        images = images.assign(image_id=_ids_of(images["image"], config, images_path))
    ids = sorted(int(i) for i in images["image_id"].unique())
    paths = {"summary": table, "scores of single images": images_path}
    return Bundle(
        kind="pictures",
        name=name or str(first["method"]),
        subject=subject,
        dataset=config.terms.name,
        simulated=config.demo is not None,
        preset=first["preset"],
        sessions=sessions,
        training_images=None,
        image_ids=ids,
        pictures_sha256=bundles.digest_of(config.data.pictures, ids),
        repetitions=repetitions,
        scores=bundles.scored(images, dict(zip(summary["metric"], summary["shuffled"], strict=True)), ids),
        leaks=LeakStatement(stated=statement),
        recipe=None,
        questioned=first["questioned"] if isinstance(first["questioned"], str) else "",
        versions={
            "written by": f"neural-recon {__version__}",
            "scored by": f"neural-recon {first['version']}",
        },
        hashes={what: provenance.sha256_of(path) for what, path in paths.items()},
    )


def _ids_of(names: pd.Series, config: Config, path: Path) -> list[int]:
    """The data set's ids of pictures that were scored by name (`evaluate --names alike`)."""
    every = config.data.image_names(range(config.data.n_images))
    # names may have folders before them, those of scored pictures have not
    found = {PurePosixPath(name).name: image_id for image_id, name in enumerate(every or ())}
    absent = next((name for name in names if name not in found), None)
    if absent is not None:
        raise InputError(
            f"{path}: expected names of images of the data set ({config.terms.name}), found "
            f"{quoted(absent)}; name the configuration of the data set that the pictures are of."
            if every
            else f"{path}: expected image ids, as this data set has no names of images, found names; score "
            "the pictures by ids (neural-recon evaluate without --names alike)."
        )
    return [found[name] for name in names]
