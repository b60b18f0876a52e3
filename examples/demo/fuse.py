"""Testing a fuse with a multimeter: the dial, the probes, what the display says."""

from __future__ import annotations

import math

from .canvas import Canvas, dark
from .stage import Beat, Film, Mood, Section, between, pinch, point, warning

MOOD = Mood("#d7eceb", "#f3faf7", "#96a79f", "#d9572b", skin="#a9714c", sleeve="#2f4858", horizon=336)
CASE = "#f2b632"
OFF, VOLTS, OHMS, BEEP = -120, -60, 30, 75


def meter(c: Canvas, dial: float, shown: str, x: float = 170, y: float = 40, sound: float = 0.0) -> None:
    """A yellow multimeter; `dial` in degrees from the top, `sound` draws waves while it beeps."""
    c.shadow(x + 90, y + 330, 100, 10)
    c.box(x - 6, y - 6, 192, 336, dark(CASE, 0.5), 26)
    c.box(x, y, 180, 324, CASE, 22)
    c.box(x + 16, y + 18, 148, 74, "#3b3f4a", 10)
    c.box(x + 22, y + 24, 136, 62, "#cfe3d0", 6, 0)
    c.text(x + 150, y + 56, shown, 38, "#1f2d26", 1.2, "rm")
    c.oval(x + 90, y + 188, 68, 68, "#3b3f4a")
    for angle, words in ((OFF, "OFF"), (VOLTS, "V"), (-10, "A"), (OHMS, "ohm"), (BEEP, ")))")):
        a = math.radians(angle - 90)
        c.text(x + 90 + 55 * math.cos(a), y + 188 + 55 * math.sin(a), words, 13, "#ffffff", 0.6, "mm")
    with c.at(x + 90, y + 188, dial):
        c.oval(0, 0, 34, 34, "#20242d")
        c.limb([(0, 24), (0, -30)], [20, 14], "#4a505c")
        c.line([(0, -14), (0, -30)], 4, "#ffffff")
    for i, (dx, words) in enumerate(((40, "COM"), (90, "V ohm"), (140, "10 A"))):
        c.oval(x + dx, y + 292, 13, 13, "#20242d")
        c.text(x + dx, y + 270, words, 12, "#3b3f4a", 0.5, "mm")
        if i < 2:
            c.oval(x + dx, y + 292, 9, 9, "#20242d" if i == 0 else "#d8343e")
    if sound > 0:
        for r in (1, 2, 3):
            if math.sin(sound * 12 - r) > -0.4:
                c.curve(
                    [
                        (x + 190 + 14 * r, y + 20 - 4 * r),
                        (x + 200 + 18 * r, y + 50),
                        (x + 190 + 14 * r, y + 80 + 4 * r),
                    ],
                    5,
                    MOOD.accent,
                )


def probe(
    c: Canvas,
    x: float,
    y: float,
    angle: float,
    colour: str,
    jack: tuple[float, float],
    hold: float | None = 20,
    flip: bool = False,
) -> None:
    """A probe whose tip is at the place and its lead to the meter."""
    a = math.radians(angle)
    tail = (x + 150 * math.cos(a), y + 150 * math.sin(a))
    c.curve(
        [tail, (tail[0], min(430, tail[1] + 150)), ((tail[0] + jack[0]) / 2, 424), (jack[0] + 10, 400), jack],
        6,
        colour,
        1.2,
    )
    with c.at(x, y, angle):
        c.line([(0, 0), (44, 0)], 4, "#c9d2db", 1)
        c.limb([(44, 0), (60, 0), (150, 0)], [16, 18, 14], colour)
        c.line([(58, -12), (58, 12)], 5, dark(colour, 0.3))
    if hold is not None:
        hx, hy = x + 84 * math.cos(a), y + 84 * math.sin(a)
        pinch(c, MOOD, hx, hy, hold, 0.75, flip)


JACKS = ((210.0, 332.0), (260.0, 332.0))


def glass_fuse(
    c: Canvas, x: float, y: float, scale: float = 1.0, blown: bool = False, angle: float = 0
) -> None:
    with c.at(x, y, angle, scale):
        c.shadow(0, 34, 100, 8)
        c.box(-70, -20, 140, 40, "#e2f1f7", 4, 2, 1)
        if blown:
            c.oval(0, 0, 34, 16, "#4a4038", 0, 0.55)
            c.curve([(-66, 0), (-40, 3), (-18, -5)], 3.5, "#8a6a4a")
            c.curve([(66, 0), (40, -3), (22, 4)], 3.5, "#8a6a4a")
        else:
            c.curve([(-66, 0), (-30, 4), (0, 0), (30, -4), (66, 0)], 3.5, "#8a6a4a")
        c.line([(-60, -13), (60, -13)], 4, "#ffffff", 0, 0.8)
        for s in (-1, 1):
            c.box(s * 84 - 22, -23, 44, 46, "#c3ccd6", 6)
            c.line([(s * 84 - 12, -14), (s * 84 + 10, -14)], 4, "#ffffff", 0, 0.7)


def plug(c: Canvas, x: float, y: float) -> None:
    c.limb([(x + 60, y), (x + 160, y + 10), (x + 330, y - 30)], [14, 12, 12], "#3b3f4a")
    c.box(x - 30, y - 34, 100, 68, "#4a505c", 16)
    for dy in (-16, 16):
        c.box(x - 66, y + dy - 5, 38, 10, "#d8b04a", 3)


def intro(c: Canvas, beat: Beat) -> None:
    meter(c, OFF, "", 130, 98)
    glass_fuse(c, 560, 190, 1.3, blown=beat.share(0) > 0.5)
    if 0.45 < beat.share(0) < 0.62:
        c.glow(560, 190, 60, "#ffd257", 1)
    if beat.started(1):
        c.tag(560, 280, "is the wire inside still whole?", MOOD.accent, "#ffffff")


def remove(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        out = beat.at(0, 0.2, 0.7)
        c.box(120, 130, 150, 180, "#ffffff", 16)
        for dy in (-16, 16):
            c.box(176, 220 + dy - 6, 34, 12, "#3b3f4a", 3)
        plug(c, 262 + 190 * out, 220)
        pinch(c, MOOD, 330 + 190 * out, 236, 12, 1)
        if out > 0.9:
            c.tick(200, 90, 30, True, beat.pop(0, 0.72))
        return
    pull = beat.at(1, 0.3, 0.9)
    c.box(180, 250, 420, 110, "#3f6f57", 14)
    for s in (-1, 1):
        c.box(390 + s * 84 - 26, 240, 52, 50, "#9aa4b2", 6)
    glass_fuse(c, 390, 250 - 110 * pull, 1, True, -8 * pull)
    for s in (-1, 1):
        c.limb(
            [(390 + s * 40, 236 - 110 * pull), (430 + s * 16, 150 - 110 * pull), (560, 60 - 110 * pull)],
            [9, 11, 14],
            "#b3483c",
        )
    pinch(c, MOOD, 520, 92 - 110 * pull, -12, 0.95)
    if beat.started(2):
        warning(c, 720, 190, beat.pop(2))
        c.tag(690, 240, "capacitors stay charged")


def setup(c: Canvas, beat: Beat) -> None:
    plugged = beat.at(0, 0.1, 0.8)
    dial = OFF + (BEEP - OFF) * beat.at(1, 0.1, 0.7)
    meter(c, dial, "" if dial < -100 else "OL")
    for i, colour in enumerate(("#20242d", "#d8343e")):
        jx, jy = JACKS[i]
        come = beat.at(0, 0.1 + 0.35 * i, 0.5 + 0.35 * i)
        y = jy + 70 * (1 - come)
        c.limb([(jx, y), (jx, y + 30)], [15, 18], colour)
        c.curve(
            [(jx, y + 30), (jx + 60, 420), (480 + 80 * i, 410), (560 + 90 * i, 300 - 20 * i)], 6, colour, 1.2
        )
        with c.at(560 + 90 * i, 300 - 20 * i, -70):
            c.limb([(0, 0), (90, 0)], [14, 18], colour)
            c.line([(90, 0), (136, 0)], 4, "#c9d2db", 1)
    if beat.during(0) and plugged:
        c.tag(480, 130, "black: COM    red: V ohm", MOOD.accent, "#ffffff")
    if beat.during(1):
        pinch(c, MOOD, 262, 214, 18, 0.95)
    if beat.started(2):
        c.tag(500, 130, "OL = open, no connection", MOOD.accent, "#ffffff")


def short(c: Canvas, beat: Beat) -> None:
    touch = beat.at(0, 0.2, 0.6)
    live = touch > 0.97
    meter(c, BEEP, "0.2" if live else "OL", sound=beat.t if live else 0)
    gap = 70 * (1 - touch)
    probe(c, 560 - gap, 180, 160, "#20242d", JACKS[0], -56, True)
    probe(c, 562 + gap, 180, 20, "#d8343e", JACKS[1], 56)
    if beat.started(1):
        c.tag(600, 90, "0.1 to 0.5 ohm is in the leads")
    if beat.started(2):
        c.box(600, 128, 76, 36, "#ffffff", 8)
        c.box(676, 138, 8, 16, "#9aa4b2", 3)
        c.box(605, 133, 16, 26, "#e0483e", 4, 0, 0.4 + 0.6 * abs(beat.swing(1.2)))


def measure(c: Canvas, beat: Beat) -> None:
    on = beat.at(0, 0.3, 0.8)
    live = on > 0.97 and beat.started(1)
    meter(c, BEEP, "0.3" if live else "OL", 60, sound=beat.t if live else 0)
    c.box(400, 250, 330, 70, "#d8a86a", 10)
    glass_fuse(c, 566, 226, 1.1)
    left, right = between((450, 120), (474, 214), on), between((700, 120), (658, 214), on)
    probe(c, left[0], left[1], -120, "#20242d", (100.0, 332.0), 64, True)
    probe(c, right[0], right[1], -50, "#d8343e", (150.0, 332.0), -30)
    if live:
        c.tick(566, 330, 30, True, beat.pop(1, 0.3))
    if beat.started(2):
        c.tag(566, 376, "fingers off the metal", size=15)


def blown(c: Canvas, beat: Beat) -> None:
    meter(c, BEEP, "OL", 60)
    c.box(400, 250, 330, 70, "#d8a86a", 10)
    glass_fuse(c, 566, 226, 1.1, True)
    probe(c, 474, 214, -120, "#20242d", (100.0, 332.0), 64, True)
    probe(c, 658, 214, -50, "#d8343e", (150.0, 332.0), -30)
    c.tick(566, 330, 30, False, beat.pop(0, 0.4))
    if beat.started(1):
        c.tag(566, 378, "dark glass, broken wire", size=15)


def replace(c: Canvas, beat: Beat) -> None:
    if not beat.started(1):
        for x, words, good in ((250, "2 A", True), (600, "10 A", False)):
            glass_fuse(c, x, 190, 1.2)
            c.text(x - 101, 190, words, 19, "#3b3f4a", 0.8, "mm")
            c.tick(x, 290, 32, good, beat.pop(0, 0.5 if good else 0.75))
        c.tag(250, 110, "printed on the cap")
        c.arrow([(210, 124), (170, 140), (154, 166)], MOOD.accent, 7, beat.at(0, 0.1, 0.4))
        return
    if beat.started(2):
        dial = BEEP + (OFF - BEEP) * beat.at(2, 0.2, 0.7)
        meter(c, dial, "" if dial < -110 else "OL", 330, 40)
        pinch(c, MOOD, 424, 214, 18, 0.95)
        return
    glass_fuse(c, 300, 200, 1.2, True)
    spark = abs(beat.swing(0.6))
    c.glow(300, 200, 80 * spark, "#ff8a3c", 0.7)
    c.tick(300, 300, 34, False, beat.pop(1, 0.2))
    c.line([(560, 120), (620, 190), (540, 210), (640, 300)], 8, "#d8343e", 1.5)
    c.tag(600, 80, "look for a short circuit")
    point(c, MOOD, 624, 300, 6, 0.8)


FILM = Film(
    "test-a-fuse-with-a-multimeter",
    "Test a fuse with a multimeter",
    "rms",
    MOOD,
    (
    Section("intro", "Is the fuse blown?", intro, (
        "The radio is dead, and you suspect the fuse.",
        "You cannot always see it from outside, but a cheap multimeter tells you in a second.",
    )),
    Section("remove the fuse", "Switch off and take it out", remove, (
        "First of all, switch the device off and pull the plug out of the wall.",
        "Take the fuse out of its holder, because in the circuit other parts would fool the meter.",
        "Keep your fingers away from the large capacitors, they can hold a charge for minutes.",
    )),
    Section("set the meter", "Set up the meter", setup, (
        "The black lead goes into the socket called COM, and the red one into the socket for volts and ohms.",
        "Turn the dial to the little sound waves, the continuity test, or else to the lowest ohm range.",
        "Now it should show O L, because the probes do not touch anything yet.",
    )),
    Section("check the probes", "Touch the probes together", short, (
        "Touch the two tips together, it must beep and show nearly zero.",
        "Remember that number, it is what the leads themselves have.",
        "If it stays silent, the battery of the meter is low or a lead is broken.",
    )),
    Section("measure", "Measure the fuse", measure, (
        "Lay the fuse on something that does not conduct, and hold one tip on each metal cap.",
        "A beep and less than one ohm, this fuse is fine, and the fault is somewhere else.",
        "It does not matter which way round the probes are.",
    )),
    Section("blown fuse", "What a blown fuse looks like", blown, (
        "No sound, and the display goes on saying O L, so this one is blown.",
        "Here you can even see it, the glass is dark and the wire is gone.",
    )),
    Section("replace", "Put in the right one", replace, (
        "The new one has to carry the same numbers, the same amperes, the same volts, the same speed.",
        "Never use a bigger one or tinfoil, the cable could catch fire. If it blows again, look for a short.",
        "And when you are done, turn the meter off.",
    )),
    ),
)  # fmt: skip
