"""What the workflow has to know of the configured generator before it paints."""

from typing import Any

from neural_recon.config.configuration import Config
from neural_recon.generation.controls import Painted, controls
from neural_recon.generation.generator import GENERATORS, Generator
from neural_recon.models import weights


class Painting:
    """The configured generator: its kind, its settings, and the files it depends on.

    Attributes:
        kind: its class.
        settings: with the path of its weights instead of their name.
        place: where its weights lie; "" without any.
        controls: the controls that are painted, and each one's file is `reconstructions/SUBJECT/NAME.h5`.
        files: what painting reads of the weights, there or still to be fetched.
        encoders: the same of `Generator.unconditional`; empty where the kind has none.

    Raises:
        InputError: its weights are neither an entry of the `table` nor there.
    """

    def __init__(self, config: Config, table: weights.Table):
        self.kind: type[Generator] = GENERATORS.load(config.generator.kind)
        self.settings, self.place = config.generator, ""
        self.files: list[str] = []
        self.encoders: list[str] = []
        self.controls: list[Painted] = controls(self.kind, config.generator, config.evaluation.draws)
        named = getattr(config.generator, "weights", None)
        if named is None:
            return
        parts = (*self.kind.parts, *self.kind.encoders)
        path = weights.locate("generator.weights", named, table, "folder" if parts else "", parts)
        self.place = str(path)
        self.settings = config.generator.model_copy(update={"weights": self.place})
        self.encoders = weights.model_files(named, table, self.kind.encoders) if self.kind.encoders else []
        self.files = weights.model_files(named, table, self.kind.parts)

    @property
    def model(self) -> dict[str, Any]:
        """The settings that say which model it is and the size of its pictures, not how it paints."""
        changing = self.settings.changing
        return {key: changing[key] for key in ("kind", "size", "weights") if key in changing}

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
