"""Changing a bicycle's inner tube: the wheel seen from its side, one bead of the tyre lifted over the rim."""

from __future__ import annotations

import math

import numpy as np

from .canvas import Canvas, arc, dark, light, part
from .stage import Beat, Film, Mood, Section, fist, flat, pinch, point

MOOD = Mood("#fdeecb", "#fff8e8", "#c9b68c", "#e0862a", skin="#f0c3a0", sleeve="#4d6b57", horizon=372)
X, Y, R = 330, 216, 150
RUBBER, TUBE = "#3c4048", "#e58ca0"


def circle(r: float, first: float = 0, last: float = 362) -> np.ndarray:
    return arc(X, Y, r, r, first, last, 90)


def bead(off: float, centre: float = 90) -> np.ndarray:
    """The near edge of the tyre: on the rim, or lifted over it for `off` degrees round a place."""
    angles = np.linspace(0, 360, 140)
    gap = np.abs((angles - centre + 180) % 360 - 180)
    lift = np.clip((off / 2 - gap) / 22, 0, 1) if off < 359 else np.ones_like(angles)
    radius = R - 8 + 34 * lift * lift * (3 - 2 * lift)
    return np.column_stack([X + radius * np.cos(np.radians(angles)), Y + radius * np.sin(np.radians(angles))])


def spokes(c: Canvas) -> None:
    for i in range(18):
        a = math.radians(i * 20)
        b = a + (0.5 if i % 2 else -0.5)
        c.line(
            [(X + 16 * math.cos(b), Y + 16 * math.sin(b)), (X + 134 * math.cos(a), Y + 134 * math.sin(a))],
            2,
            "#aab2bd",
        )
    c.oval(X, Y, 20, 20, "#8d97a5")
    c.oval(X, Y, 8, 8, "#4a505c", 0)


def wheel(
    c: Canvas, off: float = 0, tube: bool = True, flatness: float = 0, centre: float = 90, tyre: bool = True
) -> None:
    """The whole wheel. `off`: how many degrees of the bead are over the rim; `flatness` sags the tyre."""
    c.shadow(X, Y + R + 34, 120 + 20 * flatness, 10)
    if tyre:
        c.oval(X, Y + R + 24, 96 * flatness, 15 * flatness, dark(RUBBER, 0.25))
        c.ring(X, Y + 3 * flatness, R + 10, R + 10 - 7 * flatness, 40, dark(RUBBER, 0.25))
    spokes(c)
    c.ring(X, Y, R - 17, R - 17, 15, "#9aa4b2")
    c.ring(X, Y, R - 17, R - 17, 11, "#c6ced8")
    if tyre and off:
        c.ring(X, Y, R + 3, R + 3, 20, "#23262d")
        if tube:
            c.ring(X, Y, R + 2, R + 2, 15, dark(TUBE, 0.35))
            c.ring(X, Y, R + 2, R + 2, 11, TUBE)
    if tyre:
        outer = circle(R + 30 - 4 * flatness, 0, 360)
        inner = bead(off, centre)[::-1]
        c.shape(np.vstack([outer, inner]), RUBBER, 0)
        c.line(bead(off, centre), 4, "#d0a15a")
        for i in range(48):
            a = math.radians(i * 7.5)
            c.line(
                [
                    (X + (R + 24) * math.cos(a), Y + (R + 24) * math.sin(a)),
                    (X + (R + 30) * math.cos(a + 0.05), Y + (R + 30) * math.sin(a + 0.05)),
                ],
                3,
                dark(RUBBER, 0.4),
            )
    if tube:
        valve(c, X, Y - R + 24)


def valve(c: Canvas, x: float, y: float, angle: float = 0) -> None:
    with c.at(x, y, angle):
        c.line([(0, -8), (0, 20)], 7, "#d8b04a", 1.5)
        c.line([(0, 20), (0, 27)], 4, "#b58a2e", 1)


def lever(c: Canvas, x: float, y: float, angle: float) -> None:
    with c.at(x, y, angle):
        c.limb([(0, -6), (-3, 8), (6, 26), (4, 90), (0, 112)], [10, 11, 15, 20, 16], "#3f8fd6")
        c.line([(4, 40), (3, 92)], 4, light("#3f8fd6", 0.35))


def on_wheel(angle: float, r: float) -> tuple[float, float]:
    return X + r * math.cos(math.radians(angle)), Y + r * math.sin(math.radians(angle))


def loose_tube(c: Canvas, x: float, y: float, r: float, fill: float = 1.0) -> None:
    wobble = 8 * (1 - fill)
    path = [
        (
            x + (r + wobble * math.sin(5 * a)) * math.cos(a),
            y + (r * 0.9 + wobble * math.cos(4 * a)) * math.sin(a),
        )
        for a in np.linspace(0, 2 * math.pi, 70)
    ]
    c.line(path, 10 + 8 * fill, TUBE, 2)
    c.line([(px - 2, py - 3) for px, py in path[35:52]], 3, light(TUBE, 0.5))
    valve(c, x, y - r * 0.9 + 12)


def intro(c: Canvas, beat: Beat) -> None:
    sag = beat.at(0, 0.2, 0.8)
    with c.at(60, 68 + 7 * sag, 0, 0.86):
        wheel(c, flatness=sag)
        frame(c, 0)
    if beat.during(0):
        for i in range(5):
            u = (beat.t * 1.3 + i * 0.2) % 1
            c.oval(
                X + 184 + 70 * u,
                Y + 80 - 40 * u * (i - 2) * 0.5,
                5 + 6 * u,
                5 + 6 * u,
                "#ffffff",
                0,
                0.7 * (1 - u),
            )
    if beat.started(1):
        for i in range(2):
            lever(c, 610 + i * 46, 250 - 20 * beat.pop(1, 0.1), 8 - i * 4)
        loose_tube(c, 740, 180, 66 * min(1, beat.pop(1, 0.4)), 0.6)
        pump(c, 560, 330, 0)


def pump(c: Canvas, x: float, y: float, down: float) -> None:
    c.box(x - 40, y + 24, 80, 10, "#3a3f4a", 5)
    c.box(x - 9, y - 70, 18, 96, "#d85f4a", 6)
    c.line([(x, y - 118 + 44 * down), (x, y - 68)], 5, "#b9c2cc")
    c.line([(x - 26, y - 120 + 44 * down), (x + 26, y - 120 + 44 * down)], 13, "#3a3f4a", 1)


def frame(c: Canvas, lift: float) -> None:
    """The end of the bicycle's frame that holds the axle, lifted off it."""
    for x, y in ((X - 60, Y - 500), (X - 600, Y + 54)):
        c.line([(X, Y - lift), (x, y - lift)], 15, MOOD.accent, 2)
    c.oval(X, Y - lift, 15, 15, dark(MOOD.accent, 0.2))


def letout(c: Canvas, beat: Beat) -> None:
    wheel(c, flatness=0.6)
    top = (X, Y - R + 54)
    if not beat.started(1):
        turn = beat.at(0, 0.3, 0.6)
        frame(c, 300 * beat.at(0, 0.7, 1))
        c.line([(X - 46, Y), (X + 46, Y)], 10, "#777f8c", 1)
        with c.at(X + 48, Y, 90 * turn - 40):
            c.limb([(0, 0), (8, 30), (4, 62)], [14, 14, 10], "#777f8c")
        pinch(c, MOOD, X + 70 + 20 * turn, Y + 40, 12, 0.9)
        c.tag(620, 100, "quick release")
    else:
        point(c, MOOD, top[0] + 2, top[1] + 6, 26, 0.9)
        for i in range(6):
            u = (beat.t * 1.6 + i / 6) % 1
            c.oval(
                X - 10 - 80 * u,
                top[1] - 8 + 24 * (i % 3 - 1) * u,
                3 + 6 * u,
                3 + 6 * u,
                "#ffffff",
                0,
                0.9 * (1 - u),
            )
    if beat.started(2):
        a = beat.steady(2, 2) * 360 - 90
        c.arrow(arc(X, Y, R - 40, R - 40, -90, a, 30), MOOD.accent, 7, 1)


def levers(c: Canvas, beat: Beat) -> None:
    first, second = beat.at(0, 0.5, 0.95), beat.at(1, 0.3, 0.9)
    slide = beat.at(2, 0, 0.95)
    off = 50 * first + 60 * second + 252 * slide
    centre = 90 - 28 * second - 100 * slide
    wheel(c, off, centre=centre)
    a1 = 90
    x, y = on_wheel(a1, R - 6 + 8 * first)
    lever(c, x, y, 180 - 165 * first)
    if beat.started(1):
        a2 = 34 - 262 * slide
        x2, y2 = on_wheel(a2, R - 2 + 8 * second)
        lever(c, x2, y2, a2 - 90 + 180 - 165 * second)
        hx, hy = on_wheel(a2, R + 70)
        if slide < 0.6:
            fist(c, MOOD, hx + 10, hy, 14, 0.85)
    else:
        fist(c, MOOD, x + 4, y + (-70 + 150 * first), 14, 0.85)
    if beat.during(0):
        c.tag(660, 120, "opposite the valve", MOOD.accent, "#ffffff")
    if beat.during(1):
        c.tag(660, 120, "two spokes further", MOOD.accent, "#ffffff")
    if beat.during(2):
        c.arrow(arc(X, Y, R + 54, R + 54, 20, -150, 40), MOOD.accent, 8, slide)


def search(c: Canvas, beat: Beat) -> None:
    out = beat.at(0, 0.1, 0.95)
    wheel(c, 360, tube=out < 0.05)
    if out >= 0.05:
        loose_tube(c, X + 370 * out, Y - 20 * out, R - 60 * out, 0.3)
        if beat.during(0):
            pinch(c, MOOD, X + 370 * out + 40, Y + 60, 14, 0.9)
    thorn = -60
    if not beat.started(2) or beat.share(2) < 0.5:
        tx, ty = on_wheel(thorn, R + 10)
        c.limb([(tx + 10, ty - 24), (tx, ty), (tx - 4, ty + 12)], [7, 5, 2], "#7a4a22", 1)
    if beat.started(1):
        a = 100 - 160 * beat.at(1, 0.05, 0.95)
        fx, fy = on_wheel(a, R + 6)
        if not beat.started(2):
            flat(c, MOOD, fx, fy, 20, 0.8)
        else:
            pull = 90 * beat.at(2, 0.4, 0.9)
            tx, ty = on_wheel(thorn, R + 20 + pull)
            c.limb([(tx + 6, ty - 14), (tx, ty), (tx - 4, ty + 12)], [7, 5, 2], "#7a4a22", 1)
            pinch(c, MOOD, tx + 6, ty - 10, -20, 0.8)
    if beat.during(1):
        c.tag(640, 330, "feel along the inside")


def insert(c: Canvas, beat: Beat) -> None:
    placed = beat.at(1, 0, 0.6)
    wheel(c, 360, tube=placed > 0.98)
    if placed <= 0.98:
        puff = 0.15 + 0.45 * beat.at(0, 0.2, 0.9)
        loose_tube(c, X + 360 * (1 - placed), Y - 10 * (1 - placed), 90 + 61 * placed, puff)
    if beat.during(0):
        c.tag(690, 80, "a little air: just round")
        pump(c, 560, 330, max(0.0, beat.swing(0.9)))
        c.curve([(560, 350), (610, 380), (660, 330), (690, 150)], 5, "#3a3f4a")
    if beat.during(1):
        c.arrow([(X + 60, Y - 60), (X + 30, Y - 84), (X + 4, Y - 96)], MOOD.accent, 7, beat.at(1, 0.4, 0.8))
        c.tag(X + 110, Y - 40, "valve straight")
    if beat.started(2):
        a = -90 + 180 * beat.at(2)
        fx, fy = on_wheel(a, R + 4)
        point(c, MOOD, fx, fy, 18, 0.85)


def close(c: Canvas, beat: Beat) -> None:
    done = beat.at(0, 0.1, 0.95) * 250 + beat.at(1, 0.2, 0.9) * 110
    wheel(c, 360 - done if done < 356 else 0, centre=-90)
    edge = 90 - done / 2
    if done < 350:
        for a, flip in ((edge, False), (180 - edge, True)):
            fx, fy = on_wheel(a, R - 2)
            point(c, MOOD, fx, fy, 24 if not flip else -24, 0.85, flip)
    if beat.during(0):
        c.tag(700, 90, "thumbs, no tools", MOOD.accent, "#ffffff")
    if beat.started(2):
        lever(c, 680, 120, 10)
        c.tick(700, 176, 34, False, beat.pop(2, 0.3))


def inflate(c: Canvas, beat: Beat) -> None:
    wheel(c, flatness=0.5 * (1 - beat.steady(1, 2)))
    if not beat.started(1):
        a = -90 + 300 * beat.at(0)
        fx, fy = on_wheel(a, R)
        pinch(c, MOOD, fx, fy, 12, 0.85)
        return
    down = 0.5 + 0.5 * beat.swing(1.0)
    c.curve([(X + 2, Y - R + 52), (X + 70, Y - 30), (X + 190, Y + 120), (590, 366), (620, 356)], 6, "#3a3f4a")
    pump(c, 640, 336, down)
    fist(c, MOOD, 656, 218 + 44 * down, -4, 0.85)
    press = beat.steady(1, 2)
    c.oval(760, 110, 56, 56, "#ffffff", 4)
    a = math.radians(150 + 190 * press)
    c.line([(760, 110), (760 + 42 * math.cos(a), 110 + 42 * math.sin(a))], 5, "#e0483e")
    c.text(760, 142, f"{3.6 * press:.1f} bar", 15, MOOD.ink, 0.5, "mm")
    if beat.started(2):
        c.curve(part(circle(R + 30), 0.02, 0.14), 6, "#ffffff")
        c.tag(600, 60, "range printed on the side")


FILM = Film(
    "change-a-bicycle-tube",
    "Change a bicycle inner tube",
    "rms",
    MOOD,
    (
    Section("intro", "Changing an inner tube", intro, (
        "You hear that hiss, and a moment later the tyre is soft.",
        "All you need is a new tube of the right size, two tyre levers and a pump.",
        "With a bit of practice it takes ten minutes.",
    )),
    Section("wheel out", "Take the wheel out and empty it", letout, (
        "Open the brake, flip the quick release lever, and lift the wheel out of the frame.",
        "Press the pin in the valve until no more air comes out, and unscrew the little ring.",
        "Squeeze the tyre all the way round, so that its edge drops into the middle of the rim.",
    )),
    Section("levers", "Lift the tyre over the rim", levers, (
        "Opposite the valve, hook the first lever under the edge of the tyre and bend it down.",
        "Two spokes further on, push in the second one.",
        "Now slide that lever along the rim, and one whole side of the tyre comes off.",
    )),
    Section("find the cause", "Find what made the hole", search, (
        "Pull out the old tube, the valve comes last.",
        "Before anything else, run your fingers slowly along the inside of the tyre.",
        "There it is, a thorn. Leave it in, and the new tube will be flat tomorrow.",
    )),
    Section("new tube", "Put in the new tube", insert, (
        "Give the new tube two strokes of the pump, so that it is just round.",
        "Put the valve through its hole, nice and straight.",
        "Then tuck the tube up into the tyre all the way, without any twists.",
    )),
    Section("tyre back", "Push the tyre back on", close, (
        "Start at the bottom, away from the valve, and press the edge into the rim with both thumbs.",
        "The last bit beside the valve is tight, so roll it over with the heels of your hands.",
        "Do not use the levers here, they pinch the tube and make a new hole.",
    )),
    Section("inflate", "Check all round and pump it up", inflate, (
        "Pinch the tyre on both sides and look whether the tube peeps out anywhere.",
        "Pump it up slowly, and watch that the tyre sits evenly.",
        "How much it can take is printed on its side. Put the wheel back in, and please close the brake.",
    )),
    ),
)  # fmt: skip
