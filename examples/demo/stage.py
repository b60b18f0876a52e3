"""What every scene shares: the colour mood, the backdrop, the beat of the narration, captions and hands.

A video module offers a FILM made of sections; a section's `draw(canvas, beat)` is called for each frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from PIL import Image

from .canvas import HEIGHT, SAMPLES, WIDTH, Canvas, Colour, dark, light, mix


@dataclass(frozen=True)
class Mood:
    """The colours of one video: air behind, surface below, an accent, skin and sleeve of the hands."""

    sky: Colour
    haze: Colour
    table: Colour
    accent: Colour
    ink: Colour = "#2b2540"
    skin: Colour = "#e8b08c"
    sleeve: Colour = "#4a6fa5"
    horizon: int = 300


@dataclass(frozen=True)
class Beat:
    """Where the narration is: seconds into the section, and when each sentence starts and gives way."""

    t: float
    lines: Sequence[tuple[float, float]]

    def share(self, line: int, first: float = 0.0, last: float = 1.0) -> float:
        """How far a movement has come that runs between two shares of a sentence; 0 before, 1 after."""
        start, until = self.lines[line]
        a, b = start + (until - start) * first, start + (until - start) * last
        return min(1.0, max(0.0, (self.t - a) / (b - a)))

    def at(self, line: int, first: float = 0.0, last: float = 1.0) -> float:
        """`share`, starting and stopping softly."""
        u = self.share(line, first, last)
        return u * u * (3 - 2 * u)

    def across(self, first: int, last: int) -> float:
        """Soft movement from the start of one sentence to the end of another."""
        start, until = self.lines[first][0], self.lines[last][1]
        u = min(1.0, max(0.0, (self.t - start) / (until - start)))
        return u * u * (3 - 2 * u)

    def steady(self, first: int, last: int) -> float:
        start, until = self.lines[first][0], self.lines[last][1]
        return min(1.0, max(0.0, (self.t - start) / (until - start)))

    def started(self, line: int) -> bool:
        return self.t >= self.lines[line][0]

    def during(self, first: int, last: int | None = None) -> bool:
        return self.lines[first][0] <= self.t < self.lines[first if last is None else last][1]

    def swing(self, seconds: float = 1.0) -> float:
        """Back and forth between -1 and 1."""
        return math.sin(2 * math.pi * self.t / seconds)

    def pop(self, line: int, after: float = 0.0) -> float:
        """A quick growth from 0 to 1 with a little overshoot, for things that appear."""
        start, until = self.lines[line]
        u = min(1.0, max(0.0, (self.t - start - (until - start) * after) / 0.4))
        return u * (1 + 0.9 * u * (1 - u))


Draw = Callable[[Canvas, Beat], None]


@dataclass(frozen=True)
class Section:
    """A stretch of a video: its name (for the questions), its caption, its picture and its sentences."""

    name: str
    caption: str
    draw: Draw
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Film:
    """One whole video as data."""

    file: str
    title: str
    voice: str
    mood: Mood
    sections: tuple[Section, ...] = field(default=())


def between(first: Sequence[float], last: Sequence[float], share: float) -> tuple[float, ...]:
    """The place a share of the way from one point (or pose) to another.

    >>> between((0, 10), (10, 20), 0.5)
    (5.0, 15.0)
    """
    return tuple(a + (b - a) * share for a, b in zip(first, last, strict=True))


@lru_cache(maxsize=4)
def backdrop(mood: Mood) -> Image.Image:
    """Air with a slow gradient and two large soft circles, and the surface that things stand on."""
    image = Image.new("RGB", (WIDTH * SAMPLES, HEIGHT * SAMPLES))
    c = Canvas(image)
    for row in range(0, HEIGHT, 2):
        c.draw.rectangle(
            (0, row * SAMPLES, WIDTH * SAMPLES, (row + 2) * SAMPLES),
            mix(mood.sky, mood.haze, row / mood.horizon),
        )
    c.oval(700, 90, 190, 190, "#ffffff", 0, 0.10)
    c.oval(120, 210, 120, 120, "#ffffff", 0, 0.08)
    c.box(-40, mood.horizon, WIDTH + 80, HEIGHT, mood.table, 26, 0)
    c.box(-40, mood.horizon, WIDTH + 80, 9, light(mood.table, 0.35), 5, 0)
    return image


def caption(c: Canvas, mood: Mood, number: int, count: int, words: str) -> None:
    """The step's number and name at the bottom, and dots that show how many steps there are."""
    c.box(0, HEIGHT - 50, WIDTH, 50, dark(mood.accent, 0.55), 0, 0)
    c.box(0, HEIGHT - 50, WIDTH, 4, mood.accent, 0, 0)
    if number:
        c.oval(34, HEIGHT - 23, 15, 15, mood.accent, 0)
        c.text(34, HEIGHT - 23, str(number), 18, "#ffffff", 1, "mm")
    c.text(62 if number else 24, HEIGHT - 23, words, 21, "#ffffff", 0.6)
    for i in range(count):
        here = i == number
        c.oval(WIDTH - 24 - (count - 1 - i) * 18, HEIGHT - 23, 5, 5, "#ffffff", 0, 1 if here else 0.35)


def title_card(c: Canvas, mood: Mood, title: str, grow: float) -> None:
    """The video's name on a ribbon at the top of its first picture."""
    c.box(-30, 26 - 80 * (1 - grow), 30 + 60 + 15.6 * len(title), 58, mood.accent, 29, 0)
    c.text(32, 55 - 80 * (1 - grow), title, 31, "#ffffff", 1)


def arm(c: Canvas, mood: Mood, length: float = 760) -> None:
    c.limb([(92, 2), (150, 8), (260, 22)], [38, 42, 54], mood.skin)
    c.limb([(176, 11), (340, 36), (length, 100)], [58, 76, 104], mood.sleeve)
    c.limb([(170, 10.5), (178, 11.2)], [64, 64], light(mood.sleeve, 0.25))


def pinch(
    c: Canvas,
    mood: Mood,
    x: float,
    y: float,
    angle: float = 0,
    scale: float = 1,
    flip: bool = False,
    open_: float = 0.0,
) -> None:
    """A hand from the right holding something between finger and thumb at the place; `open_` parts them."""
    skin, gap = mood.skin, 12 * open_
    with c.at(x, y, angle, scale, flip):
        arm(c, mood)
        c.blob([(58, -32), (88, -32), (112, -18), (114, 20), (88, 32), (62, 26), (50, 0)], skin)
        c.limb([(72, 8), (44, 8), (34, 22), (52, 30)], [18, 18, 16, 15], skin)
        c.limb([(72, -8), (40, -8), (26, 12), (44, 22)], [18, 18, 16, 15], skin)
        c.limb([(72, -22), (38, -31 - gap * 0.4), (13, -21 - gap), (1, -4 - gap)], [20, 19, 16, 13], skin)
        c.limb([(84, 14), (50, 22 + gap * 0.3), (20, 16 + gap), (1, 5 + gap)], [24, 21, 17, 14], skin)
        c.limb([(5, -8 - gap), (1, -4.5 - gap)], [7, 7], light(skin, 0.55), 0)


def fist(
    c: Canvas,
    mood: Mood,
    x: float,
    y: float,
    angle: float = 0,
    scale: float = 1,
    flip: bool = False,
    held: Callable[[], None] | None = None,
) -> None:
    """A hand from the right closed round an upright bar through the place; `held` draws the bar."""
    skin = mood.skin
    with c.at(x, y, angle, scale, flip):
        with c.at(-22, 0):
            arm(c, mood)
        c.blob([(-10, -34), (40, -40), (80, -24), (84, 22), (46, 38), (-8, 34)], skin)
    if held:
        held()
    with c.at(x, y, angle, scale, flip):
        for row, reach in ((27, -12), (10, -17), (-8, -18), (-26, -14)):
            c.limb([(46, row), (10, row - 2), (reach, row)], [20, 20, 17], skin)
        c.limb([(64, -26), (36, -42), (6, -44)], [26, 20, 15], skin)


def flat(
    c: Canvas, mood: Mood, x: float, y: float, angle: float = 0, scale: float = 1, flip: bool = False
) -> None:
    """A hand from the right, seen from its side, fingers together, tips at the place."""
    skin = mood.skin
    with c.at(x, y, angle, scale, flip):
        arm(c, mood)
        c.limb([(4, 6), (50, 0), (100, -2)], [14, 22, 34], skin)
        c.limb([(0, 0), (40, -8), (78, -8), (118, 2)], [13, 20, 30, 38], skin)
        c.limb([(88, 6), (58, 20), (32, 20)], [24, 18, 14], skin)


def point(
    c: Canvas, mood: Mood, x: float, y: float, angle: float = 0, scale: float = 1, flip: bool = False
) -> None:
    """A hand from the right whose stretched first finger touches the place."""
    skin = mood.skin
    with c.at(x, y, angle, scale, flip):
        arm(c, mood)
        c.blob([(58, -30), (88, -32), (112, -18), (114, 20), (88, 32), (62, 28), (50, 0)], skin)
        for row in (20, 6):
            c.limb([(80, row), (46, row - 2), (40, row + 12), (58, row + 14)], [19, 19, 16, 14], skin)
        c.limb([(78, -20), (42, -20), (0, -2)], [21, 19, 13], skin)
        c.limb([(7, -7), (1, -4)], [7, 6], light(skin, 0.55), 0)
        c.limb([(86, 8), (60, 2), (44, 8)], [24, 19, 15], skin)


def spread(
    c: Canvas, mood: Mood, x: float, y: float, angle: float = 0, scale: float = 1, flip: bool = False
) -> None:
    """The back of an open hand from the right, palm centred on the place."""
    skin = mood.skin
    with c.at(x, y, angle, scale, flip):
        with c.at(-46, 0):
            arm(c, mood)
        tips = ((-76, -30), (-90, -8), (-86, 15), (-64, 36))
        roots = ((-20, -24), (-24, -8), (-22, 9), (-14, 24))
        for tip, root in zip(tips, roots, strict=True):
            c.limb([(0, root[1]), root, tip], [20, 19, 14], skin)
        c.limb([(14, -20), (-10, -46), (-34, -60)], [26, 19, 14], skin)
        c.blob([(-26, -32), (8, -34), (48, -20), (52, 20), (10, 34), (-22, 32), (-30, 0)], skin, 0)
        for tip in tips:
            c.limb([(tip[0] + 2, tip[1]), (tip[0] + 7, tip[1] * 0.96)], [8, 9], light(skin, 0.5), 0)


def clock(c: Canvas, x: float, y: float, r: float, share: float, words: str, accent: Colour) -> None:
    """A dial that fills, with a label under it: minutes passing."""
    c.shadow(x, y + r + 4, r * 0.8, 6)
    c.oval(x, y, r, r, "#ffffff", 3)
    if share > 0.01:
        a = [math.radians(-90 + 360 * share * i / 40) for i in range(41)]
        c.shape([(x, y), *[(x + r * 0.86 * math.cos(v), y + r * 0.86 * math.sin(v)) for v in a]], accent, 0)
    c.oval(x, y, r * 0.6, r * 0.6, "#ffffff", 0)
    c.text(x, y, words, r * 0.3, "#2b2540", 0.5, "mm")


def warning(c: Canvas, x: float, y: float, grow: float = 1.0) -> None:
    """A rounded yellow triangle with an exclamation mark."""
    if grow <= 0:
        return
    with c.at(x, y, 0, grow):
        c.line([(0, -20), (22, 17), (-22, 17), (0, -20), (22, 17)], 14, "#f2b632")
        c.shape([(0, -20), (22, 17), (-22, 17)], "#f2b632", 0)
        c.line([(0, -10), (0, 5)], 5, "#2b2540")
        c.oval(0, 14, 3, 3, "#2b2540", 0)


def head(
    c: Canvas, x: float, y: float, r: float, skin: Colour, hair: Colour, side: int = 0, smile: float = 1
) -> None:
    """A friendly head; `side` is -1 or 1 when it looks left or right, 0 to the front."""
    c.oval(x, y, r * 0.88, r, skin)
    outer = [(-1, -0.1), (-0.85, -0.95), (0, -1.2), (0.85, -0.95), (1, -0.1)]
    inner = [(0.55, -0.5), (0, -0.62), (-0.55, -0.5)]
    c.blob([(x + r * dx, y + r * dy) for dx, dy in (*outer, *inner)], hair)
    for dx in (-0.32, 0.32):
        c.oval(x + (dx + side * 0.22) * r, y - r * 0.02, r * 0.08, r * 0.1, "#2b2540", 0)
    middle = x + side * r * 0.22
    mouth = [(middle + r * dx, y + r * (0.45 + dy * smile)) for dx, dy in ((-0.28, 0), (0, 0.12), (0.28, 0))]
    c.curve(mouth, r * 0.09, "#8f3f3a")
