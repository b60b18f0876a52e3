"""Retrievers by name: each finds the videos that may hold the answer, best first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import CheckpointMissing
from pipeline.retrieve.base import Corpus, Hit, Query, Retriever
from pipeline.retrieve.bm25 import AllRetriever, BM25Retriever
from pipeline.retrieve.dense import DenseRetriever
from pipeline.retrieve.fusion import FusedRetriever
from pipeline.retrieve.lexical import LexicalRetriever

__all__ = ["RETRIEVERS", "TRAINED", "Corpus", "Hit", "Query", "Retriever", "load_retriever"]


def _fused(corpus: Corpus) -> Retriever:
    return FusedRetriever(((LexicalRetriever(corpus), 0.3), (DenseRetriever(corpus), 0.7)))


def _dpr(corpus: Corpus, checkpoint: Path | str) -> Retriever:
    from pipeline.retrieve.dpr import DPRRetriever  # torch is slow to import

    return DPRRetriever.load(corpus, checkpoint)


TRAINED: dict[str, Callable[[Corpus, Path | str], Retriever]] = {"dpr": _dpr}  # these need a checkpoint
RETRIEVERS: dict[str, Callable[..., Retriever]] = {
    "lexical": LexicalRetriever,
    "dense": DenseRetriever,
    "fused": _fused,
    "bm25": BM25Retriever,
    "all": AllRetriever,
    **TRAINED,
}


def load_retriever(
    corpus: Corpus,
    name: str = "fused",
    checkpoint: Path | str = "",
    checkpoints: Path = Path("checkpoints"),
) -> Retriever:
    """The retriever of this name over a library; an unknown name lists the known ones.

    A trained one is read from `checkpoint` (folder or hub name), by default from `checkpoints/NAME`;
    CheckpointMissing says how to get it.
    """
    if name not in RETRIEVERS:
        raise ValueError(f"no retriever '{name}'; known: {', '.join(RETRIEVERS)}")
    if name not in TRAINED:
        if checkpoint:
            raise ValueError(f"the retriever '{name}' is not trained and takes no checkpoint")
        return RETRIEVERS[name](corpus)
    folder = checkpoint or checkpoints / name
    if not checkpoint and not (Path(folder) / "config.json").exists():
        raise CheckpointMissing(
            f"There is no trained {name} in '{folder}'. Train one with `python -m pipeline train "
            f"--method {name} --data NAME:DIR --out {folder}`, or choose another retriever."
        )
    return TRAINED[name](corpus, folder)
