"""Repotting a house plant: pots in cross-section, so that roots, soil and water show."""

from __future__ import annotations

import math

from .canvas import Canvas, dark, light, mix
from .stage import Beat, Film, Mood, Section, fist, flat, point

MOOD = Mood("#e6f2d8", "#fbfdf2", "#b98f66", "#4c8f3d", skin="#e3ab84", sleeve="#c7556b", horizon=352)
CLAY, SOIL, ROOT = "#cf7446", "#5a3d2b", "#efe2c4"


def outline(x: float, base: float, w: float, h: float) -> list[tuple[float, float]]:
    """A pot's inner wall: open top, narrower base."""
    return [(x - w / 2, base - h), (x + w / 2, base - h), (x + w * 0.38, base), (x - w * 0.38, base)]


def pot(
    c: Canvas,
    x: float,
    base: float,
    w: float,
    h: float,
    soil: float = 0.0,
    cut: bool = True,
    wet: float = 0.0,
) -> None:
    """A clay pot; cut open it shows the soil, filled to a share of its height."""
    c.shadow(x, base + 3, w * 0.5, 9)
    if not cut:
        c.shape(outline(x, base, w, h), CLAY)
        c.shape(
            [
                (x - w * 0.3, base - h + 20),
                (x - w * 0.2, base - h + 20),
                (x - w * 0.18, base - 14),
                (x - w * 0.26, base - 14),
            ],
            light(CLAY, 0.2),
            0,
        )
        c.box(x - w / 2 - 8, base - h - 6, w + 16, 26, CLAY, 6)
        return
    c.shape(outline(x, base, w, h), CLAY)
    inner = outline(x, base - 9, w - 20, h - 9)
    c.shape(inner, "#8f4f30", 0)
    if soil > 0:
        tone = mix(SOIL, "#38261b", wet)
        with c.clipped(inner):
            top = base - 9 - (h - 12) * soil
            c.blob(
                [
                    (x - w, top + 4),
                    (x - w * 0.2, top - 4),
                    (x + w * 0.25, top + 3),
                    (x + w, top),
                    (x + w, base + 40),
                    (x - w, base + 40),
                ],
                tone,
                0,
            )
            for i in range(26):
                sx, sy = (
                    x - w * 0.44 + (i * 73 % 100) / 100 * w * 0.88,
                    top + 8 + (i * 37 % 100) / 100 * (base - top),
                )
                c.oval(sx, sy, 3.4, 2.6, light(tone, 0.16), 0)
    c.box(x - 8, base - 10, 16, 11, "#8f4f30", 2, 0)


def plant(c: Canvas, x: float, y: float, size: float = 1.0, sway: float = 0.0, droop: float = 0.0) -> None:
    """Leaves on arching stems that leave the soil at the place."""
    with c.at(x, y, sway, size):
        for i, a in enumerate((-66, 62, -42, 40, -18, 20, 0)):
            reach = 118 + (i * 29 % 40)
            bend = math.radians(a + droop * a * 0.4)
            tip = (reach * math.sin(bend), -reach * math.cos(bend) * (1 - 0.3 * droop))
            c.curve([(0, 4), (tip[0] * 0.4, tip[1] * 0.6), tip], 5, "#5f8f3c")
            with c.at(*tip, a * 1.1):
                tone = ("#5fae4f", "#4c9a48", "#7cc060")[i % 3]
                c.blob([(0, 20), (-25, -6), (-16, -38), (0, -58), (16, -38), (25, -6)], tone)
                c.line([(0, 16), (0, -44)], 2.2, dark(tone, 0.2))


def rootball(c: Canvas, x: float, top: float, w: float, h: float, loose: float = 0.0) -> None:
    """Soil held by roots in the old pot's shape; `loose` spreads the roots."""
    c.shape([(x - w / 2, top), (x + w / 2, top), (x + w * 0.38, top + h), (x - w * 0.38, top + h)], SOIL)
    for i in range(9):
        u = (i + 0.5) / 9
        side = -1 if i % 2 else 1
        y = top + 12 + (h - 16) * u
        edge = w / 2 - (w * 0.12) * u
        c.curve(
            [
                (x - side * edge, y - 8),
                (x - side * edge * 0.3, y + 6),
                (x + side * edge * 0.5, y - 4),
                (x + side * (edge + 16 * loose), y + 10 + 14 * loose),
            ],
            3,
            ROOT,
        )
    for i in range(6):
        rx = x - w * 0.34 + i * w * 0.136
        c.curve(
            [
                (rx, top + h - 10),
                (rx + 6 - 10 * loose, top + h + 6 + 12 * loose),
                (rx + (i - 2.5) * 10 * loose + 9, top + h + 6 + 34 * loose),
            ],
            3,
            ROOT,
        )


def intro(c: Canvas, beat: Beat) -> None:
    pot(c, 427, 372, 170, 140, 0.9)
    crowd = beat.at(1)
    for i in range(10):
        y = 250 + i * 11
        c.curve(
            [(360 + i * 2, y), (400, y + 10), (460, y - 6), (494 - i * 2, y + 6)], 3, ROOT
        ) if crowd > i / 10 else None
    for i in range(4):
        c.curve(
            [(420 + i * 4, 366), (412 + i * 9, 380), (404 + i * 16, 378 + 14 * crowd)], 3, ROOT
        ) if crowd > 0.3 else None
    plant(c, 427, 246, 1.05, 2 * beat.swing(4), 0.35)
    if beat.during(1):
        c.arrow([(600, 330), (560, 380), (470, 386)], MOOD.accent, 8, beat.at(1, 0.2, 0.7))
        c.tag(660, 310, "roots out of the hole")


def choose(c: Canvas, beat: Beat) -> None:
    pot(c, 170, 372, 150, 124, cut=False)
    pot(c, 400, 372, 150 + 40 * beat.pop(0, 0.2), 160, 0, cut=True)
    if beat.started(0):
        c.line([(305, 190), (325, 190)], 4, MOOD.accent)
        c.line([(475, 190), (495, 190)], 4, MOOD.accent)
        c.tag(400, 150, "2 to 3 cm wider", MOOD.accent, "#ffffff")
    if beat.started(1):
        c.arrow([(520, 420), (470, 410), (412, 384)], MOOD.accent, 8, beat.at(1, 0, 0.5))
        c.tag(570, 414, "drain hole", size=15)
    if beat.started(2):
        pot(c, 690, 372, 250, 210, cut=False)
        c.tick(690, 250, 38, False, beat.pop(2, 0.2))


def can(c: Canvas, x: float, y: float, tilt: float, t: float, pouring: bool) -> None:
    with c.at(x, y, -tilt):
        c.limb([(-60, 30), (-120, -10), (-150, -34)], [22, 16, 14], "#5c9ecb")
        c.limb([(-156, -42), (-146, -26)], [16, 16], "#5c9ecb")
        c.shape([(-62, -48), (52, -48), (62, 60), (-70, 60)], "#5c9ecb")
        c.curve([(46, -40), (110, -46), (112, 30), (58, 40)], 12, "#4a86b0", 1)
    if pouring:
        a = math.radians(-tilt)
        sx, sy = x - 152 * math.cos(a) + 34 * math.sin(a), y - 152 * math.sin(a) - 34 * math.cos(a)
        for i in range(12):
            u = (t * 2 + i / 12) % 1
            c.oval(sx - 26 * u + (i % 3 - 1) * 7 * u, sy + 110 * u * u + 12 * u, 3.5, 6, "#6fb7e8", 0)


def takeout(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        pot(c, 400, 372, 150, 124, 0.9, wet=beat.at(0))
        plant(c, 400, 262, 0.95)
        can(c, 632, 130, 14 + 16 * beat.at(0, 0, 0.3), beat.t, beat.share(0) > 0.15)
        return
    slide = beat.at(2, 0, 0.6)
    tap_ = 5 * max(0.0, beat.swing(0.7)) if beat.during(1) else 0
    with c.at(400, 250, 100 * beat.at(1, 0, 0.4) + tap_):
        with c.at(0, -70 * slide):
            rootball(c, 0, -60, 128, 112, 0)
            plant(c, 0, -62, 0.8)
        with c.at(0, 50 * slide):
            pot(c, 0, 62, 150, 124, cut=False)
    flat(c, MOOD, 520 + 30 * slide, 240 + 80, 30, 0.9) if beat.started(1) else None
    hand_x = 352 - 48 * slide
    fist(c, MOOD, hand_x, 300 - tap_, -20, 0.9, flip=True) if beat.started(1) else None


def loosen(c: Canvas, beat: Beat) -> None:
    with c.at(427, 190):
        rootball(c, 0, 0, 150, 124, beat.at(0, 0.2, 1))
        plant(c, 0, -2, 0.75, 2 * beat.swing(3))
    wig = 10 * beat.swing(0.8) if beat.during(0) else 0
    if not beat.started(1):
        point(c, MOOD, 512 + wig, 262, 14, 0.95)
        point(c, MOOD, 342 - wig, 282, -14, 0.95, flip=True)
    else:
        cut = 8 * abs(beat.swing(0.9)) if beat.during(1) else 10
        with c.at(500, 330, -30):
            for s in (-1, 1):
                c.limb(
                    [(-56, s * cut), (0, 0), (50, -s * (10 + cut))],
                    [5, 12, 12],
                    "#9aa4b2" if s > 0 else "#7c8694",
                )
            c.ring(66, -18 - cut, 15, 13, 7, "#d8473f")
            c.ring(66, 18 + cut, 15, 13, 7, "#d8473f")
        fist(c, MOOD, 574, 300, 6, 0.8)
        c.tag(240, 200, "brown and mushy: cut off")
        for i in range(3):
            drop = beat.at(1, 0.4 + 0.15 * i, 0.9)
            c.curve(
                [
                    (430 - i * 14, 326 + 50 * drop),
                    (424 - i * 14, 338 + 50 * drop),
                    (430 - i * 14, 350 + 46 * drop),
                ],
                5,
                "#6b4a33",
            )


def fill(c: Canvas, beat: Beat) -> None:
    layer = 0.26 * beat.at(0, 0.2, 0.9)
    rest = 0.62 * beat.steady(2, 3)
    inner = outline(427, 372 - 9, 190, 150)
    set_in = beat.at(1, 0, 0.6)
    pot(c, 427, 376, 212, 164, layer)
    if beat.started(1):
        y = 232 - 170 * (1 - set_in)
        rootball(c, 427, y, 128, 98, 0.3)
        plant(c, 427, y, 0.8, 1.5 * beat.swing(3))
        if rest:
            with c.clipped(inner):
                for side in (-1, 1):
                    level = 366 - 40 - 118 * rest
                    c.blob(
                        [
                            (427 + side * 62, level - 4),
                            (427 + side * 130, level),
                            (427 + side * 130, 400),
                            (427 + side * 46, 400),
                        ],
                        light(SOIL, 0.08),
                        0,
                    )
            c.box(419, 366, 16, 11, "#8f4f30", 2, 0)
    if beat.during(1):
        c.line([(310, 232), (544, 232)], 3, MOOD.accent)
        c.tag(650, 232, "same height as before")
    if beat.during(0) or beat.during(2):
        tip = 20 * beat.swing(1.4)
        x, y = 560, 150
        with c.at(x, y, -30 - tip):
            c.blob([(-70, -10), (-30, -20), (0, -14), (0, 14), (-30, 20)], "#8b95a3")
            c.blob([(-56, -10), (-28, -18), (-6, -12), (-20, 0)], SOIL, 0)
            c.limb([(0, 0), (50, 0)], [14, 18], "#b9784a")
        fist(c, MOOD, x + 44, y - 26, -6, 0.8)
        for i in range(10):
            u = (beat.t * 1.5 + i / 10) % 1
            c.oval(x - 66 + 8 * math.sin(i * 2), y + 30 + 130 * u, 4, 4, SOIL, 0)
    if beat.started(3):
        push = 8 * max(0.0, beat.swing(1.1))
        point(c, MOOD, 506, 226 + push, -22, 0.9)
        point(c, MOOD, 348, 226 + 8 - push, 22, 0.9, flip=True)


def water(c: Canvas, beat: Beat) -> None:
    wet = beat.at(0, 0.1, 0.9)
    c.oval(380, 384, 140, 12, dark(CLAY, 0.1))
    pot(c, 380, 376, 212, 164, 0.86, wet=wet)
    plant(c, 380, 236, 0.95, 2 * beat.swing(4))
    if beat.during(0):
        can(c, 608, 116, 24, beat.t, True)
    if beat.share(0) > 0.6:
        for i in range(4):
            u = (beat.t * 1.2 + i / 4) % 1
            c.oval(380 + (i - 1.5) * 5 * u, 376 + 12 * u, 3, 5, "#6fb7e8", 0, 1 - u)
    if beat.started(1):
        sun = beat.at(1, 0, 0.5)
        c.glow(740, 90, 70 * sun, "#ffd257", 0.8)
        c.oval(740, 90, 36 * sun, 36 * sun, "#ffd257", 0)
        c.tick(740, 90, 30, False, beat.pop(1, 0.5))
        c.tag(720, 170, "one week of shade")
    if beat.started(2):
        c.box(640, 250, 90, 120, "#7a5bb0", 12)
        c.box(660, 232, 50, 24, "#5d4391", 6)
        c.text(685, 310, "NPK", 24, "#ffffff", 1, "mm")
        c.tick(724, 262, 26, False, beat.pop(2, 0.3))


FILM = Film(
    "repot-a-house-plant",
    "Repot a house plant",
    "slt",
    MOOD,
    (
    Section("intro", "When a plant needs a new pot", intro, (
        "This one has lived in the same pot for two years.",
        "The roots are going round in circles and coming out of the bottom, so it is time to move.",
        "Spring is the best season, when it starts to grow.",
    )),
    Section("choose a pot", "Choose the pot", choose, (
        "Take a pot that is only two or three centimetres wider than the old one.",
        "It must have a hole in the bottom, so that water can run away.",
        "In a huge pot the soil stays wet for too long, and the roots rot.",
    )),
    Section("take it out", "Take the plant out", takeout, (
        "Water it an hour before, then everything slides more easily.",
        "Tip it on its side, hold the stems gently, and tap the rim.",
        "Pull on the pot, not on the plant. If it is stuck, run a knife round the edge.",
    )),
    Section("loosen the roots", "Loosen the roots", loosen, (
        "Tease the ball apart with your fingers, mostly at the bottom, so that the roots point outwards.",
        "Anything that is brown and mushy comes off with clean scissors, healthy roots are pale and firm.",
    )),
    Section("fill", "Set it in and fill up", fill, (
        "Put a few centimetres of fresh potting soil at the bottom.",
        "Set the plant in, so that it sits just as high as it did before, a finger below the rim.",
        "Now fill in the soil all around.",
        "Press it down lightly with your fingertips, but do not stamp it hard.",
    )),
    Section("water and rest", "Water it and let it rest", water, (
        "Pour water slowly until it drips out below, and then empty the saucer.",
        "For the first week keep it out of the sun, it may look a bit limp.",
        "And no fertiliser for about six weeks, the fresh soil has plenty.",
    )),
    ),
)  # fmt: skip
