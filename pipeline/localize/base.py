"""What a localizer is asked and what it gives: spans in the videos that retrieval found, best first.

To add one: subclass `Localizer`, implement `spans` (and `curve` where the timeline should show something
else than the spans' scores, `contributions` and `span_chances` where it can say why), declare what it needs,
and list it in `LOCALIZERS` of this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.features.text import TextVectors
from pipeline.localize.evidence import MOST_CELLS, SpanChances, SpanMatrix
from pipeline.retrieve.words import stems
from pipeline.sentences import sentence_bounds
from pipeline.types import Contributions, Cue, ScoredSpan, Span


@dataclass(frozen=True)
class Candidate:
    """What a localizer sees of one video. Retrieval's score of it, 0..1, keeps videos comparable."""

    video_id: str
    cues: tuple[Cue, ...]
    vectors: TextVectors | None = None  # None: not made yet, or by another encoder
    retrieval: float = 1.0
    title: str = ""
    visual: np.ndarray | None = None  # (seconds, 1024) picture features
    read: np.ndarray | None = None  # (cues, D) by `Localizer.read`, made at ingest
    duration: float = 0.0
    _made: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def scored(self, retrieval: float) -> Candidate:
        """The same video with this retrieval score; what is computed of its words is shared."""
        return replace(self, retrieval=retrieval)

    @property
    def cue_stems(self) -> list[frozenset[str]]:
        """The stems of the words of every cue."""
        return self._once("cue_stems", lambda: [frozenset(stems(cue.text)) for cue in self.cues])

    @property
    def all_stems(self) -> frozenset[str]:
        """The stems of the whole video and of its title."""
        return self._once("all_stems", lambda: frozenset(stems(self.title)).union(*self.cue_stems))

    @property
    def times(self) -> np.ndarray:
        """Starts and ends of the cues, `(2, n)` seconds."""
        return self._once("times", lambda: np.array([[c.start, c.end] for c in self.cues]).reshape(-1, 2).T)

    @property
    def cue_vectors(self) -> np.ndarray | None:
        """`(cues, scales * D)`: by scale, the mean of the windows that hold each cue; None without them."""
        if self.vectors is None:
            return None
        count = len(self.cues)
        return np.concatenate([scale.per_cue(scale.vectors, count) for scale in self.vectors.scales], 1)

    def cosines(self, vector: np.ndarray) -> np.ndarray:
        """`(cues, scales)`: of `cue_vectors` with this vector (D,), without making them."""
        assert self.vectors is not None
        count = len(self.cues)
        return np.stack([w.per_cue(w.vectors @ vector, count) for w in self.vectors.scales], 1)

    @property
    def cue_dim(self) -> int:
        """The width of `cue_vectors`; 0 without vectors."""
        return sum(scale.vectors.shape[1] for scale in self.vectors.scales) if self.vectors else 0

    @property
    def sentences(self) -> list[tuple[float, float]]:
        """Where an answer may begin and end; 10 ms for ten minutes of speech."""
        return self._once("sentences", lambda: sentence_bounds(self.cues))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()  # two threads may both make it: it is the same
        return self._made[name]


@dataclass(frozen=True)
class Request:
    """A question, its unit vector (None without an encoder), and the videos to look into."""

    question: str
    vector: np.ndarray | None
    candidates: Sequence[Candidate] = field(default_factory=tuple)
    per_video: int = 3  # how many spans of one video are wanted at most
    states: np.ndarray | None = None  # (tokens, D) of the question, where the localizer `needs_states`
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # what a localizer keeps


class Localizer(ABC):
    """Finds the stretches of the candidates that answer the question."""

    name: str
    trained = False  # measured by its spans as they are, as the papers do, not moved to sentence bounds
    needs_visual = False
    uses_pictures = False  # reads `Candidate.visual` where it is there
    needs_states = False  # the states of the question's tokens, which cost another pass of the encoder
    ranks_videos = False  # its spans alone tell the right video, retrieval only chooses the candidates
    looks_into = 16  # how many of the best videos a question is asked of
    reading = ""  # names the rows of `Candidate.read` it takes, and changes when they do; "": it takes none

    def localize(self, request: Request) -> list[ScoredSpan]:
        """Spans of all candidates, best first; scores are comparable across the candidates.

        Spans of one video do not overlap and lie within its words.
        """
        found = [span for c in request.candidates if c.cues for span in self.spans(request, c)]
        return sorted(found, key=lambda s: (-s.score, s.video_id, s.span))

    @abstractmethod
    def spans(self, request: Request, candidate: Candidate) -> list[ScoredSpan]:
        """At most `request.per_video` spans of one video, best first."""

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """The cues of one video as this localizer reads them at ingest, `(cues, D)` float32, for
        `Candidate.read`; only where it has a `reading`."""
        raise NotImplementedError(f"{self.name} reads no cues ahead")

    def signals(self, request: Request, span: ScoredSpan) -> dict[str, float]:
        """What this localizer itself says for one of its spans, for a confidence that was fitted to it."""
        return {}

    def curve(self, request: Request, candidate: Candidate) -> list[tuple[float, float]]:
        """Relevance along the video for the timeline: (second, value in 0..1), seconds rising."""
        return []

    def contributions(self, request: Request, candidate: Candidate) -> Contributions:
        """What words and picture gave along the video; here the words, as the untrained one reads them."""
        from pipeline.localize.windows import WindowsLocalizer  # a localizer itself

        return Contributions(tuple(WindowsLocalizer().curve(request, candidate)))

    def span_chances(self, request: Request, candidate: Candidate) -> SpanChances | None:
        """Every span it weighs in the video, with its chance; None where it weighs none."""
        return None

    def matrix(
        self, request: Request, candidate: Candidate, cells: int = MOST_CELLS, around: Span | None = None
    ) -> SpanMatrix | None:
        """`span_chances` by start and end, as a picture of at most `cells` each way; see `pooled`."""
        found = self.span_chances(request, candidate)
        return None if found is None else found.pooled(candidate.duration, cells, around)
