"""Generators guided by a picture's embedding, through the workflow: small random folders of the hub."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, VQModel
from helpers import made_once, published_layouts, tiny_run
from helpers.reference_generators import named_weights, write_part, write_scheduler
from helpers.workflow import snakemake, stale

from neural_recon.core import hdf5

pytestmark = pytest.mark.slow

EMBEDDING = 20  # of write_image_encoder
SIDE = 32
UNET = {
    "sample_size": SIDE // 2,
    "block_out_channels": [32, 64],
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "cross_attention_dim": 48,  # the states of both text encoders
}
AUTOENCODER = {"block_out_channels": [32, 64], "latent_channels": 4, "norm_num_groups": 8}


def part(folder: Path, module: torch.nn.Module) -> None:
    write_part(folder, module, named_weights(module, folder.name))


def write_sdxl(models: Path) -> dict:
    """The folder and the adapter of Stable Diffusion XL; gives the settings that name them."""
    folder = models / "sdxl"
    unet = UNet2DConditionModel(
        **UNET,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )
    part(folder / "unet", unet)
    kinds = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    part(folder / "vae", AutoencoderKL(**AUTOENCODER, **kinds))
    write_scheduler(folder / "scheduler", {"class": "EulerDiscreteScheduler"})
    published_layouts.write_text_encoder(folder, projected=False)
    published_layouts.write_text_encoder(folder, "text_encoder_2", pad="!")
    rng = torch.Generator().manual_seed(0)
    width = UNET["cross_attention_dim"]
    shapes = {"proj.weight": (4 * width, EMBEDDING), "proj.bias": (4 * width,), "norm.weight": (width,),
              "norm.bias": (width,)}  # fmt: skip
    adapter = {f"image_proj.{name}": torch.randn(shape, generator=rng) for name, shape in shapes.items()}
    attentions = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for k, name in enumerate(attentions):
        rows = unet.get_submodule(name.removesuffix(".processor")).inner_dim
        for letter in "kv":
            key = f"ip_adapter.{2 * k + 1}.to_{letter}_ip.weight"
            adapter[key] = torch.randn(rows, width, generator=rng) / width**0.5
    safetensors.torch.save_file(adapter, models / "adapter.safetensors")
    return {"weights": "models/sdxl", "adapter": "models/adapter.safetensors"}


def write_kandinsky(models: Path) -> dict:
    """The folder of Kandinsky's decoder; gives the settings that name it."""
    folder = models / "kandinsky"
    unet = UNet2DConditionModel(
        **UNET,
        out_channels=8,
        down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
        addition_embed_type="image",
        encoder_hid_dim=EMBEDDING,
        encoder_hid_dim_type="image_proj",
        resnet_time_scale_shift="scale_shift",
    )
    part(folder / "unet", unet)
    kinds = {"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
             "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"]}  # fmt: skip
    part(folder / "movq", VQModel(**AUTOENCODER, **kinds, norm_type="spatial", vq_embed_dim=4))
    write_scheduler(folder / "scheduler", {"class": "DDPMScheduler", "thresholding": True})
    return {"weights": "models/kandinsky", "image_encoder": "models/encoder"}


@pytest.mark.parametrize(("recipe", "write"), [("sdxl", write_sdxl), ("kandinsky", write_kandinsky)])
def test_it_paints_and_is_scored(tmp_path_factory, recipe, write):
    folder = tmp_path_factory.mktemp(recipe) / "project"
    made_once.copied(tmp_path_factory, tiny_run.make, folder)
    published_layouts.write_image_encoder(folder / "models/encoder/image_encoder")
    config = {
        **tiny_run.CONFIG,
        "recipe": recipe,
        "spaces": {
            "vdvae": tiny_run.CONFIG["spaces"]["vdvae"],
            "image": {"weights": "models/encoder", "image_encoder": "image_encoder"},
        },
        "decoder": {"alpha": {"vdvae": 1000, "image": 1000}},
        "generator": {**write(folder / "models"), "steps": 2, "chunk": 4},
    }
    done = snakemake(folder, tiny_run.SCORES, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    results = folder / "results"
    painted = hdf5.read_hdf5(results / "reconstructions/subj01/decoded.h5")["images"]
    assert painted.shape == (tiny_run.TEST, SIDE, SIDE, 3)
    assert (painted[0] != painted[1]).any()
    known = hdf5.read_parameters(results / "reconstructions/subj01/decoded.h5")
    assert (known["kind"], known["image"], known["steps"]) == (recipe, "image", 2)
    none = hdf5.read_hdf5(results / "generator/unconditional.h5")
    assert none["image"].shape == (1, 1, EMBEDDING)
    assert (set(none) - {"image"}) == ({"text", "pooled"} if recipe == "sdxl" else set())
    assert not np.allclose(none["image"], 0) or recipe == "sdxl"
    summary = pd.read_csv(results / "scores/subj01/summary.tsv", sep="\t")
    final = summary[summary["picture"] == "final"]
    assert {"decoded", "true_features", "shuffled", "swapped", "guides_only"} <= set(final["variant"])
    assert stale(folder, config, "--", tiny_run.SCORES) == {}
