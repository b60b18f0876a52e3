"""What a localizer says of its choice in one video: what the words and the picture gave along it, and how its
chance is spread over the spans, also as a small picture (`SpanMatrix`).

Goes in: chances of units and of spans, as arrays; comes out: what the page and the endpoints show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.types import Contributions, Curve, Span

MOST_CELLS = 64  # of a matrix, along each side
_LONG = 320.0  # seconds; of a longer video a stretch is shown, whose cells are seconds
_ROOM = 2.0  # of the clip's length, shown on either side of it


@dataclass(frozen=True)
class SpanMatrix:
    """The chance of clips by where they begin and where they end, in cells of equal time: of the whole video,
    or of the stretch of a long one about the clip that is asked about."""

    chances: np.ndarray  # (n, n): cell of the start, cell of the end; sums to 1 over the whole video
    edges: np.ndarray  # (n + 1,) seconds
    likeliest: Span  # the span of the highest chance, itself
    trained: bool  # False: weights of the untrained rule, not learned from answers


@dataclass(frozen=True)
class SpanChances:
    """Every span that a localizer weighs in one video, and its chance."""

    seconds: np.ndarray  # (k, 2) start and end
    chances: np.ndarray  # (k,) they add up to 1
    trained: bool = True

    def pooled(self, duration: float, cells: int = MOST_CELLS, around: Span | None = None) -> SpanMatrix:
        """At most `cells` each way, and not more than there are starts: finer ones would stay empty. Of a
        long video a stretch about `around`, or about the likeliest."""
        shown = self._stretch(Span(0.0, max(duration, float(self.seconds[:, 1].max()))), around)
        inside = (self.seconds[:, 0] >= shown.start) & (self.seconds[:, 1] <= shown.end)
        starts, ends = self.seconds[inside].T - shown.start
        count = max(1, min(cells, len(np.unique(starts))))
        width = shown.duration / count
        # A span that ends where a cell begins does not reach into it.
        first = np.clip((starts / width + 1e-9).astype(int), 0, count - 1)
        last = np.clip(np.ceil(ends / width - 1e-9).astype(int) - 1, first, count - 1)
        sums = np.bincount(first * count + last, self.chances[inside], count * count).reshape(count, count)
        likeliest = Span(*map(float, self.seconds[self.chances.argmax()]))
        return SpanMatrix(sums, np.linspace(shown.start, shown.end, count + 1), likeliest, self.trained)

    def _stretch(self, whole: Span, around: Span | None) -> Span:
        if whole.duration <= _LONG:
            return whole
        likeliest = Span(*map(float, self.seconds[self.chances.argmax()]))
        clip = around if around and around.start < whole.end else likeliest
        room = max(_ROOM * clip.duration, _LONG / 4)
        found = Span(max(whole.start, clip.start - room), min(whole.end, clip.end + room))
        return found if found.duration < whole.duration / 2 else whole

    def near(self, span: Span, overlap: float = 0.5) -> float:
        """The chance of all spans that overlap this one by so much of their union, 0..1."""
        starts, ends = self.seconds.T
        shared = np.clip(np.minimum(ends, span.end) - np.maximum(starts, span.start), 0.0, None)
        union = (ends - starts) + span.duration - shared
        return min(1.0, float(self.chances[shared >= overlap * union].sum()))


@dataclass(frozen=True)
class Explanation:
    """Why a method takes what it takes in one video. `near` is the chance of the spans about the clip that is
    asked about, see `SpanChances.near`; None without a clip, or where nothing speaks of the question."""

    question: str
    video_id: str
    contributions: Contributions
    matrix: SpanMatrix | None = None
    near: float | None = None
    method: str = ""
    notice: str = ""


def curve(seconds: np.ndarray, values: np.ndarray) -> Curve:
    """Arrays (n,) as the points of a curve."""
    return tuple((float(t), float(v)) for t, v in zip(seconds, values, strict=True))


def told_apart(seconds: np.ndarray, whole: np.ndarray, words: np.ndarray | None) -> Contributions:
    """What the words gave and what the picture added, from the chance of each unit (n,) to be in the answer
    with the picture (`whole`) and without it; both over the highest value of the two.

    `words` is None where the network cannot read without pictures: then nothing can be told apart.
    """
    if words is None or len(words) != len(whole):
        return Contributions(None, None)
    added = np.clip(whole - words, 0.0, None)
    most = max(float(words.max()), float(added.max()))
    return Contributions(curve(seconds, words / most), curve(seconds, added / most))
