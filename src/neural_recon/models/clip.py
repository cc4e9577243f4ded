"""Contexts for Versatile Diffusion from CLIP: every token of a picture or a caption, projected.

The published decoder takes them as Versatile Diffusion does (Xu et al. 2023): not the one embedding that
CLIP (Radford et al. 2021) compares, but all tokens, on the scale of that embedding's length.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from neural_recon.models import model_folders
from neural_recon.models.clip_images import ClipImages, load_image_encoder, over
from neural_recon.models.encoder_parts import (
    CLIP_MEAN,
    CLIP_STD,
    configured,
    load_clip_tokenizer,
    load_encoder,
    pixel_statistics,
    whole,
)
from neural_recon.models.loading import choose_device

# The published decoder enlarges pictures to this before CLIP's own processing to 224.
PUBLISHED_IMAGE_SIZE, PUBLISHED_RESIZE = 224, 512
GREY = 127
# Old configurations give this for the end of text; with them transformers looks for the highest id.
OLD_EOS = 2


class ClipContexts(ClipImages):
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
        published = image_encoder.config.image_size == PUBLISHED_IMAGE_SIZE
        super().__init__(image_encoder, mean, std, PUBLISHED_RESIZE if published else None)
        self.text_encoder = text_encoder
        self.tokenizer = tokenizer

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
        device = choose_device(device)
        image_encoder = load_image_encoder(folder / "image_encoder", device)
        text_encoder = tokenizer = None
        if text:
            text_encoder = load_encoder(
                lambda config: CLIPTextModelWithProjection(configured(CLIPTextConfig, config)),
                folder / "text_encoder",
                device,
            )
            if (folder / "tokenizer").is_dir():
                tokenizer = load_clip_tokenizer(folder / "tokenizer", text_encoder.config.vocab_size)
        with model_folders.described_by(folder / "image_encoder"):
            image_size = whole("image_size", image_encoder.config.image_size)
        mean, std = pixel_statistics(folder, image_size)
        model = cls(image_encoder, text_encoder, tokenizer, mean, std)
        if tokenizer is not None:
            with model_folders.described_by(folder / "tokenizer"):
                model.check_ends(model.token_ids([""]))
        return model

    def vision(self, images_uint8: np.ndarray, batch: int = 32) -> np.ndarray:
        """The contexts (n, tokens, dim) of pictures."""
        return over(images_uint8, batch, lambda part: self.vision_tokens(self.pixels(part)))

    def text(self, captions: Sequence[str], batch: int = 64) -> np.ndarray:
        """The contexts (n, tokens, dim) of captions, cut or padded to the model's number of tokens.

        Padding is not masked: the published contexts are made without an attention mask.
        """
        return over(captions, batch, lambda part: self.text_tokens(self.token_ids(part)))

    def unconditional(self) -> tuple[np.ndarray, np.ndarray]:
        """The contexts (1, tokens, dim) of no picture and no caption: mid-grey, and the empty text."""
        grey = np.full((1, self.image_size, self.image_size, 3), GREY, np.uint8)
        return self.vision(grey), self.text([""])

    def token_ids(self, captions: Sequence[str]) -> torch.Tensor:
        """Token ids (n, tokens), padded or cut to the model's number of positions."""
        if self.tokenizer is None:
            raise ValueError("captions: expected a tokenizer alongside the model, found none")
        length = self._text_model.config.max_position_embeddings
        encoded = self.tokenizer(list(captions), padding="max_length", max_length=length, truncation=True)
        return torch.tensor(encoded["input_ids"])

    def check_ends(self, token_ids: torch.Tensor) -> None:
        """Raise a ValueError where token ids (n, tokens) lack the end of text in a row."""
        eos = whole("eos_token_id", self._text_model.config.eos_token_id)
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
