"""Sewing on a button, very large: cloth seen from above or cut open, thread that goes up and down."""

from __future__ import annotations

import math

from .canvas import Canvas, along, dark, light, part, smooth
from .stage import Beat, Film, Mood, Section, pinch

MOOD = Mood("#fde3ea", "#fff5f3", "#e7b7a0", "#b8456b", skin="#f0c6a6", sleeve="#5a86a8", horizon=340)
CLOTH, THREAD, BUTTON = "#5f8fc0", "#d8334f", "#f4ead2"
HOLES = ((-26, -26), (26, -26), (26, 26), (-26, 26))
BX, BY = 400, 216


def cloth(c: Canvas) -> None:
    """A piece of shirt from above, woven, with its hem on the left."""
    c.box(150, 30, 560, 380, dark(CLOTH, 0.2), 14, 0)
    c.box(146, 24, 560, 380, CLOTH, 14)
    for i in range(22):
        c.line([(150, 40 + i * 17), (702, 40 + i * 17)], 1.2, light(CLOTH, 0.14))
    for i in range(14):
        c.line([(196, 40 + i * 27), (196, 54 + i * 27)], 3, light(CLOTH, 0.5))


def button(c: Canvas, x: float, y: float, size: float = 1.0) -> None:
    with c.at(x, y, 0, size):
        c.shadow(4, 10, 92, 88, 0.2)
        c.oval(0, 0, 84, 84, BUTTON, 3)
        c.ring(0, 0, 62, 62, 3, dark(BUTTON, 0.16))
        for hx, hy in HOLES:
            c.oval(hx, hy, 10, 10, dark(BUTTON, 0.65))


def stitches(c: Canvas, count: float) -> None:
    """Parallel stitches: pair of holes 1-2 first, then 4-3, several threads beside each other."""
    for i in range(int(count * 4)):
        (x0, y0), (x1, y1) = (HOLES[0], HOLES[1]) if i % 4 < 2 else (HOLES[3], HOLES[2])
        dy = (i // 4 - 1) * 5 + (2 if i % 2 else -2)
        c.line([(BX + x0, BY + y0 + dy), (BX + x1, BY + y1 + dy)], 4, THREAD, 1)


def needle(c: Canvas, x: float, y: float, angle: float, length: float = 120) -> None:
    """A needle whose point is at the place, its eye away from it."""
    with c.at(x, y, angle):
        c.shape([(0, 0), (30, -3), (length, -4), (length + 8, 0), (length, 4), (30, 3)], "#c9d2db", 1.5)
        c.line([(length - 12, 0), (length, 0)], 3, "#4a505c")


def trailing(
    c: Canvas, x: float, y: float, angle: float, to: tuple[float, float], length: float = 120
) -> None:
    """The needle and the thread from its eye to a place."""
    a = math.radians(angle)
    eye = (x + (length - 6) * math.cos(a), y + (length - 6) * math.sin(a))
    c.curve([eye, ((eye[0] + to[0]) / 2 + 40, max(eye[1], to[1]) + 50), to], 4, THREAD, 1)
    needle(c, x, y, angle, length)


def intro(c: Canvas, beat: Beat) -> None:
    cloth(c)
    off = beat.at(0, 0.4, 0.9)
    if off < 0.05:
        button(c, BX, BY)
        stitches(c, 1)
    else:
        c.curve([(BX, BY), (BX + 10, BY - 20), (BX + 26, BY - 16)], 4, THREAD, 1)
        c.curve([(BX - 6, BY), (BX - 20, BY + 16), (BX - 30, BY + 6)], 4, THREAD, 1)
        with c.at(BX + 330 * off, BY + 130 * math.sin(off * 2.2) * 0.8, 200 * off):
            button(c, 0, 0, 0.9)
    if beat.started(1):
        for i, words in enumerate(("needle", "strong thread", "matchstick", "scissors")):
            if beat.share(1) > 0.1 + 0.2 * i:
                c.tag(270, 130 + i * 56, words, MOOD.accent, "#ffffff")


def thread_up(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        through = beat.at(0, 0.2, 0.9)
        with c.at(440, 360, -90):
            c.shape(
                [
                    (0, -8),
                    (250, -16),
                    (290, -22),
                    (330, -14),
                    (336, 0),
                    (330, 14),
                    (290, 22),
                    (250, 16),
                    (0, 8),
                ],
                "#c9d2db",
                3,
            )
            c.blob([(262, -7), (300, -10), (322, 0), (300, 10), (262, 7)], MOOD.sky, 2)
        tip = (560 - 190 * through, 70)
        c.curve([(760, 40), (640, 90), tip], 7, THREAD, 1.5)
        pinch(c, MOOD, tip[0] + 70, 82, 8, 0.9)
        return
    pulled = beat.at(1, 0, 0.6)
    end = 330 + 330 * pulled
    for dy in (-7, 7):
        c.curve(
            [(140, 200), (140 + (end - 140) / 2, 210 + dy + 30 * (1 - pulled)), (end, 220 + dy * 0.2)],
            4,
            THREAD,
            1,
        )
    needle(c, 60, 198, 3, 120)
    if beat.share(1) > 0.5:
        c.tag(400, 150, "double, as long as your forearm")
    if beat.started(2):
        tie = beat.at(2, 0, 0.7)
        loop = [(560, 216), (640, 218), (690, 190), (660, 160), (620, 190), (660, 236), (740, 240)]
        c.line(part(smooth(loop), 0, max(0.05, tie)), 5, THREAD, 1)
        if tie > 0.9:
            c.oval(662, 216, 13, 12, THREAD)
        pinch(c, MOOD, 700, 236, 14, 0.9)
    else:
        pinch(c, MOOD, end + 4, 224, 14, 0.9)


def place(c: Canvas, beat: Beat) -> None:
    cloth(c)
    mark = beat.pop(0, 0.4)
    c.line([(BX - 14 * mark, BY), (BX + 14 * mark, BY)], 4, "#ffffff")
    c.line([(BX, BY - 14 * mark), (BX, BY + 14 * mark)], 4, "#ffffff")
    if beat.during(0):
        c.box(560, 60, 130, 320, light(CLOTH, 0.12), 10)
        c.line([(610, BY), (650, BY)], 9, dark(CLOTH, 0.5))
        c.line([(612, BY), (648, BY)], 3, "#ffffff")
        c.arrow([(600, BY - 20), (510, BY - 40), (420, BY - 14)], MOOD.accent, 8, beat.at(0, 0.3, 0.8))
        c.tag(624, 170, "buttonhole")
        return
    done = beat.at(1)
    if done > 0.4:
        c.line([(BX - 12, BY - 10), (BX + 12, BY + 10)], 5, THREAD, 1)
    if done > 0.8:
        c.line([(BX + 12, BY - 10), (BX - 12, BY + 10)], 5, THREAD, 1)
    sink = 40 * abs(math.sin(done * 6.3))
    trailing(c, BX + 10 + sink, BY - sink * 0.4, -24, (BX, BY))
    pinch(c, MOOD, BX + 76 + sink, BY - 30 - sink * 0.4, -16, 0.9)


def sew(c: Canvas, beat: Beat) -> None:
    cloth(c)
    put = beat.at(0, 0, 0.4)
    button(c, BX + 200 * (1 - put), BY - 40 * (1 - put))
    if beat.share(0) > 0.5 or beat.started(1):
        slide = beat.at(0, 0.5, 0.9)
        high = 130 * (1 - slide)  # the stitches cross over it, so it lies between the two columns of holes
        c.line([(BX, BY - 116 - high), (BX, BY + 66 - high)], 9, "#e8c98f", 1.5)
        c.oval(BX, BY - 116 - high, 8, 10, "#c4442f")
    if not beat.started(1):
        c.tag(250, 300, "matchstick on top")
        pinch(c, MOOD, BX + 84 + 200 * (1 - put), BY + 40, 20, 0.9)
        return
    count = beat.steady(1, 2) * 3
    stitches(c, count)
    phase = (count * 4) % 1
    i = int(count * 4) % 4
    pair = (HOLES[0], HOLES[1]) if i < 2 else (HOLES[3], HOLES[2])
    up = phase < 0.5
    hx, hy = pair[0] if up else pair[1]
    lift = 60 * (phase * 2 if up else 2 - phase * 2)
    x, y = BX + hx + lift * 0.7, BY + hy - lift
    with c.at(0, 0):
        trailing(c, x, y, -36, (BX + hx, BY + hy), 110)
        pinch(c, MOOD, x + 70, y - 48, -20, 0.9)
    if beat.during(2):
        c.tag(250, 330, "4 to 6 times each pair")


def side(c: Canvas, gap: float, wraps: float, match: bool = False) -> None:
    """The cloth cut open: button above, threads between, the shank wound round them."""
    c.box(120, 300, 620, 22, CLOTH, 8)
    c.box(120, 322, 620, 8, dark(CLOTH, 0.25), 4, 0)
    top = 290 - gap
    for dx in (-26, -16, 16, 26):
        c.line([(427 + dx, top - 30), (427 + dx * 0.55, 306)], 4, THREAD, 1)
    for i in range(int(wraps)):
        y = 298 - (i % 7) * gap / 8 - 3
        c.curve([(405, y), (427, y + 5), (449, y - 2)], 5, THREAD, 1)
    c.box(300, top - 30, 254, 30, BUTTON, 15)
    if match:  # seen from its end
        c.oval(427, top - 37, 8, 7, "#e8c98f")
    c.curve([(401, top - 30), (427, top - 46 if match else top - 40), (453, top - 30)], 5, THREAD, 1)


def shank(c: Canvas, beat: Beat) -> None:
    pull = beat.at(0, 0.2, 0.6)
    gap = 10 + 42 * beat.at(0, 0.6, 1)
    wraps = 6.99 * beat.steady(1, 1)
    side(c, gap, wraps, match=pull < 0.05)
    if pull > 0 and not beat.started(1):
        if pull >= 0.05:
            c.box(380 + 260 * pull, 290 - gap - 52, 94, 10, "#e8c98f", 4)
        c.arrow([(250, 250), (250, 180)], MOOD.accent, 8, beat.at(0, 0.6, 1))
        pinch(c, MOOD, 470 + 260 * pull, 290 - gap - 48, 8, 0.8)
    if beat.during(1):
        a = beat.t * 5
        x, y = 427 + 120 * math.cos(a), 276 + 22 * math.sin(a)
        c.curve([(440, 280), ((440 + x) / 2, y + 20), (x, y)], 4, THREAD, 1)
        pinch(c, MOOD, x + 8, y - 6, 16, 0.85)
    if beat.started(2):
        come = beat.at(2, 0.05, 0.6)
        for x in (396 - 700 + 300 * come, 458 + 300 * (1 - come)):
            c.box(x, 256, 400, 22, light(CLOTH, 0.3), 8)
        c.tag(200, 200, "room for the other layer")


def finish(c: Canvas, beat: Beat) -> None:
    """From the wrong side of the cloth."""
    c.box(150, 24, 560, 380, dark(CLOTH, 0.1), 14)
    for i in range(22):
        c.line([(154, 40 + i * 17), (702, 40 + i * 17)], 1.2, CLOTH)
    c.line([(380, 196), (420, 196)], 12, THREAD, 1)
    c.line([(380, 228), (420, 228)], 12, THREAD, 1)
    if not beat.started(1):
        u = beat.at(0)
        loop = smooth([(420, 212), (500, 170), (560, 220), (480, 262), (404, 214), (560, 120), (640, 90)])
        c.line(part(loop, 0, max(0.05, u)), 5, THREAD, 1)
        x, y, _ = along(loop, u)
        needle(c, x, y, -24, 110)
        pinch(c, MOOD, x + 70, y - 30, -14, 0.9)
        c.tag(260, 320, "wrong side of the cloth")
        return
    c.oval(424, 212, 12, 11, THREAD)
    snip = beat.at(1, 0.3, 0.6)
    c.line([(424, 212), (424 + (110 if snip < 1 else 24), 212 - (40 if snip < 1 else 9))], 4, THREAD, 1)
    open_ = 16 * (1 - snip)
    with c.at(500, 190, 12):
        for s in (-1, 1):
            c.limb(
                [(-60, s * open_), (0, 0), (60, -s * (12 + open_ * 0.6))],
                [5, 13, 13],
                "#9aa4b2" if s > 0 else "#7c8694",
            )
            c.ring(80, -s * (20 + open_ * 0.6), 18, 15, 8, "#3f8fd6")
    if beat.started(2):
        c.tick(260, 130, 36, True, beat.pop(2, 0.2))


def tips(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        side(c, 40, 7)
        c.box(390, 332, 74, 14, light(BUTTON, 0.2), 7)
        for dx in (-12, 12):
            c.line([(427 + dx, 306), (427 + dx * 0.8, 340)], 4, THREAD, 1)
        c.arrow([(580, 390), (520, 384), (472, 350)], MOOD.accent, 8, beat.at(0, 0.3, 0.8))
        c.tag(640, 388, "small backing button", size=15)
        return
    cloth(c)
    button(c, BX, BY)
    stitches(c, 1)
    for i, s in enumerate((-1, 1)):
        c.curve(
            [(BX + s * 90, BY - 90), (BX + s * 60, BY - 40 + 6 * i), (BX + s * 96, BY + 30)],
            3,
            dark(CLOTH, 0.35),
        )
    c.tick(600, 130, 34, False, beat.pop(1, 0.2))
    c.tag(600, 190, "too tight: it puckers", "#e0483e", "#ffffff")


FILM = Film(
    "sew-on-a-button",
    "Sew on a button that stays on",
    "slt",
    MOOD,
    (
    Section("intro", "A button that stays on", intro, (
        "Buttons always come off when you are in a hurry, but they are back on in five minutes.",
        "You need a needle, strong thread in a matching colour, a matchstick and scissors.",
    )),
    Section("thread the needle", "Thread the needle", thread_up, (
        "Cut the end of the thread at a slant, moisten it, and slip it through the eye.",
        "Pull it through until both ends meet, so you sew with two strands, about as long as your forearm.",
        "Twist the ends round your finger and make a knot.",
    )),
    Section("find the place", "Mark the place and anchor", place, (
        "Close the shirt, and make a small mark through the middle of the buttonhole.",
        "Two tiny stitches on that mark, one across the other, and the thread is anchored.",
    )),
    Section("sew it on", "Through the holes", sew, (
        "Lay the button on the mark, and the matchstick on top of the button. You will see why in a moment.",
        "Come up through one hole, over the match, and down through the hole beside it.",
        "Do that about five times for each pair of holes, and keep the thread snug but not tight.",
    )),
    Section("shank", "Make a little stem", shank, (
        "Pull out the match and lift the button, now there is a gap under it.",
        "Bring the needle up between button and cloth, and wind the thread round the stitches six times.",
        "This stem leaves room for the other layer of cloth, so that the button does not strain.",
    )),
    Section("fasten off", "Fasten off", finish, (
        "Push the needle to the wrong side, make a loop under the stitches, go through it and pull, twice.",
        "Then snip the thread close to the knot.",
        "That button will outlive the shirt.",
    )),
    Section("tips", "Coats, and a common mistake", tips, (
        "On a heavy coat, sew a small flat button to the inside as well, so that the cloth does not tear.",
        "The commonest mistake is pulling so hard that the cloth puckers, a button needs some play.",
    )),
    ),
)  # fmt: skip
