"""What every reader of a published data set gives: videos as timed cues, and questions with true spans.

To add one: write `read(folder, split) -> Dataset` beside this file, say the published format in its
docstring, and list it in `READERS` of this package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import BadDataset
from pipeline.types import Cue, Span

# An answer must be worth playing; published spans of zero length get this much.
SHORTEST = 0.1


@dataclass(frozen=True)
class Narration:
    """The words of one video of a data set; `duration` in seconds. `labels`: what its parts are called, where
    the set says so; they are not spoken."""

    id: str
    title: str
    duration: float
    cues: tuple[Cue, ...]
    labels: tuple[tuple[str, Span], ...] = ()


@dataclass(frozen=True)
class Question:
    """One question asked of `video_id`; no span means that this video does not answer it."""

    id: str
    text: str
    video_id: str
    span: Span | None


@dataclass(frozen=True)
class Dataset:
    """One split of a data set: the whole corpus that is searched, and the questions asked of it."""

    name: str
    split: str
    videos: dict[str, Narration]
    questions: tuple[Question, ...]

    @property
    def answerable(self) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if q.span is not None)


def thinned(data: Dataset, most: int | None) -> Dataset:
    """At most so many of the answerable questions, evenly spread; every video stays. None or 0: all."""
    asked = data.answerable
    if not most or most >= len(asked):
        return data
    return replace(data, questions=tuple(asked[i * len(asked) // most] for i in range(most)))


def tidy(cues: Sequence[Cue]) -> tuple[Cue, ...]:
    """Cues with words, sorted by time."""
    return tuple(sorted((c for c in cues if c.text.strip()), key=lambda c: (c.start, c.end)))


def span_of(start: float, end: float) -> Span:
    """A published span, kept even where its end is not after its start."""
    return Span(max(0.0, start), max(end, max(0.0, start) + SHORTEST))


def existing(path: Path) -> Path:
    """The path, or FileNotFoundError that names what is missing."""
    if not path.exists():
        raise FileNotFoundError(f"'{path}' is not there: name the folder that holds the published files")
    return path


def json_rows(path: Path, of: str = "questions") -> Iterator[tuple[int, Any]]:
    """The rows of a JSON list with their numbers, from 1. Raises BadDataset, FileNotFoundError."""
    try:
        rows = json.loads(existing(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise BadDataset(f"“{path.name}” is damaged or no JSON: {error}. Get it again.") from error
    if not isinstance(rows, list):
        raise BadDataset(f"“{path.name}” is no list of {of}. Give the published file as it is.")
    yield from enumerate(rows, 1)


@contextmanager
def told_by_row(path: Path, number: int) -> Iterator[None]:
    """Whatever a row that is not in the format makes its reader raise, as `BadDataset` that names the row."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadDataset(
            f"Row {number} of “{path.name}” is not in the format ({type(error).__name__}: {error}). "
            "Give the published file as it is."
        ) from error
