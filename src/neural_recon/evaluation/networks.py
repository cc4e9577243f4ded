"""Features of pictures by the networks of `registry.NETWORKS`, as published decoders compare them.

`features.4` and `features.11` are torchvision's names of the ReLUs after the second and the fifth
convolution, so what is compared is never negative: the published scripts hook these modules, or name them to
torchvision's `create_feature_extractor`. (The convolutions are `features.3` and `features.10`. As the ReLUs
work in place, those would show rectified values too.)

**Inputs.** Every picture is resized as a whole, without cropping, by PIL's bilinear filter on 8 bits, then
scaled to [0, 1] and normalised as the network was trained. brain_diffuser: from its own size to 224 at once,
for all networks. mindeye2: a picture first to 256 and a truth first to 224 and 256 (the sizes of that
method's stores), then to each network's size: `metrics.PRESETS`. Its scripts resized floating-point pictures
with a version of torchvision that did not filter against aliasing; here the filter is PIL's, as for pixels.
That they scored 0.75 of a refined and 0.25 of a blurry picture is up to who makes the pictures.

**CLIP.** The network of the published scripts is OpenAI's ViT-L/14 with its projection; Versatile Diffusion's
image encoder is that, trained no further. Under a published preset it sees the preset's preparation; under
`native` its own (`neural_recon.models.clip`), and any CLIP will do.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from neural_recon.core.errors import InputError
from neural_recon.evaluation import lpips, metrics
from neural_recon.evaluation.registry import METRICS, NETWORKS
from neural_recon.models import checkpoints
from neural_recon.models.loading import load_clip

if TYPE_CHECKING:
    from neural_recon.models.clip import ClipContexts

logger = logging.getLogger(__name__)

NETWORK_OF = {name: metric.network for name, metric in METRICS.items() if metric.of == "network"}
# metric -> the first that compares the same layer: its features are computed and held once
SAME = {
    name: next(one for one in NETWORK_OF if METRICS[one].compared_layer == METRICS[name].compared_layer)
    for name in NETWORK_OF
}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32  # pictures at a time
# what tells ViT-L/14 from other image encoders
VIT_L_14 = {"image_size": 224, "patch_size": 14, "hidden_size": 1024, "num_hidden_layers": 24}
NO_WEIGHTS = "evaluation.networks names no weights of "
SWAV_HEADS = ("projection_head.", "prototypes.")  # of its training, next to the ResNet


def load_network(
    name: str, path: str | Path, where: str | torch.device = "cpu", layers: Sequence[str] = ()
) -> nn.Module:
    """One of torchvision's networks, which returns some layers by name, in evaluation mode.

    Args:
        name: of `registry.NETWORKS`, one of torchvision's.
        path: its published weights.
        where: the device; on "meta" the file's names and shapes are compared, and that is all.
        layers: those to return; default: those that metrics compare.

    Raises:
        InputError: the file is missing, or of another network.
    """
    from torchvision import models  # takes seconds
    from torchvision.models.feature_extraction import create_feature_extractor

    build = {
        "alexnet": models.alexnet,
        # torchvision's way with these weights: its input, normalised as for ImageNet, goes back to [-1, 1]
        "inception": partial(models.inception_v3, transform_input=True, init_weights=False),
        "efficientnet": models.efficientnet_b1,
        "swav": models.resnet50,
    }[name]
    model = checkpoints.empty(build)
    tensors = checkpoints.read_tensors(path)
    if name == "swav":
        model.fc = nn.Identity()
        tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(SWAV_HEADS)}
    # counters of training; files of torch before 0.4.1 have none
    counters = [key for key in model.state_dict() if key.endswith("num_batches_tracked")]
    tensors = {**{key: torch.zeros((), dtype=torch.long) for key in counters}, **tensors}
    checkpoints.load_tensors(model, tensors, path, device=where)
    layers = layers or [metric.layer for metric in METRICS.values() if metric.network == name]
    return create_feature_extractor(model.eval(), list(layers), suppress_diff_warning=True).eval()


class PresetNetworks:
    """The networks of a preset: features of pictures, by metric.

    Args:
        preset: of `metrics.PRESETS`.
        files: the weights that there are, by network (`registry.NETWORKS`).
        reasons: why others are not there, likewise.
        where: the device.

    Attributes:
        missing: the metrics that cannot be measured, each with the reason.

    Raises:
        InputError: as `load_network` and `loading.load_clip`.
    """

    def __init__(
        self,
        preset: str,
        files: Mapping[str, str | Path],
        reasons: Mapping[str, str] | None = None,
        where: str | torch.device = "cpu",
    ):
        self.rule = metrics.PRESETS[preset]
        self.where = torch.device(where)
        reasons = dict(reasons or {})
        self.clip = load_clip(files["clip"], self.where, text=False) if "clip" in files else None
        if not self.rule.networks:
            absent = [name for name in NETWORKS if name != "clip"]
            reasons |= dict.fromkeys(absent, f"the preset {preset} gives networks no input size")
        elif self.clip is not None and (found := _not_vit_l_14(self.clip)):
            reasons["clip"] = f"the preset {preset} compares by CLIP ViT-L/14, found an encoder with {found}"
            self.clip = None
        self.networks: dict[str, nn.Module] = {}
        for name, path in files.items():
            under = NETWORKS[name].under
            if name == "clip" or name not in self.rule.networks:
                continue
            if under and under not in files:
                reasons[name] = f"it weighs features of {under}: {reasons.get(under, NO_WEIGHTS + under)}"
            elif under:
                trunk = load_network(under, files[under], self.where, lpips.LAYERS)
                self.networks[name] = lpips.Lpips(trunk, lpips.read_weights(path)).to(self.where)
            else:
                self.networks[name] = load_network(name, path, self.where)
        there = {*self.networks, *(["clip"] if self.clip is not None else [])}
        self.missing = {
            name: reasons.get(of, NO_WEIGHTS + of) for name, of in NETWORK_OF.items() if of not in there
        }

    def features(
        self, images: Sequence[np.ndarray] | np.ndarray, side: metrics.Side
    ) -> dict[str, np.ndarray]:
        """The features of pictures by metric, float32 (n, d), in the order of the registry.

        All networks together take about 3 MB per picture, two thirds of it LPIPS.

        Args:
            images: uint8 (H, W, 3) each, of any sizes under a published preset.
            side: whether they are what was seen, or what was made of it.

        Raises:
            InputError: a network gives NaN or infinity.
        """
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(images), BATCH):
            for metric, values in self._batch(images[start : start + BATCH], side).items():
                wrong = np.count_nonzero(~np.isfinite(values).all(axis=1))
                if wrong:
                    raise InputError(
                        f"{NETWORK_OF[metric]}: expected features of finite numbers, found others for "
                        f"{wrong} of {len(values)} pictures; are its weights whole, and its own?"
                    )
                store(found, metric, values, start, len(images))
        return by_metric(found)

    def _batch(self, images: Sequence[np.ndarray] | np.ndarray, side: metrics.Side) -> dict[str, np.ndarray]:
        inputs: dict[int, np.ndarray] = {}  # most networks share a size
        layers: dict[str, Mapping[str, torch.Tensor]] = {}
        found = {}
        for metric, name in NETWORK_OF.items():
            if metric in self.missing or SAME[metric] != metric:
                continue
            if name == "clip" and self.clip is not None and not self.rule.networks:
                found[metric] = self.clip.embedding(_stacked(images, self.clip))
                continue
            sizes = self.rule.network_sizes(side, name)
            if sizes[-1] not in inputs:
                inputs[sizes[-1]] = prepared(images, sizes)
            if name == "clip" and self.clip is not None:
                found[metric] = self.clip.embedding(inputs[sizes[-1]], prepared=True)
                continue
            if name not in layers:
                with torch.inference_mode():
                    layers[name] = self.networks[name](normalised(inputs[sizes[-1]]).to(self.where))
            found[metric] = layers[name][METRICS[metric].layer].flatten(1).float().cpu().numpy()
        return found


def prepared(images: Sequence[np.ndarray] | np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Pictures uint8 (H, W, 3) through some sizes, bilinear, without cropping: uint8 (n, S, S, 3)."""
    return np.concatenate([metrics.resize_through(image[None], sizes, "bilinear") for image in images])


def normalised(images: np.ndarray) -> torch.Tensor:
    """torchvision's networks' input (n, 3, S, S) from uint8 (n, S, S, 3)."""
    scaled = images.astype(np.float32) / 255
    scaled = (scaled - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def by_metric(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features by the first metric of each layer (`SAME`) to those by metric, without a copy."""
    return {metric: found[first] for metric, first in SAME.items() if first in found}


def store(found: dict[str, np.ndarray], metric: str, values: np.ndarray, start: int, n: int) -> None:
    """Put the features of some of n pictures into their place, without a second copy of all."""
    if metric not in found:
        found[metric] = np.empty((n, values.shape[1]), np.float32)
    found[metric][start : start + len(values)] = values


def _not_vit_l_14(clip: "ClipContexts") -> str:
    """What an image encoder has instead of ViT-L/14's sizes; nothing if it is that."""
    config = clip.image_encoder.config
    found = {key: getattr(config, key) for key in VIT_L_14}
    return ", ".join(f"{key} {found[key]}" for key, value in VIT_L_14.items() if found[key] != value)


def _stacked(images: Sequence[np.ndarray] | np.ndarray, clip: "ClipContexts") -> np.ndarray:
    """Pictures for CLIP's own preparation, which wants squares of one size: others take its first
    step here, which changes nothing for squares.
    """
    shapes = {image.shape[:2] for image in images}
    if len(shapes) > 1 or len(set(*shapes)) > 1:
        method: Literal["bilinear", "bicubic"]
        method, side = ("bicubic", clip.image_size) if clip.resize is None else ("bilinear", clip.resize)
        images = [metrics.resize_through(image[None], (side,), method)[0] for image in images]
    return np.stack(list(images))
