"""The card of the shipped models: how they were trained, and what they do with scenes nobody trained on."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from neural_recon import generation
from neural_recon.core.files import atomic, write_text
from neural_recon.demo import scenes
from neural_recon.demo.captions import captions
from neural_recon.demo.classifier import SceneClassifier
from neural_recon.demo.training import autoencoder, classifier, clip, generator, vdvae
from neural_recon.demo.training.pictures import PAINTED, SIZE, TRAINING_STREAM
from neural_recon.evaluation import metrics
from neural_recon.models import loading

UNSEEN_STREAM = TRAINING_STREAM + 1
COUNT = 100  # unseen scenes
SETTINGS: dict[str, Any] = {
    "strength": 0.75,
    "mixing": 0.4,
    "guidance_scale": 3.0,
    "steps": 20,
    "batch": 10,
}  # as in the demo
LAYERS = 12
SCHEDULES = {
    "autoencoder_crops": autoencoder.CROPS,
    "autoencoder": autoencoder.WHOLE,
    "grown_crops": autoencoder.GROWN_CROPS,
    "grown": autoencoder.GROWN_WHOLE,
    "clip": clip.SCHEDULE,
    "vdvae": vdvae.SCHEDULE,
    "classifier": classifier.SCHEDULE,
    "generator": generator.SCHEDULE,
}

TEXT = """# The demo's models

Small models with the published architectures, trained on scenes that the demo's renderer draws (stream
{stream}; the demo's subjects see scenes of another stream). Made by `make demo-models`
(`python -m neural_recon.demo.training`), with torch {torch}, diffusers {diffusers} and
transformers {transformers}. Licence: the project's. They know drawn scenes of 14 kinds of object and 8
backgrounds and nothing else: they show that the workflow works, not what a brain holds.

| files | model |
|---|---|
| `versatile/image_unet` | UNet of Versatile Diffusion's image flow, latents 4 x 16 x 16 |
| `versatile/text_unet` | attention blocks of its text flow |
| `versatile/vae` | AutoencoderKL, f = 8, pictures of 128 x 128 |
| `versatile/image_encoder`, `text_encoder`, `tokenizer` | CLIP, patches of 8, 96 dimensions |
| `stable_diffusion` | Versatile Diffusion's flow of captions, guided by CLIP's text states: not trained |
| `kandinsky` | its flow of pictures, guided by a picture's embedding; tokens by least squares: not trained |
| `vdvae` | VDVAE at 64 x 64 |
| `classifier` | a judge of main object and background, used for scores only |

## Training

{training}

"At the end" are means over the last 50 steps, on training scenes: loss is what was minimised; psnr in dB;
distortion and rate in nats per dimension; error is the mean squared error of the predicted noise; top1 the
share of pictures whose caption is found among the batch's; latents the mean squared error between the
latents of the grown autoencoder and those of the first, in units of their spread.

## What they do with {count} scenes nobody trained on

{results}

Sharpness is the mean absolute difference between neighbouring pixels of pictures of {side} x {side}, as a
share of the scenes'; base images are enlarged to that.

`samples.png`: scene, VDVAE base image from its own latents ({layers} layers), reconstruction from its own
contexts ({settings}).

![samples](samples.png)
"""


def write(work: Path, out: Path) -> None:
    """Write `out`/README.md and samples.png from the training logs in `work` and a run on unseen scenes."""
    drawn = [scenes.sample(UNSEEN_STREAM, index) for index in range(COUNT)]
    large = np.stack([scenes.render(scene, 425) for scene in drawn])
    truth = metrics.resize_through(large, (PAINTED,), "bilinear")
    contexts = loading.load_clip(out / "versatile")
    roles = {"base": "base", "vision": "vision", "text": "text"}
    painter: Any = generation.load(
        {"kind": "versatile_diffusion", "weights": str(out / "versatile"), **roles, **SETTINGS}
    )
    model = loading.load_vdvae(out / "vdvae/model.safetensors", out / "vdvae/hparams.json")

    vision = contexts.vision(large)
    text = contexts.text([caption for scene in drawn for caption in captions(scene, UNSEEN_STREAM)])
    text = text.reshape(COUNT, 5, *text.shape[1:]).mean(1)
    small = metrics.resize_through(large, (SIZE,), "bilinear")
    base = np.asarray(model.decode(np.asarray(model.encode(small, LAYERS))))
    ids = np.arange(COUNT)
    guides = {"vision": vision.reshape(COUNT, -1), "text": text.reshape(COUNT, -1)}
    final = painter.paint(base, guides, ids, seed=0)

    with torch.no_grad():
        x = autoencoder.to_tensor(truth, loading.choose_device())
        vae = painter.parts["vae"]
        again = vae.decode(vae.encode(x).latent_dist.mean).sample
        psnr = float((10 * torch.log10(4 / (x - again).square().mean((1, 2, 3)))).mean())
    judge = SceneClassifier.from_file(out / "classifier/model.safetensors")
    seen = contexts.embedding(large)
    rows = []
    enlarged = metrics.resize_through(base, (PAINTED,), "bilinear")
    for name, pictures in (("scene", truth), ("base image", enlarged), ("reconstruction", final)):
        kinds, places = judge.probabilities(metrics.resize_through(pictures, (SIZE,), "bilinear"))
        rows.append(
            {
                "picture": name,
                "two-way identification in CLIP": metrics.two_way_identification(
                    seen, contexts.embedding(pictures)
                ).mean(),
                "judge names the object": np.mean(
                    [
                        scenes.KINDS[k] == s.objects[0].kind
                        for k, s in zip(kinds.argmax(1), drawn, strict=True)
                    ]
                ),
                "judge names the background": np.mean(
                    [
                        scenes.BACKGROUNDS[k] == s.background
                        for k, s in zip(places.argmax(1), drawn, strict=True)
                    ]
                ),
                "sharpness": _sharpness(pictures) / _sharpness(truth),
            }
        )
    results = _table(pd.DataFrame(rows)) + f"\n\nThe autoencoder alone: PSNR {psnr:.1f} dB."
    _write_samples(out / "samples.png", truth, enlarged, final)
    write_text(
        out / "README.md",
        TEXT.format(
            stream=TRAINING_STREAM,
            training=_training_table(work),
            results=results,
            count=COUNT,
            side=PAINTED,
            layers=LAYERS,
            settings=", ".join(f"{name} {value}" for name, value in SETTINGS.items() if name != "batch"),
            **{name: version(name) for name in ("torch", "diffusers", "transformers")},
        ),
    )


def _sharpness(pictures: np.ndarray) -> float:
    """The mean absolute difference between neighbouring pixels of uint8 (n, S, S, 3)."""
    values = pictures.astype(np.float32)
    return float(np.mean([np.abs(np.diff(values, axis=axis)).mean() for axis in (1, 2)]))


def _training_table(work: Path) -> str:
    """Steps, batch, time and last losses of every training."""
    rows = []
    for name, schedule in SCHEDULES.items():
        log = pd.read_csv(work / f"{name}.tsv", sep="\t")
        last = log.iloc[-1].drop(["step", "seconds"])
        rows.append(
            {
                "training": name,
                "steps": f"{int(log['step'].iloc[-1])} of {schedule.steps}",
                "batch": schedule.batch,
                "learning rate": schedule.learning_rate,
                "minutes": round(log["seconds"].iloc[-1] / 60),
                "at the end": ", ".join(f"{key} {value:.3f}" for key, value in last.items()),
            }
        )
    return _table(pd.DataFrame(rows))


def _table(frame: pd.DataFrame) -> str:
    cells = frame.map(
        lambda value: f"{value:.3f}" if isinstance(value, float) and value > 0.01 else str(value)
    )
    lines = [" | ".join(frame.columns), " | ".join("---" for _ in frame.columns)]
    return "\n".join(f"| {line} |" for line in (*lines, *(" | ".join(row) for row in cells.to_numpy())))


def _write_samples(path: Path, *rows: np.ndarray, columns: int = 12) -> None:
    """A sheet of the first pictures: a row of scenes, of base images, of reconstructions, and again."""
    blocks = [
        np.concatenate([np.concatenate(list(row[start : start + columns]), 1) for row in rows])
        for start in (0, columns)
    ]
    with atomic(path) as temporary:
        Image.fromarray(np.concatenate(blocks)).save(temporary)
