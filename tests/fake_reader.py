"""A localizer for tests that reads cues ahead: a cue's row tells its length and its first letter, and the
answer is the cue that shares most words with the question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.localize import Candidate, Localizer, Request
from pipeline.retrieve.words import stems
from pipeline.types import ScoredSpan


class FakeReader(Localizer):
    """Counts what it reads; without rows of its own, of this `reading`, it answers nothing."""

    name = "fake-reader"
    trained = True

    def __init__(self, reading: str = "fake-reader-1") -> None:
        self.reading = reading
        self.texts: list[str] = []
        self.refuses = ""  # it fails on a video that says this

    def read(self, texts: Sequence[str]) -> np.ndarray:
        if self.refuses and any(self.refuses in text for text in texts):
            raise RuntimeError("index out of range in self")
        self.texts += texts
        return rows_of(texts)

    def spans(self, request: Request, candidate: Candidate) -> list[ScoredSpan]:
        if candidate.read is None:
            return []
        assert np.array_equal(candidate.read, rows_of([cue.text for cue in candidate.cues]))
        wanted = set(stems(request.question))
        found = [
            ScoredSpan(candidate.video_id, cue.span, len(wanted & set(stems(cue.text))) / (1 + len(wanted)))
            for cue in candidate.cues
        ]
        return sorted(found, key=lambda span: -span.score)[: request.per_video]


def rows_of(texts: Sequence[str]) -> np.ndarray:
    return np.array([[len(text), ord(text[0])] for text in texts], np.float32).reshape(-1, 2)
