"""What paths of a lab's files have in common: {subject} and {session} in the place of whose they are."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

HEMISPHERES = (("lh", "rh"), ("hemi-L", "hemi-R"), (".L.", ".R."), ("left", "right"))  # in names of files


def patterns(names: Iterable[str], pairs: Sequence[Any]) -> list[str]:
    """What paths of betas may be called, with {subject} and {session} in the place of what they are of.

    Args:
        names: of files.
        pairs: with subject, session_name and session.
    """
    subjects = list(dict.fromkeys(pair.subject for pair in pairs))
    sessions = list(dict.fromkeys(pair.session_name for pair in pairs))
    found: dict[str, None] = {}
    for name in names:
        pattern = with_subject(name, subjects)
        if "{subject}" in pattern or len(subjects) == 1:
            found.update(dict.fromkeys([*_with_session(pattern, sessions), pattern]))
    return list(found)


def hemispheres(pattern: str) -> tuple[str, str] | None:
    """The paths of the left and the right hemisphere, by the name of either; None: it names none."""
    for left, right in HEMISPHERES:
        for mine in (left, right):
            if mine in pattern:
                return pattern.replace(mine, left), pattern.replace(mine, right)
    return None


def without_hemisphere(name: str) -> str:
    """A file's name that is the same for both hemispheres."""
    for pair in HEMISPHERES:
        for mine in pair:
            name = name.replace(mine, "." if mine.startswith(".") else "")
    return name.strip("._-")


def with_subject(name: str, subjects: Sequence[str]) -> str:
    """A path with {subject} in the place of the subject that it names; of none as it is."""
    for subject in sorted(subjects, key=len, reverse=True):
        # a number is a subject's where it stands behind that word: sub-1, not ses-1
        before = r"(?i:(?<=sub[-_])|(?<=sub)|(?<=subj))" if subject.isdigit() else "(?<![A-Za-z0-9])"
        pattern = re.sub(rf"{before}{re.escape(subject)}(?![A-Za-z0-9])", "{subject}", name)
        if pattern != name:
            return pattern
    return name


def _with_session(pattern: str, sessions: Sequence[str]) -> Iterator[str]:
    """By the sessions' names as they are, and by the numbers at their ends, with as many digits or fewer."""
    for session in sessions:
        whole = re.sub(rf"(?<![A-Za-z0-9]){re.escape(session)}(?![A-Za-z0-9])", "{session}", pattern)
        if whole != pattern and not session.isdigit():
            yield whole
        if digits := re.search(r"\d+$", session):
            number = re.compile(rf"(ses[a-z]*[-_]?)(0*{int(digits[0])})(?!\d)", re.IGNORECASE)
            if written := number.search(pattern):
                for width in {len(written[2]), 1}:
                    yield number.sub(rf"\g<1>{{session:0{width}}}", pattern)
