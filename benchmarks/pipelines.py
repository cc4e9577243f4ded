"""The pipelines of diffusers that `generators.py` measures its generators beside, one per kind.

Each is fed what the generator is fed: base images, and the same embeddings with guidance and without.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Guides = Mapping[str, "torch.Tensor"]
# Base images (n, 3, S, S) in [0, 1], guides (n, tokens, width) by role, and the same where nothing guides, to
# pictures (n, 3, S, S); all on the device, and in the precision of the parts.
Paint = Callable[["torch.Tensor", Guides, Guides], "torch.Tensor"]


def stable_diffusion(generator: Any, parts: Mapping[str, Any]) -> Paint:
    from diffusers import StableDiffusionImg2ImgPipeline

    pipe: Any = StableDiffusionImg2ImgPipeline(
        scheduler=generator.scheduler(),
        **dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor")),
        requires_safety_checker=False,
        **parts,
    )
    return lambda pictures, guides, none: (
        _quiet(pipe)(
            image=pictures,
            prompt_embeds=guides["text"],
            negative_prompt_embeds=none["text"],
            **_from_base(generator),
        ).images
    )


def versatile_image(generator: Any, parts: Mapping[str, Any]) -> Paint:
    """Stable Diffusion's, whose network takes tokens of a picture as those of a caption: that of Versatile
    Diffusion's image flow in diffusers takes neither embeddings nor a base image."""
    paint = stable_diffusion(generator, {"unet": parts["image_unet"], "vae": parts["vae"]})
    return lambda pictures, guides, none: paint(
        pictures, {"text": guides["vision"]}, {"text": none["vision"]}
    )


def sdxl(generator: Any, parts: Mapping[str, Any]) -> Paint:
    """One picture per call: of a batch the adapter's attention mixes the pictures, without an error."""
    from diffusers import StableDiffusionXLImg2ImgPipeline

    pipe: Any = StableDiffusionXLImg2ImgPipeline(
        scheduler=generator.scheduler(),
        **dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")),
        add_watermarker=False,
        **parts,
    )

    def paint(pictures: "torch.Tensor", guides: Guides, none: Guides) -> "torch.Tensor":
        import torch

        return _quiet(pipe)(
            image=pictures,
            prompt_embeds=none["text"],
            negative_prompt_embeds=none["text"],
            pooled_prompt_embeds=none["pooled"],
            negative_pooled_prompt_embeds=none["pooled"],
            ip_adapter_image_embeds=[torch.cat([none["image"], guides["image"]])],
            **_from_base(generator),
        ).images

    return paint


def kandinsky(generator: Any, parts: Mapping[str, Any]) -> Paint:
    from diffusers import KandinskyV22Img2ImgPipeline

    pipe: Any = KandinskyV22Img2ImgPipeline(scheduler=generator.scheduler(), **parts)
    side = generator.side()
    return lambda pictures, guides, none: (
        _quiet(pipe)(
            image=pictures,
            image_embeds=guides["image"][:, 0],
            negative_image_embeds=none["image"][:, 0],
            height=side,
            width=side,
            **_from_base(generator),
        ).images
    )


def pixart(generator: Any, parts: Mapping[str, Any]) -> Paint:
    """It takes no base image: that is encoded and noised here, and of the schedule the last steps are run."""
    from diffusers import PixArtSigmaPipeline

    from neural_recon.models import denoising

    how, scheduler = generator.settings, generator.scheduler()
    pipe: Any = PixArtSigmaPipeline(tokenizer=None, text_encoder=None, scheduler=scheduler, **parts)

    def paint(pictures: "torch.Tensor", guides: Guides, none: Guides) -> "torch.Tensor":
        import torch

        vae, text = parts["vae"], guides["text"]
        first, steps = denoising.timesteps(scheduler, how.strength, how.steps)
        with torch.no_grad():
            latents = vae.encode(2 * pictures - 1).latent_dist.mean * vae.config.scaling_factor
        start = denoising.start(scheduler, latents, torch.randn_like(latents), first)
        mask = text.new_ones(text.shape[:2])
        end = torch.zeros_like(mask)
        end[:, 0] = 1  # all that the empty caption has
        return _quiet(pipe)(
            timesteps=steps.tolist(),
            latents=start,
            prompt_embeds=text,
            prompt_attention_mask=mask,
            negative_prompt=None,
            negative_prompt_embeds=none["text"].expand_as(text),
            negative_prompt_attention_mask=end,
            guidance_scale=how.guidance_scale,
            use_resolution_binning=False,
            output_type="pt",
        ).images

    return paint


def stable_cascade(generator: Any, parts: Mapping[str, Any]) -> Paint:
    """One picture per call, as each gets all embeddings of a batch.

    Nor does it take a base image: that is encoded and noised here. As many steps are run as from a base, but
    at the pipeline's own times, and guidance is not rescaled: neither changes what a step costs.
    """
    from diffusers import DDPMWuerstchenScheduler, StableCascadeDecoderPipeline, StableCascadePriorPipeline

    from neural_recon.models import denoising

    how, schedule = generator.settings, generator.scheduler()
    first, steps = denoising.timesteps(schedule, how.strength, how.steps)
    effnet, prior = parts["effnet"], parts["prior"]
    # asked for its dtype, even where all embeddings are given
    text_encoder: Any = SimpleNamespace(dtype=prior.dtype, device=prior.device)
    first_pipe: Any = StableCascadePriorPipeline(None, None, prior, DDPMWuerstchenScheduler())
    first_pipe.text_encoder = text_encoder
    second_pipe: Any = StableCascadeDecoderPipeline(
        parts["decoder"],
        None,
        None,
        DDPMWuerstchenScheduler(),
        parts["vqgan"],
    )

    def paint(pictures: "torch.Tensor", guides: Guides, none: Guides) -> "torch.Tensor":
        import torch

        with torch.no_grad():
            latents = effnet(2 * pictures.float() - 1)
        start = denoising.start(schedule, latents, torch.randn_like(latents), first).to(prior.dtype)
        share, pooled = how.text_strength, none["pooled"]
        texts = {
            "prompt_embeds": share * guides["text"] + (1 - share) ** 5 * none["text"],
            "prompt_embeds_pooled": pooled,
            "negative_prompt_embeds": none["text"],
            "negative_prompt_embeds_pooled": pooled,
        }
        found = _quiet(first_pipe)(
            **texts,
            image_embeds=(1 - share) * guides["image"],
            latents=start,
            height=how.size,
            width=how.size,
            num_inference_steps=len(steps),
            guidance_scale=how.guidance_scale,
            output_type="pt",
        ).image_embeddings
        return _quiet(second_pipe)(
            image_embeddings=found,
            **texts,
            num_inference_steps=how.stage_b_steps,
            guidance_scale=how.stage_b_guidance_scale,
            output_type="pt",
        ).images

    return paint


PIPELINES: Mapping[str, Callable[[Any, Mapping[str, Any]], Paint]] = {
    made.__name__: made
    for made in (stable_diffusion, versatile_image, sdxl, kandinsky, pixart, stable_cascade)
}
ONE_BY_ONE = ("sdxl", "stable_cascade")


def _from_base(generator: Any) -> dict[str, Any]:
    how = generator.settings
    return {
        "strength": how.strength,
        "num_inference_steps": how.steps,
        "guidance_scale": how.guidance_scale,
        "output_type": "pt",
    }


def _quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe
