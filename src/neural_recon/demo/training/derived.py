"""The demo's Stable Diffusion and Kandinsky: computed from its Versatile Diffusion, without any training.

Each of its two flows is a UNet of its own, as the residual blocks are shared (Xu et al. 2023).
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, VQModel

from neural_recon.demo.training import generator
from neural_recon.demo.training.export import write_json, write_weights
from neural_recon.models.clip import ClipContexts
from neural_recon.models.clip_images import of_zeros
from neural_recon.models.denoising import STABLE_DIFFUSION
from neural_recon.models.dual_unet import DualUNet
from neural_recon.models.versatile import DualGuidedPipeline

TOKENS = 32  # that diffusers' image projection makes of an embedding
RIDGE = 1e-3
UNGUIDED = 0.1  # weight of the pair that stands for no guidance, as a share of all scenes'


def write(pictures: np.ndarray, texts: list[list[str]], out: Path) -> None:
    """Write `out`/stable_diffusion and `out`/kandinsky, in the layouts of the published models.

    Args:
        pictures: training scenes, uint8 (n, S, S, 3).
        texts: their captions.
        out: the folder with `versatile`.
    """
    folder = out / "versatile"
    contexts = ClipContexts.from_pretrained(folder, device="cpu")
    pipeline = DualGuidedPipeline.from_pretrained(folder, device="cpu")
    write_stable_diffusion(pipeline.unet, contexts, texts, folder, out / "stable_diffusion")
    write_kandinsky(pipeline, contexts, pictures, out / "kandinsky")


def write_stable_diffusion(
    unet: DualUNet, contexts: ClipContexts, texts: list[list[str]], versatile: Path, folder: Path
) -> None:
    """The flow of captions, guided by the text encoder's states instead of by contexts.

    A context is the state, projected, over the length of the caption's embedding. The projection goes into
    the weights of keys and values, and for the length stands its mean over captions.
    """
    encoder = contexts.text_encoder
    assert encoder is not None
    ids = contexts.token_ids([text for five in texts[:200] for text in five])
    with torch.no_grad():
        length = encoder(input_ids=ids).text_embeds.norm(dim=-1).mean()
        tensors = _flow(unet, "text", encoder.text_projection.weight / length)
    _write_unet(folder / "unet", tensors, {})
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(versatile / part, folder / part, dirs_exist_ok=True)


def write_kandinsky(
    pipeline: DualGuidedPipeline, contexts: ClipContexts, pictures: np.ndarray, folder: Path
) -> None:
    """The flow of pictures, guided by CLIP's embedding instead of by all tokens.

    The tokens (the class token, and 31 means of two patches) are linear in the embedding, by least squares
    over training scenes; a layer norm, which the published model has there, brings each to the same length.
    """
    # what stands for no guidance: there the embedding of zeros, here the tokens of a grey picture
    weight = np.ones((len(pictures) + 1, 1))
    weight[-1] = UNGUIDED * len(pictures)
    vision = np.concatenate([contexts.vision(pictures), contexts.unconditional()[0]])
    zeros = of_zeros(contexts.image_encoder).image_embeds.numpy()
    embedding = np.concatenate([contexts.embedding(pictures), zeros])
    pairs = vision[:, 1:].reshape(len(vision), -1, 2, vision.shape[2]).mean(2)
    tokens = np.concatenate([vision[:, :1], pairs[:, : TOKENS - 1]], axis=1).astype(np.float64)
    design = np.concatenate([embedding, np.ones((len(embedding), 1))], axis=1)
    normal = design.T @ (weight * design) + RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(normal, design.T @ (weight * tokens.reshape(len(tokens), -1)))
    spread, width = tokens.std(axis=2).mean(), tokens.shape[2]

    config = {
        "encoder_hid_dim": embedding.shape[1],
        "encoder_hid_dim_type": "image_proj",
        "addition_embed_type": "image",
    }
    tensors = _flow(pipeline.unet, "vision", None)
    shapes = UNet2DConditionModel.from_config({**generator.CONFIG, **config}).state_dict()
    # what else the embedding does in the published model, through the embedding of time, it does not do here
    tensors |= {name: torch.zeros_like(shapes[name]) for name in shapes if name.startswith("add_embedding.")}
    projection = "encoder_hid_proj.image_embeds"
    tensors |= {
        f"{projection}.weight": torch.from_numpy(weights[:-1].T.copy()),
        f"{projection}.bias": torch.from_numpy(weights[-1].copy()),
        "encoder_hid_proj.norm.weight": torch.full((width,), spread),
        "encoder_hid_proj.norm.bias": torch.full((width,), tokens.mean()),
    }
    _write_unet(folder / "unet", tensors, config)
    _write_movq(pipeline.vae, folder / "movq")
    write_json(
        folder / "scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler", **STABLE_DIFFUSION}
    )


def _flow(unet: DualUNet, kind: str, projection: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The tensors of one flow's UNet; its keys and values of contexts that are first projected."""
    found = {}
    for name, tensor in unet.image_unet.state_dict().items():
        if f".{'text' if kind == 'vision' else 'vision'}." in name:
            continue
        name = name.replace(f".{kind}.", ".")
        if projection is not None and name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            tensor = tensor @ projection
        found[name] = tensor
    return found


def _write_unet(folder: Path, tensors: dict[str, torch.Tensor], more: dict[str, object]) -> None:
    write_json(folder / "config.json", {"_class_name": "UNet2DConditionModel", **generator.CONFIG, **more})
    write_weights(folder / "diffusion_pytorch_model.safetensors", tensors)


def _write_movq(vae: AutoencoderKL, folder: Path) -> None:
    """The autoencoder as one without draws: its mean, and the scaling factor within its last convolutions."""
    config = {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": list(vae.config.down_block_types),
        "up_block_types": list(vae.config.up_block_types),
        "block_out_channels": list(vae.config.block_out_channels),
        "layers_per_block": vae.config.layers_per_block,
        "latent_channels": vae.config.latent_channels,
        "norm_num_groups": vae.config.norm_num_groups,
        "mid_block_add_attention": False,
        "num_vq_embeddings": 1,
    }
    tensors = dict(vae.state_dict())
    channels, scale = vae.config.latent_channels, vae.config.scaling_factor
    mean = tensors["quant_conv.weight"][:channels, :, 0, 0]
    out, bias = tensors["encoder.conv_out.weight"], tensors["encoder.conv_out.bias"]
    tensors["encoder.conv_out.weight"] = torch.einsum("ab,bcij->acij", mean, out) * scale
    tensors["encoder.conv_out.bias"] = (mean @ bias + tensors["quant_conv.bias"][:channels]) * scale
    tensors["quant_conv.weight"] = torch.eye(channels)[:, :, None, None]
    tensors["quant_conv.bias"] = torch.zeros(channels)
    tensors["post_quant_conv.weight"] = tensors["post_quant_conv.weight"] / scale
    model = VQModel.from_config(config)
    tensors["quantize.embedding.weight"] = torch.zeros_like(model.quantize.embedding.weight)
    model.load_state_dict(tensors)
    write_json(folder / "config.json", {"_class_name": "VQModel", **config})
    write_weights(folder / "diffusion_pytorch_model.safetensors", model.state_dict())
