"""Little pictures: seeded scenes of one or two objects in front of a background.

A `Scene` says what is in a picture, `render` draws it at any size. Objects are described in their own unit
square (x to the right, y downwards, both from -0.5 to 0.5), so that one description serves every size.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from neural_recon.demo.objects import COLOURS, DRAWINGS, Colour, Pen

KINDS = tuple(DRAWINGS)
BACKGROUNDS = ("meadow", "beach", "underwater", "desert", "night", "snow", "city", "room")
SECOND_OBJECT = 0.4  # share of scenes with a second, smaller object


@dataclass(frozen=True)
class Object:
    """One thing in a scene: `x`, `y` its centre and `size` its side, as fractions of the picture."""

    kind: str
    colour: str
    x: float
    y: float
    size: float
    mirrored: bool


@dataclass(frozen=True)
class Scene:
    """A background with one or two objects, the larger one first; `detail` seeds clouds, stars and tufts."""

    background: str
    objects: tuple[Object, ...]
    detail: int


def sample(seed: int, index: int) -> Scene:
    """Draw scene `index` of the stream `seed`; every pair gives its own scene, always the same one."""
    rng = np.random.default_rng([seed, index])
    background = str(rng.choice(BACKGROUNDS))
    size = rng.uniform(0.42, 0.70)
    main = _object(rng, rng.uniform(0.30, 0.70), rng.uniform(0.50, 0.62), size)
    objects = [main]
    if rng.random() < SECOND_OBJECT:
        side = -1 if main.x > 0.5 else 1
        small = rng.uniform(0.24, 0.34)
        x = main.x + side * (0.42 * size + 0.45 * small)
        x = float(np.clip(x, small / 2, 1 - small / 2))
        objects.append(_object(rng, x, rng.uniform(0.62, 0.76), small))
    return Scene(background, tuple(objects), int(rng.integers(2**31)))


def _object(rng: np.random.Generator, x: float, y: float, size: float) -> Object:
    kind, colour = str(rng.choice(KINDS)), str(rng.choice(list(COLOURS)))
    return Object(kind, colour, float(x), float(y), float(size), bool(rng.random() < 0.5))


def render(scene: Scene, size: int) -> np.ndarray:
    """Draw a scene as uint8 (size, size, 3), smoothed by drawing it larger and averaging."""
    factor = 4 if size <= 128 else 2
    side = size * factor
    image = _background(scene, side)
    draw = ImageDraw.Draw(image)
    # the farther one first; the main object stands in front
    for thing in reversed(scene.objects):
        DRAWINGS[thing.kind](Pen(draw, side, thing.x, thing.y, thing.size, thing.mirrored, thing.colour))
    return np.asarray(image.reduce(factor))


def _gradient(side: int, stops: list[tuple[float, Colour]]) -> Image.Image:
    """A picture whose colour runs from top to bottom through the stops (height, colour)."""
    heights = [height for height, _ in stops]
    rows = np.linspace(0, 1, side)
    column = np.stack([np.interp(rows, heights, [c[k] for _, c in stops]) for k in range(3)], -1)
    # one pixel wide, then widened, which is quicker than to fill an array and convert that
    one = Image.fromarray(column.astype(np.uint8)[:, None])
    return one.resize((side, side), Image.Resampling.NEAREST)


def _background(scene: Scene, side: int) -> Image.Image:
    """Draw the background of a scene at `side` pixels."""
    rng = np.random.default_rng(scene.detail)
    image = _gradient(side, _SKIES[scene.background])
    draw = ImageDraw.Draw(image)
    _DETAILS[scene.background](draw, side, rng)
    return image


_SKIES: dict[str, list[tuple[float, Colour]]] = {
    "meadow": [(0, (104, 176, 240)), (0.6, (200, 228, 250)), (1, (200, 228, 250))],
    "beach": [(0, (72, 160, 236)), (0.45, (190, 228, 250)), (1, (190, 228, 250))],
    "underwater": [(0, (60, 190, 215)), (1, (8, 62, 130))],
    "desert": [(0, (250, 170, 90)), (0.6, (255, 226, 160)), (1, (255, 226, 160))],
    "night": [(0, (10, 12, 46)), (0.7, (44, 44, 104)), (1, (44, 44, 104))],
    "snow": [(0, (170, 190, 214)), (0.6, (226, 234, 244)), (1, (226, 234, 244))],
    "city": [(0, (150, 160, 178)), (0.6, (218, 208, 200)), (1, (218, 208, 200))],
    "room": [(0, (226, 204, 166)), (1, (206, 178, 138))],
}


def _ellipse(
    draw: ImageDraw.ImageDraw, side: int, x: float, y: float, w: float, h: float, colour: Colour
) -> None:
    draw.ellipse(
        [(x - w / 2) * side, (y - h / 2) * side, (x + w / 2) * side, (y + h / 2) * side], fill=colour
    )


def _box(
    draw: ImageDraw.ImageDraw, side: int, x0: float, y0: float, x1: float, y1: float, colour: Colour
) -> None:
    draw.rectangle([x0 * side, y0 * side, x1 * side, y1 * side], fill=colour)


def _hills(
    draw: ImageDraw.ImageDraw,
    side: int,
    rng: np.random.Generator,
    level: float,
    height: float,
    colour: Colour,
    waves: float = 1.6,
) -> None:
    """Rolling ground from `level` down, `height` high, its shape from `rng`."""
    phase, waves = rng.uniform(0, 2 * math.pi), waves * rng.uniform(0.7, 1.3)
    xs = np.linspace(0, 1, 40)
    ys = level + height * np.sin(phase + 2 * math.pi * waves * xs)
    points = [(x * side, y * side) for x, y in zip(xs, ys, strict=True)]
    draw.polygon([*points, (side, side), (0, side)], fill=colour)


def _cloud(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator, colour: Colour) -> None:
    x, y, w = rng.uniform(0.05, 0.95), rng.uniform(0.06, 0.26), rng.uniform(0.10, 0.18)
    for dx, dy, s in ((-0.7, 0.15, 0.9), (0, -0.15, 1.2), (0.7, 0.15, 0.9)):
        _ellipse(draw, side, x + dx * w, y + dy * w, s * w * 1.3, s * w * 0.75, colour)


def _meadow(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for _ in range(2):
        _cloud(draw, side, rng, (250, 252, 255))
    _hills(draw, side, rng, 0.56, 0.05, (122, 182, 96))
    _hills(draw, side, rng, 0.68, 0.03, (86, 156, 66))
    for _ in range(24):
        x, y = rng.uniform(0, 1), rng.uniform(0.74, 1)
        draw.line([x * side, y * side, (x + 0.008) * side, (y - 0.04) * side], (60, 122, 48), side // 100)


def _beach(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    x = rng.uniform(0.1, 0.9)
    _ellipse(draw, side, x, 0.14, 0.15, 0.15, (255, 236, 120))
    _box(draw, side, 0, 0.45, 1, 1, (36, 126, 190))
    for _ in range(8):
        x, y, w = rng.uniform(0, 0.9), rng.uniform(0.48, 0.63), rng.uniform(0.06, 0.16)
        draw.line([x * side, y * side, (x + w) * side, y * side], (150, 206, 236), max(1, side // 90))
    _hills(draw, side, rng, 0.67, 0.015, (236, 246, 248), 1.2)
    _hills(draw, side, rng, 0.70, 0.015, (238, 214, 156), 1.2)


def _underwater(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for _ in range(3):
        x, w = rng.uniform(-0.1, 0.9), rng.uniform(0.05, 0.10)
        corners = [(x, 0), (x + w, 0), (x + 2.4 * w + 0.12, 0.8), (x + w + 0.12, 0.8)]
        draw.polygon([(a * side, b * side) for a, b in corners], fill=(66, 172, 206))
    _hills(draw, side, rng, 0.88, 0.03, (192, 178, 130))
    for _ in range(3):
        x, h = rng.uniform(0, 1), rng.uniform(0.2, 0.4)
        ys = np.linspace(0.98, 0.98 - h, 12)
        points = [((x + 0.02 * math.sin(30 * y)) * side, y * side) for y in ys]
        draw.line(points, (30, 112, 78), max(1, side // 32), joint="curve")
    for _ in range(8):
        x, y, r = rng.uniform(0, 1), rng.uniform(0.05, 0.8), rng.uniform(0.012, 0.03)
        _ellipse(draw, side, x, y, 2 * r, 2 * r, (168, 226, 240))


def _desert(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    x = rng.uniform(0.1, 0.9)
    _ellipse(draw, side, x, 0.2, 0.2, 0.2, (255, 246, 206))
    _hills(draw, side, rng, 0.58, 0.06, (222, 150, 78), 1.0)
    _hills(draw, side, rng, 0.72, 0.05, (204, 124, 56), 1.0)
    x = rng.choice([0.08, 0.92])
    _box(draw, side, x - 0.022, 0.42, x + 0.022, 0.70, (74, 122, 62))
    _box(draw, side, x - 0.075, 0.52, x + 0.075, 0.56, (74, 122, 62))


def _night(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for _ in range(26):
        x, y, r = rng.uniform(0, 1), rng.uniform(0, 0.6), rng.uniform(0.005, 0.011)
        _ellipse(draw, side, x, y, 2 * r, 2 * r, (250, 248, 210))
    x = rng.choice([0.14, 0.86])
    _ellipse(draw, side, x, 0.16, 0.18, 0.18, (244, 240, 200))
    _ellipse(draw, side, x + 0.05, 0.13, 0.15, 0.15, (18, 20, 58))
    _hills(draw, side, rng, 0.66, 0.05, (30, 46, 56))
    _hills(draw, side, rng, 0.78, 0.03, (18, 30, 38))


def _snow(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for x in (rng.uniform(0.02, 0.3), rng.uniform(0.7, 0.98)):
        for y, w in ((0.40, 0.10), (0.48, 0.15), (0.56, 0.20)):
            corners = [(x, y - 0.1), (x - w / 2, y + 0.04), (x + w / 2, y + 0.04)]
            draw.polygon([(a * side, b * side) for a, b in corners], fill=(58, 96, 86))
    _hills(draw, side, rng, 0.62, 0.03, (240, 246, 252))
    _hills(draw, side, rng, 0.76, 0.03, (222, 232, 244))
    for _ in range(26):
        x, y, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.008, 0.016)
        _ellipse(draw, side, x, y, 2 * r, 2 * r, (255, 255, 255))


def _city(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    x = 0.0
    while x < 1:
        w, top = rng.uniform(0.13, 0.22), rng.uniform(0.12, 0.42)
        shade = int(rng.integers(84, 132))
        _box(draw, side, x, top, x + w, 0.74, (shade, shade + 4, shade + 18))
        for row in np.arange(top + 0.04, 0.68, 0.08):
            for column in np.arange(x + 0.025, x + w - 0.03, 0.055):
                lit = rng.random() < 0.5
                window = (252, 224, 132) if lit else (62, 66, 82)
                _box(draw, side, column, row, column + 0.025, row + 0.035, window)
        x += w + 0.01
    _box(draw, side, 0, 0.72, 1, 0.78, (176, 172, 166))
    _box(draw, side, 0, 0.78, 1, 1, (70, 72, 80))
    for x in np.arange(rng.uniform(-0.15, 0), 1, 0.25):
        _box(draw, side, x, 0.88, x + 0.12, 0.905, (236, 232, 214))


def _room(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for x in np.arange(rng.uniform(-0.1, 0), 1, 0.125):
        _box(draw, side, x, 0, x + 0.05, 0.72, (216, 188, 148))
    x = rng.choice([0.03, 0.67])
    _box(draw, side, x, 0.08, x + 0.30, 0.42, (250, 246, 236))
    _box(draw, side, x + 0.025, 0.105, x + 0.14, 0.395, (150, 206, 246))
    _box(draw, side, x + 0.16, 0.105, x + 0.275, 0.395, (150, 206, 246))
    _box(draw, side, 0, 0.70, 1, 0.73, (244, 232, 210))
    _box(draw, side, 0, 0.73, 1, 1, (140, 90, 54))
    for y in (0.80, 0.88, 0.96):
        draw.line([0, y * side, side, y * side], (116, 72, 42), max(1, side // 110))


_DETAILS = {
    "meadow": _meadow,
    "beach": _beach,
    "underwater": _underwater,
    "desert": _desert,
    "night": _night,
    "snow": _snow,
    "city": _city,
    "room": _room,
}
