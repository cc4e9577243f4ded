"""Train the demo's models: `python -m neural_recon.demo.training --help`."""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from neural_recon.demo.training import (
    autoencoder,
    card,
    classifier,
    clip,
    derived,
    export,
    generator,
    pictures,
    vdvae,
)
from neural_recon.models.clip import ClipContexts
from neural_recon.models.loading import choose_device

STAGES = ("autoencoder", "clip", "vdvae", "classifier", "generator", "derived", "card")
FITTED = 6000  # scenes that a linear map of the derived models is fitted to


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m neural_recon.demo.training",
        description="Train the demo's models; an interrupted training continues from its last checkpoint.",
    )
    parser.add_argument(
        "stages",
        nargs="*",
        choices=[*STAGES, []],  # [] is what argparse checks where none is named
        metavar="STAGE",
        help=f"default: all ({', '.join(STAGES)})",
    )
    parser.add_argument("--work", type=Path, default=Path("training"), help="checkpoints, logs, scenes")
    parser.add_argument("--out", type=Path, default=Path("resources/demo_models"), help="the shipped weights")
    parser.add_argument("--scenes", type=int, default=30_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    device = choose_device()
    scenes, texts = pictures.load(arguments.work, arguments.scenes)
    for stage in arguments.stages or STAGES:
        train(stage, scenes, texts, arguments.work, arguments.out, device)


def train(
    stage: str, scenes: np.ndarray, texts: list[list[str]], work: Path, out: Path, device: torch.device
) -> None:
    """Train one model and write its weights; the generator needs the autoencoder's and CLIP's."""
    folder = out / "versatile"
    torch.manual_seed(STAGES.index(stage))  # the first weights: the same in every run
    if stage == "autoencoder":
        large = pictures.draw(work, len(scenes), pictures.PAINTED)
        export.write_autoencoder(*autoencoder.train(scenes, large, work, device), folder)
    elif stage == "clip":
        tokenizer = clip.tokenizer(texts, folder / "tokenizer")
        export.write_clip(clip.train(scenes, texts, tokenizer, work, device), folder)
    elif stage == "vdvae":
        export.write_vdvae(vdvae.train(scenes, work, device), out)
    elif stage == "classifier":
        weights = classifier.train(scenes, work, device).state_dict()
        export.write_weights(out / "classifier/model.safetensors", weights)
    elif stage == "derived":
        derived.write(scenes[:FITTED], texts[:FITTED], out)
    elif stage == "card":
        card.write(work, out)
    else:
        contexts = ClipContexts.from_pretrained(folder)
        vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).to(device)
        large = pictures.draw(work, len(scenes), pictures.PAINTED)
        data = generator.cache(scenes, large, texts, contexts, vae, work, device)
        export.write_generator(
            generator.train(data, vae.config.scaling_factor, contexts, work, device), folder
        )


if __name__ == "__main__":
    main()
