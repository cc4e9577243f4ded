"""The captions of NSD's images: COCO's, as a table of strings (images, 5)."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import EMPTY, TEXT, explained
from neural_recon.core.texts import read_json
from neural_recon.models.weights import HUB, Download

N_CAPTIONS = 5
LONGEST = 1000  # characters of a caption; COCO's longest has 250
LARGEST = 2**29  # characters of a file of captions; COCO's has 90 million
# the table that published decoders use, which is not in NSD's bucket
CURATED = Download(
    source=f"{HUB}datasets/pscotti/naturalscenesdataset",
    revision="main",
    path="COCO_73k_annots_curated.npy",
)


def caption_table(stimuli: str | os.PathLike[str], annotations: Sequence[str]) -> np.ndarray:
    """The first five captions of every NSD image, in COCO's order.

    Args:
        stimuli: `nsd_stim_info_merged.csv`, with the columns nsdId (0-based) and cocoId.
        annotations: COCO's caption files; an image is in one of them.

    Returns:
        Unicode (images, 5), a row an NSD id, '' where COCO has fewer; white space at the ends and line breaks
        are taken out.

    Raises:
        InputError: a file is missing or not what it must be, or an image has no captions.
    """
    coco_ids = stimulus_table(stimuli)["cocoId"].tolist()
    captions: dict[int, list[str]] = {}
    for path in annotations:
        for coco_id, text in _captions(path):
            captions.setdefault(coco_id, []).append(" ".join(text.split()))
    absent = [image_id for image_id, coco_id in enumerate(coco_ids) if not any(captions.get(coco_id, []))]
    if absent:
        raise InputError(
            f"{stimuli}: expected captions for COCO id {coco_ids[absent[0]]} (NSD id {absent[0]}, and "
            f"{len(absent) - 1} more), found none in {' and '.join(map(str, annotations))}; take both files "
            "of COCO 2017."
        )
    rows = [[text for text in captions[coco_id] if text][:N_CAPTIONS] for coco_id in coco_ids]
    return np.array([row + [""] * (N_CAPTIONS - len(row)) for row in rows], dtype=str)


def stimulus_table(stimuli: str | os.PathLike[str], *more: str) -> pd.DataFrame:
    """The columns nsdId, cocoId (integers) and `more` (text) of `nsd_stim_info_merged.csv`, a row an NSD id
    from 0 on.

    Raises:
        InputError: the file is missing, or no such table, or lacks an NSD id.
    """
    columns = ["nsdId", "cocoId", *more]
    dtypes = dict.fromkeys(columns, "int64") | dict.fromkeys(more, "str")
    try:
        table = pd.read_csv(stimuli, usecols=columns, dtype=dtypes).sort_values("nsdId", ignore_index=True)
    except Exception as error:  # parsers raise many kinds: no such columns, not numbers, no table at all
        what = f"a table (CSV) with the columns {' and '.join(columns)}"
        broken = InputError(
            f"{stimuli}: expected a table with the columns {' and '.join(columns)}, found none that reads "
            f"({error}); fetch it again."
        )
        raise (explained(stimuli, error, what, TEXT, EMPTY) or broken) from error
    if not len(table) or not np.array_equal(table["nsdId"], np.arange(len(table))):
        raise InputError(
            f"{stimuli}: expected every NSD id from 0 on once, found {len(table)} rows that are not; "
            "fetch it again."
        )
    return table


def _captions(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """COCO id and text of every caption, in the file's order."""
    content = read_json(path, "COCO's captions (dataset.coco names their folder)", LARGEST)
    try:
        captions = [(int(row["image_id"]), str(row["caption"])) for row in content["annotations"]]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"{path}: expected COCO's captions as JSON (annotations with image_id and caption), found "
            f"something else ({type(error).__name__}: {error}); fetch it again."
        ) from error
    # the table has room for the longest one in every place
    longest = max((len(text) for _, text in captions), default=0)
    if longest > LONGEST:
        raise InputError(
            f"{path}: expected captions of at most {LONGEST} characters, found {longest}; fetch it again."
        )
    return captions
