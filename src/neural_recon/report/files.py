"""The results that the report shows: the one list of them, by which the rule asks for them, the script finds
them among its inputs and the page reads them."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints


@dataclass(frozen=True)
class SubjectFiles:
    """Where one subject's results lie; what was not computed is left out.

    A field says where below the results: with {control}, {space}, {table}, {region} or {other} it is a
    mapping from these to files; and, second, what a configuration must have for it: one of "base" images,
    "comparison" (all subjects' figures, and published ones), "encoding" models, "generalisation" (other
    sessions), "regions", and a decoder's "bottleneck" (with "bottleneck_pictures"), "data_amount", "losses",
    "penalties", "refits" and "targets".
    """

    subject: str
    _: KW_ONLY
    # scores: one row per score; per paired test; per score and image
    summary: Annotated[Path, "scores/{subject}/summary.tsv"]
    tests: Annotated[Path, "scores/{subject}/tests.tsv"]
    images: Annotated[Path, "scores/{subject}/images.parquet"]
    shares: Annotated[Path | None, "scores/{subject}/shares.tsv"] = None
    # captions as answers
    captions: Annotated[Path | None, "scores/{subject}/captions.parquet"] = None
    comparison: Annotated[Path | None, "scores/comparison.parquet", "comparison"] = None
    strata: Annotated[Path | None, "strata/{subject}.tsv"] = None
    trends: Annotated[Path | None, "strata/{subject}_trends.tsv"] = None
    ceilings: Annotated[Path | None, "strata/{subject}_ceilings.tsv"] = None
    ceiling_trends: Annotated[Path | None, "strata/{subject}_ceiling_trends.tsv"] = None
    # encoding models: scores of pictures, and paired tests
    encoding_scores: Annotated[Path | None, "encoding/{subject}/scores.tsv", "encoding"] = None
    encoding_tests: Annotated[Path | None, "encoding/{subject}/tests.tsv", "encoding"] = None
    responses: Annotated[Path, "responses/{subject}.h5"]
    voxels: Annotated[Path, "voxels/{subject}.parquet"]
    # sessions, voxels, and the page about them
    quality: Annotated[Path | None, "quality/{subject}/sessions.tsv"] = None
    quality_voxels: Annotated[Path | None, "quality/{subject}/voxels.parquet"] = None
    quality_page: Annotated[Path | None, "quality/{subject}.html"] = None
    # decoders: penalties tried; scores by layer or token; refits on shuffled pairs; refits on less data
    alphas: Annotated[Mapping[str, Path], "ridge/{subject}/{space}/alpha.tsv", "penalties"] = field(
        default_factory=dict
    )
    targets: Annotated[Mapping[str, Path], "targets/{subject}/{space}.tsv", "targets"] = field(
        default_factory=dict
    )
    refits: Annotated[Mapping[str, Path], "ridge/{subject}/{space}/shuffled_refits.tsv", "refits"] = field(
        default_factory=dict
    )
    data_amount: Annotated[Path | None, "data_amount/{subject}.tsv", "data_amount"] = None
    # decoders that see a few components of the responses only, and their pictures
    bottleneck: Annotated[Path | None, "bottleneck/{subject}.tsv", "bottleneck"] = None
    bottleneck_pictures: Annotated[
        Path | None, "bottleneck/{subject}_pictures.tsv", "bottleneck_pictures"
    ] = None
    # of a training, by epoch
    losses: Annotated[Path | None, "losses/{subject}.tsv", "losses"] = None
    # pictures: base images; reconstructions and their controls; training images for each test image
    base: Annotated[Path | None, "base_images/{subject}/decoded.h5", "base"] = None
    final: Annotated[Path, "reconstructions/{subject}/decoded.h5"]
    painted: Annotated[Mapping[str, Path], "reconstructions/{subject}/{control}.h5"] = field(
        default_factory=dict
    )
    baselines: Annotated[Path | None, "baselines/{subject}.h5"] = None
    # of `results.CONTROLS`
    controls: Annotated[Mapping[str, Path], "controls/{subject}/{table}.tsv"] = field(default_factory=dict)
    # single regions
    region_scores: Annotated[Path | None, "regions/{subject}/scores.tsv", "regions"] = None
    region_tests: Annotated[Path | None, "regions/{subject}/tests.tsv", "regions"] = None
    region_strata: Annotated[Path | None, "regions/{subject}/strata.tsv", "regions"] = None
    region_images: Annotated[Mapping[str, Path], "regions/{subject}/{region}/base_images.h5"] = field(
        default_factory=dict
    )
    # other sessions of the same person: scores, paired tests, pictures of the decoder
    other_scores: Annotated[
        Mapping[str, Path], "generalisation/{other}/{subject}/scores.tsv", "generalisation"
    ] = field(default_factory=dict)
    other_tests: Annotated[
        Mapping[str, Path], "generalisation/{other}/{subject}/tests.tsv", "generalisation"
    ] = field(default_factory=dict)
    other_decoded: Annotated[
        Mapping[str, Path], "generalisation/{other}/{subject}/decoded.h5", "generalisation"
    ] = field(default_factory=dict)
    synthetic: Annotated[Path | None, "regions/{subject}/synthetic.h5", "regions"] = None
    synthetic_features: Annotated[Path | None, "regions/{subject}/synthetic_features.h5", "regions"] = None
    synthetic_table: Annotated[Path | None, "regions/{subject}/synthetic.tsv", "regions"] = None

    @classmethod
    def among(
        cls, subject: str, results: str | Path, paths: Iterable[str | Path], shared: str | Path | None = None
    ) -> Self:
        """A subject's files among those that a rule has as its inputs.

        Args:
            results: the folder that they lie in.
            shared: a folder that some of them may lie in instead.
        """
        there = dict.fromkeys(map(str, paths))  # each is of one field: the run's own pictures are no control
        found: dict[str, Any] = {}
        for name, (pattern, *_) in _listed().items():
            pattern = pattern.replace("{subject}", subject)
            folders = "|".join(re.escape(str(folder)) for folder in (results, shared or results))
            expression = f"(?:{folders})/" + re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(pattern))
            matches = [match for path in there if (match := re.fullmatch(expression, path))]
            for match in matches:
                del there[match[0]]
            if _wildcards(pattern):
                found[name] = {match[1]: Path(match[0]) for match in matches}
            elif matches:
                found[name] = Path(matches[0][0])
        return cls(subject, **found)


def wanted(
    subjects: Iterable[str], having: Collection[str], names: Mapping[str, Collection[str]]
) -> dict[str, list[str]]:
    """The files that a page on some subjects needs, below the results: field of `SubjectFiles` -> files.

    Args:
        having: what the configuration has, of what fields ask for.
        names: those of each wildcard but the subject.
    """
    subjects, files = list(subjects), {}
    for name, (pattern, *when) in _listed().items():
        if set(when) - set(having):
            continue
        patterns = [pattern]
        for wildcard in set(_wildcards(pattern)) - {"subject"}:
            patterns = [
                one.replace(f"{{{wildcard}}}", value) for one in patterns for value in names[wildcard]
            ]
        paths = [one.replace("{subject}", subject) for subject in subjects for one in patterns]
        files[name] = list(dict.fromkeys(paths))
    return files


def _listed() -> dict[str, tuple[str, ...]]:
    """Field -> pattern and, of some, what a configuration must have."""
    hints = get_type_hints(SubjectFiles, include_extras=True)
    return {name: hint.__metadata__ for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def _wildcards(pattern: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", pattern)
