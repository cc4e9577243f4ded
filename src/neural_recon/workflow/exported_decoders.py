"""A subject's decoders in a folder of their own, to hand on: what it says of itself, and how it is read.

    OUT/README.md          the model card
        decoder.json       `Exported`
        decoder/...        the kept files, as in decoders/SUBJECT of the results
        unconditional.h5   what guides the generator where nothing does, of kinds that need it

Nothing in it is run: no pickle, and kinds that are modules of somebody's own are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ValidationError

from neural_recon.config.configuration import Name
from neural_recon.config.sections import SpaceName
from neural_recon.core.errors import InputError, first_mistake
from neural_recon.core.kinds import Section
from neural_recon.core.refusals import is_there
from neural_recon.core.texts import read_json
from neural_recon.decoding.decoder import DECODERS, Decoder
from neural_recon.features.space import SPACES, Space
from neural_recon.generation.generator import GENERATORS, Generator
from neural_recon.models import weights
from neural_recon.models.fetch import fetch
from neural_recon.workflow import provenance
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.provenance import Below, Content, Versions
from neural_recon.workflow.subject_decoders import Kept, SubjectDecoders

FORMAT: Final = 1
MANIFEST, CARD, KEPT, UNCONDITIONAL = "decoder.json", "README.md", "decoder", "unconditional.h5"
RESULTS = Path("decoded")  # where pictures go, and the records of them


class Recipe(Section):
    """The recipe's name, and the hash of its file."""

    name: str
    sha256: str


class Exported(Section):
    """What `decoder.json` says.

    Attributes:
        kept: space -> its file of voxels and its decoder, below the folder.
        weights: the files of weights that features and pictures are made with, by place in the project.
        files: everything else in the folder but the card.
        made_by: the versions that fitted the decoders; None where there is no record of it.
    """

    format: Literal[1]
    subject: Name
    recipe: Recipe
    seed: int
    spaces: dict[SpaceName, Annotated[Space.Settings, SPACES]]
    decoder: Annotated[Decoder.Settings, DECODERS]
    generator: Annotated[Generator.Settings, GENERATORS]
    base: str | None
    kept: dict[SpaceName, tuple[Below, Below]]
    weights: dict[str, Content]
    files: dict[Below, Content]
    made_by: Versions | None


def check_kinds(kinds: Iterable[Any], place: str | Path) -> None:
    """Raise an InputError where one is no kind that comes along: its code is not handed on."""
    for kind in kinds:
        if str(kind).endswith(".py"):
            raise InputError(
                f"{place}: expected kinds that come along with neural-recon, found the module {kind}; a "
                "decoder that is handed on brings no code."
            )


def read(folder: Path) -> Exported:
    """What a folder says of itself; its files are compared with that.

    Raises:
        InputError: it is no such folder, a file is missing or not as it was, or it names code.
    """
    path = folder / MANIFEST
    if not is_there(path, "a decoder"):
        raise InputError(
            f"{folder}: expected a folder of neural-recon export, found none with {MANIFEST}; name another."
        )
    raw = read_json(path, "a decoder handed on")
    if isinstance(raw, dict):
        spaces = raw.get("spaces")
        sections = [raw.get("decoder"), raw.get("generator")]
        sections += spaces.values() if isinstance(spaces, dict) else []
        check_kinds((one.get("kind") for one in sections if isinstance(one, dict)), path)
    try:
        found = Exported.model_validate(raw)
    except ValidationError as error:
        raise InputError(
            f"{path}: expected a decoder of format {FORMAT}, found another content ({first_mistake(error)}); "
            "export it again, or take the version that wrote it."
        ) from error
    for name, content in found.files.items():
        _check(folder / name, content, "copy the folder again")
    absent = {name for names in found.kept.values() for name in names} - set(found.files)
    if absent:
        raise InputError(f"{path}: expected {min(absent)} among its files, found none; export it again.")
    return found


def _check(path: Path, content: Content, cure: str) -> None:
    """Raise an InputError unless a file has the size and the hash wanted."""
    if not is_there(path, "a part of a decoder"):
        raise InputError(f"{path}: expected a part of the decoder, found none; {cure}.")
    size = path.stat().st_size
    if size != content.size:
        raise InputError(f"{path}: expected {content.size} bytes, found {size}; {cure}.")
    if (sha256 := provenance.sha256_of(path)) != content.sha256:
        raise InputError(
            f"{path}: expected the sha256 {content.sha256[:12]}..., as when the decoder was exported, found "
            f"{sha256[:12]}...; {cure}."
        )


def of_folder(folder: Path) -> SubjectDecoders:
    """The decoders of a folder; weights of the table that are not there are fetched.

    Raises:
        InputError: as of `read`; or weights cannot be had, or are others than the decoder was made with.
    """
    said, table = read(folder), weights.read_table(weights.TABLE)
    painting = Painting(said.generator, table)
    unconditional = folder / UNCONDITIONAL
    found = SubjectDecoders(
        origin={"decoder": str(folder)},
        subject=said.subject,
        seed=said.seed,
        spaces=said.spaces,
        decoder=said.decoder,
        kept={space: Kept(*(folder / name for name in names)) for space, names in said.kept.items()},
        base=said.base,
        painting=painting,
        unconditional=unconditional if UNCONDITIONAL in said.files else None,
        results=Path(),
        recorded={**said.model_dump(mode="json"), "pathvars": {"results": str(RESULTS)}},
    )
    wanted = found.weights_read()
    for place in weights.missing(wanted, table):
        fetch(weights.download(place, table), weights.MODELS / place)
    for path in wanted:
        if str(path) in said.weights:
            _check(path, said.weights[str(path)], "put the weights there that it was made with")
    return found
