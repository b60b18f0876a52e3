"""Moves the ends of a span to where sentences begin and end, with a small lead-in, so that a clip does not
start in the middle of a word."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from pipeline.types import Span

LEAD_IN = 0.3  # seconds before the first word
TRAIL = 0.2  # seconds after the last
FARTHEST = 6.0  # how far an end is moved at most; beyond, no sentence ends nearby


def snap(
    span: Span, sentences: Sequence[tuple[float, float]], duration: float = 0.0, longest: float = 180.0
) -> Span:
    """The span from the nearest sentence start to the nearest sentence end, inside the video; at most
    `longest` seconds, or as long as it was.

    >>> snap(Span(4, 11), [(0.0, 4.5), (5.0, 9.0), (10.0, 12.0)])
    Span(start=4.7, end=12.2)
    """
    start = _nearest(span.start, [begin for begin, _ in sentences])
    end = _nearest(span.end, [stop for _, stop in sentences])
    if end - start < min(3.0, span.duration):
        start, end = span.start, span.end
    return _padded(start, end, sentences, duration, max(longest, span.duration))


def _nearest(time: float, bounds: Sequence[float]) -> float:
    at = bisect_left(bounds, time)
    near = [bound for bound in bounds[max(0, at - 1) : at + 1] if abs(bound - time) <= FARTHEST]
    return min(near, key=lambda bound: abs(bound - time), default=time)


def _padded(
    start: float, end: float, sentences: Sequence[tuple[float, float]], duration: float, longest: float
) -> Span:
    """A lead-in and a trail that do not reach into the words before and after."""
    before = max((stop for _, stop in sentences if stop <= start + 0.01), default=0.0)
    after = min((begin for begin, _ in sentences if begin >= end - 0.01), default=duration or end + TRAIL)
    start = max(0.0, start - min(LEAD_IN, max((start - before) * 0.8, 0.1)))
    end = end + min(TRAIL, max(after - end, 0.0))
    if duration:
        end = min(end, duration)
        start = min(start, max(0.0, end - 0.1))
    return Span(round(start, 3), round(min(end, start + longest), 3))
