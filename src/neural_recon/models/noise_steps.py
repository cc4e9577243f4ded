"""How much of the noise schedule image-to-image diffusion runs; needs no torch."""


def steps_run(strength: float, steps: int) -> int:
    """Of `steps` at strength 1, the whole number that is run: 0.58 * 50, or 28.999999999999996, is 29."""
    return int(strength * steps + 1e-6)
