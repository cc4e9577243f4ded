"""What the workflow has to know of the configured generator before it paints."""

from collections.abc import Mapping
from typing import Any

from neural_recon.generation.controls import Painted, controls
from neural_recon.generation.generator import GENERATORS, Generator
from neural_recon.models import weights


class Painting:
    """The configured generator: its kind, its settings, and the files it depends on.

    Args:
        settings: the section `generator`.
        draws: how many of each control picture (`evaluation.draws`).

    Attributes:
        kind: its class.
        settings: with the path of its weights instead of their name.
        named: its weights as the configuration names them, by setting.
        controls: the controls that are painted, and each one's file is `reconstructions/SUBJECT/NAME.h5`.
        fits: whose base images and guides these are painted from.
        files: what painting reads of the weights, there or still to be fetched.
        encoders: the same of `Generator.unconditional`; empty where the kind has none.

    Raises:
        InputError: its weights are neither an entry of the `table` nor there.
    """

    def __init__(self, settings: Generator.Settings, table: weights.Table, draws: int = 1):
        self.kind: type[Generator] = GENERATORS.load(settings.kind)
        self.controls: list[Painted] = controls(self.kind, settings, draws)
        self.fits = sorted({one.fit for one in self.controls})
        painted, encoders = self.kind.parts_read(settings)
        self.named = {
            name: value for name in {**painted, **encoders} if (value := getattr(settings, name, None))
        }
        located = {}
        for name, value in self.named.items():
            parts = (*painted.get(name, ()), *encoders.get(name, ()))
            place = weights.locate(f"generator.{name}", value, table, "folder" if parts else "", parts)
            located[name] = str(place)
        self.settings = settings.model_copy(update=located)
        self.files = self._files(painted, table)
        self.encoders = self._files(encoders, table)

    def _files(self, read: Mapping[str, tuple[str, ...]], table: weights.Table) -> list[str]:
        named = [(self.named[name], parts) for name, parts in read.items() if name in self.named]
        return [path for value, parts in named for path in weights.model_files(value, table, parts)]

    @property
    def model(self) -> dict[str, Any]:
        """The settings that say which model it is and the size of its pictures, not how it paints."""
        changing = self.settings.changing
        return {key: changing[key] for key in ("kind", "size", *self.named) if key in changing}

    @property
    def configs(self) -> list[str]:
        """Those of the files that give its pictures their size."""
        return [path for path in self.files if path.endswith(".json")]

    def inputs(self, subject: str, features: dict[str, list[str]], *fits: str) -> dict[str, str | list[str]]:
        """What `controls.paint` reads of a subject for some fits, by the names it knows them by.

        Args:
            features: the chunks of each space that guides it.
        """
        files: dict[str, str | list[str]] = {}
        for fit in fits:
            if self.settings.base:
                files[f"base_{fit}"] = f"<results>/base_images/{subject}/{fit}.h5"
            for role, space in self.settings.guides.items():
                files[f"{role}_{fit}"] = (
                    features[space]
                    if fit == "true_features"
                    else f"<results>/predictions/{subject}/{space}/{fit}.h5"
                )
        return files
