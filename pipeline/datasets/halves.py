"""Videos without every other of their parts: a question about what is left out is worded like any other, and
the video no longer answers it.

So whether an answer is there can be learned, and measured, without learning how unanswerable questions are
worded: the same question is asked with its answer and without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from pipeline.datasets.base import Dataset, Narration, Question
from pipeline.types import Cue, Span

_FEWEST = 4  # cues of a video that parts are left out of
_PAUSE = 2.0  # seconds at most where something was left out
_APART = 0.05  # seconds that parts may overlap


def halves(data: Dataset) -> tuple[Dataset, Dataset]:
    """Every video without its first, third, … part, and without the others, under the same id.

    A question whose answer is left out has no span; one of whose answer only some is left is not asked, nor
    is one that `data` says nothing answers. Videos of which hardly a word or no answer is left are missing.
    Parts are what the labels name, or the answers; those that overlap are one.
    """
    return _half(data, 0), _half(data, 1)


def _half(data: Dataset, first: int) -> Dataset:
    asked: dict[str, list[Question]] = {}
    for question in data.answerable:
        asked.setdefault(question.video_id, []).append(question)
    videos, questions = {}, []
    for name, of in asked.items():
        left, found = _without(data.videos[name], of, first)
        if len(left.cues) >= _FEWEST and any(question.span for question in found):
            videos[name] = left
            questions += found
    return Dataset(f"{data.name} half {first + 1}", data.split, videos, tuple(questions))


def _without(video: Narration, asked: Sequence[Question], first: int) -> tuple[Narration, list[Question]]:
    middles = np.array([(cue.start + cue.end) / 2 for cue in video.cues])
    gone = np.zeros(len(middles), bool)
    known = [span for _, span in video.labels] or [question.span for question in asked if question.span]
    for part in _parts(known)[first::2]:
        gone |= (middles >= part.start) & (middles <= part.end)
    cues = closed_up(video.cues, np.flatnonzero(~gone))
    place = np.cumsum(~gone) - 1  # of each cue among those that are kept

    def left(spans: Iterable[Span | None]) -> Iterator[tuple[bool, Span | None]]:
        """Of each span whether it is whole or wholly gone, and where it is now."""
        for span in spans:
            inside = np.flatnonzero((middles >= span.start) & (middles <= span.end)) if span else place[:0]
            if not len(inside) or gone[inside].any():
                yield bool(len(inside)) and bool(gone[inside].all()), None
            else:
                yield True, Span(cues[place[inside[0]]].start, cues[place[inside[-1]]].end)

    labels = zip(video.labels, left(span for _, span in video.labels), strict=True)
    found = zip(asked, left(question.span for question in asked), strict=True)
    narration = Narration(
        video.id,
        video.title,
        cues[-1].end if cues else 0.0,
        cues,
        tuple((label, span) for (label, _), (_, span) in labels if span),
    )
    return narration, [replace(question, span=span) for question, (clear, span) in found if clear]


def _parts(spans: Sequence[Span]) -> list[Span]:
    """In order; those that overlap are one."""
    parts: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if parts and span.start < parts[-1].end - _APART:
            parts[-1] = Span(parts[-1].start, max(parts[-1].end, span.end))
        else:
            parts.append(span)
    return parts


def closed_up(cues: Sequence[Cue], kept: Iterable[int]) -> tuple[Cue, ...]:
    """Those cues, each after the one before, with no longer pauses than there were, and at most 2 s."""
    found: list[Cue] = []
    end = 0.0
    for i in kept:
        pause = cues[i].start - cues[i - 1].end if i else 0.0
        start = end + (min(max(pause, 0.0), _PAUSE) if found else 0.0)
        end = start + cues[i].span.duration
        found.append(replace(cues[i], start=start, end=end, words=()))
    return tuple(found)
