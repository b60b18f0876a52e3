"""Videos told in other ways: what training shows instead of a transcript as it stands, so that a model learns
what was said and not how one data set cuts, writes or times it.

A telling keeps from which cue of which video each of its cues comes, so that what was computed of the videos
once need not be computed again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.datasets.halves import closed_up
from pipeline.localize.base import Candidate
from pipeline.types import Cue, Span

_SHORTEST, _LONGEST = 4, 18  # words of a cue
_BRIEFEST = 0.05  # seconds of a cue
_BRIEF = 0.25, 0.9  # share of each part that an abridged telling keeps
_STRETCH = 40.0  # seconds that are told at one pace, about
_PAUSE = 2.0  # seconds at most between two joined videos
_OPENING, _CLOSING = 0.15, 0.15  # share of a video at most that is no answer to what its title asks
_UNTOLD = ("intro", "outro", "introduction", "conclusion", "summary", "")  # labels that ask nothing
_QUOTED = 3, 8  # words of a quotation
_ASKING = ("how to ", "how do I ", "what is the way to ", "")

Asked = tuple[str, Span | None]  # None: the video does not answer it


@dataclass(frozen=True)
class Telling:
    """One video, or several end to end, as cues; `source[i]` is (video, cue) that cue i comes from."""

    videos: tuple[Candidate, ...]
    cues: tuple[Cue, ...]
    source: tuple[tuple[int, int], ...]
    asked: tuple[Asked, ...]  # questions and their answers
    labels: tuple[tuple[str, Span], ...] = ()  # what the parts of the one video are called

    @property
    def times(self) -> np.ndarray:
        """(cues, 2) seconds."""
        return np.array([[cue.start, cue.end] for cue in self.cues]).reshape(-1, 2)

    @property
    def duration(self) -> float:
        return max(cue.end for cue in self.cues)


def told(video: Candidate, asked: Sequence[Asked], labels: Sequence[tuple[str, Span]] = ()) -> Telling:
    """The video as it stands."""
    source = tuple((0, i) for i in range(len(video.cues)))
    return Telling((video,), video.cues, source, tuple(asked), tuple(labels))


def recut(telling: Telling, chance: np.random.Generator) -> Telling:
    """Cues of other lengths, as another recogniser would cut them; times by words."""
    words = [
        (cue, source, i, word, len(cue.text.split()))
        for cue, source in zip(telling.cues, telling.source, strict=True)
        for i, word in enumerate(cue.text.split())
    ]
    shortest = int(chance.integers(_SHORTEST, 9))
    longest = int(chance.integers(shortest + 2, _LONGEST + 1))
    cues, sources, at = [], [], 0
    while at < len(words):
        part = words[at : at + int(chance.integers(shortest, longest + 1))]
        (first, _, begin, _, of), (last, _, end, _, among) = part[0], part[-1]
        start = first.start + first.span.duration * begin / of
        stop = last.start + last.span.duration * (end + 1) / among
        cues.append(Cue(start, max(stop, start + _BRIEFEST), " ".join(word for _, _, _, word, _ in part)))
        sources.append(part[len(part) // 2][1])
        at += len(part)
    return replace(telling, cues=tuple(cues), source=tuple(sources))


def unwritten(telling: Telling) -> Telling:
    """Without punctuation and capitals, as speech recognition often gives it."""
    return replace(telling, cues=tuple(replace(cue, text=plain(cue.text)) for cue in telling.cues))


def plain(text: str) -> str:
    """
    >>> plain("Don't twist; hold it!")
    "don't twist hold it"
    """
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split()) or text


def misheard(telling: Telling, share: float, chance: np.random.Generator) -> Telling:
    """A share of the words in another's place, or lost."""
    known = [word for cue in telling.cues for word in cue.text.split()]

    def heard(text: str) -> str:
        kept = []
        for word in text.split():
            drawn = chance.random()
            if drawn > share:
                kept.append(word)
            elif drawn > share / 2:
                kept.append(known[int(chance.integers(len(known)))])
        return " ".join(kept) or text

    return replace(telling, cues=tuple(replace(cue, text=heard(cue.text)) for cue in telling.cues))


def paced(telling: Telling, factor: float) -> Telling:
    """Slower (above 1) or faster, answers too."""
    cues = tuple(
        replace(cue, start=cue.start * factor, end=cue.end * factor, words=()) for cue in telling.cues
    )
    asked = tuple((text, _moved(span, 0.0, factor)) for text, span in telling.asked)
    return replace(telling, cues=cues, asked=asked)


def uneven(telling: Telling, most: float, chance: np.random.Generator) -> Telling:
    """Some stretches slower and some faster, each by at most exp of `most`: who shows something says less a
    second than who talks about it."""
    ends = telling.times[:, 1]
    count = max(1, round(telling.duration / _STRETCH))
    at = np.unique(np.concatenate([[0.0], chance.choice(ends, min(count, len(ends)), False), [ends.max()]]))
    slower = np.exp(chance.uniform(-most, most, len(at) - 1))
    to = np.concatenate([[0.0], np.cumsum(np.diff(at) * slower)])

    def moved(second: float) -> float:
        return float(np.interp(second, at, to)) + max(0.0, second - at[-1])

    cues = tuple(replace(cue, start=moved(cue.start), end=moved(cue.end), words=()) for cue in telling.cues)
    asked = tuple((text, span and Span(moved(span.start), moved(span.end))) for text, span in telling.asked)
    return replace(telling, cues=cues, asked=asked)


def abridged(telling: Telling, chance: np.random.Generator) -> Telling:
    """Each part told in fewer words, those before or after left out, as a short video of the same would: how
    long an answer is depends on the video that gives it."""
    middles = telling.times.mean(1)
    known = [span for _, span in telling.labels or telling.asked if span]
    part = np.searchsorted(sorted({second for span in known for second in (span.start, span.end)}), middles)
    share, kept = chance.uniform(*_BRIEF), []
    for number in np.unique(part):
        among = np.flatnonzero(part == number)
        count = min(len(among), max(1, round(len(among) * share * chance.uniform(0.8, 1.2))))
        first = int(chance.integers(len(among) - count + 1)) if chance.random() < 0.5 else 0
        kept += among[first : first + count].tolist()
    cues = closed_up(telling.cues, kept)

    def moved(span: Span | None) -> Span | None:
        inside = [c for c, i in zip(cues, kept, strict=True) if span and span.start <= middles[i] <= span.end]
        return Span(inside[0].start, inside[-1].end) if inside else None

    asked = [(text, span, moved(span)) for text, span in telling.asked]
    labels = [(label, moved(span)) for label, span in telling.labels]
    return replace(
        telling,
        cues=cues,
        source=tuple(telling.source[i] for i in kept),
        asked=tuple((text, new) for text, old, new in asked if new or not old),
        labels=tuple((label, span) for label, span in labels if span),
    )


def joined(first: Telling, second: Telling, chance: np.random.Generator) -> Telling:
    """Two videos as one; what the title of each asks is answered by the whole of it."""
    videos: tuple[Candidate, ...] = ()
    cues: list[Cue] = []
    source: list[tuple[int, int]] = []
    asked: list[Asked] = []
    at = 0.0
    for part in (first, second):
        source += [(len(videos) + video, cue) for video, cue in part.source]
        videos += part.videos
        cues += [replace(cue, start=cue.start + at, end=cue.end + at, words=()) for cue in part.cues]
        asked += [(text, _moved(span, at)) for text, span in part.asked]
        title = part.videos[0].title
        if title:
            asked.append((asking(title, chance), Span(part.cues[0].start + at, part.duration + at)))
        at += part.duration + chance.uniform(0.0, _PAUSE)
    return Telling(videos, tuple(cues), tuple(source), tuple(asked))


def titled(telling: Telling, chance: np.random.Generator) -> Telling:
    """With the question that the title asks: nearly all of the video answers it, but not its opening and its
    closing words."""
    title, count = telling.videos[0].title, len(telling.cues)
    if not title or count < 4:
        return telling
    begin = int(count * chance.uniform(0.03, _OPENING))
    end = max(begin, int(count * (1 - chance.uniform(0.0, _CLOSING))) - 1)
    span = Span(telling.cues[begin].start, telling.cues[end].end)
    return replace(telling, asked=(*telling.asked, (asking(title, chance), span)))


def labelled(telling: Telling, most: int, chance: np.random.Generator) -> Telling:
    """With questions that the labels of at most so many of its parts ask."""
    known = [(label, span) for label, span in telling.labels if label.strip().lower() not in _UNTOLD]
    drawn = [known[i] for i in chance.permutation(len(known))[:most]]
    return replace(telling, asked=(*telling.asked, *((asking(label, chance), span) for label, span in drawn)))


def quoting(telling: Telling, share: float, chance: np.random.Generator) -> Telling:
    """A share of the questions in words that are said in their answers: who knows the words of a video must
    find them."""

    def asked(text: str, span: Span | None) -> str:
        if span is None:
            return text
        said = " ".join(
            cue.text for cue in telling.cues if span.start <= (cue.start + cue.end) / 2 <= span.end
        ).split()
        if chance.random() >= share or len(said) < _QUOTED[0]:
            return text
        count = min(len(said), int(chance.integers(_QUOTED[0], _QUOTED[1] + 1)))
        at = int(chance.integers(len(said) - count + 1))
        return asking(plain(" ".join(said[at : at + count])), chance)

    return replace(telling, asked=tuple((asked(text, span), span) for text, span in telling.asked))


def _moved(span: Span | None, by: float, factor: float = 1.0) -> Span | None:
    return None if span is None else Span((span.start + by) * factor, (span.end + by) * factor)


def asking(title: str, chance: np.random.Generator) -> str:
    """A question that a title answers.

    >>> asking("How to Tie a Knot", np.random.default_rng(0))
    'how do I Tie a Knot?'
    """
    title = title.strip()
    words = title.split()
    if [word.lower() for word in words[:2]] == ["how", "to"]:
        title = " ".join(words[2:])
        return f"{('how to', 'how do I')[int(chance.integers(2))]} {title}?"
    return _ASKING[int(chance.integers(len(_ASKING)))] + title[:1].lower() + title[1:] + "?"
