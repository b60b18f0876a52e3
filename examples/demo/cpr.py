"""Resuscitation with the hands only: checking, calling, where to press, how deep, how fast."""

from __future__ import annotations

import math

from .canvas import Canvas, dark, light
from .stage import Beat, Film, Mood, Section, head, spread

MOOD = Mood("#fbe6e2", "#fff6f0", "#d9b7a8", "#c8433f", skin="#b97f5b", sleeve="#3f7f8c", horizon=300)
SHIRT, TROUSERS, PALE = "#f4f1ea", "#5a6d8f", "#e9bd9d"
RATE = 110 / 60


def casualty(c: Canvas, press: float = 0.0, torso: str = SHIRT) -> None:
    """A person on the back, head to the left; `press` is how far the chest is pushed in."""
    c.shadow(440, 404, 350, 16)
    c.limb([(500, 372), (620, 366), (760, 386)], [58, 48, 34], dark(TROUSERS, 0.12))
    c.limb([(500, 378), (630, 380), (762, 392)], [60, 50, 34], TROUSERS)
    c.limb([(764, 388), (780, 360)], [26, 20], "#3b3f4f")
    dip = 24 * press
    body = [(232, 352), (270, 330), (320, 322 + dip), (380, 326 + dip * 0.5), (450, 338), (520, 344)]
    c.blob([*body, (520, 404), (380, 408), (250, 404)], torso)
    c.limb([(262, 372), (340, 398), (430, 400)], [38, 32, 26], light(torso, 0.2))
    c.limb([(420, 400), (462, 402)], [24, 20], PALE)
    c.oval(192, 366, 46, 40, PALE)
    c.blob([(146, 362), (152, 330), (186, 320), (206, 334), (176, 350), (166, 390), (150, 388)], "#6b4630")
    c.limb([(232, 372), (250, 374)], [34, 40], PALE, 0)
    c.curve([(196, 334), (204, 322), (210, 336)], 5, PALE, 1.5)
    c.curve([(222, 350), (230, 352)], 3, "#8f3f3a")
    c.curve([(190, 346), (198, 349), (206, 346)], 3, "#2b2540")


def rescuer(c: Canvas, press: float = 0.0, x: float = 326, armed: bool = True, nod: float = 0.0) -> None:
    """A helper who kneels behind, straight arms down on the chest."""
    y = 22 * press
    c.limb([(x - 30, 300), (x - 90, 390)], [80, 60], "#37415f")
    c.limb([(x + 30, 300), (x + 90, 390)], [80, 60], "#37415f")
    c.blob(
        [
            (x - 74, 150 + y),
            (x, 132 + y),
            (x + 74, 150 + y),
            (x + 64, 250),
            (x + 56, 340),
            (x - 56, 340),
            (x - 64, 250),
        ],
        MOOD.sleeve,
    )
    c.limb([(x, 140 + y), (x, 112 + y)], [34, 32], dark(MOOD.skin, 0.1), 0)
    head(c, x - 6 * nod, 84 + y + 6 * nod, 42, MOOD.skin, "#2d2320", 0, 0)


def arms(c: Canvas, press: float = 0.0, x: float = 326) -> None:
    y = 22 * press
    for side in (-1, 1):
        c.limb(
            [(x + side * 66, 166 + y), (x + side * 38, 240 + y), (x + side * 8, 306 + y)],
            [42, 32, 26],
            MOOD.skin,
        )
        c.limb([(x + side * 68, 162 + y), (x + side * 52, 204 + y)], [54, 46], MOOD.sleeve)
    c.limb([(x - 22, 316 + y), (x + 24, 316 + y)], [30, 26], MOOD.skin)
    c.limb([(x - 20, 306 + y), (x + 18, 306 + y)], [28, 24], light(MOOD.skin, 0.1))


def pumping(beat: Beat) -> float:
    return 0.5 - 0.5 * math.cos(2 * math.pi * RATE * beat.t)


def intro(c: Canvas, beat: Beat) -> None:
    press = pumping(beat) if beat.started(1) else 0
    with c.at(180, 44, 0, 0.9):
        rescuer(c, press)
        casualty(c, press)
        arms(c, press)
    if beat.started(2):
        c.tag(690, 190, "no training needed", MOOD.accent, "#ffffff")


def check(c: Canvas, beat: Beat) -> None:
    shake = 5 * beat.swing(0.35) if beat.during(0) else 0
    rescuer(c, 0, 300, nod=1)
    casualty(c)
    x = 300
    for side, hand in ((-1, 238), (1, 318)):
        c.limb([(x + side * 66, 170), (x + side * 62, 250), (hand + shake, 336)], [42, 32, 24], MOOD.skin)
        c.limb([(x + side * 68, 164), (x + side * 64, 206)], [54, 46], MOOD.sleeve)
        c.limb([(hand + shake - 8, 340), (hand + shake + 10, 344)], [26, 22], MOOD.skin)
    if beat.during(0):
        c.blob(
            [(400, 60), (560, 56), (600, 96), (560, 136), (430, 132), (380, 146), (392, 110)], "#ffffff", 0
        )
        c.text(492, 96, "Are you all right?", 19, MOOD.ink, 0.8, "mm")
    if beat.during(1):
        rise = 3 * beat.swing(3)
        c.arrow([(420, 316), (422, 280 - rise)], MOOD.accent, 7, beat.at(1, 0.1, 0.4))
        c.tag(540, 262, "does the chest rise?  10 seconds")
    if beat.started(2):
        c.tag(560, 200, "gasping is not breathing", MOOD.accent, "#ffffff")
        c.tick(700, 260, 28, False, beat.pop(2, 0.4))


def call(c: Canvas, beat: Beat) -> None:
    rescuer(c, 0, 326, nod=-0.5)
    casualty(c)
    c.limb([(260, 166), (240, 240), (280, 306)], [42, 32, 26], MOOD.skin)
    c.limb([(258, 162), (244, 206)], [54, 46], MOOD.sleeve)
    up = beat.at(0, 0.1, 0.5)
    hand = (420 - 20 * up, 250 - 140 * up)
    c.limb([(392, 166), (440, 220 - 30 * up), hand], [42, 32, 26], MOOD.skin)
    c.limb([(394, 162), (428, 196)], [54, 46], MOOD.sleeve)
    with c.at(*hand, -14):
        c.box(-15, -42, 30, 56, "#2b3350", 6)
        c.box(-11, -36, 22, 42, "#bfe6ff", 3, 0)
    if beat.t % 1.2 > 0.4 and beat.during(0, 1):
        for r in (18, 30, 42):
            c.curve(
                [(hand[0] + r, hand[1] - 30), (hand[0] + r + 8, hand[1] - 12), (hand[0] + r, hand[1] + 6)],
                4,
                MOOD.accent,
            )
    if beat.started(1):
        c.tag(600, 96, "on speaker", MOOD.accent, "#ffffff")
    if beat.started(2):
        come = beat.at(2, 0, 0.6)
        aed(c, 860 - 190 * come, 210)


def aed(c: Canvas, x: float, y: float) -> None:
    c.shadow(x, y + 72, 70, 8)
    c.box(x - 70, y - 50, 140, 118, "#f2c230", 16)
    c.box(x - 24, y - 66, 48, 20, "#4a4f5e", 8)
    c.blob(
        [
            (x, y + 36),
            (x - 34, y),
            (x - 30, y - 24),
            (x - 10, y - 26),
            (x, y - 12),
            (x + 10, y - 26),
            (x + 30, y - 24),
            (x + 34, y),
        ],
        "#d8323e",
    )
    c.shape(
        [(x + 6, y - 18), (x - 12, y + 8), (x - 1, y + 8), (x - 6, y + 30), (x + 14, y), (x + 2, y)],
        "#ffffff",
        0,
    )
    c.text(x + 46, y + 52, "AED", 17, MOOD.ink, 1, "mm")


def chest(c: Canvas) -> None:
    """The upper body from above, head at the top."""
    c.blob(
        [
            (230, 480),
            (214, 250),
            (180, 300),
            (140, 300),
            (190, 180),
            (300, 136),
            (554, 136),
            (664, 180),
            (714, 300),
            (674, 300),
            (640, 250),
            (624, 480),
        ],
        SHIRT,
    )
    c.limb([(427, 150), (427, 120)], [110, 96], PALE)
    c.oval(427, 40, 84, 96, PALE)
    c.blob([(340, 40), (346, -60), (508, -60), (514, 40), (480, -30), (427, -44), (374, -30)], "#6b4630")
    c.curve([(340, 168), (427, 186), (514, 168)], 5, dark(SHIRT, 0.2))
    c.line([(427, 190), (427, 372)], 4, dark(SHIRT, 0.14))
    for i in range(4):
        for side in (-1, 1):
            c.curve(
                [
                    (427 + side * 16, 212 + i * 44),
                    (427 + side * 90, 204 + i * 46),
                    (427 + side * 150, 250 + i * 50),
                ],
                4,
                dark(SHIRT, 0.1),
            )


def place(c: Canvas, beat: Beat) -> None:
    chest(c)
    if not beat.started(1):
        c.oval(427, 296, 44 * beat.pop(0, 0.3), 44 * beat.pop(0, 0.3), MOOD.accent, 0, 0.45)
        c.tag(600, 296, "lower half of the breastbone", MOOD.accent, "#ffffff", 15)
        return
    first, second = beat.at(1, 0, 0.5), beat.at(2, 0, 0.5)
    spread(c, MOOD, 440 + 260 * (1 - first), 296 + 40 * (1 - first), 0, 1.0)
    if beat.started(2):
        spread(c, MOOD, 418 - 260 * (1 - second), 292 + 40 * (1 - second), 8, 1.0, flip=True)
    if beat.started(3):
        c.tag(427, 210, "fingers off the ribs")
        c.tick(640, 180, 28, True, beat.pop(3, 0.3))


def push(c: Canvas, beat: Beat) -> None:
    press = pumping(beat)
    rescuer(c, press)
    casualty(c, press)
    arms(c, press)
    if beat.during(0):
        for x in (262, 392):
            c.line([(x, 150), (x - (x - 326) * 0.8, 300)], 4, MOOD.accent)
        c.tag(560, 150, "elbows straight", MOOD.accent, "#ffffff")
    if beat.during(1):
        c.line([(470, 318), (560, 318)], 3, MOOD.ink)
        c.line([(470, 346), (560, 346)], 3, MOOD.ink)
        c.arrow([(540, 290), (540, 340)], MOOD.accent, 7, 1)
        c.tag(640, 300, "5 to 6 cm", MOOD.accent, "#ffffff")
    if beat.started(2):
        c.oval(660, 150, 62, 62, "#ffffff", 3)
        c.text(660, 142, "110", 38, MOOD.accent, 1.4, "mm")
        c.text(660, 174, "a minute", 14, MOOD.ink, 0.4, "mm")
        c.oval(660, 150, 62 + 16 * press, 62 + 16 * press, MOOD.accent, 0, 0.15)
    if beat.during(3):
        c.arrow([(470, 340), (470, 290)], "#2fa36b", 8, 1 - press)
        c.tag(560, 260, "let it rise again", "#2fa36b", "#ffffff")


def breaths(c: Canvas, beat: Beat) -> None:
    if beat.started(1) and not beat.started(3):
        with c.at(0, 0):
            casualty(c, -0.3 * max(0.0, beat.swing(2.2)))
            rescuer_bends(c, beat)
        c.tag(560, 150, "2 breaths, one second each", MOOD.accent, "#ffffff")
        return
    press = pumping(beat)
    rescuer(c, press)
    casualty(c, press)
    arms(c, press)
    count = 1 + int(beat.t * RATE) % 30
    c.oval(640, 170, 60, 60, "#ffffff", 3)
    c.text(640, 170, str(count) if not beat.started(3) else "30:2", 36, MOOD.accent, 1.2, "mm")


def rescuer_bends(c: Canvas, beat: Beat) -> None:
    low = beat.at(1, 0, 0.35)
    x, y = 200 + 60 * (1 - low), 300 - 150 * (1 - low)
    c.limb([(60, 400), (90, 300), (x - 70, y - 30)], [110, 100, 84], MOOD.sleeve)
    c.limb([(x - 60, y - 20), (x - 20, y)], [40, 36], dark(MOOD.skin, 0.1))
    head(c, x, y - 4, 36, MOOD.skin, "#2d2320", 1, 0)
    c.limb([(x - 60, y + 10), (150, 330), (180, 352)], [36, 28, 20], MOOD.skin)


def shock(c: Canvas, beat: Beat) -> None:
    pause = beat.during(1)
    press = 0 if pause else pumping(beat)
    if not pause:
        rescuer(c, press)
    else:
        rescuer(c, -1.2)
        for side in (-1, 1):
            c.limb(
                [(326 + side * 66, 140), (326 + side * 116, 120), (326 + side * 124, 58)],
                [42, 32, 26],
                MOOD.skin,
            )
            c.limb([(326 + side * 68, 138), (326 + side * 102, 124)], [54, 46], MOOD.sleeve)
            c.oval(326 + side * 124, 46, 16, 18, MOOD.skin)
    casualty(c, press, PALE)
    if not pause:
        arms(c, press)
    aed(c, 660, 250)
    stuck = beat.at(0, 0.3, 0.8)
    for x, y in ((270, 340), (396, 366)):
        if stuck > 0.1:
            c.curve([(600, 280), (520, 300 + x * 0.1), (x, y)], 4, "#4a4f5e")
            c.box(x - 20 * stuck, y - 14 * stuck, 40 * stuck, 28 * stuck, "#ffffff", 8)
    if pause and beat.t % 0.8 < 0.5:
        for x in (150, 500, 560):
            c.shape(
                [(x + 8, 220), (x - 16, 262), (x, 262), (x - 8, 300), (x + 20, 250), (x + 4, 250)],
                "#f2c230",
                2,
            )
        c.tag(600, 130, "nobody touches", MOOD.accent, "#ffffff")
    if beat.started(2):
        c.tag(600, 130, "do not stop early", MOOD.accent, "#ffffff")


FILM = Film(
    "hands-only-cpr",
    "Hands-only CPR for an adult",
    "slt",
    MOOD,
    (
    Section("intro", "When the heart stops", intro, (
        "When someone collapses and does not breathe, every minute counts.",
        "Pressing on the chest keeps blood moving to the brain until help arrives.",
        "You can do this without any training, so let us go through it.",
    )),
    Section("check", "Check for a response and breathing", check, (
        "Shake the shoulders firmly and ask loudly, are you all right?",
        "If nothing happens, watch the chest for up to ten seconds.",
        "Slow, noisy gasps do not count, treat them as no breathing at all.",
    )),
    Section("call", "Call the emergency number", call, (
        "Call the emergency number now, or tell one person by name to do it.",
        "Put the phone on loudspeaker beside you, the dispatcher will count with you.",
        "And send somebody to fetch a defibrillator.",
    )),
    Section("hand position", "Where the hands go", place, (
        "The right spot is the middle of the chest, on the lower half of the breastbone.",
        "Put the heel of one hand there.",
        "Lay the other hand on top and lock the fingers together.",
        "Keep your fingertips up, so that you do not push on the ribs.",
    )),
    Section("compressions", "Push hard and fast", push, (
        "Bring your shoulders right over your hands and keep the elbows straight.",
        "Push straight down by five to six centimetres, that is deeper than most people dare.",
        "Go at a hundred to a hundred and twenty a minute, about two every second.",
        "After each push let the chest come all the way up, without lifting your hands away.",
    )),
    Section("breaths", "Breaths, if you have learned them", breaths, (
        "If you were trained, stop after thirty pushes.",
        "Tilt the head back, lift the chin, pinch the nose, and breathe in twice until the chest rises.",
        "That should take less than ten seconds altogether.",
        "If you would rather not, just carry on pressing without a break.",
    )),
    Section("defibrillator", "Use the defibrillator, keep going", shock, (
        "Switch the defibrillator on and stick the pads on the bare chest, as the pictures show.",
        "When it says so, make sure that nobody is touching the person, and press the button.",
        "Start pushing again at once, swap with someone every two minutes, and go on until help takes over.",
    )),
    ),
)  # fmt: skip
