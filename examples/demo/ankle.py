"""Wrapping a sprained ankle with an elastic bandage, drawn from the inner side of the foot."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, dark, light, smooth
from .stage import Beat, Film, Mood, Section, between, pinch, point, warning

MOOD = Mood("#cfe8ef", "#eef8f6", "#7fb8b2", "#1f8a8a", skin="#d99f78", sleeve="#f0f4f8", horizon=330)
BAND = "#f3e3c0"
LEG = [(560, 20), (552, 90), (536, 160), (520, 215)]
TURNS = (  # each turn of the bandage: from edge to edge across the foot or leg
    ((262, 336), (286, 250)),
    ((286, 340), (312, 240)),
    ((312, 344), (340, 230)),
    ((330, 346), (424, 204)),
    ((574, 250), (384, 226)),
    ((358, 348), (440, 186)),
    ((578, 216), (402, 212)),
    ((450, 178), (580, 188)),
    ((458, 138), (580, 154)),
    ((464, 108), (586, 122)),
    ((470, 78), (590, 90)),
)


OUTLINE = [(600, -60), (592, 80), (578, 160), (570, 210), (576, 262), (572, 318), (540, 348), (480, 344)]
OUTLINE += [(420, 346), (350, 350), (270, 348), (206, 346), (186, 326), (204, 300), (262, 268), (340, 236)]
OUTLINE += [(410, 204), (446, 170), (462, 110), (470, 40), (472, -60)]


def swollen(thickness: float) -> np.ndarray:
    """The outline of the leg, moved outwards: where the bandage lies."""
    edge = smooth(OUTLINE, closed=True)
    along_it = np.roll(edge, -1, axis=0) - np.roll(edge, 1, axis=0)
    outward = np.column_stack([along_it[:, 1], -along_it[:, 0]]) / np.hypot(*along_it.T)[:, None]
    return edge + outward * thickness


def foot(c: Canvas, tone: Colour, puffy: float = 0.0) -> None:
    """A lower leg and a foot at a right angle, toes to the left, heel on the table."""
    c.shadow(400, 356, 240, 14)
    c.blob(OUTLINE, tone)
    for i, x in enumerate((196, 212, 224)):
        c.curve([(x + 8, 322 + i * 4), (x + 26, 316 + i * 5)], 2, dark(tone, 0.22))
    c.limb([(190, 318), (198, 312)], [10, 10], light(tone, 0.5), 0)
    c.oval(506, 252, 22, 20, light(tone, 0.16), 0)
    c.curve([(488, 266), (506, 274), (526, 264)], 2.5, dark(tone, 0.25))
    if puffy:
        c.glow(500, 262, 58, "#d8475a", 0.34)


def strip(c: Canvas, turn: int, grow: float) -> None:
    """One turn of the bandage laid over the front, growing from its lower edge, with the weave of elastic."""
    (x0, y0), (x1, y1) = TURNS[turn]
    if grow <= 0:
        return
    bulge = np.array([(x1 - x0) * 0.5 + x0 - 10, (y0 + y1) / 2 - 4])
    ahead = np.array([x1 - x0, y1 - y0]) * 0.12  # both ends reach behind the edge of the leg
    path = smooth(np.stack([np.array([x0, y0]) - ahead, bulge, np.array([x1, y1]) + ahead]))
    path = path[: max(2, int(len(path) * grow))]
    shade = BAND if turn % 2 else dark(BAND, 0.05)
    c.limb(path, [46, 48, 46], shade, 1.8)
    for side in (-12, 0, 12):
        c.line(path + np.array([side, side * 0.4]), 1.2, dark(BAND, 0.16))


def bandaged(c: Canvas, turns: float) -> tuple[float, float]:
    """Lays the given number of turns (a fraction is one under way); returns where the roll is."""
    with c.clipped(swollen(6)):
        for turn in range(len(TURNS)):
            strip(c, turn, min(1.0, turns - turn))
    whole = min(len(TURNS) - 1, int(turns))
    first, last = TURNS[whole]
    x, y = between(first, last, min(1.0, turns - whole))
    return x, y


def roll(c: Canvas, x: float, y: float, size: float = 26) -> None:
    c.oval(x, y, size, size, BAND)
    for r in (0.72, 0.46, 0.2):
        c.ring(x, y, size * r, size * r, 1.6, dark(BAND, 0.25))


def wrap(c: Canvas, turns: float, hold: bool = True) -> None:
    foot(c, MOOD.skin)
    x, y = bandaged(c, turns)
    if hold:
        roll(c, x + 8, y - 8)
        pinch(c, MOOD, x + 16, y - 22, -24, 0.95)


def intro(c: Canvas, beat: Beat) -> None:
    foot(c, MOOD.skin, 8 * (1 - beat.at(2)))
    grow = beat.at(2, 0.1, 0.9) * 11
    bandaged(c, grow)
    if beat.during(1):
        for i in range(3):
            c.arrow(
                [(680 + i * 8, 190 + i * 60), (590, 236 + i * 16)],
                "#e0483e",
                6,
                beat.at(1, 0.1 * i, 0.4 + 0.1 * i),
            )
        c.tag(716, 160, "swollen", "#e0483e", "#ffffff")


def ready(c: Canvas, beat: Beat) -> None:
    foot(c, MOOD.skin, 8)
    if beat.started(1):
        c.line([(548, 60), (530, 250)], 3, MOOD.accent)
        c.line([(530, 250), (250, 306)], 3, MOOD.accent)
        c.arrow([(270, 180), (232, 220), (226, 280)][::-1], MOOD.accent, 7, beat.at(1, 0.1, 0.6))
        c.tag(400, 150, "right angle", MOOD.accent, "#ffffff")
    x = 760 - 60 * beat.at(0)
    if not beat.started(2):
        roll(c, x, 300, 34)
        c.tag(x, 250, "7 to 10 cm wide")
    if beat.started(2):
        press = beat.at(2, 0.2, 0.5)
        point(c, MOOD, 244 + 30 * (1 - press), 288 - 40 * (1 - press), -32)
        c.oval(224, 312, 16 * press, 10 * press, "#fff0e4", 0, 0.9)


def start(c: Canvas, beat: Beat) -> None:
    wrap(c, 3 * beat.steady(1, 2) + 0.02)
    if beat.during(0):
        c.arrow([(150, 250), (190, 236), (236, 250)], MOOD.accent, 8, beat.at(0))
        c.tag(120, 216, "base of the toes")
    if beat.during(2):
        c.arrow([(300, 196), (356, 170), (400, 166)], MOOD.accent, 8, beat.at(2, 0, 0.5))
        c.tag(270, 166, "overlap by half")


def eight(c: Canvas, beat: Beat) -> None:
    wrap(c, 3 + 2 * beat.steady(0, 1) + 2 * beat.steady(2, 3))
    if beat.during(0, 1):
        figure = [(330, 340), (446, 200), (560, 176), (590, 220), (476, 260), (400, 214)]
        c.arrow(figure, "#ff6b4a", 6, beat.across(0, 1))
        c.tag(220, 170, "figure of eight")
    if beat.started(3):
        c.oval(556, 318, 40, 30, "#ffffff", 0, 0.25)
        c.tag(660, 330, "heel stays free")


def finish(c: Canvas, beat: Beat) -> None:
    turns = 7 + 4 * beat.steady(0, 1)
    wrap(c, turns, hold=not beat.started(2))
    if beat.during(0, 1):
        c.arrow([(650, 240), (672, 170), (660, 90)], MOOD.accent, 8, beat.across(0, 1))
        c.tag(730, 170, "towards the knee")
    if beat.started(2):
        for i, (dx, dy) in enumerate(((500, 76), (556, 88))):
            grow = beat.pop(2, 0.2 + 0.25 * i)
            with c.at(dx, dy, 8, max(0.01, grow)):
                c.box(-16, -6, 32, 12, "#b9c4cc", 5)
        pinch(c, MOOD, 590 + 70 * beat.at(2, 0.7, 1), 84, -14, 0.95)


def check(c: Canvas, beat: Beat) -> None:
    wrap(c, 11, hold=False)
    press = max(0.0, beat.swing(2.4)) if beat.during(1) else 0.0
    bad = beat.started(2) and not beat.started(3)
    if bad:
        c.oval(205, 326, 22, 20, "#7d8fd0", 0, 0.75)
        warning(c, 130, 250, beat.pop(2))
        c.tag(250, 200, "numb, cold or blue: too tight", "#e0483e", "#ffffff")
    elif beat.started(1) and not beat.started(2):
        c.oval(206, 320, 13, 10, "#fff0e4" if press > 0.3 else "#e58f7a", 0, 0.9)
        point(c, MOOD, 210 - 4 * press, 300 + 14 * press - 10, -34)
    if beat.started(3):
        peel = beat.at(3)
        c.arrow([(600, 120), (660, 160), (650, 240)], MOOD.accent, 8, peel)
        c.tag(720, 130, "loosen and re-wrap")
    if not beat.started(1):
        c.tick(690, 150, 34, True, beat.pop(0, 0.5))


def care(c: Canvas, beat: Beat) -> None:
    pillow = 40 * beat.at(0)
    c.box(300, 360 - pillow, 330, 70, "#f6f1ff", 30)
    with c.at(0, -pillow):
        foot(c, MOOD.skin)
        bandaged(c, 11)
    if beat.during(0):
        c.arrow([(160, 300), (150, 240), (160, 170)], MOOD.accent, 9, beat.at(0, 0.3, 1))
    if beat.during(1):
        c.tag(240, 150, "take it off at night")
        c.oval(120, 120, 34, 34, "#ffe9a8", 0)
        c.oval(134, 110, 30, 30, "#d6ecf0", 0)
    if beat.started(2):
        warning(c, 150, 160, beat.pop(2))
        c.tag(230, 220, "cannot take four steps? see a doctor", "#e0483e", "#ffffff")


FILM = Film(
    "wrap-a-sprained-ankle",
    "Wrap a sprained ankle",
    "slt",
    MOOD,
    (
    Section("intro", "Wrapping a sprained ankle", intro, (
        "A twisted ankle feels better when it is held firmly.",
        "It swells and aches, because the ligaments on the side were stretched.",
        "In this video we wrap it with an elastic bandage, from the toes up to the calf.",
    )),
    Section("position", "Get the foot into position", ready, (
        "Take an elastic bandage that is about as wide as your palm.",
        "Rest the heel on something, and hold the foot at a right angle to the shin.",
        "Press a toenail and let go, and remember how fast the pink colour comes back.",
    )),
    Section("first turns", "Start behind the toes", start, (
        "Begin on the foot, just behind the toes, and leave the toes themselves bare.",
        "Go round the foot twice to anchor the end.",
        "Each new turn covers half of the one before, so there are no gaps.",
    )),
    Section("figure of eight", "Make a figure of eight", eight, (
        "Now go up across the top of the foot and round behind the ankle.",
        "Come back down over the front and under the arch, so that you draw an eight.",
        "Do that two or three times, moving a little higher every time.",
        "The heel may stay uncovered, that is fine.",
    )),
    Section("finish", "Wrap the leg and fasten", finish, (
        "Carry on with level turns above the ankle.",
        "Stretch the bandage only about half of what it can give, and a bit less as you go up.",
        "Stop a hand's width below the knee, and fasten the end with clips or tape, not on the sore side.",
    )),
    Section("check", "Check that it is not too tight", check, (
        "It should feel snug, like a firm sock.",
        "Squeeze the toenail again, it has to turn pink within two seconds.",
        "If the toes tingle, go cold or look blue, the wrap is too tight.",
        "Take it off, wait a few minutes, and put it on again more loosely.",
    )),
    Section("care", "Rest, and when to get help", care, (
        "Keep the foot up on a pillow, higher than your heart, as often as you can.",
        "Undo the bandage when you go to sleep.",
        "And if you cannot manage four steps, or the bone itself hurts when you touch it, have it X-rayed.",
    )),
    ),
)  # fmt: skip
