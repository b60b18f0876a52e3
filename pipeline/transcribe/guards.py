"""What Whisper decoded in, cues that were really said out.

Whisper invents words where nobody speaks and repeats itself when it is lost. Segments without speech
under them, segments it does not believe in itself, and loops are left out here; that it is not
prompted with its own last words (see whisper.py) keeps most of them from coming up at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipeline.transcribe.speech import Stretch
from pipeline.types import Cue, Word

LEAST_SPEECH = 0.1  # share of a segment under which somebody must be heard
NO_SPEECH = 0.8  # the model's own probability that nobody speaks …
UNSURE = -0.8  # … together with a mean log probability of its words below this
LOOP = 4  # repetitions of a phrase in a row that nobody says
LOOP_WORDS = 8  # the longest phrase looked for
SAME_LINES = 3  # the same line in a row


@dataclass(frozen=True)
class Segment:
    """One line as an engine decoded it; a word keeps its leading blank where it has one."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...]
    no_speech: float
    log_probability: float


def said(segments: Iterable[Segment], speech: Sequence[Stretch]) -> tuple[Cue, ...]:
    """The cues of one recording. `speech`: where a detector heard somebody, on the same clock."""
    believed = [segment for segment in segments if _believed(segment) and _heard(segment, speech)]
    cues = [cue for segment in believed if (cue := _as_cue(_unlooped(segment))) is not None]
    kept: list[Cue] = []
    for _, same in groupby(cues, key=lambda cue: cue.text.casefold()):
        lines = list(same)
        kept += lines if len(lines) < SAME_LINES else lines[:1]
    return tuple(kept)


def _believed(segment: Segment) -> bool:
    return not (segment.no_speech > NO_SPEECH and segment.log_probability < UNSURE)


def _heard(segment: Segment, speech: Sequence[Stretch]) -> bool:
    covered = sum(max(0.0, min(segment.end, end) - max(segment.start, start)) for start, end in speech)
    return covered > LEAST_SPEECH * (segment.end - segment.start)


def _unlooped(segment: Segment) -> Segment:
    """A phrase said four times or more in a row is kept once."""
    words: Sequence[Word] = segment.words or [Word(0, 0, " " + text) for text in segment.text.split()]
    kept = without_loops(words)
    if len(kept) == len(words):
        return segment
    text = "".join(word.text for word in kept)
    if not segment.words:
        return replace(segment, text=text)
    return replace(segment, text=text, words=tuple(kept), end=kept[-1].end)


def without_loops(words: Sequence[Word]) -> list[Word]:
    """
    >>> [word.text for word in without_loops([Word(0, 1, text) for text in "a b a b a b a b c".split()])]
    ['a', 'b', 'c']
    """
    plain = [word.text.strip(" .,!?").casefold() for word in words]
    kept: list[Word] = []
    at = 0
    while at < len(words):
        size, times = _loop(plain, at)
        kept += words[at : at + size]
        at += size * times
    return kept


def _loop(plain: Sequence[str], at: int) -> tuple[int, int]:
    """The length of the shortest phrase that loops at `at` and how often it comes, or one word once."""
    for size in range(1, LOOP_WORDS + 1):
        phrase, times = plain[at : at + size], 1
        while plain[at + size * times : at + size * (times + 1)] == phrase:
            times += 1
        if times >= LOOP:
            return size, times
    return 1, 1


def _as_cue(segment: Segment) -> Cue | None:
    text = " ".join(segment.text.split())
    if not any(character.isalnum() for character in text):
        return None
    words = tuple(
        Word(word.start, max(word.start, word.end), word.text.strip())
        for word in segment.words
        if word.text.strip()
    )
    start = max(0.0, words[0].start if words else segment.start)
    end = max(start + 0.05, words[-1].end if words else segment.end)
    return Cue(start, end, text, words)
