"""Three knots, each rope drawn along its way, over and under as it really goes."""

from __future__ import annotations

from .canvas import Canvas, along, dark, part, smooth
from .stage import Beat, Film, Mood, Section, pinch

MOOD = Mood("#d9e4f5", "#f1f5fd", "#8fa8cf", "#2d5bb0", skin="#9c6644", sleeve="#e8c34a", horizon=392)
ROPE, WIDE = "#e9c483", 19
Rope = tuple[list[tuple[float, float]], str]

LOOP: Rope = (
    [
        (-40, 300), (180, 300), (330, 262), (440, 170), (360, 100), (280, 170),
        (390, 262), (540, 300), (700, 296),
    ],
    "uo",
)  # fmt: skip
EIGHT: Rope = (
    [
        (-30, 262), (110, 262), (232, 262), (400, 258), (560, 246), (650, 190), (600, 122), (500, 140),
        (400, 258), (340, 346), (250, 356), (212, 306), (236, 220), (300, 172), (380, 172), (480, 182),
        (650, 182), (790, 176),
    ],
    "ouououou",
)  # fmt: skip
BOWLINE: Rope = (  # down the standing part, the small loop, the big loop, up, round behind, down
    [
        (400, -30), (400, 70), (406, 130), (455, 176), (512, 206), (455, 236), (348, 236), (288, 206),
        (340, 152), (400, 112), (462, 92), (548, 106), (600, 210), (588, 340), (405, 404), (224, 356),
        (262, 284), (348, 236), (352, 150), (366, 80), (400, 44), (436, 70), (455, 120), (455, 220),
        (458, 322),
    ],
    "ouuoououuouoou",
)  # fmt: skip
HITCH = (  # in front of the post, in the order of tying; the second one lies on top of the others
    [(-30, 300), (180, 304), (366, 290), (504, 266)],
    [(350, 356), (430, 250), (504, 132)],
    [(348, 172), (430, 200), (492, 216), (600, 226), (800, 222)],
)


FRONT = tuple([(a, -20), (b, -20), (b, 480), (a, 480)] for a, b in ((-40, 490), (366, 490), (366, 860)))


def rope(c: Canvas, knot: Rope, grow: float, hold: bool = True) -> None:
    """The knot as far as the rope has come, its whipped red end in the fingers."""
    points, over = knot
    c.cord(points, over, WIDE, ROPE, grow)
    path = smooth(points, steps=16)
    shown = path[: max(2, int((len(path) - 1) * min(1.0, grow)) + 1)]
    x, y, heading = along(shown, 1)
    with c.at(x, y, heading):
        c.line([(-5, 0), (8, 0)], WIDE, "#c94f3d", 2.2)
    if hold and grow < 0.995:
        pinch(c, MOOD, x + 8, y - 2, 18, 0.8)


def tightened(knot: Rope, share: float) -> Rope:
    """The knot with what lies above the big loop drawn together."""
    points, over = knot
    middle, wide, high = 402, 1 - 0.34 * share, 1 - 0.3 * share
    return [
        (middle + (x - middle) * wide, 150 + (y - 150) * high) if 0 < y < 250 and x < 560 else (x, y)
        for x, y in points
    ], over


def mark(c: Canvas, x: float, y: float, words: str) -> None:
    c.tag(x, y, words, MOOD.accent, "#ffffff")


def intro(c: Canvas, beat: Beat) -> None:
    rope(c, LOOP, 0.1 + 0.9 * beat.at(0), hold=True)
    if beat.started(1):
        mark(c, 700, 254, "working end")
    if beat.share(1) > 0.5:
        mark(c, 110, 258, "standing part")
    if beat.started(2):
        mark(c, 360, 176, "loop")


def eight(c: Canvas, beat: Beat) -> None:
    grow = 0.2 + 0.33 * beat.at(0) + 0.2 * beat.at(1) + 0.27 * beat.at(2, 0, 0.85)
    rope(c, EIGHT, grow)
    if beat.started(3):
        c.arrow([(140, 210), (60, 210)], MOOD.accent, 9, beat.at(3, 0, 0.4))
        c.arrow([(700, 128), (790, 128)], MOOD.accent, 9, beat.at(3, 0, 0.4))
        mark(c, 427, 60, "looks like an 8")


def bow_loop(c: Canvas, beat: Beat) -> None:
    if beat.during(0) or not beat.started(0):
        rope(c, BOWLINE, 1.0)
        c.tag(660, 330, "an eye that keeps its size")
        return
    rope(c, BOWLINE, 0.05 + 0.36 * beat.at(1, 0, 0.95))
    if beat.started(2):
        mark(c, 190, 190, "small loop: the rabbit hole")
        c.oval(400, 190, 34, 22, MOOD.accent, 0, 0.35)


def bow_round(c: Canvas, beat: Beat) -> None:
    grow = 0.41 + 0.36 * beat.at(0) + 0.11 * beat.at(1, 0, 0.8) + 0.12 * beat.at(2, 0, 0.8)
    rope(c, BOWLINE, grow)
    words = ("up through the hole", "behind the tree", "back down the hole")
    for line in range(3):
        if beat.during(line):
            mark(c, 170, 120, words[line])


def bow_pull(c: Canvas, beat: Beat) -> None:
    rope(c, tightened(BOWLINE, beat.at(0, 0.2, 0.9)), 1.0)
    if beat.during(0):
        pull = beat.at(0, 0.1, 0.7)
        c.arrow([(340, 70), (340, 0)], MOOD.accent, 9, pull)
        c.arrow([(500, 300), (520, 366)], MOOD.accent, 9, pull)
    if beat.started(1):
        c.tick(700, 150, 34, True, beat.pop(1, 0.2))
        mark(c, 700, 214, "end lies inside the big loop")


def post(c: Canvas) -> None:
    c.box(372, -20, 112, 450, "#a9744a", 10)
    for i in range(4):
        c.curve([(392 + i * 24, -10), (388 + i * 25, 200), (394 + i * 23, 420)], 2, dark("#a9744a", 0.2))


def clove(c: Canvas, turns: float) -> None:
    """Round the post, across the first turn, round again, and the end under the crossing."""
    post(c)
    tip = None
    for number in (0, 2, 1):
        grow = min(1.0, (turns - number) * 1.25)
        if grow <= 0:
            continue
        path = part(smooth(HITCH[number]), 0, grow)
        with c.clipped(FRONT[number]):  # the rest of the turn is behind the post
            c.strand(path, WIDE, ROPE)
        if turns - number < 1 or number == 2:
            tip = along(path, 1)
    if tip:
        if turns >= 2.99:
            with c.at(*tip):
                c.line([(-5, 0), (8, 0)], WIDE, "#c94f3d", 2.2)
        else:
            pinch(c, MOOD, tip[0] + 6, tip[1] - 2, 14, 0.8)


def hitch(c: Canvas, beat: Beat) -> None:
    clove(c, beat.at(0, 0.1, 0.95) + beat.at(1, 0, 0.9) + beat.at(2, 0, 0.9))
    if beat.started(3):
        c.arrow([(130, 250), (50, 250)], MOOD.accent, 9, beat.at(3, 0, 0.4))
        c.arrow([(700, 176), (790, 174)], MOOD.accent, 9, beat.at(3, 0, 0.4))


def mistakes(c: Canvas, beat: Beat) -> None:
    if beat.started(1):
        clove(c, 3)
        c.arrow([(540, 330), (560, 280), (540, 236)], "#e0483e", 8, beat.at(1, 0.2, 0.7))
        c.tag(640, 330, "can slip when the pull changes", "#e0483e", "#ffffff")
        return
    rope(c, BOWLINE, 0.965, hold=False)
    c.line([(492, 190), (492, 280)], 4, "#e0483e")
    c.tag(700, 190, "leave ten rope widths", "#e0483e", "#ffffff")


FILM = Film(
    "tie-three-knots",
    "Tie three useful knots",
    "rms",
    MOOD,
    (
    Section("intro", "Three useful knots", intro, (
        "With three knots you can do almost anything that needs a rope.",
        "The bit that moves is called the working end, and all the rest is the standing part.",
        "Where the rope crosses itself you get a loop.",
    )),
    Section("figure eight", "The figure eight, a stopper", eight, (
        "The first one is the figure eight. Make a loop, with the end lying over the standing part.",
        "Take the end round behind the standing part.",
        "And bring it back to the front, and down through the loop.",
        "Pull on both sides. It keeps a rope from running out through a ring, and it never jams.",
    )),
    Section("bowline, the loop", "The bowline: make the hole", bow_loop, (
        "The bowline makes an eye at the end of a rope that does not slip and does not tighten.",
        "Measure off enough rope, and turn a small loop, with the end on top.",
        "Remember that small loop as the rabbit hole, and the standing part as the tree.",
    )),
    Section("bowline, the rabbit", "The bowline: lead the end", bow_round, (
        "The rabbit comes up out of the hole, so the end goes through from below.",
        "It runs round behind the tree.",
        "And then it dives back down into its hole.",
    )),
    Section("bowline, tighten", "The bowline: tighten it", bow_pull, (
        "Hold the end together with the loop, and pull on the standing part.",
        "If you did it right, the short end lies on the inside of the big loop.",
    )),
    Section("clove hitch", "The clove hitch, round a post", hitch, (
        "Last, the clove hitch, to fasten a rope to a post quickly. Go once round the post.",
        "Cross over your first turn, and go round a second time.",
        "Now push the end under the slanting part that you just made.",
        "Pull it tight from both sides, and there it is.",
    )),
    Section("mistakes", "What can go wrong", mistakes, (
        "The usual mistake is an end that is too short, leave at least ten times the rope's thickness.",
        "And do not trust a clove hitch alone when the pull comes and goes, add a half hitch behind it.",
    )),
    ),
)  # fmt: skip
