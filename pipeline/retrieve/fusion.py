"""Fusion: the weighted sum of what lexical and dense retrieval say of a video, each in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.retrieve.base import Hit, Query, Retriever


@dataclass(frozen=True)
class FusedRetriever:
    """A retriever that does not name a video counts as zero; one that names none at all is left out."""

    retrievers: Sequence[tuple[Retriever, float]]
    depth: int = 100  # how many videos each is asked for
    name: str = "fused"

    def search(self, query: Query, limit: int) -> list[Hit]:
        found = [(r.search(query, max(limit, self.depth)), weight) for r, weight in self.retrievers]
        total = sum(weight for hits, weight in found if hits)
        merged: dict[str, Hit] = {}
        for hits, weight in found:
            for hit in hits:
                merged[hit.video_id] = _merge(merged.get(hit.video_id), hit, weight / total)
        return sorted(merged.values(), key=lambda hit: (-hit.score, hit.video_id))[:limit]


def _merge(known: Hit | None, hit: Hit, share: float) -> Hit:
    if known is None:
        return Hit(hit.video_id, share * hit.score, hit.span, hit.words, hit.meaning)
    return Hit(
        hit.video_id,
        known.score + share * hit.score,
        known.span or hit.span,
        hit.words if known.words is None else known.words,
        hit.meaning if known.meaning is None else known.meaning,
    )
