"""Which trials train a decoder and which test it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError, quoted
from neural_recon.core.refusals import is_there
from neural_recon.core.tables import read_table
from neural_recon.core.texts import read_text

logger = logging.getLogger(__name__)

# that a list counts from elsewhere: standard deviations; images all of which chance hardly ever shows
SURE, FEW = 4, 5


def trial_table(
    design: pd.DataFrame,
    n_images: int,
    train_ids: Sequence[int] | np.ndarray | None = None,
    test_ids: Sequence[int] | np.ndarray | None = None,
    tested: bool = True,
) -> pd.DataFrame:
    """Add the column `split` ("train", "test" or "unused") to a table of `DataSet.trials`.

    Without lists the shared images are the test set and the others train, as the published decoders do it; of
    a data set that says itself which images train, in a column `split`, only these.
    With a list exactly its images make up that split; with one list only, the other split keeps its default
    less the listed images.

    Raises:
        InputError: an id in both lists or not below `n_images`, a list that evidently counts from 1, or a
            split without any image shown in the sessions (the test images' only if `tested`).
    """
    ids, shown = design["image_id"].to_numpy(), set(design["image_id"])
    asked = {"train": train_ids, "test": test_ids}
    lists = {
        name: None if given is None else np.unique(np.asarray(given, np.int64))
        for name, given in asked.items()
    }
    for name, given in lists.items():
        if given is None:
            continue
        outside = given[(given < 0) | (given >= n_images)]
        if outside.size:
            raise InputError(
                f"{name} ids: expected image ids within 0 to {n_images - 1}, found {outside[0]}; ids count "
                "from 0, names of files often from 1."
            )
        absent = len(set(given.tolist()) - shown)
        _check_count(name, given, design["image_id"].unique())
        if absent:
            logger.warning(
                "%d of the %d listed %s images were not shown in these sessions", absent, len(given), name
            )
    if lists["train"] is not None and lists["test"] is not None:
        both = np.intersect1d(lists["train"], lists["test"])
        if both.size:
            raise InputError(
                f"train and test ids: expected no image in both, found {both.size}, the first {both[0]}."
            )
    default = {"train": ~design["shared"].to_numpy(), "test": design["shared"].to_numpy()}
    if "split" in design:
        default["train"] = (design["split"] == "train").to_numpy()
    chosen = {name: default[name] if given is None else np.isin(ids, given) for name, given in lists.items()}
    for name, other in (("train", "test"), ("test", "train")):
        if lists[name] is None:
            chosen[name] = chosen[name] & ~chosen[other]
    split = np.select([chosen["train"], chosen["test"]], ["train", "test"], "unused")
    table = design.assign(split=split)
    for name in ("train", "test"):
        if not chosen[name].any() and (tested or name == "train"):
            raise InputError(
                f"{name} images: expected at least one shown in sessions "
                f"{sorted(set(design['session']))}, found none; add sessions or change the ids."
            )
        part = table[table["split"] == name]
        logger.info("%s: %d images, %d trials", name, part["image_id"].nunique(), len(part))
    return table


def _check_count(name: str, given: np.ndarray, shown: np.ndarray) -> None:
    """Whether a list counts from elsewhere: far more of the ids one lower, or one higher, were shown.

    A list may name images of other subjects, so what was not shown is no mistake by itself. But a list that
    counts from 1 keeps few of its images by chance (of NSD a seventh: a subject saw 10,000 of 73,000).

    Raises:
        InputError: it does: all of the others were shown and not half of these, or more by `SURE` standard
            deviations of what chance would do.
    """
    as_given = int(np.isin(given, shown).sum())
    for step, words in ((-1, "one lower"), (1, "one higher")):
        moved = int(np.isin(given + step, shown).sum())
        every = moved == len(given) >= FEW and 2 * as_given < moved
        if every or moved - as_given > SURE * np.sqrt(moved + as_given):
            raise InputError(
                f"{name} ids: expected images shown in these sessions, found {as_given} of {len(given)}, and "
                f"{moved} of the ids {words}; ids count from 0, names of files often from 1: correct them."
            )


def read_ids(path: str | Path) -> np.ndarray:
    """Read a list of image ids, one per line; int64 (n,).

    Lines that begin with # are comments. Blank lines are passed over at the end only: further up one may be a
    position whose image is missing.

    Raises:
        InputError: the file is missing or empty, or a line is not a whole number.
    """
    ids = []
    for number, line in enumerate(read_text(path, "a list of image ids").rstrip().splitlines(), start=1):
        text = line.strip()
        if text.startswith("#"):
            continue
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InputError(
                f"{path}, line {number}: expected one image id, found {quoted(line)}; write one whole number "
                "per line, from 0, as numpy.savetxt(FILE, ids, '%d') does."
            )
        ids.append(int(text))
    if not ids:
        raise InputError(f"{path}: expected image ids, one per line, found an empty file.")
    return np.asarray(ids, np.int64)


def read_lists(
    train: str | Path | None, test: str | Path | None, clusters: str | Path | None = None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Training and test ids, each None where nothing lists them: from lists of ids, or from clusters.

    Args:
        train, test: files of `read_ids`.
        clusters: table of `clusters.cluster_split`; it has both.

    Raises:
        InputError: a file that is missing or wrong.
    """
    if not clusters:
        return read_ids(train) if train else None, read_ids(test) if test else None
    if not is_there(clusters, "clusters of images"):
        raise InputError(
            f"{clusters}: expected the clusters of this subject's images, found no such file; write it by "
            "snakemake --config split='{name: all}' -- clusters (with your --configfile and --cores)."
        )
    table = read_table(clusters)
    if not {"image_id", "split"} <= set(table):
        raise InputError(
            f"{clusters}: expected the columns image_id and split, found {', '.join(map(str, table))}; "
            "remove it and write it again."
        )
    if table["image_id"].dtype.kind not in "iu":
        raise InputError(
            f"{clusters}: expected image ids, whole numbers, in the column image_id, found others; remove it "
            "and write it again."
        )
    listed = [table.loc[table["split"] == name, "image_id"].to_numpy(np.int64) for name in ("train", "test")]
    return listed[0], listed[1]
