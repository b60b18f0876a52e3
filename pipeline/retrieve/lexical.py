"""Lexical retrieval: SQLite FTS5 over whole transcripts and over passages.

BM25 has no upper end, so scores are given relative to the best of the search.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.library.search import to_match
from pipeline.retrieve.base import Corpus, Hit, Query
from pipeline.types import Span


@dataclass(frozen=True)
class LexicalRetriever:
    """`passage_weight` is the share of the best passage beside that of the whole transcript."""

    corpus: Corpus
    passage_weight: float = 0.4
    passages: int = 100
    name: str = "lexical"

    def search(self, query: Query, limit: int) -> list[Hit]:
        match = to_match(query.question)
        if not match:
            return []
        whole = _relative(dict(self.corpus.search_transcripts(match, max(limit, 20), query.filters)))
        best, spans = self._best_passages(match, query)
        hits = [
            Hit(
                video,
                score := self._mix(whole.get(video, 0.0), best.get(video, 0.0)),
                spans.get(video),
                score,
            )
            for video in {**whole, **best}
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.video_id))[:limit]

    def _best_passages(self, match: str, query: Query) -> tuple[dict[str, float], dict[str, Span]]:
        if not self.passage_weight:
            return {}, {}
        scores: dict[str, float] = {}
        spans: dict[str, Span] = {}
        for _, video, span, _, score in self.corpus.search_passages(match, self.passages, query.filters):
            if score > scores.get(video, float("-inf")):
                scores[video], spans[video] = score, span
        return _relative(scores), spans

    def _mix(self, whole: float, passage: float) -> float:
        return (1 - self.passage_weight) * whole + self.passage_weight * passage


def _relative(scores: dict[str, float]) -> dict[str, float]:
    """Scores as shares of the best one; a best score of nothing says nothing."""
    best = max(scores.values(), default=0.0)
    return {video: max(0.0, score / best) for video, score in scores.items()} if best > 0 else {}
