"""The two retrievers that the papers' pipelines compare with: BM25 over whole transcripts, and every video
alike for models that rank the videos themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.library.search import to_match
from pipeline.retrieve.base import Corpus, Hit, Query


@dataclass(frozen=True)
class BM25Retriever:
    """BM25 (Robertson et al. 2004, the retriever of CCGS's Tables 1 and 3) of a video's title and words.

    SQLite FTS5 computes it (k1 = 1.2, b = 0.75, a word in the title counts three times) with Porter's stems
    and without stop words. Scores are shares of the best one: BM25 has no upper end.
    """

    corpus: Corpus
    name: str = "bm25"

    def search(self, query: Query, limit: int) -> list[Hit]:
        match = to_match(query.question)
        found = self.corpus.search_transcripts(match, limit, query.filters) if match else []
        best = max((score for _, score in found), default=0.0)
        if best <= 0:
            return []
        hits = [Hit(video, share, words=share) for video, score in found if (share := score / best) > 0]
        return sorted(hits, key=lambda hit: (-hit.score, hit.video_id))


@dataclass(frozen=True)
class AllRetriever:
    """Every video that fits the filters with score 1, by id: retrieval says nothing, the spans must."""

    corpus: Corpus
    name: str = "all"
    unordered: bool = True  # the order of these hits is no ranking

    def search(self, query: Query, limit: int) -> list[Hit]:
        return [Hit(video, 1.0) for video in self.corpus.ready_videos(query.filters, limit)]
