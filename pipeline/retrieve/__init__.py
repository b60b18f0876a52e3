"""Retrievers by name: each finds the videos that may hold the answer, best first."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.retrieve.base import Corpus, Hit, Query, Retriever
from pipeline.retrieve.dense import DenseRetriever
from pipeline.retrieve.fusion import FusedRetriever
from pipeline.retrieve.lexical import LexicalRetriever

__all__ = ["RETRIEVERS", "Corpus", "Hit", "Query", "Retriever", "load_retriever"]


def _fused(corpus: Corpus) -> Retriever:
    return FusedRetriever(((LexicalRetriever(corpus), 0.3), (DenseRetriever(corpus), 0.7)))


RETRIEVERS: dict[str, Callable[[Corpus], Retriever]] = {
    "lexical": LexicalRetriever,
    "dense": DenseRetriever,
    "fused": _fused,
}


def load_retriever(corpus: Corpus, name: str = "fused") -> Retriever:
    """The retriever of this name over a library; an unknown name lists the known ones."""
    if name not in RETRIEVERS:
        raise ValueError(f"no retriever '{name}'; known: {', '.join(RETRIEVERS)}")
    return RETRIEVERS[name](corpus)
