"""How much disk a run fills: an estimate from the plan, before anything runs."""

from pathlib import Path
from typing import Any

import numpy as np

from neural_recon.core.errors import InputError
from neural_recon.core.texts import read_json
from neural_recon.models.model_folders import picture_size, read_config
from neural_recon.models.vdvae_blocks import parse_blocks
from neural_recon.workflow.plan import Chunk, Plan

RGB = 3
DEMO_TRIAL = (
    45_000  # bytes of the demo's own data, seen in its runs: betas in both formats, a share of the stimuli
)


def estimate(plan: Plan, versatile: Path) -> dict[str, float]:
    """Bytes by kind of file, in the results' folder, for all subjects.

    Models and files that are not there yet count with the published sizes, an upper bound of the images.

    Args:
        versatile: folder of Versatile Diffusion, for the sizes of contexts and pictures.
    """
    config = plan.config
    values, base, picture = image_sizes(plan, versatile)
    total = dict.fromkeys(("betas", "features", "kernels", "predictions", "pictures"), 0.0)
    chunks = set()
    for subject in config.subjects:
        try:
            table = plan.trials(subject)
            trials, images = len(table), table["image_id"].nunique()
            test_trials = int(np.count_nonzero(table["split"] == "test"))
            test, controls = len(plan.test_ids(subject)), len(plan.control_ids(subject))
            chunks |= set(plan.feature_chunks(subject))
        except InputError:
            size = plan.data.size(subject, config.sessions(subject))
            if size is None:
                raise
            trials, test, images = size.trials, size.test, max(size.test, sum(size.lists.values()))
            test_trials, controls = 3 * test, config.evaluation.control_images
            for name, n in size.lists.items():
                chunks |= {Chunk(name, k) for k in range(-(-n // config.features.chunk))}
        n_voxels = plan.data.n_voxels(subject)
        # float32: single trials, their averages, and the test images' single trials beside these
        train = images - test if config.responses.average else trials - test_trials
        total["betas"] += 4 * n_voxels * (trials + train + test + test_trials)
        side = min(train, n_voxels)
        # float64, images by images; with fewer voxels than images their covariance, and the responses
        total["kernels"] += 8 * (side * (side + test) + (train * side if n_voxels < train else 0))
        # float32: the decoder's under two calibrations, and the shuffled control's
        total["predictions"] += 4 * 3 * test * values
        if config.ridge.keep:  # float16; components are fewer than images
            total["decoders"] = total.get("decoders", 0) + 2 * train * (values + n_voxels)
        # 8 bits: base images of four variants; reconstructions in chunks and together; PNG of both; controls;
        # training images as baselines
        others = len(plan.control_variants) * controls + 2 * test + 1
        total["pictures"] += RGB * (5 * test * base**2 + (3 * test + others) * picture**2)
        if config.demo is not None:
            total["simulated data"] = total.get("simulated data", 0) + DEMO_TRIAL * trials
    total["features"] = 2 * len(chunks) * config.features.chunk * values  # float16
    return total


def image_sizes(plan: Plan, versatile: Path) -> tuple[int, int, int]:
    """Features of one image in all spaces, and the sides of base image and picture in pixels."""
    vision, text = _settings(versatile / "image_encoder"), _settings(versatile / "text_encoder")
    unet, vae = _settings(versatile / "image_unet"), _settings(versatile / "vae")
    tokens = (vision.get("image_size", 224) // vision.get("patch_size", 14)) ** 2 + 1
    contexts = tokens * vision.get("projection_dim", 768)
    contexts += text.get("max_position_embeddings", 77) * text.get("projection_dim", 768)
    hparams = read_json(plan.config.features.vdvae.hparams, "the VDVAE's hyper-parameters")
    blocks = parse_blocks(hparams["dec_blocks"])[: plan.config.features.vdvae.layers]
    latents = sum(hparams["zdim"] * resolution**2 for resolution, _ in blocks)
    return latents + contexts, hparams["image_size"], picture_size(unet, vae)


def _settings(folder: Path) -> dict[str, Any]:
    """A model's configuration, empty where it is not there yet."""
    try:
        return read_config(folder)
    except InputError:
        return {}
