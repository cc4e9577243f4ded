"""Whether a session's trials are the ones the design says: do its responses agree with the other sessions'?

The measure. Responses are z-scored within each session. A template is the mean response to an image over the
trials of OTHER sessions. A session's agreement r is the correlation over its trials between responses and
templates, pooled over voxels: with both centred voxel by voxel over the trials compared, and sums over trials
and voxels,

    r = sum(responses * templates) / sqrt(sum(responses^2) * sum(templates^2)).

It takes one voxel or region as well as thousands.

The null distribution. If responses had nothing to do with templates, any pairing of a session's trials with
its templates would do as well. Over all n! re-pairings, with M the (trials, trials) matrix of products of the
centred responses and templates, the numerator (the trace of M) has mean 0, variance sum(M^2) / (n - 1), and
is about normal (Hoeffding 1951, Annals of Mathematical Statistics 22, 558-566). z is r over that standard
deviation. Noise that voxels share or that drifts over a session needs no assumption: the images' order is
random.

The criterion comes from this distribution, its numbers from no data:

- Compared are at least `TRIALS` trials; else the session is not checked.
- A session agrees where z is at least `AGREES` = 3 (one-sided p = 0.001).
- It is read otherwise (the design shifted by 1 or 2 trials either way; where it is in doubt also the design
  of each other session, templates without both) where that has a z of at least `OTHERWISE` = 5 and above
  that of the design as it is. p = 3e-7: 40 sessions with 43 readings each give a false alarm in one of 2,000
  subjects. Neighbouring trials overlap, so that a reading shifted by one agrees a little with data that are
  right (in real responses a quarter, at most half as well as the design): hence not only "at least 5".
- It agrees with no other session where r is below `SHARE` = 1/5 of what is usual in this subject (the median
  over the other sessions), and at least 5 standard deviations below half of the usual: a session that has
  half the usual agreement is called so by mistake with p = 3e-7.
- Else a session that does not agree is not checked: signal too weak, or repetitions too few, to tell.
- Sessions that are all shifted alike agree nowhere. So first of all the designs of all sessions are shifted
  together by 1 or 2 trials, and the shift with the largest z over all sessions (sum / sqrt(sessions)) is
  taken if that is at least 5 and above that of the design as it is.

Then sessions found shifted are read rightly, others found wrong left out of the templates, and the remaining
ones are looked at again.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse

logger = logging.getLogger(__name__)

SHIFTS = (-2, -1, 1, 2)
TRIALS = 50  # with fewer the null distribution is no normal one
AGREES, OTHERWISE, SHARE = 3.0, 5.0, 0.2  # see above

OK, SHIFTED, SWAPPED, ALONE, UNCHECKED = "ok", "shifted", "swapped", "alone", "not checked"

Arrays = Mapping[int, np.ndarray]  # by session


@dataclass(frozen=True)
class Agreement:
    """How well a session's trials go with templates."""

    r: float = np.nan
    sd: float = np.nan  # of r, over re-pairings
    trials: int = 0

    @property
    def z(self) -> float:
        return self.r / self.sd if self.sd > 0 else np.nan

    @property
    def found(self) -> bool:
        return self.z >= AGREES


@dataclass(frozen=True)
class Look:
    """What was seen of one session."""

    own: Agreement  # by the design as it is
    other: Agreement  # by the best other reading
    reading: str  # which one: SHIFTED or SWAPPED
    by: int  # SHIFTED: trials (1: the betas come one trial late); SWAPPED: the session whose trials it holds
    verdict: str


def check(responses: Arrays, images: Arrays) -> pd.DataFrame:
    """A verdict on each session, by the criterion of this module.

    Args:
        responses: session -> float32 (n_trials, n_voxels), z-scored within the session, 0 where a voxel has
            no data.
        images: session -> the image of each trial, such as image ids.

    Returns:
        One row per session: session, compared (trials), agreement (r by the design as it is), agreement_z,
        verdict (OK, SHIFTED, SWAPPED, ALONE or UNCHECKED), and the best other reading: reading (SHIFTED,
        SWAPPED or ""), by (trials, 1 where the betas come one trial late; or the session), reading_r,
        reading_z.
    """
    sessions = list(responses)
    _, rows = np.unique(np.concatenate([images[s] for s in sessions]), return_inverse=True)
    ends = np.cumsum([len(images[s]) for s in sessions])[:-1]
    design = dict(zip(sessions, np.split(rows, ends), strict=True))
    first = own_agreements(responses, design)
    shift = _common_shift(responses, design, first)
    looks = _look_at_all(responses, {s: shifted(design[s], shift) for s in sessions})
    if shift:
        looks = {s: _unshifted(look, shift, first[s]) for s, look in looks.items()}
    table = pd.DataFrame(
        {
            "session": sessions,
            "compared": [look.own.trials for look in looks.values()],
            "agreement": [look.own.r for look in looks.values()],
            "agreement_z": [look.own.z for look in looks.values()],
            "verdict": [look.verdict for look in looks.values()],
            "reading": [look.reading for look in looks.values()],
            "by": [look.by for look in looks.values()],
            "reading_r": [look.other.r for look in looks.values()],
            "reading_z": [look.other.z for look in looks.values()],
        }
    )
    logger.info("alignment of sessions:\n%s", table.to_string(index=False, na_rep="not measured"))
    return table


def agreement(responses: np.ndarray, templates: np.ndarray) -> Agreement:
    """r of two arrays (n_trials, n_voxels), and its standard deviation over re-pairings of their rows."""
    n = len(responses)
    if n < TRIALS:
        return Agreement(trials=n)
    a, b = responses - responses.mean(0), templates - templates.mean(0)
    size = np.sqrt(float((a**2).sum(dtype=np.float64)) * float((b**2).sum(dtype=np.float64)))
    if size == 0:  # a session without data
        return Agreement(0.0, 0.0, n)
    products = a @ b.T
    variance = float((products**2).sum(dtype=np.float64)) / (n - 1)
    return Agreement(float(np.trace(products, dtype=np.float64)) / size, np.sqrt(variance) / size, n)


def shifted(labels: np.ndarray, by: int) -> np.ndarray:
    """The labels of betas that come `by` trials late (early where negative); -1 where none is known."""
    result = np.full_like(labels, -1)
    result[max(by, 0) : len(labels) + min(by, 0)] = labels[max(-by, 0) : len(labels) - max(by, 0)]
    return result


class _Templates:
    """Mean responses to images, from which sessions can be taken out.

    Args:
        responses: as of `check`.
        labels: session -> the image of each trial as a whole number, -1 for none.
        left_out: sessions that enter no template.
    """

    def __init__(self, responses: Arrays, labels: Arrays, left_out: Collection[int] = ()):
        self.responses = {s: response for s, response in responses.items() if s not in left_out}
        self.labels = labels
        n_images = max(int(label.max()) for label in labels.values()) + 1
        self.sums = np.zeros((n_images, next(iter(responses.values())).shape[1]), np.float32)
        self.counts = np.zeros(n_images)
        for session, response in self.responses.items():
            for image, trial in zip(labels[session], response, strict=True):
                if image >= 0:
                    self.sums[image] += trial
                    self.counts[image] += 1

    def agreement(self, response: np.ndarray, labels: np.ndarray, without: Collection[int]) -> Agreement:
        """Of responses that are read as `labels`, with the templates of all sessions but some."""
        sums, counts = self.sums[labels], self.counts[labels]  # -1, the last image, is left out below
        for session in set(without) & set(self.responses):
            same = scipy.sparse.csr_array((labels[:, None] == self.labels[session]).astype(np.float32))
            sums -= same @ self.responses[session]
            counts = counts - same.sum(1)
        known = np.flatnonzero((labels >= 0) & (counts > 0.5))
        return agreement(response[known], sums[known] / counts[known, None].astype(np.float32))


def own_agreements(responses: Arrays, labels: Arrays) -> dict[int, Agreement]:
    """Each session's agreement with all others, by one design."""
    templates = _Templates(responses, labels)
    return {s: templates.agreement(response, labels[s], [s]) for s, response in responses.items()}


def _common_shift(responses: Arrays, design: Arrays, first: Mapping[int, Agreement]) -> int:
    """By how many trials all sessions are shifted alike."""
    z = {0: _together(first)}
    for by in SHIFTS:
        z[by] = _together(own_agreements(responses, {s: shifted(labels, by) for s, labels in design.items()}))
    best = max(z, key=z.__getitem__)
    return best if z[best] >= OTHERWISE else 0


def _together(agreements: Mapping[int, Agreement]) -> float:
    z = [own.z for own in agreements.values() if own.sd > 0]
    return sum(z) / np.sqrt(len(z)) if z else -np.inf


def _look_at_all(responses: Arrays, design: Arrays) -> dict[int, Look]:
    """Look at all sessions until no more of them is found wrong."""
    done: dict[int, Look] = {}
    labels = dict(design)
    left_out: set[int] = set()
    while True:
        templates = _Templates(responses, labels, left_out)
        seen = {s: templates.agreement(responses[s], labels[s], [s]) for s in responses if s not in left_out}
        looks = {
            s: _look(templates, responses[s], design, s, own, _usual(seen, s))
            for s, own in seen.items()
            if s not in done
        }
        wrong = {s: look for s, look in looks.items() if look.verdict in (SHIFTED, SWAPPED)}
        # only when nothing better is found: sessions read wrongly spoil the templates of the others
        wrong = wrong or {s: look for s, look in looks.items() if look.verdict == ALONE}
        if not wrong:
            return {s: (done | looks)[s] for s in responses}
        for s, look in wrong.items():
            if look.verdict == SHIFTED:
                labels[s] = shifted(design[s], look.by)
            else:  # a swapped one too: trial by trial two sessions of one design share what time does to them
                left_out.add(s)
        done |= wrong


def _usual(seen: Mapping[int, Agreement], session: int) -> float:
    """The median agreement of the other sessions, 0 without any."""
    others = [own.r for other, own in seen.items() if other != session and own.sd > 0]
    return float(np.median(others)) if others else 0.0


def _look(
    templates: _Templates, response: np.ndarray, design: Arrays, session: int, own: Agreement, usual: float
) -> Look:
    """One session, by its design (`own`), shifts of it, and where in doubt by other sessions' designs."""
    little = own.r < SHARE * usual
    others = {(SHIFTED, by): (shifted(design[session], by), [session]) for by in SHIFTS}
    if little or not own.found:
        for other in design:
            if other != session:
                others[SWAPPED, other] = _fitted(design[other], len(response)), [session, other]
    found = {reading: templates.agreement(response, *how) for reading, how in others.items()}
    found = {reading: seen for reading, seen in found.items() if seen.sd > 0}
    reading, best = max(found.items(), key=lambda item: item[1].z, default=(("", 0), Agreement()))
    verdict = OK if own.found else UNCHECKED
    if best.z >= OTHERWISE and not own.z >= best.z:
        verdict = reading[0]
    elif little and usual / 2 - own.r >= OTHERWISE * own.sd:
        verdict = ALONE
    return Look(own, best, *reading, verdict)


def _fitted(labels: np.ndarray, n_trials: int) -> np.ndarray:
    """Labels for so many trials: cut, or filled up with -1."""
    return np.r_[labels, np.full(max(n_trials - len(labels), 0), -1)][:n_trials]


def _unshifted(look: Look, shift: int, own: Agreement) -> Look:
    """A look by a design shifted as a whole, seen from the design as it is."""
    if look.verdict in (OK, UNCHECKED):
        verdict = SHIFTED if look.verdict == OK else UNCHECKED
        return Look(own, look.own, SHIFTED, shift, verdict)
    if look.verdict == SHIFTED:
        by = shift + look.by
        return Look(own, look.other, SHIFTED, by, SHIFTED) if by else Look(own, look.own, SHIFTED, shift, OK)
    return replace(look, own=own)
