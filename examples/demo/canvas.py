"""A small vector-like drawing surface over Pillow: smooth shapes, limbs of changing width, cords that cross.

Everything is drawn at twice the size of the video and halved at the end, which makes the edges smooth.
Coordinates are pixels of the video (854 x 480), moved and turned by `Canvas.at`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, SAMPLES = 854, 480, 2
Point = Sequence[float]
Points = Sequence[Point] | np.ndarray
Colour = str


def rgb(colour: Colour) -> tuple[int, int, int]:
    """
    >>> rgb("#ff8000")
    (255, 128, 0)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` of the way from the first to the second.

    >>> mix("#000000", "#ffffff", 0.5)
    '#808080'
    """
    share = min(1.0, max(0.0, share))
    pairs = zip(rgb(first), rgb(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def dark(colour: Colour, share: float = 0.3) -> Colour:
    """A deeper tone of the colour, for outlines and shaded sides."""
    return mix(colour, "#1d1430", share)


def light(colour: Colour, share: float = 0.3) -> Colour:
    return mix(colour, "#ffffff", share)


def smooth(points: Points, closed: bool = False, steps: int = 12) -> np.ndarray:
    """Catmull-Rom curve through the points, as (N, 2)."""
    knots = np.asarray(points, float)
    if len(knots) < 3:
        return knots
    ring = np.vstack([knots[-1], knots, knots[:2]]) if closed else np.vstack([knots[0], knots, knots[-1]])
    u = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [_piece(ring[i : i + 4], u) for i in range(len(ring) - 3)]
    return np.vstack(pieces if closed else [*pieces, knots[-1:]])


def _piece(p: np.ndarray, u: np.ndarray) -> np.ndarray:
    linear = (p[2] - p[0]) * u
    square = (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * u**2
    cubic = (3 * p[1] - p[0] - 3 * p[2] + p[3]) * u**3
    return 0.5 * (2 * p[1] + linear + square + cubic)


def arc(x: float, y: float, rx: float, ry: float, first: float, last: float, steps: int = 40) -> np.ndarray:
    """Points of an ellipse's arc; angles in degrees, clockwise from the right as on the screen."""
    a = np.radians(np.linspace(first, last, steps))
    return np.column_stack([x + rx * np.cos(a), y + ry * np.sin(a)])


def part(points: Points, first: float, last: float) -> np.ndarray:
    """The stretch of a polyline between two shares of its length."""
    line = np.asarray(points, float)
    reach = _reach(line)
    first, last = max(0.0, first) * reach[-1], min(1.0, last) * reach[-1]
    inside = line[(reach > first) & (reach < last)]
    return np.vstack([_at(line, reach, first), inside, _at(line, reach, last)])


def along(points: Points, share: float) -> tuple[float, float, float]:
    """Where a polyline is after a share of its length: x, y and heading in degrees."""
    line = np.asarray(points, float)
    reach = _reach(line)
    here = _at(line, reach, min(1.0, max(0.0, share)) * reach[-1])
    ahead = _at(line, reach, min(reach[-1], share * reach[-1] + 2))
    behind = _at(line, reach, max(0.0, share * reach[-1] - 2))
    return here[0], here[1], math.degrees(math.atan2(ahead[1] - behind[1], ahead[0] - behind[0]))


def _reach(line: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def _at(line: np.ndarray, reach: np.ndarray, distance: float) -> np.ndarray:
    return np.array([np.interp(distance, reach, line[:, 0]), np.interp(distance, reach, line[:, 1])])


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # Aileron, which comes inside Pillow


class Canvas:
    """One picture being drawn. Shapes draw a rim of a darker tone unless told not to."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.matrix = np.array([[SAMPLES, 0, 0], [0, SAMPLES, 0]], float)

    @contextmanager
    def at(
        self, x: float = 0, y: float = 0, angle: float = 0, scale: float = 1, flip: bool = False
    ) -> Iterator[None]:
        """Draws in a moved, turned (degrees clockwise), scaled or left-right mirrored system."""
        before, a = self.matrix, math.radians(angle)
        side = -scale if flip else scale
        turn = np.array(
            [
                [math.cos(a) * side, -math.sin(a) * scale, x],
                [math.sin(a) * side, math.cos(a) * scale, y],
                [0, 0, 1],
            ]
        )
        self.matrix = before @ turn
        yield
        self.matrix = before

    @contextmanager
    def clipped(self, points: Points) -> Iterator[None]:
        """What is drawn inside shows only within the polygon: bandage on a leg, water in a glass."""
        outside = Image.new("L", self.image.size, 255)
        ImageDraw.Draw(outside).polygon(self._put(points).ravel().tolist(), fill=0)
        before = self.image.copy()
        yield
        self.image.paste(before, mask=outside)

    @property
    def unit(self) -> float:
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))

    def _put(self, points: Points) -> np.ndarray:
        return np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def _ink(self, colour: Colour, alpha: float) -> tuple[int, int, int, int]:
        return (*rgb(colour), round(255 * min(1.0, max(0.0, alpha))))

    def shape(
        self, points: Points, fill: Colour, rim: float = 2, alpha: float = 1, edge: Colour = ""
    ) -> None:
        """A filled polygon with a rim of a darker tone."""
        where = self._put(points)
        flat = where.ravel().tolist()
        self.draw.polygon(flat, fill=self._ink(fill, alpha))
        if rim and alpha == 1:
            closed = flat + flat[:4]
            self.draw.line(closed, self._ink(edge or dark(fill), 1), max(1, round(rim * self.unit)), "curve")

    def blob(self, points: Points, fill: Colour, rim: float = 2, alpha: float = 1) -> None:
        """A smooth closed shape through the points."""
        self.shape(smooth(points, closed=True), fill, rim, alpha)

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, rim: float = 2, alpha: float = 1
    ) -> None:
        self.shape(arc(x, y, rx, ry, 0, 360, 48), fill, rim, alpha)

    def box(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        fill: Colour,
        radius: float = 6,
        rim: float = 2,
        alpha: float = 1,
    ) -> None:
        """A rectangle with rounded corners, from its top left corner."""
        r = min(radius, w / 2, h / 2)
        corners = (
            (x + w - r, y + r, -90),
            (x + w - r, y + h - r, 0),
            (x + r, y + h - r, 90),
            (x + r, y + r, 180),
        )
        points = np.vstack([arc(cx, cy, r, r, a, a + 90, 8) for cx, cy, a in corners])
        self.shape(points, fill, rim, alpha)

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, colour: Colour) -> None:
        self.line(arc(x, y, rx, ry, 0, 365, 60), width, colour)

    def line(self, points: Points, width: float, colour: Colour, rim: float = 0, alpha: float = 1) -> None:
        """An open stroke with round ends; with a rim it is a bar or a cord."""
        where = self._put(points)
        if rim:
            self._stroke(where, (width + 2 * rim) * self.unit, self._ink(dark(colour, 0.4), alpha))
        self._stroke(where, width * self.unit, self._ink(colour, alpha))

    def _stroke(self, where: np.ndarray, width: float, ink: tuple[int, int, int, int]) -> None:
        thick = max(1, round(width))
        self.draw.line(where.ravel().tolist(), ink, thick, "curve")
        if thick > 3 and ink[3] == 255:
            self._dots(where if len(where) < 90 else where[:: len(where) - 1], thick / 2 - 0.5, ink)

    def _dots(self, where: np.ndarray, r: float, ink: tuple[int, int, int, int]) -> None:
        for x, y in where:
            self.draw.ellipse((x - r, y - r, x + r, y + r), ink)

    def curve(self, points: Points, width: float, colour: Colour, rim: float = 0) -> None:
        """A smooth stroke through the points."""
        self.line(smooth(points), width, colour, rim)

    def limb(self, points: Points, widths: Sequence[float], colour: Colour, rim: float = 2) -> None:
        """A smooth round-ended shape whose width changes along its spine: fingers, arms, legs, leaves."""
        spine = self._put(smooth(points))
        wide = np.interp(np.linspace(0, 1, len(spine)), np.linspace(0, 1, len(widths)), widths) * self.unit
        if rim:
            self._sweep(spine, wide / 2 + rim * self.unit, self._ink(dark(colour), 1))
        self._sweep(spine, wide / 2, self._ink(colour, 1))

    def _sweep(self, spine: np.ndarray, radii: np.ndarray, ink: tuple[int, int, int, int]) -> None:
        steps = np.diff(spine, axis=0)
        lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-6)
        normals = np.column_stack([-steps[:, 1], steps[:, 0]]) / lengths[:, None]
        for i, normal in enumerate(normals):
            a, b = normal * radii[i], normal * radii[i + 1]
            quad = np.array([spine[i] + a, spine[i + 1] + b, spine[i + 1] - b, spine[i] - a])
            self.draw.polygon(quad.ravel().tolist(), fill=ink)
        turn = np.hypot(*np.diff(normals, axis=0).T) if len(normals) > 1 else np.zeros(0)
        corners = np.concatenate([[9.0], turn, [9.0]]) * radii > 1.0  # straight stretches need no round joint
        for (x, y), r in zip(spine[corners], radii[corners], strict=True):
            self.draw.ellipse((x - r, y - r, x + r, y + r), ink)

    def shadow(self, x: float, y: float, rx: float, ry: float, depth: float = 0.16) -> None:
        """A soft shadow: stacked faint ovals."""
        for share in (1.0, 0.86, 0.72, 0.58):
            self.oval(x, y, rx * share, ry * share, "#1d1430", 0, depth / 4)

    def glow(self, x: float, y: float, r: float, colour: Colour, strength: float = 0.5) -> None:
        for share in (1.0, 0.8, 0.6, 0.4):
            self.oval(x, y, r * share, r * share, colour, 0, strength / 4)

    def arrow(self, points: Points, colour: Colour = "#ff6b4a", width: float = 7, grow: float = 1.0) -> None:
        """A curved arrow, grown to a share of its length, rimmed in white so that it reads on anything."""
        if grow <= 0.05:
            return
        path = part(smooth(points), 0, grow)
        x, y, heading = along(path, 1)
        body = part(path, 0, max(0.02, 1 - width * 1.6 / max(1.0, _reach(path)[-1])))
        head = [(width * 1.2, 0), (-width * 1.5, -width * 1.7), (-width * 1.5, width * 1.7)]
        self._stroke(self._put(body), (width + 5) * self.unit, self._ink("#ffffff", 1))
        with self.at(x, y, heading):
            self.shape(head, "#ffffff", 5, edge="#ffffff")
        self._stroke(self._put(body), width * self.unit, self._ink(colour, 1))
        with self.at(x, y, heading):
            self.shape(head, colour, 0)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        colour: Colour,
        bold: float = 0,
        anchor: str = "lm",
        alpha: float = 1,
    ) -> None:
        """Upright words; the place is moved by `at`, the letters are not turned."""
        where = self._put([(x, y)])[0]
        face = font(round(size * self.unit))
        ink = self._ink(colour, alpha)
        self.draw.text(
            tuple(where), words, ink, face, anchor, stroke_width=bold * self.unit / 2, stroke_fill=ink
        )

    def tag(
        self,
        x: float,
        y: float,
        words: str,
        colour: Colour = "#ffffff",
        ink: Colour = "#2b2540",
        size: float = 17,
    ) -> None:
        """A small rounded label, centred on the place."""
        wide = font(round(size * SAMPLES)).getlength(words) / SAMPLES + size * 1.3
        self.box(x - wide / 2, y - size * 0.95 + 3, wide, size * 1.9, "#1d1430", size, 0, 0.14)
        self.box(x - wide / 2, y - size * 0.95, wide, size * 1.9, colour, size, 0)
        self.text(x, y, words, size, ink, 0.5, "mm")

    def tick(self, x: float, y: float, size: float = 22, good: bool = True, grow: float = 1.0) -> None:
        """A green tick or a red cross on a disc."""
        if grow <= 0:
            return
        with self.at(x, y, 0, grow):
            self.oval(0, 2, size, size, "#1d1430", 0, 0.2)
            self.oval(0, 0, size, size, "#2fa36b" if good else "#e0483e", 0)
            s = size * 0.45
            strokes = [[(-s, 0), (-s * 0.2, s * 0.8), (s, -s * 0.8)]]
            if not good:
                strokes = [[(-s, -s), (s, s)], [(-s, s), (s, -s)]]
            for stroke in strokes:
                self.line(stroke, size * 0.26, "#ffffff")

    def strand(self, path: np.ndarray, width: float, colour: Colour) -> None:
        """A piece of laid rope that crosses nothing of its own."""
        self.line(path, width, colour, 2.2)
        self._twist(path, width, colour)

    def cord(self, points: Points, over: str, width: float, colour: Colour, grow: float = 1.0) -> None:
        """A rope whose smooth path crosses itself; `over` has an "o" or "u" for each passage on the way."""
        path = smooth(points, steps=16)
        shown = max(1, int((len(path) - 1) * min(1.0, grow)))
        self.strand(path[: shown + 1], width, colour)
        for mark, place in zip(over, crossings(path), strict=False):
            if mark == "o" and place < shown - 1:
                self._bridge(path, place, shown, width, colour)

    def _bridge(self, path: np.ndarray, place: int, shown: int, width: float, colour: Colour) -> None:
        reach = _reach(path)
        near = np.abs(reach - reach[place]) < width * 1.05
        near[shown + 1 :] = False
        piece = path[near]
        self.draw.line(
            self._put(piece[1:-1]).ravel().tolist(),
            self._ink(dark(colour, 0.4), 1),
            round((width + 4.4) * self.unit),
            "curve",
        )
        self.draw.line(
            self._put(piece).ravel().tolist(), self._ink(colour, 1), round(width * self.unit), "curve"
        )
        self._twist(piece, width, colour, float(reach[near][0]))

    def _twist(self, path: np.ndarray, width: float, colour: Colour, offset: float = 0.0) -> None:
        """Short slanting strokes that make a stroke look like laid rope."""
        if len(path) < 2:
            return
        length, gap = _reach(path)[-1], width * 0.8
        first = (-offset) % gap
        for place in np.arange(first, length, gap):
            x, y, heading = along(path, place / length)
            with self.at(x, y, heading):
                self.line(
                    [(-width * 0.22, width * 0.32), (width * 0.22, -width * 0.32)], 1.6, dark(colour, 0.25)
                )


def crossings(path: np.ndarray) -> list[int]:
    """Indexes at which a polyline passes itself, in travelling order (each crossing gives two)."""
    a, b = path[:-1], path[1:]
    found = []
    for i in range(len(a) - 2):
        d, e = b[i] - a[i], b[i + 2 :] - a[i + 2 :]
        f = a[i + 2 :] - a[i]
        cross = d[0] * e[:, 1] - d[1] * e[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (f[:, 0] * e[:, 1] - f[:, 1] * e[:, 0]) / cross
            v = (f[:, 0] * d[1] - f[:, 1] * d[0]) / cross
        hit = np.flatnonzero((cross != 0) & (u >= 0) & (u < 1) & (v >= 0) & (v < 1))
        found += [(i, int(j) + i + 2) for j in hit]
    return sorted(place for pair in found for place in pair)
