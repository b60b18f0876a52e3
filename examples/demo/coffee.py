"""Pour-over coffee: kettle, dripper and jug cut open, so that water and coffee are seen to rise."""

from __future__ import annotations

import math

import numpy as np

from .canvas import Canvas, light, mix
from .stage import Beat, Film, Mood, Section, clock, fist, pinch

MOOD = Mood("#f3e3d3", "#fdf6ee", "#a9795a", "#8a4b2a", skin="#c68a63", sleeve="#5f7f6b", horizon=352)
GROUNDS, BREW, WATER = "#5b3a25", "#7a4522", "#a9d8f0"
CX, RIM = 380, 130


def cone(depth: float = 0.0) -> list[tuple[float, float]]:
    return [
        (CX - 92 + depth, RIM),
        (CX + 92 - depth, RIM),
        (CX + 20 - depth * 0.3, RIM + 112 - depth),
        (CX - 20 + depth * 0.3, RIM + 112 - depth),
    ]


def dripper(c: Canvas, coffee: float = 0.0, level: float = 0.0, puff: float = 0.0, wet: float = 0.0) -> None:
    """The cone with its paper, the bed of coffee, and water standing on it up to a share of the height."""
    c.shape(cone(), "#f0f3f6", 3)
    inner = cone(9)
    c.shape(inner, mix("#ffffff", "#e8d3b4", wet * 0.6), 1)
    with c.clipped(inner):
        if level > 0:
            top = RIM + 104 - 88 * level
            c.box(CX - 100, top, 200, 140, mix("#c08a55", BREW, coffee), 0, 0, 0.95)
            c.oval(CX, top, 90, 5, "#e2c39a", 0, 0.7)
        if coffee:
            top = RIM + 100 - 50 * coffee
            c.blob(
                [
                    (CX - 70, top + 2),
                    (CX, top - 5 - 18 * puff),
                    (CX + 70, top + 2),
                    (CX + 70, 300),
                    (CX - 70, 300),
                ],
                mix(GROUNDS, "#3c2415", wet),
                0,
            )
    c.limb([(CX - 96, RIM), (CX + 96, RIM)], [7, 7], "#ffffff")
    c.curve(
        [(CX + 84, RIM + 14), (CX + 128, RIM + 26), (CX + 100, RIM + 74), (CX + 58, RIM + 70)],
        11,
        "#dfe5ea",
        1.5,
    )
    c.box(CX - 62, RIM + 110, 124, 12, "#dfe5ea", 5)


JUG = ((-48, -58), (48, -58), (78, -10), (80, 42), (66, 56), (-66, 56), (-80, 42), (-78, -10))


def jug(c: Canvas, fill: float, tone: str = BREW, tilt: float = 0.0, x: float = CX, y: float = 310) -> None:
    """A glass jug; what is in it stays level when the jug is tilted."""
    a = math.radians(-tilt)
    walls = [(x + u * math.cos(a) - v * math.sin(a), y + u * math.sin(a) + v * math.cos(a)) for u, v in JUG]
    if not tilt:
        c.shadow(x, 368, 90, 9)
    c.shape(walls, "#eef6fa", 3)
    if fill > 0:
        top = y + 54 - 90 * fill
        with c.clipped(walls):
            c.box(x - 120, top, 240, 160, tone, 0, 0, 0.92)
            c.oval(x, top, 110 if tilt else 78, 5, light(tone, 0.25), 0)
    with c.at(x, y, -tilt):
        c.line([(-60, -10), (-64, 36)], 5, "#ffffff", 0, 0.7)


def drip(c: Canvas, t: float, tone: str = BREW) -> None:
    for i in range(3):
        u = (t * 1.6 + i / 3) % 1
        c.oval(CX + (i - 1) * 4, 254 + 80 * u * u, 3, 5, tone, 0)


def scale(c: Canvas, words: str) -> None:
    c.box(CX - 130, 370, 260, 30, "#3b3f4a", 8)
    c.box(CX + 20, 376, 92, 19, "#bfe9d4", 4, 0)
    c.text(CX + 66, 385, words, 15, "#1f3a2c", 0.6, "mm")


def kettle(c: Canvas, x: float, y: float, tilt: float = 18) -> None:
    """The tip of the spout at the place."""
    with c.at(x, y, -tilt):
        c.limb([(0, 0), (34, 6), (66, 60), (112, 84)], [9, 11, 14, 20], "#8c97a5")
        c.shape([(104, 6), (216, 6), (236, 116), (92, 116)], "#a9b3c0", 2.5)
        c.line([(122, 24), (114, 100)], 7, light("#a9b3c0", 0.5))
        c.box(128, -10, 64, 18, "#8c97a5", 8)
        c.oval(160, -15, 8, 8, "#3b3f4a")
        c.curve([(214, 14), (270, 10), (280, 70), (232, 96)], 13, "#3b3f4a")


def pouring(c: Canvas, x: float, y: float, bottom: float, t: float) -> None:
    kettle(c, x, y)
    with c.at(0, 0):
        fist(c, MOOD, x + 284, y - 34, -8, 0.8)
    c.line([(x - 3, y + 2), (x - 10, y + 20), (x - 11, bottom)], 7, WATER, 1)
    for i in range(3):
        u = (t * 2.2 + i / 3) % 1
        c.line(
            [(x - 12, y + 20 + (bottom - y - 26) * u), (x - 12, y + 26 + (bottom - y - 26) * u)], 2, "#ffffff"
        )


def rig(
    c: Canvas, words: str, coffee: float, level: float, fill: float, puff: float = 0.0, wet: float = 1.0
) -> None:
    scale(c, words)
    jug(c, fill)
    dripper(c, coffee, level, puff, wet)


def steam(c: Canvas, x: float, y: float, t: float) -> None:
    for i in range(3):
        u = (t * 0.4 + i / 3) % 1
        c.line(
            [(x + i * 16 - 16 + 7 * math.sin(u * 8 + k * 0.7), y - 60 * u - k * 7) for k in range(6)],
            5,
            "#ffffff",
            0,
            0.6 * (1 - u),
        )


def intro(c: Canvas, beat: Beat) -> None:
    rig(c, "0 g", 1, 0.6, 0.35 + 0.3 * beat.steady(0, 2))
    drip(c, beat.t)
    steam(c, CX, RIM - 6, beat.t)
    if beat.started(1):
        c.box(560, 372, 250, 22, "#5c6672", 8)
        with c.at(0, 0):
            kettle(c, 566, 258, 0)
    for i, (x, y, words) in enumerate(
        ((190, 180, "dripper"), (190, 130, "paper filter"), (730, 215, "kettle"), (150, 384, "scale"))
    ):
        if beat.started(1) and beat.share(1) > 0.15 + 0.2 * i:
            c.tag(x, y, words, MOOD.accent, "#ffffff")
    if beat.started(2):
        steam(c, 566, 250, beat.t)
        steam(c, 726, 230, beat.t + 0.7)


def weigh(c: Canvas, beat: Beat) -> None:
    grams = 18 * beat.at(0, 0.1, 0.8)
    if not beat.started(2):
        scale(c, f"{grams:.1f} g")
        c.shape([(CX - 90, 300), (CX + 90, 300), (CX + 70, 368), (CX - 70, 368)], "#ffffff", 3)
        rng = np.random.default_rng(4)
        for i in range(int(26 * grams / 18)):
            c.oval(CX - 62 + 124 * rng.random(), 300 - 14 * rng.random() + 6 * (i % 3), 9, 6.5, "#6b4026")
        if grams < 17.9:
            for i in range(4):
                u = (beat.t * 1.4 + i / 4) % 1
                c.oval(CX - 30 + i * 20, 110 + 180 * u, 9, 6.5, "#6b4026")
            with c.at(CX + 60, 90, -30):
                c.box(-90, -44, 170, 80, "#c9a06a", 12)
                c.box(-30, -24, 70, 40, "#7a4522", 8)
            pinch(c, MOOD, CX + 130, 66, -6, 0.9)
        if beat.started(1):
            c.tag(CX, 220, "18 g coffee : 300 g water", MOOD.accent, "#ffffff", 20)
        return
    turn = beat.t * 200
    c.box(300, 190, 160, 180, "#5c6672", 16)
    c.shape([(310, 190), (450, 190), (490, 110), (270, 110)], "#dfeaf1", 2)
    for i in range(14):
        c.oval(312 + i * 53 % 140, 160 - i * 29 % 41, 9, 6.5, "#6b4026")
    c.line(
        [(380, 100), (380 + 90 * math.cos(math.radians(turn)), 80 + 14 * math.sin(math.radians(turn)))],
        10,
        "#3b3f4a",
        1,
    )
    c.oval(380 + 90 * math.cos(math.radians(turn)), 76 + 14 * math.sin(math.radians(turn)), 12, 14, "#8a4b2a")
    for dx, dy in np.random.default_rng(3).normal(0, 1, (90, 2)):
        c.oval(660 + 34 * dx, 366 - 12 * abs(dy) * max(0.1, 1 - abs(dx) / 2.4), 3, 3, GROUNDS, 0)
    c.tag(660, 300, "like coarse sand")


def rinse(c: Canvas, beat: Beat) -> None:
    fill = 0.3 * beat.steady(0, 1)
    scale(c, "0 g")
    out = beat.at(2, 0, 0.25) * (1 - beat.at(2, 0.35, 0.5))
    gone = beat.at(2, 0.15, 0.35)
    jug(c, fill * (1 - gone), WATER, 100 * out, CX - 150 * out, 310 - 30 * out)
    if out > 0.9:
        c.line([(CX - 216, 300), (CX - 222, 420)], 8, WATER, 1)
    dry = beat.at(2, 0.55, 0.85)
    dripper(c, dry, 0, 0, beat.at(0, 0.3, 0.9))
    if 0.02 < dry < 0.98:
        for i in range(14):
            u = (beat.t * 1.8 + i / 14) % 1
            c.oval(CX - 20 + i * 23 % 40, 30 + 150 * u, 3, 3, GROUNDS, 0)
        c.shape([(CX - 30, 34), (CX + 120, -30), (CX + 150, 20), (CX, 60)], "#8c97a5", 2)
    if beat.during(0, 1):
        a = beat.t * 4
        pouring(c, CX + 40 * math.cos(a) + 12, 66 + 5 * math.sin(a), RIM + 36, beat.t)
        drip(c, beat.t, "#6fb7e8")


def top_view(c: Canvas, share: float, wet: float = 0.5) -> None:
    """The bed from above with the path of the water."""
    c.oval(680, 200, 120, 120, "#ffffff", 4)
    c.oval(680, 200, 100, 100, mix(GROUNDS, "#3c2415", wet))
    u = np.linspace(0, 1, 90)
    r = 8 + 70 * u
    path = np.column_stack([680 + r * np.cos(u * 18), 200 + r * np.sin(u * 18)])
    shown = path[: max(2, int(90 * share))]
    c.line(shown, 7, WATER)
    c.oval(shown[-1][0], shown[-1][1], 9, 9, "#ffffff", 0)


def bloom(c: Canvas, beat: Beat) -> None:
    poured = beat.at(0, 0.3, 0.95)
    puff = beat.at(1, 0, 0.8) * (1 - 0.5 * beat.at(2))
    rig(c, f"{40 * poured:.0f} g", 1, 0.12 * poured, 0.03 * beat.at(2), puff, poured)
    if beat.during(0) and beat.share(0) > 0.25:
        pouring(c, CX + 30 * math.cos(beat.t * 4) + 12, 62, RIM + 50, beat.t)
    if beat.started(1):
        for i in range(8):
            u = (beat.t * 0.9 + i / 8) % 1
            c.oval(CX - 44 + i * 12.5, RIM + 44 - 14 * puff - 6 * u, 5 * u, 4 * u, "#d9b184", 0, 1 - u)
        clock(c, 680, 180, 60, beat.steady(1, 2), f"{45 * beat.steady(1, 2):.0f} s", MOOD.accent)
        c.tag(190, 110, "it rises: gas escapes")


def pour(c: Canvas, beat: Beat) -> None:
    poured = 40 + 110 * beat.steady(0, 1) + 150 * beat.steady(2, 3)
    level = 0.62 + 0.1 * beat.swing(7)
    rig(c, f"{poured:.0f} g", 1, level, 0.06 + 0.6 * beat.steady(0, 3))
    drip(c, beat.t)
    pouring(c, CX + 34 * math.cos(beat.t * 3) + 12, 58, RIM + 104 - 88 * level, beat.t)
    if beat.during(0, 1):
        c.oval(150, 210, 100, 100, "#ffffff", 4)
        with c.at(150 - 680 * 0.8, 210 - 200 * 0.8, 0, 0.8):
            top_view(c, beat.steady(0, 1))
    if beat.during(2):
        c.tag(150, 180, "150 g, then 300 g", MOOD.accent, "#ffffff")
    if beat.started(3):
        c.line([(CX - 130, RIM + 20), (CX - 100, RIM + 20)], 5, "#e0483e")
        c.tag(140, 160, "not on the bare paper", "#e0483e", "#ffffff")


def finish(c: Canvas, beat: Beat) -> None:
    level = 0.6 * (1 - beat.steady(0, 0))
    if not beat.started(1):
        rig(c, "300 g", 1, level, 0.66 + 0.2 * beat.steady(0, 0))
        drip(c, beat.t)
        clock(c, 680, 170, 60, 0.75 + 0.25 * beat.steady(0, 0), "3 min", MOOD.accent)
        return
    away = beat.at(1, 0, 0.4)
    scale(c, "")
    with c.at(260 * away, 114 * away):
        dripper(c, 1, 0, 0, 1)
    tilt = beat.at(1, 0.35, 0.6)
    jug(c, 0.86 - 0.25 * tilt - 0.25 * beat.at(1, 0.6, 1), BREW, 66 * tilt, CX - 96 * tilt, 310 - 120 * tilt)
    if tilt > 0.98:
        c.curve([(206, 218), (194, 232), (192, 292)], 7, BREW, 1)
    if tilt > 0.02:
        fist(c, MOOD, CX - 96 * tilt + 84, 300 - 110 * tilt, -6, 0.8)
    c.shape([(150, 290), (240, 290), (232, 368), (158, 368)], "#e4574f", 3)
    c.curve([(156, 304), (120, 310), (124, 346), (160, 346)], 9, "#e4574f", 1.5)
    c.oval(195, 290, 45, 7, BREW if beat.share(1) > 0.6 else "#b3403a")
    steam(c, 195, 280, beat.t)


def taste(c: Canvas, beat: Beat) -> None:
    for x, words, tone, first in ((230, "sour", "#e3b93a", 0), (610, "bitter", "#5b3a25", 1)):
        if not beat.started(first):
            continue
        c.shadow(x, 368, 70, 8)
        c.shape([(x - 60, 250), (x + 60, 250), (x + 50, 366), (x - 50, 366)], "#ffffff", 3)
        c.oval(x, 250, 60, 10, tone)
        c.curve([(x + 58, 270), (x + 100, 276), (x + 96, 326), (x + 54, 330)], 10, "#ffffff", 1.5)
        c.tag(x, 310, words, tone, "#ffffff")
        grind = 3 if first == 0 else 8
        grow = beat.at(first, 0.4, 0.9)
        n = 40 if first == 0 else 14
        rng = np.random.default_rng(7)
        for dx, dy in rng.random((int(n * grow), 2)):
            c.oval(x - 70 + 140 * dx, 145 + 56 * dy, grind, grind, GROUNDS, 0)
        if grow > 0.3:
            c.tag(x, 110, "grind finer" if first == 0 else "grind coarser", MOOD.accent, "#ffffff")
        steam(c, x, 236, beat.t)


FILM = Film(
    "make-pour-over-coffee",
    "Make pour-over coffee",
    "slt",
    MOOD,
    (
    Section("intro", "Coffee by hand", intro, (
        "Good filter coffee needs no machine, only three minutes and a little care.",
        "You need a dripper, a paper filter, a kettle, and if you have one, a kitchen scale.",
        "Boil the water, and let it stand for half a minute, while we get ready.",
    )),
    Section("weigh and grind", "Weigh and grind", weigh, (
        "For one big mug, weigh eighteen grams of beans.",
        "That goes with three hundred grams of water, so about one to seventeen.",
        "Grind them right before brewing, medium, so that it feels like coarse sand.",
    )),
    Section("rinse the filter", "Rinse the paper", rinse, (
        "Fold the seam, put the filter in, and pour hot water over it.",
        "That washes out the taste of paper, and it warms the jug.",
        "Throw that water away, and now the ground coffee goes in, shake it level.",
    )),
    Section("bloom", "Let it bloom", bloom, (
        "Set the scale to zero, start a timer, and pour just forty grams, until everything is wet.",
        "Look how it swells up and bubbles, that is gas from the roasting.",
        "Give it forty-five seconds, or else the gas keeps the water out.",
    )),
    Section("pour", "Pour in slow circles", pour, (
        "Now pour a thin, steady stream in the middle.",
        "Move outwards in slow circles, and come back in again.",
        "Stop at a hundred and fifty grams, wait until it sinks, and go on up to three hundred.",
        "Stay away from the edge, water on bare paper runs past the coffee.",
    )),
    Section("finish", "Let it drain and serve", finish, (
        "After about three minutes altogether, the last drops fall and the bed is flat.",
        "Take the dripper off, swirl the jug once, and pour.",
    )),
    Section("taste", "If it tastes sour or bitter", taste, (
        "If it tastes thin and sour, the water ran through too quickly, so grind finer next time.",
        "If it is bitter and dry, it took too long, so grind a bit coarser.",
    )),
    ),
)  # fmt: skip
