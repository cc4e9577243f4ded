"""The feature spaces that decoders predict."""

from typing import Literal

Space = Literal["vdvae", "clip_vision", "clip_text"]
SPACES: tuple[Space, ...] = ("vdvae", "clip_vision", "clip_text")
WITH_PICTURES: tuple[Space, ...] = ("vdvae",)  # whose features decode to pictures: base images
