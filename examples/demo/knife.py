"""Sharpening a kitchen knife on a whetstone: the angle from the side, the strokes from above."""

from __future__ import annotations

import math

from .canvas import Canvas, arc, dark, light
from .stage import Beat, Film, Mood, Section, clock, fist, pinch, warning

MOOD = Mood("#e9e4f2", "#f8f5fb", "#8d7f9c", "#6a4fa3", skin="#e6b48f", sleeve="#39465f", horizon=330)
STEEL, WOOD, STONE = "#c9d2db", "#7b4a2d", "#d08d5a"


def stone_above(c: Canvas, tone: str = STONE, wet: float = 1.0) -> None:
    """The stone from above on its damp cloth."""
    c.box(190, 110, 480, 250, "#7fb0c9", 24)
    for i in range(6):
        c.line([(204, 146 + i * 38), (656, 146 + i * 38)], 2, light("#7fb0c9", 0.25))
    c.box(236, 150, 390, 170, dark(tone, 0.25), 12)
    c.box(232, 144, 390, 168, tone, 12)
    for i in range(12):
        c.oval(260 + i * 61 % 340, 166 + i * 47 % 130, 12 * wet, 5 * wet, light(tone, 0.35), 0, 0.5)


def knife(c: Canvas, x: float, y: float, angle: float, scale: float = 1.0, flip: bool = False) -> None:
    """A chef's knife from above, the middle of its edge at the place, the point to the left."""
    with c.at(x, y, angle, scale, flip):
        c.shape(
            [
                (-190, -30),
                (-150, -12),
                (-80, -1),
                (40, 2),
                (138, 2),
                (138, -58),
                (0, -60),
                (-100, -54),
                (-160, -42),
            ],
            STEEL,
            2.5,
        )
        c.shape(
            [
                (-186, -30),
                (-150, -12),
                (-80, -1),
                (40, 2),
                (138, 2),
                (138, -7),
                (40, -8),
                (-80, -11),
                (-150, -21),
            ],
            light(STEEL, 0.6),
            0,
        )
        c.box(136, -62, 26, 52, "#9aa4af", 4)
        c.limb([(168, -38), (230, -38), (306, -30)], [38, 34, 42], WOOD)
        for px in (190, 232, 276):
            c.oval(px, -37, 5, 5, "#d7c29a", 1)


def stroke(c: Canvas, share: float, flip: bool = False, fingers: bool = True) -> None:
    """One stroke from heel to tip: away with the edge ahead, or (not `flip`) back towards us."""
    x = 330 + 150 * share
    y = 268 - 76 * share
    if not flip:
        y = 192 + 76 * share
    with c.at(x, y, -22):
        knife(c, 0, 0, 180 if flip else 0, 1, flip)
    a = math.radians(-22)
    side = 1 if flip else -1
    hx, hy = x + 250 * math.cos(a) - side * 36 * math.sin(a), y + 250 * math.sin(a) + side * 36 * math.cos(a)
    fist(c, MOOD, hx, hy, 4, 0.85)
    if fingers:
        for i in range(3):
            fx, fy = x - 90 + i * 40, y + side * 34 + 30 - i * 15
            c.limb([(fx - 150, 470), (fx - 66, fy + 84), (fx, fy)], [34, 26, 20], MOOD.skin)
            c.limb([(fx - 5, fy + 5), (fx, fy)], [9, 8], light(MOOD.skin, 0.5), 0)


def intro(c: Canvas, beat: Beat) -> None:
    cut = beat.swing(1.1)
    c.box(160, 336, 560, 26, "#c99a63", 8)
    squash = 10 * max(0.0, cut) if not beat.started(2) else 0
    c.oval(380, 292 + squash, 74, 54 - squash, "#d9473a")
    c.limb([(380, 240 + squash), (386, 226 + squash)], [12, 7], "#4c8f3d")
    if beat.started(2):
        c.oval(300, 318, 20, 54, "#e8695a")
        for dy in (-26, 0, 26):
            c.oval(298, 318 + dy, 6, 10, "#f5c9a0", 0)
    knife(
        c,
        400 if not beat.started(2) else 346,
        240 + squash + (10 * cut if not beat.started(2) else 54 + 40 * cut),
        0,
        0.9,
    )
    with c.at(0, 0):
        fist(c, MOOD, 640, 210 + squash + (10 * cut if not beat.started(2) else 54 + 40 * cut), 4, 0.8)
    if beat.during(1):
        warning(c, 200, 160, beat.pop(1))
        c.tag(200, 210, "a blunt knife slips")


def soak(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        c.shape([(250, 220), (610, 220), (580, 380), (280, 380)], "#e4edf4", 3)
        down = beat.at(0, 0.1, 0.4)
        with c.clipped([(240, -20), (620, -20), (582, 376), (278, 376)]):
            c.box(320, 110 + 170 * down, 220, 60, STONE, 8)
            c.box(230, 250, 400, 140, "#8ecbf2", 0, 0, 0.6)
        if down > 0.9:
            for i in range(9):
                u = (beat.t * 0.8 + i / 9) % 1
                c.oval(350 + i * 21, 280 - 30 * u + 10, 4, 4, "#ffffff", 0, 0.9)
        clock(c, 720, 150, 52, beat.steady(0, 0), "10 min", MOOD.accent)
        return
    lay = beat.at(1, 0, 0.5)
    with c.at(0, 60 * (1 - lay)):
        stone_above(c)
    if beat.started(1):
        c.tag(750, 330, "damp cloth")
    if beat.started(2):
        c.text(320, 230, "1000", 44, dark(STONE, 0.4), 1, "mm")
        c.tag(427, 66, "coarse 400    medium 1000    fine 3000 and up", MOOD.accent, "#ffffff")


def angle(c: Canvas, beat: Beat) -> None:
    """From the side: the blade as a thin wedge over the stone."""
    c.box(150, 300, 520, 60, STONE, 8)
    c.box(120, 352, 580, 22, "#7fb0c9", 8)
    tilt = 90 - 75 * beat.at(0, 0.2, 0.8)
    if beat.started(2):
        tilt = 15 + 14 * max(0.0, beat.swing(3.0)) * (1 - beat.share(2, 0.6, 0.8))
    with c.at(300, 298, -tilt):
        c.shape([(0, 0), (40, -9), (270, -13), (276, -6), (276, 6), (270, 2), (40, 0)], STEEL, 2.5)
        c.limb([(276, -3), (330, -3)], [26, 32], "#9aa4af")
    if beat.started(0) and beat.share(0) > 0.7:
        c.line(arc(300, 298, 190, 190, -tilt, 0, 30), 4, MOOD.accent)
        c.tag(560, 262, f"{tilt:.0f} degrees", MOOD.accent, "#ffffff")
    if beat.during(1):
        for i, guide in enumerate((90, 45, 22)):
            a = math.radians(-guide)
            reach = 230 * min(1.0, beat.pop(1, 0.05 + 0.25 * i))
            c.line([(300, 298), (300 + reach * math.cos(a), 298 + reach * math.sin(a))], 3, MOOD.accent)
            if reach > 200:
                c.tag(300 + 256 * math.cos(a), 298 + 256 * math.sin(a), str(guide))
    if beat.started(2):
        c.tick(700, 170, 34, beat.share(2) > 0.7, beat.pop(2, 0.2))


def first_side(c: Canvas, beat: Beat) -> None:
    stone_above(c)
    u = 0.5 - 0.5 * math.cos(2 * math.pi * beat.t / 2.2)
    stroke(c, u, flip=True)
    if beat.during(1):
        c.arrow([(260, 330), (360, 300), (560, 170)], "#ff6b4a", 8, beat.at(1))
        c.tag(720, 90, "heel to tip")
    if beat.during(2):
        c.tag(720, 90, "2 or 3 finger tips press")
    if beat.started(3):
        c.oval(760, 330, 50, 50, "#ffffff", 3)
        c.text(760, 330, str(min(15, 1 + int(16 * beat.share(3)))), 36, MOOD.accent, 1, "mm")


def burr(c: Canvas, beat: Beat) -> None:
    """The very edge, enlarged, with the burr that stands up on the far side."""
    c.oval(330, 215, 190, 170, "#ffffff", 5)
    ring = arc(330, 215, 186, 166, 0, 360, 60)
    with c.clipped(ring):
        c.shape([(140, 120), (440, 226), (440, 232), (140, 300)], STEEL, 2)
        grow = beat.at(0, 0.2, 0.9)
        c.curve([(432, 226), (446, 224 - 8 * grow), (446, 222 - 30 * grow)], 6, dark(STEEL, 0.4))
        slide = beat.t / 1.5 % 1 * 2 - 1  # always towards the edge and off it, then lifted back
        if beat.started(1):
            lifted = 26 * max(0.0, abs(slide) - 0.7)
            tip = (396 + 30 * slide, 178 - lifted)
            c.limb([(520, -10), (420, 100), tip], [120, 96, 70], MOOD.skin)
    if beat.during(0):
        c.tag(620, 150, "burr")
        c.arrow([(590, 160), (540, 180), (462, 198)], MOOD.accent, 7, beat.at(0, 0.5, 0.9))
    if beat.during(1):
        c.arrow([(560, 300), (640, 300)], "#2fa36b", 9, beat.at(1, 0.1, 0.5))
        c.tag(660, 340, "away from the edge", "#2fa36b", "#ffffff")
    if beat.started(2):
        c.tag(660, 240, "no burr yet: carry on")


def other_side(c: Canvas, beat: Beat) -> None:
    fine = beat.started(1)
    stone_above(c, "#e9e2d0" if fine else STONE)
    u = 0.5 - 0.5 * math.cos(2 * math.pi * beat.t / (2.2 if not fine else 1.8))
    if not fine:
        stroke(c, u, fingers=False)
        c.arrow([(720, 130), (770, 90), (750, 50), (700, 60)], MOOD.accent, 8, beat.at(0, 0, 0.4))
    else:
        c.text(310, 180, "3000", 34, "#b8ae94", 1, "mm")
        stroke(c, u, flip=True)
        c.tag(720, 90, "lighter and lighter")


def test(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        cut = beat.at(0, 0.2, 0.9)
        c.shape([(250, 60), (540, 60), (540, 330), (250, 330)], "#ffffff", 2)
        for i in range(7):
            c.line([(280, 96 + i * 30), (510, 96 + i * 30)], 2, "#d5d2e0")
        edge = 60 + 190 * cut
        c.shape([(392, 58), (402, 58), (397, edge)], MOOD.sky, 0)
        knife(c, 440, edge - 6, 62, 0.75, flip=False)
        pinch(c, MOOD, 262, 70, 20, 0.85, flip=True)
        return
    if not beat.started(2):
        c.shape([(160, 330), (700, 330), (690, 372), (170, 372)], "#9aa4b2", 3)
        for i in range(5):
            x = 620 - 90 * i
            c.curve([(300, 60 + i * 8), (310, 120), (300 + i * 5, 200)], 3, "#8ecbf2") if x else None
        wipe = 60 * beat.swing(1.6)
        knife(c, 410, 250, 0, 1.1)
        c.blob([(330 + wipe, 190), (420 + wipe, 180), (430 + wipe, 240), (340 + wipe, 246)], "#f2d0d8")
        pinch(c, MOOD, 390 + wipe, 196, -18, 0.9)
        return
    c.box(180, 90, 500, 60, WOOD, 10)
    c.box(180, 112, 500, 12, "#3a3f4a", 4)
    with c.at(330, 96 - 10, 90, 0.9):
        knife(c, 120 + 20 * (1 - beat.at(2, 0, 0.4)), 30, 0)
    with c.at(560, 250, -30):
        c.limb([(-90, 0), (0, 0), (110, 4)], [12, 14, 12], "#c3ccd6")
        c.limb([(110, 4), (160, 6)], [26, 28], "#3a3f4a")
    c.tag(600, 340, "a honing steel between times")


FILM = Film(
    "sharpen-a-kitchen-knife",
    "Sharpen a kitchen knife on a whetstone",
    "rms",
    MOOD,
    (
    Section("intro", "Why a sharp knife", intro, (
        "If your knife squashes a tomato instead of slicing it, it is time for the stone.",
        "Blunt knives are the dangerous ones, because you push and they slip.",
        "Fifteen minutes of quiet work, and it glides through again.",
    )),
    Section("prepare the stone", "Soak the stone", soak, (
        "Lay the stone in water, until no more bubbles come up, about ten minutes.",
        "Then put it on a damp cloth, so that it cannot slide away.",
        "For normal care a grit of one thousand is enough, take a coarse one only for chips.",
    )),
    Section("angle", "Find the angle", angle, (
        "Lay the blade flat, and raise its back to about fifteen degrees.",
        "A little help, halve a right angle, halve it again, and then go a bit lower.",
        "More important than the exact number is that you keep it, so do not rock.",
    )),
    Section("first side", "Sharpen the first side", first_side, (
        "Now push the knife away from you, edge first, as if you shaved a thin slice off the stone.",
        "While you push, move it sideways, so that the whole edge gets its turn, from the heel to the tip.",
        "Two or three fingers of the other hand press gently, and never reach over the edge.",
        "Keep the stone wet, and do about fifteen strokes.",
    )),
    Section("burr", "Feel for the burr", burr, (
        "On the other side a tiny ridge of metal appears, the burr.",
        "Stroke with your thumb across the blade, always away from the edge, and you can feel it catch.",
        "Only when you feel it along the whole length is this side finished.",
    )),
    Section("second side", "Turn it over, then polish", other_side, (
        "Turn the knife over and draw it towards you, edge first again, until the burr changes sides.",
        "To finish, take the fine stone and use less and less pressure, a few strokes on each side in turn.",
    )),
    Section("test and care", "Test it and look after it", test, (
        "A sharp knife goes through a sheet of paper without tearing it.",
        "Rinse and dry the knife by hand, the dishwasher ruins every edge.",
        "Store it on a magnet or in a block, use a honing steel now and then, and it stays sharp for months.",
    )),
    ),
)  # fmt: skip
