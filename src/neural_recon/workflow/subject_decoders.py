"""What decodes new scans of one subject: the decoders that a run kept, or a folder that was handed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.core.refusals import is_there
from neural_recon.decoding.decoder import Decoder
from neural_recon.features.space import Space, space_kinds
from neural_recon.models import weights
from neural_recon.workflow import finished
from neural_recon.workflow.painting import Painting

UNCONDITIONAL = Path("generator/unconditional.h5")  # in the results


class Kept(NamedTuple):
    """What is kept of one space's decoder (`Decoder.Settings.kept_files`)."""

    voxels: Path
    decoder: Path


@dataclass(frozen=True)
class SubjectDecoders:
    """Decoders of one subject, and what paints from their predictions.

    Attributes:
        origin: where they come from, for records: a "configfile", or a folder handed on, "decoder".
        kept: of each space.
        base: the space whose pictures are the base images.
        unconditional: what guides the generator where nothing does; None where its kind has none.
        results: where pictures go that are given no other place.
        recorded: the configuration that records name.
    """

    origin: Mapping[str, str]
    subject: str
    seed: int
    spaces: Mapping[str, Space.Settings]
    decoder: Decoder.Settings
    kept: Mapping[str, Kept]
    base: str | None
    painting: Painting
    unconditional: Path | None
    results: Path
    recorded: Mapping[str, Any]

    @property
    def files(self) -> list[Path]:
        """All files they consist of, each once."""
        kept = [path for one in self.kept.values() for path in one]
        return [*dict.fromkeys(kept), *([self.unconditional] if self.unconditional else [])]

    def by_voxels(self) -> dict[Path, dict[str, Path]]:
        """The decoders' files by space, of each file of voxels."""
        found: dict[Path, dict[str, Path]] = {}
        for space, one in self.kept.items():
            found.setdefault(one.voxels, {})[space] = one.decoder
        return found

    def weights_read(self) -> list[Path]:
        """The files of weights that turn predictions into pictures."""
        table = weights.read_table(weights.TABLE)
        kinds = space_kinds(self.spaces)
        of_base = kinds[self.base].files(self.spaces[self.base], table) if self.base else []
        return [Path(path) for path in dict.fromkeys([*of_base, *self.painting.files])]


def of_run(config: Config, configfile: Path, subject: str) -> SubjectDecoders:
    """Those that a run kept of a subject (`decoder.keep`).

    Raises:
        InputError: the configuration has no such subject, or a decoder is not there.
    """
    finished.check_subject(config, subject)
    folder = config.results / "decoders" / subject
    kept = {space: Kept(*(folder / name for name in names)) for space, names in config.kept_files.items()}
    painting = Painting(config.generator, weights.read_table(weights.TABLE))
    found = SubjectDecoders(
        origin={"configfile": str(configfile)},
        subject=subject,
        seed=config.seed,
        spaces=config.spaces,
        decoder=config.decoder,
        kept=kept,
        base=config.base,
        painting=painting,
        unconditional=config.results / UNCONDITIONAL if painting.encoders else None,
        results=config.results,
        recorded=config.model_dump(mode="json"),
    )
    _check(found, config, configfile)
    return found


def _check(found: SubjectDecoders, config: Config, configfile: Path) -> None:
    absent = [path for path in found.files if path != found.unconditional and not is_there(path, "a decoder")]
    if not absent:
        return
    setting = "" if getattr(config.decoder, "keep", None) else f"set decoder.keep in {configfile}, then "
    wanted = [*absent, *([found.unconditional] if found.unconditional else [])]
    raise InputError(
        f"{absent[0]}: expected a decoder kept for new scans, found none; {setting}run snakemake "
        f"--configfile {configfile} --cores 2 {' '.join(map(str, wanted))}."
    )
