"""Cooling a burn: the tap, the clock, the cling film, and what must not go on the skin."""

from __future__ import annotations

import math

from .canvas import Canvas, Colour, dark, light, mix
from .stage import Beat, Film, Mood, Section, clock, flat, pinch, spread, warning

MOOD = Mood("#dcebfb", "#f6fbff", "#a9c4dc", "#2f6fc4", skin="#c98d66", sleeve="#f2a65a", horizon=345)
HURT = (430, 262)


def hurt_hand(c: Canvas, x: float, y: float, angle: float = 0, sore: float = 1.0, ring: bool = False) -> None:
    """The back of the burnt hand, reaching in from the left."""
    spread(c, MOOD, x, y, angle, 1.25, flip=True)
    with c.at(x, y, angle, 1.25):
        patch = mix(MOOD.skin, "#d8323e", 0.75 * sore)
        c.blob([(-30, -14), (-6, -22), (20, -14), (22, 8), (-4, 18), (-30, 10)], patch, 0)
        c.blob([(-18, -6), (0, -12), (12, -4), (4, 8), (-14, 6)], light(patch, 0.18), 0)
        if ring:
            c.line([(44, 2), (46, 18)], 6, "#f3c64a", 1.5)


def tap(c: Canvas, x: float) -> None:
    c.limb(
        [(x + 120, -20), (x + 120, 40), (x + 90, 74), (x + 20, 74), (x, 84), (x, 104)],
        [34, 34, 32, 30, 30, 30],
        "#c3ccd6",
    )
    c.line([(x + 96, 66), (x + 30, 66)], 5, "#eef3f8")
    c.box(x - 20, 98, 40, 14, "#9fabb8", 5)


def stream(c: Canvas, x: float, top: float, bottom: float, t: float, width: float = 24) -> None:
    """Running water: a pale column with streaks that fall, and drops that jump off below."""
    c.box(x - width / 2, top, width, bottom - top, "#8ecbf2", width / 2, 0, 0.75)
    for i in range(5):
        y = top + (t * 260 + i * 53) % max(10.0, bottom - top - 30)
        c.line(
            [(x - width * 0.3 + i * width * 0.15, y), (x - width * 0.3 + i * width * 0.15, y + 22)],
            2.5,
            "#ffffff",
        )
    for i in range(8):
        u = (t * 1.7 + i * 0.37) % 1
        dx = (i - 3.5) * 14 * u
        c.oval(x + dx, bottom - 26 * math.sin(math.pi * u) + 8 * u, 3.4, 4, "#8ecbf2", 0)


def sink(c: Canvas) -> None:
    c.box(170, 372, 560, 90, "#e8eef4", 30)
    c.box(200, 384, 500, 60, "#cfdae4", 24, 0)


def pan(c: Canvas, t: float) -> None:
    c.box(330, 372, 420, 22, "#5c6672", 8)
    for i in range(9):
        flick = 6 * math.sin(t * 9 + i * 1.9)
        x = 420 + i * 32
        c.limb([(x, 370), (x + 2, 352 - flick)], [14, 3], "#4aa3ff", 0)
    c.line([(690, 300), (850, 286)], 20, "#3a3f4a", 2)
    c.shape([(400, 270), (704, 270), (690, 346), (414, 346)], "#59626f", 2)
    c.oval(552, 270, 152, 20, "#737d8b")
    c.oval(552, 272, 138, 14, "#8c5b2f", 0)
    for i in range(4):
        rise = (t * 0.5 + i * 0.25) % 1
        x = 470 + i * 56
        c.line(
            [(x + 8 * math.sin(rise * 9 + k), 250 - rise * 90 - k * 9) for k in range(5)],
            5,
            "#ffffff",
            0,
            0.5 * (1 - rise),
        )


def intro(c: Canvas, beat: Beat) -> None:
    pan(c, beat.t)
    touch, back = beat.at(0, 0.2, 0.6), beat.at(0, 0.72, 0.85)
    x = 250 + 130 * touch - 170 * back
    flat(c, MOOD, x, 322 - 40 * back, 0, 1.1, flip=True)
    if back > 0.3 and not beat.started(2):
        for i in range(6):
            a = math.radians(-60 + i * 24)
            c.line(
                [
                    (x + 16 + 14 * math.cos(a), 290 + 14 * math.sin(a)),
                    (x + 16 + 32 * math.cos(a), 290 + 32 * math.sin(a)),
                ],
                5,
                "#e0483e",
            )
    if beat.started(2):
        clock(c, 140, 170, 52, beat.at(2), "first min", MOOD.accent)


def rings(c: Canvas, beat: Beat) -> None:
    pulled = beat.at(1, 0.25, 0.85)
    away = beat.at(0, 0, 0.8)
    if away < 1:
        with c.at(130 + 380 * away, 0):
            pan(c, beat.t)
    hurt_hand(c, 380, 250, ring=pulled <= 0.02)
    c.limb([(196, 236), (200, 292)], [30, 30], "#3d4660") if pulled < 0.5 else None
    c.oval(200 - 150 * beat.at(1, 0.55, 1), 262 + 120 * beat.at(1, 0.55, 1), 27, 27, "#f7f7fb", 4)
    if pulled > 0.02:
        x = 440 + 230 * pulled
        c.ring(x, 262, 6, 13, 5, "#f3c64a")
        pinch(c, MOOD, x + 6, 262, -8, 1)
    if beat.started(2):
        c.tag(620, 140, "it will swell soon", "#e0483e", "#ffffff")


def cool(c: Canvas, beat: Beat) -> None:
    sink(c)
    tap(c, 432)
    come = beat.at(0, 0.1, 0.7)
    hurt_hand(c, 170 + 260 * come, 270, 4, 1 - 0.45 * beat.steady(1, 3))
    stream(c, 432, 108, 262 if come > 0.8 else 398, beat.t)
    if come > 0.8:
        for side in (-1, 1):
            c.limb(
                [(432 + side * 30, 290), (432 + side * 52, 330), (432 + side * 56, 396)],
                [10, 14, 9],
                "#8ecbf2",
                0,
            )
    minutes = 20 * beat.steady(1, 2)
    clock(c, 720, 190, 66, minutes / 20, f"{minutes:.0f} min", MOOD.accent)
    if beat.during(1):
        c.tag(230, 120, "cool, not ice cold", MOOD.accent, "#ffffff")
    if beat.started(3):
        c.tag(230, 120, "late is better than never: up to 3 hours", MOOD.accent, "#ffffff", 15)


def cube(c: Canvas, x: float, y: float, s: float) -> None:
    c.shape([(x - s, y - s * 0.5), (x, y - s), (x + s, y - s * 0.5), (x, y)], "#e4f5ff")
    c.shape([(x - s, y - s * 0.5), (x, y), (x, y + s * 1.1), (x - s, y + s * 0.6)], "#bfe3fa")
    c.shape([(x + s, y - s * 0.5), (x, y), (x, y + s * 1.1), (x + s, y + s * 0.6)], "#a5d3f2")


def remedies(c: Canvas, which: int) -> None:
    """What people wrongly reach for, each standing on the table round x = 0."""
    c.shadow(0, 366, 90, 12)
    if which == 0:
        cube(c, -32, 320, 40)
        cube(c, 32, 330, 36)
        cube(c, 0, 270, 36)
    elif which == 1:
        c.oval(0, 356, 100, 20, "#f4f1ea")
        c.box(-68, 300, 136, 54, "#f7d96b", 8)
        c.box(-68, 300, 30, 54, "#fbe796", 8)
    else:
        c.shape([(-80, 350), (-80, 326), (60, 300), (80, 356)], "#f5f6fa")
        c.box(62, 296, 26, 64, "#5fb3a8", 6)
        c.shape([(-60, 346), (-58, 328), (20, 316), (26, 350)], "#e4574f", 0)


def never(c: Canvas, beat: Beat) -> None:
    names = ("ice", "butter or oil", "toothpaste, flour")
    for i, (x, line, come) in enumerate(((182, 0, 0.0), (430, 1, 0.0), (680, 1, 0.35))):
        slide = beat.at(line, come, come + 0.25)
        if slide <= 0:
            continue
        with c.at(x, 240 * (1 - slide)):
            remedies(c, i)
        c.tag(x, 190, names[i])
        c.tick(x + 62, 262, 30, False, beat.pop(line, come + 0.3))
    if beat.started(2):
        warning(c, 430, 110, beat.pop(2))


def cover(c: Canvas, beat: Beat) -> None:
    hurt_hand(c, HURT[0], HURT[1], 0, 0.6)
    laid = beat.at(1, 0.05, 0.8)
    if laid > 0.02:
        end = 610 - 310 * laid
        c.shape([(end, 200), (620, 196), (620, 336), (end, 330)], "#eaf7ff", 0, 0.5)
        for i in range(4):
            c.line([(end + 8, 216 + i * 30), (612, 222 + i * 28)], 2, "#ffffff", 0, 0.8)
    roll_x = 650 - 340 * laid
    if not beat.started(2):
        c.limb([(roll_x, 186), (roll_x, 350)], [38, 38], "#cfe8f5")
        c.limb([(roll_x, 176), (roll_x, 180)], [16, 16], "#b98a5a")
        pinch(c, MOOD, roll_x + 24, 360, 26, 1)
        c.tag(680, 120, "kitchen cling film")
    if beat.during(2):
        c.ring(430, 266, 130, 90, 10, "#e0483e")
        c.tick(580, 170, 28, False, beat.pop(2, 0.3))
        c.tag(680, 120, "not wound round")
    if beat.started(3):
        c.box(340, 150, 200, 210, "#d6e9f7", 26, 2, 0.6)
        c.line([(340, 200), (540, 200)], 6, MOOD.accent)
        c.tag(690, 170, "or a clean plastic bag")


def blister(c: Canvas, beat: Beat) -> None:
    if not beat.started(2):
        hurt_hand(c, HURT[0], HURT[1], 0, 0.55)
        grow = 0.4 + 0.6 * beat.at(0, 0, 0.5)
        for x, y, r in ((420, 256, 20), (448, 268, 13)):
            c.oval(x, y, r * grow, r * 0.8 * grow, "#f6c9b4")
            c.oval(x - r * 0.3, y - r * 0.3, r * 0.3 * grow, r * 0.2 * grow, "#ffffff", 0, 0.8)
        if beat.started(1):
            tip = 520 - 30 * beat.at(1, 0, 0.4)
            c.line([(tip - 50, 246), (tip + 60, 190)], 4, "#8c97a5", 1)
            pinch(c, MOOD, tip + 50, 194, -20, 0.9)
            c.tick(400, 130, 32, False, beat.pop(1, 0.35))
        return
    c.shadow(560, 380, 70, 12)
    c.shape([(500, 210), (620, 210), (606, 380), (514, 380)], "#eaf6ff", 3)
    c.shape([(505, 262), (615, 262), (606, 376), (514, 376)], "#a8dbf7", 0)
    c.box(250, 300, 150, 76, "#f4f6fb", 10)
    for i in range(6):
        c.oval(280 + i % 3 * 44, 322 + i // 3 * 32, 14, 10, "#ffffff")
    out = beat.at(2, 0.2, 0.6)
    c.oval(280 + 180 * out, 322 - 150 * out * (1 - out) + 46 * out, 14, 10, "#ffd9c9")
    if out > 0:
        pinch(c, MOOD, 292 + 180 * out, 314 - 150 * out * (1 - out) + 46 * out, -24, 0.8)
    c.tag(330, 260, "paracetamol or ibuprofen")


def person(c: Canvas, x: float, tone: Colour, size: float) -> None:
    with c.at(x, 350, 0, size):
        c.blob([(-34, 0), (-38, -80), (-20, -112), (20, -112), (38, -80), (34, 0)], tone)
        c.oval(0, -146, 28, 32, MOOD.skin)
        for dx in (-9, 9):
            c.oval(dx, -148, 2.6, 3.4, "#2b2540", 0)
        c.curve([(-9, -130), (0, -133), (9, -130)], 2.6, "#8f3f3a")
        c.blob([(-30, -148), (-22, -182), (22, -182), (30, -148), (0, -166)], dark(MOOD.skin, 0.6))


def doctor(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        hurt_hand(c, 300, 250, 0, 1)
        spread(c, MOOD, 610, 250, 0, 1.0)
        c.arrow([(520, 150), (460, 120), (400, 150)], MOOD.accent, 8, beat.at(0))
        c.tag(610, 130, "bigger than your hand?")
        return
    person(c, 250, "#f2a65a", 1.2)
    person(c, 430, "#e46a7a", 0.75)
    c.oval(264, 186, 13, 15, "#d8323e", 0, 0.7)
    c.tag(250, 110, "face")
    c.tag(430, 170, "child")
    if beat.started(2):
        c.box(600, 150, 110, 200, "#2b3350", 18)
        c.box(610, 168, 90, 150, "#dff0ff", 8, 0)
        c.text(655, 236, "help", 30, "#e0483e", 1, "mm")
        for r in (1, 2, 3):
            if (beat.t * 2) % 4 > r:
                c.line(
                    [(724 + r * 14, 170 - r * 6), (732 + r * 16, 210), (724 + r * 14, 250 + r * 6)],
                    5,
                    MOOD.accent,
                )


FILM = Film(
    "cool-a-burn",
    "First aid for a burn",
    "rms",
    MOOD,
    (
    Section("intro", "First aid for a burn", intro, (
        "It happens quickly, you touch a hot pan and pull your hand away.",
        "The skin goes on burning underneath, even after the heat has gone.",
        "So the next few minutes decide how deep the burn gets.",
    )),
    Section("jewellery", "Take off rings and watches", rings, (
        "Step away from the heat first.",
        "Then slip off rings, bracelets and your watch, straight away.",
        "The hand will swell, and later you would not get them off. Leave clothing that sticks to the skin.",
    )),
    Section("cooling", "Cool it for twenty minutes", cool, (
        "Hold the burn under the tap, in cool running water.",
        "The water should be pleasantly cool, never icy, and it should flow gently.",
        "Stay there for a full twenty minutes, that is longer than it feels.",
        "If you could not start at once, do it anyway, it still helps up to three hours later.",
    )),
    Section("not on the burn", "What must not go on it", never, (
        "Do not lay ice on it, because the cold damages the skin a second time.",
        "Butter, oil, toothpaste and flour keep the heat in and bring in dirt.",
        "A doctor would only have to scrub them off again.",
    )),
    Section("covering", "Cover it with cling film", cover, (
        "When it is cool, it needs a clean cover that does not stick.",
        "Plain cling film is ideal, throw away the first bit and lay a piece along the burn.",
        "Never wind it round the hand or the arm, because it must not become tight.",
        "For a hand, a clean plastic bag works just as well.",
    )),
    Section("blisters", "Leave the blisters alone", blister, (
        "A blister is a bandage that the body makes by itself.",
        "Please do not prick it, an open blister gets infected easily.",
        "For the pain, an adult can take paracetamol or ibuprofen, as the packet says.",
    )),
    Section("doctor", "When you need a doctor", doctor, (
        "Go to a doctor with any burn that is larger than the injured person's own hand.",
        "The same goes for the face, the hands and feet, for small children, and for white or charred skin.",
        "If electricity or chemicals caused it, call for help immediately.",
    )),
    ),
)  # fmt: skip
