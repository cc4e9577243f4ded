"""The things that stand in the demo's scenes: one small drawing each, in one of several colours."""

import math

from PIL import ImageDraw

COLOURS = {
    "red": (214, 48, 46),
    "orange": (240, 136, 36),
    "yellow": (246, 210, 54),
    "green": (64, 164, 80),
    "blue": (48, 98, 206),
    "purple": (138, 72, 176),
    "white": (240, 240, 236),
}
BLACK, WOOD, GLASS, CREAM = (34, 32, 38), (122, 82, 50), (176, 220, 240), (250, 240, 216)

Colour = tuple[int, int, int]
Point = tuple[float, float]


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (factor < 1) or lighter (factor > 1, towards white) than `colour`."""
    if factor <= 1:
        red, green, blue = (int(c * factor) for c in colour)
    else:
        red, green, blue = (int(255 - (255 - c) * (2 - factor)) for c in colour)
    return red, green, blue


class Pen:
    """Draws in an object's own unit square: x to the right, y downwards, both from -0.5 to 0.5."""

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        side: int,
        x: float,
        y: float,
        size: float,
        mirrored: bool,
        colour: str,
    ):
        self.draw, self.side, self.x, self.y, self.size = draw, side, x, y, size
        self.flip = -1 if mirrored else 1
        self.colour = COLOURS[colour]
        self.dark, self.light = shade(self.colour, 0.68), shade(self.colour, 1.45)

    def at(self, point: Point) -> Point:
        """The canvas pixel of a point of the unit square."""
        return (
            (self.x + self.flip * point[0] * self.size) * self.side,
            (self.y + point[1] * self.size) * self.side,
        )

    def polygon(self, colour: Colour, *points: Point) -> None:
        self.draw.polygon([self.at(p) for p in points], fill=colour)

    def _corners(self, x: float, y: float, w: float, h: float) -> list[float]:
        (x0, y0), (x1, y1) = self.at((x - w / 2, y - h / 2)), self.at((x + w / 2, y + h / 2))
        return [min(x0, x1), y0, max(x0, x1), y1]

    def ellipse(self, colour: Colour, x: float, y: float, w: float, h: float) -> None:
        self.draw.ellipse(self._corners(x, y, w, h), fill=colour)

    def box(self, colour: Colour, x: float, y: float, w: float, h: float) -> None:
        self.draw.rectangle(self._corners(x, y, w, h), fill=colour)

    def half(self, colour: Colour, x: float, y: float, w: float, h: float) -> None:
        """The upper half of an ellipse."""
        self.draw.pieslice(self._corners(x, y, w, h), 180, 360, fill=colour)

    def line(self, colour: Colour, width: float, *points: Point) -> None:
        pixels = max(1, round(width * self.size * self.side))
        self.draw.line([self.at(p) for p in points], fill=colour, width=pixels, joint="curve")


def house(pen: Pen) -> None:
    pen.box(CREAM, 0, 0.17, 0.72, 0.62)
    pen.box(shade(CREAM, 0.86), 0.30, 0.17, 0.12, 0.62)
    pen.box(pen.dark, 0.2, -0.34, 0.1, 0.24)
    pen.polygon(pen.colour, (-0.48, -0.12), (0, -0.5), (0.48, -0.12))
    pen.polygon(pen.dark, (0, -0.5), (0.48, -0.12), (0.30, -0.12))
    pen.box(pen.colour, 0, 0.29, 0.18, 0.38)
    for x in (-0.22, 0.22):
        pen.box(BLACK, x, 0.08, 0.17, 0.19)
        pen.box(GLASS, x, 0.08, 0.12, 0.14)


def tree(pen: Pen) -> None:
    pen.box(WOOD, 0, 0.3, 0.13, 0.4)
    pen.ellipse((46, 112, 52), 0, -0.12, 0.84, 0.7)
    pen.ellipse((76, 148, 70), -0.08, -0.18, 0.6, 0.5)
    for x, y in ((-0.22, -0.08), (0.04, -0.30), (0.24, -0.12), (0.02, 0.04), (-0.16, -0.34), (0.28, 0.08)):
        pen.ellipse(pen.colour, x, y, 0.15, 0.15)


def car(pen: Pen) -> None:
    pen.polygon(pen.colour, (-0.26, 0.0), (-0.16, -0.24), (0.18, -0.24), (0.32, 0.0))
    pen.polygon(GLASS, (-0.19, -0.01), (-0.12, -0.19), (-0.01, -0.19), (-0.01, -0.01))
    pen.polygon(GLASS, (0.03, -0.01), (0.03, -0.19), (0.15, -0.19), (0.25, -0.01))
    pen.box(pen.colour, 0, 0.11, 0.98, 0.24)
    pen.box(pen.dark, 0, 0.20, 0.98, 0.07)
    pen.ellipse((255, 244, 180), 0.45, 0.07, 0.08, 0.09)
    for x in (-0.28, 0.28):
        pen.ellipse(BLACK, x, 0.24, 0.26, 0.26)
        pen.ellipse((190, 192, 196), x, 0.24, 0.12, 0.12)


def sailboat(pen: Pen) -> None:
    pen.box(WOOD, 0.0, -0.06, 0.035, 0.84)
    pen.polygon((252, 250, 244), (-0.04, -0.46), (-0.04, 0.18), (-0.42, 0.18))
    pen.polygon(pen.colour, (0.05, -0.38), (0.05, 0.18), (0.34, 0.18))
    pen.polygon(WOOD, (-0.48, 0.24), (0.48, 0.24), (0.32, 0.46), (-0.32, 0.46))
    pen.polygon(pen.dark, (-0.48, 0.24), (0.48, 0.24), (0.45, 0.30), (-0.45, 0.30))


def fish(pen: Pen) -> None:
    pen.polygon(pen.dark, (-0.22, 0.0), (-0.50, -0.24), (-0.44, 0.0), (-0.50, 0.24))
    pen.polygon(pen.dark, (-0.08, -0.18), (0.06, -0.40), (0.20, -0.18))
    pen.ellipse(pen.colour, 0.08, 0.0, 0.80, 0.50)
    pen.ellipse(pen.light, 0.10, 0.12, 0.56, 0.18)
    for x in (-0.12, 0.04):
        pen.line(pen.dark, 0.04, (x, -0.18), (x + 0.05, 0.0), (x, 0.18))
    pen.ellipse((255, 255, 255), 0.31, -0.06, 0.13, 0.13)
    pen.ellipse(BLACK, 0.33, -0.06, 0.07, 0.07)


def cat(pen: Pen) -> None:
    pen.line(pen.dark, 0.08, (0.24, 0.38), (0.44, 0.26), (0.40, 0.02))
    pen.ellipse(pen.colour, 0.02, 0.28, 0.56, 0.46)
    pen.ellipse(pen.light, 0.0, 0.33, 0.26, 0.30)
    for side in (-1, 1):
        pen.polygon(pen.dark, (side * 0.32, -0.48), (side * 0.30, -0.14), (side * 0.05, -0.28))
    pen.ellipse(pen.colour, 0, -0.12, 0.66, 0.50)
    for x in (-0.14, 0.14):
        pen.ellipse((232, 246, 160), x, -0.15, 0.14, 0.15)
        pen.ellipse(BLACK, x, -0.15, 0.06, 0.13)
    pen.polygon((226, 110, 120), (-0.05, -0.03), (0.05, -0.03), (0, 0.03))
    for y in (-0.01, 0.05):
        pen.line(BLACK, 0.015, (-0.10, 0.02), (-0.38, y - 0.02))
        pen.line(BLACK, 0.015, (0.10, 0.02), (0.38, y - 0.02))


def bird(pen: Pen) -> None:
    pen.polygon(pen.dark, (-0.18, 0.02), (-0.50, -0.10), (-0.46, 0.14))
    pen.line((232, 140, 40), 0.04, (-0.02, 0.22), (-0.04, 0.46))
    pen.line((232, 140, 40), 0.04, (0.10, 0.22), (0.10, 0.46))
    pen.ellipse(pen.colour, 0.0, 0.04, 0.62, 0.44)
    pen.ellipse(pen.light, 0.10, 0.14, 0.34, 0.22)
    pen.ellipse(pen.colour, 0.25, -0.22, 0.34, 0.34)
    pen.polygon((246, 170, 40), (0.38, -0.28), (0.52, -0.19), (0.38, -0.12))
    pen.ellipse((255, 255, 255), 0.29, -0.26, 0.10, 0.10)
    pen.ellipse(BLACK, 0.30, -0.26, 0.06, 0.06)
    pen.polygon(pen.dark, (-0.22, -0.02), (0.14, -0.06), (-0.04, 0.20))


def flower(pen: Pen) -> None:
    pen.line((52, 132, 60), 0.06, (0, -0.1), (0.02, 0.5))
    pen.polygon((70, 160, 74), (0.01, 0.34), (0.30, 0.14), (0.24, 0.32))
    pen.polygon((70, 160, 74), (0.01, 0.42), (-0.30, 0.22), (-0.24, 0.40))
    for k in range(7):
        angle = 2 * math.pi * k / 7
        pen.ellipse(pen.colour, 0.24 * math.cos(angle), -0.16 + 0.24 * math.sin(angle), 0.25, 0.25)
    pen.ellipse(pen.dark, 0, -0.16, 0.34, 0.34)
    pen.ellipse((250, 214, 80), 0, -0.16, 0.25, 0.25)


def mushroom(pen: Pen) -> None:
    pen.polygon(CREAM, (-0.13, -0.02), (0.13, -0.02), (0.18, 0.48), (-0.18, 0.48))
    pen.polygon(shade(CREAM, 0.84), (0.04, -0.02), (0.13, -0.02), (0.18, 0.48), (0.08, 0.48))
    pen.half(pen.colour, 0, 0.06, 0.96, 1.0)
    pen.ellipse(pen.dark, 0, 0.06, 0.96, 0.14)
    spots = BLACK if pen.colour == COLOURS["white"] else (255, 255, 255)
    for x, y, r in ((-0.24, -0.14, 0.14), (0.02, -0.28, 0.17), (0.26, -0.12, 0.13), (0.02, -0.06, 0.11)):
        pen.ellipse(spots, x, y, r, r)


def umbrella(pen: Pen) -> None:
    pen.line(WOOD, 0.045, (0, -0.3), (0, 0.40), (0.06, 0.47), (0.14, 0.42), (0.14, 0.36))
    pen.half(pen.colour, 0, 0.02, 0.98, 0.92)
    pen.polygon(pen.light, (-0.16, 0.02), (0, -0.44), (0.16, 0.02))
    for x in (-0.33, 0.0, 0.33):
        pen.half(pen.dark, x, 0.04, 0.33, 0.12)
    pen.line(WOOD, 0.04, (0, -0.5), (0, -0.42))


def balloon(pen: Pen) -> None:
    pen.line(BLACK, 0.02, (-0.24, 0.06), (-0.09, 0.34))
    pen.line(BLACK, 0.02, (0.24, 0.06), (0.09, 0.34))
    pen.polygon(pen.colour, (-0.33, 0.02), (0.33, 0.02), (0.10, 0.24), (-0.10, 0.24))
    pen.ellipse(pen.colour, 0, -0.14, 0.72, 0.70)
    pen.ellipse(CREAM, 0, -0.14, 0.34, 0.70)
    pen.polygon(CREAM, (-0.15, 0.06), (0.15, 0.06), (0.05, 0.24), (-0.05, 0.24))
    pen.ellipse(pen.dark, 0, -0.14, 0.12, 0.70)
    pen.box(WOOD, 0, 0.41, 0.22, 0.16)
    pen.box(shade(WOOD, 0.7), 0, 0.35, 0.24, 0.04)


def cup(pen: Pen) -> None:
    pen.ellipse(pen.dark, 0.32, 0.08, 0.34, 0.38)
    pen.ellipse(shade(pen.colour, 0.4), 0.32, 0.08, 0.18, 0.22)
    pen.polygon(pen.colour, (-0.36, -0.18), (0.30, -0.18), (0.22, 0.40), (-0.28, 0.40))
    pen.polygon(pen.light, (-0.28, -0.16), (-0.16, -0.16), (-0.13, 0.38), (-0.21, 0.38))
    pen.ellipse(pen.light, -0.03, -0.18, 0.66, 0.18)
    pen.ellipse((84, 48, 28), -0.03, -0.17, 0.54, 0.12)
    for x in (-0.16, 0.02):
        steam = [(x, -0.28), (x + 0.05, -0.34), (x - 0.01, -0.41), (x + 0.04, -0.48)]
        pen.line((246, 246, 246), 0.03, *steam)


def snowman(pen: Pen) -> None:
    white, grey = (250, 252, 255), (206, 216, 228)
    for y, r in ((0.27, 0.46), (-0.06, 0.34)):
        pen.ellipse(grey, 0.015, y + 0.01, r, r)
        pen.ellipse(white, -0.01, y, r * 0.94, r * 0.94)
    pen.ellipse(white, 0, -0.29, 0.27, 0.27)
    pen.box(pen.colour, 0, -0.165, 0.26, 0.07)
    pen.polygon(pen.colour, (0.04, -0.16), (0.13, -0.16), (0.15, 0.06), (0.07, 0.06))
    pen.box(pen.dark, 0, -0.40, 0.36, 0.045)
    pen.box(pen.colour, 0, -0.47, 0.22, 0.13)
    for x in (-0.05, 0.06):
        pen.ellipse(BLACK, x, -0.32, 0.04, 0.04)
    pen.polygon((244, 128, 30), (0.0, -0.28), (0.20, -0.25), (0.0, -0.24))
    for y in (0.0, 0.10, 0.24):
        pen.ellipse(BLACK, 0, y, 0.045, 0.045)
    pen.line(WOOD, 0.03, (-0.16, -0.06), (-0.44, -0.22))
    pen.line(WOOD, 0.03, (0.16, -0.06), (0.44, -0.22))


def rocket(pen: Pen) -> None:
    pen.polygon((255, 170, 40), (-0.14, 0.28), (0.14, 0.28), (0, 0.52))
    pen.polygon((255, 236, 120), (-0.07, 0.28), (0.07, 0.28), (0, 0.42))
    pen.polygon(pen.dark, (-0.16, 0.02), (-0.36, 0.32), (-0.14, 0.28))
    pen.polygon(pen.dark, (0.16, 0.02), (0.36, 0.32), (0.14, 0.28))
    pen.ellipse((226, 230, 236), 0, 0.0, 0.38, 0.88)
    pen.polygon(pen.colour, (-0.165, -0.22), (0, -0.52), (0.165, -0.22))
    pen.box(pen.colour, 0, 0.23, 0.34, 0.08)
    pen.ellipse(pen.dark, 0, -0.06, 0.20, 0.20)
    pen.ellipse(GLASS, 0, -0.06, 0.13, 0.13)


DRAWINGS = {
    drawing.__name__: drawing
    for drawing in (
        house,
        tree,
        car,
        sailboat,
        fish,
        cat,
        bird,
        flower,
        mushroom,
        umbrella,
        balloon,
        cup,
        snowman,
        rocket,
    )
}
