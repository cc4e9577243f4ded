"""Captions as an answer: what a decoder says was seen, scored against the images' own captions.

- nearest: the training caption whose features correlate most with those predicted, over all features of the
  recipe's first space that reads captions; of equally near ones the first. It names what a decoder knows
  without any generator, and no word that no training caption has.
- written: what a generator decodes of its guides, the dataset `caption` of its pictures.

Two scores: two-way identification by the features of captions, an image's true ones being averaged; and the
share of an answer's content words that any of the true captions has.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neural_recon import features
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import open_hdf5, read_hdf5
from neural_recon.core.tables import read_table
from neural_recon.datasets.dataset import DataSet
from neural_recon.evaluation.controls.baselines import nearest_images
from neural_recon.evaluation.registry import NEAREST, WRITTEN
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.features.feature_files import read_rows
from neural_recon.features.space import Space
from neural_recon.generation.controls import FITS

logger = logging.getLogger(__name__)

BLOCK = 512  # captions encoded at once
SEEN = "seen"  # the images' own captions, in the table of answers
COLUMNS = ["variant", "picture", "image_id", "caption"]
# English words that say nothing of what is to be seen, and those of captions about pictures
WORDS = """
a about above across after against all along also am among an and another any are around as at away back
be been before behind being below beneath beside between beyond both but by can could did do does doing
down during each either else etc every few for from front had has have having he her here hers him his
how i if in inside into is it its itself just lots many may me might more most much my near next no nor
not of off on one onto or other our out outside over own per she should side so some such than that the
their theirs them then there these they this those through to together too top toward towards two under
until up upon us very via was we were what when where which while who whose why will with within without
would yet you your image images photo photograph picture pictures shows showing shown view
"""
FUNCTION_WORDS = frozenset(WORDS.split())


def content_words(caption: str) -> frozenset[str]:
    """The words of a caption, in small letters and without a plural's s, that are no `FUNCTION_WORDS`."""
    words = re.findall(r"[^\W\d_]{2,}", caption.casefold())
    return frozenset(_singular(word) for word in words if word not in FUNCTION_WORDS)


def _singular(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word


def words_matrix(truth: Sequence[Sequence[str]], answers: Sequence[str]) -> np.ndarray:
    """The share of answer j's content words that any of the true captions of image i has: (n, m).

    Args:
        truth: of each of n images its captions.
        answers: (m,); one without content words scores 0.
    """
    known = [frozenset().union(*map(content_words, texts)) for texts in truth]
    said = [content_words(text) for text in answers]
    places = {word: k for k, word in enumerate(sorted(frozenset().union(*known, *said)))}

    def table(rows: Sequence[frozenset[str]]) -> np.ndarray:
        found = np.zeros((len(rows), max(1, len(places))))
        for row, words in enumerate(rows):
            found[row, [places[word] for word in words]] = 1
        return found

    counts = np.array([max(1, len(words)) for words in said])
    return table(known) @ table(said).T / counts


def nearest_captions(
    predicted: Mapping[str, np.ndarray],
    captions: Sequence[str],
    encode: Callable[[list[str]], np.ndarray],
    block: int = BLOCK,
) -> dict[str, list[str]]:
    """Which caption's features correlate most with each row of predicted ones, by fit.

    Args:
        predicted: (n, width) by fit.
        captions: those to choose from.
        encode: their features, (m, width) of m.
        block: captions encoded at once.
    """
    best = {fit: np.zeros(len(rows), int) for fit, rows in predicted.items()}
    highest = {fit: np.full(len(rows), -np.inf) for fit, rows in predicted.items()}
    for start in range(0, len(captions), block):
        encoded = encode(list(captions[start : start + block]))
        for fit, rows in predicted.items():
            which, r = nearest_images(rows, encoded)
            nearer = r > highest[fit]
            best[fit][nearer], highest[fit][nearer] = start + which[nearer], r[nearer]
        logger.info("%d of %d captions", min(start + block, len(captions)), len(captions))
    return {fit: [captions[k] for k in rows] for fit, rows in best.items()}


@dataclass(frozen=True)
class Answers:
    """The captions that one variant gives.

    Attributes:
        picture: what they are in tables: `registry.NEAREST` or `registry.WRITTEN`.
        variant: whose: decoded, or a control.
        image_ids: (n,) the test images.
        captions: (n,).
    """

    picture: str
    variant: str
    image_ids: np.ndarray
    captions: Sequence[str]


def score_captions(
    scores: Scores,
    files: Any,
    data: DataSet,
    space: tuple[str, Mapping[str, Any]] | None,
    encoder: Mapping[str, Any] | None,
) -> pd.DataFrame:
    """Add the scores of all captions that there are of a subject's test images.

    Args:
        scores: gets them.
        files: named inputs of the rule `scores`: trials, final, predictions and features.
        data: the data set, whose captions are the truth.
        space: name and settings of the space that captions are retrieved in; None: a recipe without text.
        encoder: settings of the space whose features captions are compared by; default: those of `space`.

    Returns:
        The answers, and the images' own captions as `SEEN`: `COLUMNS`.
    """
    found = pd.DataFrame(columns=COLUMNS)
    if "captions" not in data.offers:
        return found
    trials = read_table(files.trials)
    ids = {split: np.unique(trials.loc[trials["split"] == split, "image_id"]) for split in ("train", "test")}
    own = data.captions(ids["test"], empty_ok=True)
    truth = {int(image_id): texts for image_id, texts in zip(ids["test"], own, strict=True) if texts}
    loaded = features.load(space[0], space[1]) if space else None
    answers = list(written(files.final))
    if space and loaded:
        texts = {text for one in data.captions(ids["train"], empty_ok=True) for text in one}
        fits = retrieved(space[0], loaded, files, np.array(sorted(truth)), sorted(texts))
        answers = [*fits, *answers]
    if not answers or len(truth) < 2:
        return found
    if encoder and (space is None or dict(encoder) != dict(space[1])):
        loaded = features.load("caption_encoder", encoder)
    add(scores, answers, truth, loaded)
    seen = [(SEEN, SEEN, image_id, text) for image_id, texts in truth.items() for text in texts]
    said = [
        (one.variant, one.picture, int(image_id), text)
        for one in answers
        for image_id, text in zip(one.image_ids, one.captions, strict=True)
    ]
    return pd.DataFrame([*seen, *said], columns=COLUMNS)


def retrieved(
    name: str, space: Space, files: Any, image_ids: np.ndarray, captions: Sequence[str]
) -> Iterator[Answers]:
    """The training caption nearest to each fit's predictions, and as the ceiling to the true features."""
    fits: dict[str, Any] = {
        Path(path).stem: path for path in files.predictions if Path(path).parent.name == name
    }
    chunks = [path for path in files.features if Path(path).parent.name == name]
    fits["true_features"] = chunks
    predicted = {fit: read_rows(fits[fit], image_ids) for fit in FITS if fit in fits}
    found = nearest_captions(predicted, captions, lambda texts: encoded(space, [[text] for text in texts]))
    for fit, texts in found.items():
        yield Answers(NEAREST, fit, image_ids, texts)


def written(paths: Iterable[str]) -> Iterator[Answers]:
    """The captions that files of pictures have.

    Raises:
        InputError: a file that is missing or cut short.
    """
    for path in paths:
        variant = Path(path).stem
        if variant not in FITS:  # other draws have the same ones, swapped guides another image's
            continue
        with open_hdf5(path) as file:
            there = "caption" in file
        if there:
            arrays = read_hdf5(path, "image_id", "caption")
            yield Answers(WRITTEN, variant, arrays["image_id"], arrays["caption"].tolist())


def encoded(space: Space, texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The features of texts, averaged over those of a row, float32 (n, width)."""
    return space.encode(texts, np.zeros(len(texts), np.int64))


def add(
    scores: Scores,
    answers: Sequence[Answers],
    truth: Mapping[int, Sequence[str]],
    encoder: Space | None,
) -> None:
    """Add the two scores of answers; images without captions are left out.

    Args:
        truth: test image -> its captions.
        encoder: None: captions are compared by their words alone.
    """
    ids = np.array(sorted(truth))
    place = {int(image_id): row for row, image_id in enumerate(ids)}
    texts = [truth[int(image_id)] for image_id in ids]
    true = None if encoder is None else encoded(encoder, texts)
    for one in answers:
        kept = [row for row, image_id in enumerate(one.image_ids) if int(image_id) in place]
        if len(kept) < 2:
            raise InputError(
                f"{one.picture} {one.variant}: expected captions of 2 test images at least, of those that "
                f"have captions of their own, found {len(kept)}; make these results again."
            )
        mine, said = one.image_ids[kept], [one.captions[row] for row in kept]
        rows = [place[int(image_id)] for image_id in mine]
        if encoder is not None and true is not None:
            answer = encoded(encoder, [[text] for text in said])
            scores.compare(one.variant, one.picture, "caption_two_way", mine, true, answer, rows)
        else:
            reason = "the recipe has no text encoder, and evaluation.caption_encoder names none"
            scores.add_unmeasured(one.variant, one.picture, "caption_two_way", len(mine), reason)
        words = words_matrix([texts[row] for row in rows], said)
        scores.add(one.variant, one.picture, "caption_words", mine, words)
