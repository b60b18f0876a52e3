"""Dense retrieval: the cosine of the question's vector with the passages' vectors; a video counts by its
best passages."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.retrieve.base import Corpus, Hit, Query
from pipeline.types import Span

# MiniLM's cosines of a question with text that has nothing to do with it, and with its answer.
COSINE_NOTHING, COSINE_SURE = 0.05, 0.75


@dataclass(frozen=True)
class DenseRetriever:
    """The best passage of a video, and a little of its second best: subjects are spoken of for a while."""

    corpus: Corpus
    windows: int = 200
    second: float = 0.5
    name: str = "dense"

    def search(self, query: Query, limit: int) -> list[Hit]:
        if query.vector is None:
            return []
        cosines: dict[str, list[float]] = {}
        spans: dict[str, Span] = {}
        nearest = self.corpus.nearest_windows(query.vector, self.windows, query.filters, query.model)
        for _, video, span, cosine in nearest:
            spans.setdefault(video, span)  # windows come best first
            cosines.setdefault(video, []).append(cosine)
        hits = [self._hit(video, found, spans[video]) for video, found in cosines.items()]
        return sorted(hits, key=lambda hit: (-hit.score, hit.video_id))[:limit]

    def _hit(self, video: str, cosines: list[float], span: Span) -> Hit:
        best, *others = cosines
        second = others[0] if others else best
        score = to_unit((best + self.second * second) / (1 + self.second))
        return Hit(video, score, span, meaning=score)


def to_unit(cosine: float) -> float:
    """A cosine as evidence in 0..1, the same in every library.

    >>> to_unit(0.75), to_unit(0.0)
    (1.0, 0.0)
    """
    return float(min(1.0, max(0.0, (cosine - COSINE_NOTHING) / (COSINE_SURE - COSINE_NOTHING))))
