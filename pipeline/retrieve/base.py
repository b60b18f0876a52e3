"""What retrieval is asked and what it gives: the videos most likely to hold the answer, best first.

To add one: give it a `name`, a `search` that returns one `Hit` per video, and list it in `RETRIEVERS` of
this package. Scores lie in 0..1 and are comparable across the videos of one search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pipeline.types import Filters, Span


@dataclass(frozen=True)
class Query:
    """A question with its unit vector (None while there is no encoder) and the encoder's name."""

    question: str
    vector: np.ndarray | None = None
    model: str = ""
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True)
class Hit:
    """One video; `span` is the passage that spoke for it, where a passage did.

    `words` and `meaning` keep what lexical and dense search said (0..1), None when they said nothing.
    """

    video_id: str
    score: float
    span: Span | None = None
    words: float | None = None
    meaning: float | None = None


class Corpus(Protocol):
    """The part of `pipeline.library.store.Library` that retrieval searches."""

    def search_transcripts(self, match: str, limit: int, filters: Filters) -> Sequence[tuple[str, float]]:
        """(video id, score), higher is better."""
        ...

    def search_passages(
        self, match: str, limit: int, filters: Filters
    ) -> Sequence[tuple[int, str, Span, str, float]]:
        """(window id, video id, span, text, score), higher is better."""
        ...

    def nearest_windows(
        self, vector: np.ndarray, limit: int, filters: Filters, model: str
    ) -> Sequence[tuple[int, str, Span, float]]:
        """(window id, video id, span, cosine), best first, of the windows that `model` encoded."""
        ...

    def ready_videos(self, filters: Filters, limit: int | None) -> Sequence[str]:
        """Ids of the videos that can be searched, ascending."""
        ...


class Retriever(Protocol):
    @property
    def name(self) -> str: ...

    def search(self, query: Query, limit: int) -> list[Hit]:
        """At most `limit` videos, best first; none when nothing fits."""
        ...
