"""Contexts for Versatile Diffusion from CLIP: every token of a picture or a caption, projected.

The published decoder takes them as Versatile Diffusion does (Xu et al. 2023): not the one embedding that
CLIP (Radford et al. 2021) compares, but all tokens, on the scale of that embedding's length. Pictures are
prepared here, on 8-bit values, as processors of other versions rescale or resize in other ways.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from neural_recon.core.errors import InputError
from neural_recon.core.file_kinds import JSON, TEXT, another_kind
from neural_recon.core.refusals import refusal
from neural_recon.models import checkpoints, model_folders

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# The published decoder enlarges pictures to this before CLIP's own processing to 224.
PUBLISHED_IMAGE_SIZE, PUBLISHED_RESIZE = 224, 512
GREY = 127
# Old configurations give this for the end of text; with them transformers looks for the highest id.
OLD_EOS = 2


class ClipContexts:
    """CLIP's two encoders; pictures are uint8 (n, H, W, 3), square, and all results float32.

    Args:
        image_encoder: in evaluation mode.
        text_encoder: in evaluation mode; None where only pictures are encoded.
        tokenizer: None where only token ids are encoded.
        mean, std: of the pixels in [0, 1], one a channel.

    `resize` is 512 for a model of image size 224: pictures are first brought to 512 x 512 (bilinear), as
    published. For any other image size it is None: they go to that size at once.
    """

    def __init__(
        self,
        image_encoder: CLIPVisionModelWithProjection,
        text_encoder: CLIPTextModelWithProjection | None,
        tokenizer: CLIPTokenizer | None,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ):
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.tokenizer = tokenizer
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        self.image_size = _whole("image_size", image_encoder.config.image_size)
        self.resize = PUBLISHED_RESIZE if self.image_size == PUBLISHED_IMAGE_SIZE else None

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], device: str | torch.device | None = None, text: bool = True
    ) -> "ClipContexts":
        """Load `image_encoder`, `text_encoder`, and, where they are there, `tokenizer` and `image_processor`
        (also under the name `image_feature_extractor`); without the latter CLIP's own mean and std hold.

        Args:
            folder: with those folders.
            device: None takes a GPU where there is one.
            text: false leaves the text encoder and the tokenizer out.

        Raises:
            InputError: a file is missing, or its tensors have other names or shapes, or the processor
                is for another image size than the encoder.
        """
        folder = Path(folder)
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        image_encoder = _load(
            CLIPVisionModelWithProjection, CLIPVisionConfig, folder / "image_encoder", device
        )
        text_encoder = tokenizer = None
        if text:
            text_encoder = _load(CLIPTextModelWithProjection, CLIPTextConfig, folder / "text_encoder", device)
            tokenizer = _load_tokenizer(folder / "tokenizer", text_encoder.config)
        with model_folders.described_by(folder / "image_encoder"):
            image_size = _whole("image_size", image_encoder.config.image_size)
        mean, std = _pixel_statistics(folder, image_size)
        model = cls(image_encoder, text_encoder, tokenizer, mean, std)
        if tokenizer is not None:
            with model_folders.described_by(folder / "tokenizer"):
                model.check_ends(model.token_ids([""]))
        return model

    def vision(self, images_uint8: np.ndarray, batch: int = 32) -> np.ndarray:
        """The contexts (n, tokens, dim) of pictures."""
        return self._over(images_uint8, batch, lambda part: self.vision_tokens(self.pixels(part)))

    def embedding(self, images_uint8: np.ndarray, batch: int = 32, prepared: bool = False) -> np.ndarray:
        """CLIP's embedding of pictures, (n, dim), not normalised.

        `prepared` pictures have the encoder's size already, in whatever way they came to it.
        """
        return self._over(images_uint8, batch, lambda part: self._embed(part, prepared))

    def text(self, captions: Sequence[str], batch: int = 64) -> np.ndarray:
        """The contexts (n, tokens, dim) of captions, cut or padded to the model's number of tokens.

        Padding is not masked: the published contexts are made without an attention mask.
        """
        return self._over(captions, batch, lambda part: self.text_tokens(self.token_ids(part)))

    def unconditional(self) -> tuple[np.ndarray, np.ndarray]:
        """The contexts (1, tokens, dim) of no picture and no caption: mid-grey, and the empty text."""
        grey = np.full((1, self.image_size, self.image_size, 3), GREY, np.uint8)
        return self.vision(grey), self.text([""])

    def pixels(self, images_uint8: np.ndarray) -> torch.Tensor:
        """The encoder's input (n, 3, S, S): resized by PIL on 8 bit, bicubic to S, then normalised."""
        images = np.asarray(images_uint8)
        if (
            images.dtype != np.uint8
            or images.ndim != 4
            or images.shape[1] != images.shape[2]
            or images.shape[3] != 3
        ):
            raise ValueError(f"images: expected uint8 (n, H, H, 3), found {images.dtype} {images.shape}")
        prepared = []
        for image in map(Image.fromarray, images):
            if self.resize is not None:
                image = image.resize((self.resize, self.resize), Image.Resampling.BILINEAR)
            prepared.append(
                np.asarray(image.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC))
            )
        return self.normalised(np.stack(prepared))

    def normalised(self, prepared: np.ndarray) -> torch.Tensor:
        """The encoder's input (n, 3, S, S) from pictures of its size, uint8 (n, S, S, 3)."""
        size = self.image_size
        if prepared.dtype != np.uint8 or prepared.shape[1:] != (size, size, 3):
            raise ValueError(
                f"images: expected uint8 (n, {size}, {size}, 3), found {prepared.dtype} {prepared.shape}"
            )
        scaled = (prepared.astype(np.float32) / 255 - self.mean) / self.std
        return torch.from_numpy(scaled.transpose(0, 3, 1, 2).copy())

    def token_ids(self, captions: Sequence[str]) -> torch.Tensor:
        """Token ids (n, tokens), padded or cut to the model's number of positions."""
        if self.tokenizer is None:
            raise ValueError("captions: expected a tokenizer beside the model, found none")
        length = self._text_model.config.max_position_embeddings
        encoded = self.tokenizer(list(captions), padding="max_length", max_length=length, truncation=True)
        return torch.tensor(encoded["input_ids"])

    def check_ends(self, token_ids: torch.Tensor) -> None:
        """Raise a ValueError where token ids (n, tokens) lack the end of text in a row."""
        eos = _whole("eos_token_id", self._text_model.config.eos_token_id)
        if eos != OLD_EOS and not (token_ids == eos).any(dim=1).all():
            # transformers would pool at the first token without a word
            raise ValueError(f"token_ids: expected the end of text {eos} in every row, found a row without")

    @torch.no_grad()
    def vision_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The contexts (n, tokens, dim) of the encoder's input (n, 3, S, S).

        All tokens through the last layer norm and the projection, over the norm of the first (the one
        that CLIP pools).
        """
        model = self.image_encoder
        states = model.vision_model(pixel_values=pixel_values.to(model.device, model.dtype)).last_hidden_state
        tokens = model.visual_projection(model.vision_model.post_layernorm(states))
        return tokens / tokens[:, :1].norm(dim=-1, keepdim=True)

    @torch.no_grad()
    def text_tokens(self, token_ids: torch.Tensor) -> torch.Tensor:
        """The contexts (n, tokens, dim) of token ids (n, tokens).

        All projected tokens over the norm of the projected one at the end of the text, where CLIP pools.
        """
        self.check_ends(token_ids)
        model = self._text_model
        output = model(input_ids=token_ids.to(model.device))
        tokens = model.text_projection(output.last_hidden_state)
        return tokens / output.text_embeds.norm(dim=-1)[:, None, None]

    @property
    def _text_model(self) -> CLIPTextModelWithProjection:
        if self.text_encoder is None:
            raise ValueError("captions: expected a text encoder, found none")
        return self.text_encoder

    @torch.no_grad()
    def _embed(self, images: np.ndarray, prepared: bool) -> torch.Tensor:
        model = self.image_encoder
        pixels = self.normalised(images) if prepared else self.pixels(images)
        return model(pixel_values=pixels.to(model.device, model.dtype)).image_embeds

    def _over(self, items: Any, batch: int, encode: Callable[[Any], torch.Tensor]) -> np.ndarray:
        if not len(items):
            raise ValueError("expected at least one item, found none")
        parts = [encode(items[start : start + batch]) for start in range(0, len(items), batch)]
        return torch.cat([part.float().cpu() for part in parts]).numpy()


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{name}: expected one whole number, found {value!r}")
    return value


def _load(
    model_class: type[checkpoints.Model],
    config_class: type["PreTrainedConfig"],
    folder: Path,
    device: torch.device,
) -> checkpoints.Model:
    with model_folders.described_by(folder):
        config = config_class.from_dict(model_folders.read_config(folder))
        # transformers builds parts of the model in the precision that the configuration names
        config.dtype = torch.float32
        model = checkpoints.empty(lambda: model_class(config))
    path = model_folders.find_weights(folder)
    tensors = checkpoints.read_tensors(path)
    # older versions of transformers wrote the numbers of the positions; today's models make them
    checkpoints.load_tensors(model, tensors, path, ignored=("position_ids",), device=device)
    for module in model.modules():
        positions = module._buffers.get("position_ids")
        if positions is not None:
            module.position_ids = torch.arange(positions.shape[1], device=device)[None]
    return model.eval()


def _load_tokenizer(folder: Path, config: CLIPTextConfig) -> CLIPTokenizer | None:
    if not folder.is_dir():
        return None
    known = [{"tokenizer.json"}, {"vocab.json", "merges.txt"}]
    if not any(all((folder / name).is_file() for name in names) for names in known):
        found = sorted(path.name for path in folder.iterdir()) or "nothing"
        raise InputError(f"{folder}: expected tokenizer.json or vocab.json and merges.txt, found {found}.")
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    except Exception as error:  # the library raises nothing more special
        unfit = InputError(
            f"{folder}: expected CLIP's vocabulary and merges, found files that do not fit together "
            f"({error}); get the folder again."
        )
        raise (refusal(folder, error, "CLIP's tokenizer") or _odd_file(folder) or unfit) from error
    size = max([len(tokenizer), *(number + 1 for number in tokenizer.get_vocab().values())])
    if size > config.vocab_size:
        raise InputError(
            f"{folder}: expected at most the text encoder's {config.vocab_size} tokens, "
            f"found {size}; this is not the tokenizer of that encoder."
        )
    return tokenizer


def _odd_file(folder: Path) -> InputError | None:
    """The sentence for the first file of a tokenizer that is of another kind."""
    for path in sorted(folder.glob("*")):
        kinds = {".json": (JSON,), ".txt": (TEXT, JSON)}.get(path.suffix)
        if kinds and (said := another_kind(path, "a part of CLIP's tokenizer", *kinds)):
            return said
    return None


def _pixel_statistics(folder: Path, image_size: int) -> tuple[Sequence[float], Sequence[float]]:
    for name in ("image_processor", "image_feature_extractor"):
        if (folder / name).is_dir():
            processor = model_folders.read_config(folder / name, "preprocessor_config.json")
            for key in ("size", "crop_size"):
                size = processor.get(key, image_size)
                sides = list(size.values()) if isinstance(size, dict) else [size]
                if not sides or any(side != image_size for side in sides):
                    raise InputError(
                        f"{folder / name}/preprocessor_config.json: expected the {key} of the image encoder, "
                        f"{image_size}, found {size}."
                    )
            mean, std = processor.get("image_mean", CLIP_MEAN), processor.get("image_std", CLIP_STD)
            with model_folders.described_by(folder / name):
                if np.shape(mean) != (3,) or np.shape(std) != (3,) or not np.isfinite([*mean, *std]).all():
                    raise ValueError(f"image_mean {mean} and image_std {std}")
                if min(std) <= 0:
                    raise ValueError(f"image_std {std}")
            return mean, std
    return CLIP_MEAN, CLIP_STD
