"""What DPR learns from: the 30 s windows of a data set's videos, the windows that answer each question, and
batches of them. Also how well trained towers find the right video of a held-out set.

Departures from Karpukhin et al. (2020): the answer is a span, not a passage, so that the windows that cover
most of it are the positives and whatever else touches it is no negative; the hard negatives are the windows
of other videos that the library's own vectors take for nearest, where the paper has BM25's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.datasets import Dataset, Question
from pipeline.features.text import TextEncoder, TextVectors, passage_vectors, passages
from pipeline.types import Span

if TYPE_CHECKING:
    from pipeline.retrieve.dpr import DPR

_MOST_POSITIVES = 4
_AS_GOOD = 1.0  # seconds of overlap that a positive may lack to the best


@dataclass(frozen=True)
class WindowTable:
    """The windows of all videos of a data set, n of them, a video's next to each other."""

    names: tuple[str, ...]  # of the videos
    video: np.ndarray  # (n,) index into names, rising
    times: np.ndarray  # (n, 2) seconds
    texts: tuple[str, ...]
    vectors: np.ndarray = field(repr=False)  # (n, D) of the library's encoder

    def best_of_videos(self, of_windows: np.ndarray) -> np.ndarray:
        """The highest of each video: `(q, n)` -> `(q, videos)`; -inf for a video without windows."""
        out = np.full((len(of_windows), len(self.names)), -np.inf, np.float32)
        present, first = np.unique(self.video, return_index=True)
        if len(first):
            out[:, present] = np.maximum.reduceat(of_windows, first, axis=1)
        return out


@dataclass(frozen=True)
class DPRExample:
    """One question with rows of its table."""

    question: str
    vector: np.ndarray  # (D,) by the library's encoder
    positives: tuple[int, ...]
    near: frozenset[int]  # rows that are no negatives: they touch the answer, or say the same words
    hard: tuple[int, ...]
    table: WindowTable = field(repr=False)


@dataclass(frozen=True)
class DPRBatch:
    """B questions and the P distinct passages they bring along: vectors or, for trained towers, tokens."""

    positive: Tensor  # (B, P) bool: the passage answers the question
    negative: Tensor  # (B, P) bool: it does not; neither: it overlaps the answer and is left out
    question: Tensor | None = None  # (B, D)
    passage: Tensor | None = None  # (P, D)
    question_ids: Tensor | None = None  # (B, T)
    question_mask: Tensor | None = None
    passage_ids: Tensor | None = None  # (P, T)
    passage_mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.positive)

    def to(self, device: torch.device | str) -> DPRBatch:
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return DPRBatch(**{name: v if v is None else v.to(device) for name, v in found.items()})  # type: ignore[arg-type]


def window_table(
    data: Dataset, encoder: TextEncoder, known: Mapping[str, TextVectors] | None = None
) -> WindowTable:
    """Windows and their vectors; those of `known` videos (by name in the data set) are not made again."""
    windows = {name: passages(narration.cues) for name, narration in data.videos.items()}
    missing = [name for name in windows if not known or name not in known]
    made = iter(encoder.encode([p.text for name in missing for p in windows[name]]))
    rows: list[np.ndarray] = []
    for name, found in windows.items():
        rows += list(passage_vectors(known[name])) if known and name in known else [next(made) for _ in found]
    return WindowTable(
        tuple(windows),
        np.repeat(np.arange(len(windows)), [len(found) for found in windows.values()]),
        np.array([(p.span.start, p.span.end) for found in windows.values() for p in found]).reshape(-1, 2),
        tuple(p.text for found in windows.values() for p in found),
        np.array(rows, np.float32).reshape(-1, encoder.dim),
    )


def make_examples(
    data: Dataset, encoder: TextEncoder, table: WindowTable | None = None, hard: int = 1
) -> list[DPRExample]:
    """An example for each answerable question of a video that says something; `hard` negatives for each."""
    table = table or window_table(data, encoder)
    spoken = {table.names[i] for i in np.unique(table.video)}
    asked = [q for q in data.answerable if q.video_id in spoken]
    vectors = encoder.encode([q.text for q in asked])
    same: dict[str, list[int]] = {}
    for row, text in enumerate(table.texts):
        same.setdefault(text, []).append(row)
    return [_example(q, v, table, same, hard) for q, v in zip(asked, vectors, strict=True)]


def _example(
    question: Question, vector: np.ndarray, table: WindowTable, same: Mapping[str, list[int]], hard: int
) -> DPRExample:
    assert question.span is not None
    own = np.flatnonzero(table.video == table.names.index(question.video_id))
    positives, touching = _answering(question.span, own, table.times[own])
    near = {row for touched in touching for row in same[table.texts[touched]]}
    cosines = table.vectors @ vector
    cosines[own] = -np.inf
    cosines[list(near)] = -np.inf
    nearest = [int(row) for row in np.argsort(-cosines, kind="stable")[:hard] if np.isfinite(cosines[row])]
    return DPRExample(question.text, vector, positives, frozenset(near), tuple(nearest), table)


def _answering(answer: Span, rows: np.ndarray, times: np.ndarray) -> tuple[tuple[int, ...], list[int]]:
    """The windows that hold most of the answer, at most four, and all that hold any of it."""
    overlap = np.minimum(times[:, 1], answer.end) - np.maximum(times[:, 0], answer.start)
    if overlap.max() <= 0:  # the answer is silent: the window next to it
        nearest = int(rows[overlap.argmax()])
        return (nearest,), [nearest]
    best = rows[overlap >= max(overlap.max() - _AS_GOOD, 1e-9)]
    chosen = best[np.unique(np.linspace(0, len(best) - 1, _MOST_POSITIVES).round().astype(int))]
    return tuple(int(row) for row in chosen), [int(row) for row in rows[overlap > 0]]


def collate(
    examples: Sequence[DPRExample],
    tokens: Callable[[Sequence[str]], tuple[Tensor, Tensor]] | None = None,
    passages_too: bool = False,
) -> DPRBatch:
    """A batch: each distinct passage of the examples is one column, a negative of every question whose
    answer it does not touch. Two questions of one passage are therefore never each other's negatives.

    `tokens` makes ids and mask of the questions, and with `passages_too` of the passages.
    """
    tables = {id(e.table): e.table for e in examples}
    columns = list(dict.fromkeys((id(e.table), row) for e in examples for row in (*e.positives, *e.hard)))
    positive = torch.zeros(len(examples), len(columns), dtype=torch.bool)
    negative = torch.ones(len(examples), len(columns), dtype=torch.bool)
    for i, example in enumerate(examples):
        for j, (table, row) in enumerate(columns):
            if table == id(example.table):
                positive[i, j] = row in example.positives
                negative[i, j] = row not in example.near
    found: dict[str, Tensor] = {"positive": positive, "negative": negative}
    if tokens is None:
        found["question"] = torch.from_numpy(np.stack([e.vector for e in examples]))
    else:
        found["question_ids"], found["question_mask"] = tokens([e.question for e in examples])
    if tokens is not None and passages_too:
        texts = [tables[table].texts[row] for table, row in columns]
        found["passage_ids"], found["passage_mask"] = tokens(texts)
    else:
        found["passage"] = torch.from_numpy(np.stack([tables[t].vectors[row] for t, row in columns]))
    return DPRBatch(**found)


def dev_scores(
    model: DPR, data: Dataset, encoder: TextEncoder, table: WindowTable | None = None
) -> dict[str, float]:
    """R@1 and MRR (0..1) of the true video of every answerable question; equals count against it."""
    table = table or window_table(data, encoder)
    asked = data.answerable
    texts = [q.text for q in asked]
    training = model.training
    model.eval()
    questions = model.vectors(texts, encoder.encode(texts))
    scores = table.best_of_videos(questions @ model.passage_vectors(table.texts, table.vectors).T)
    model.train(training)
    own = scores[np.arange(len(asked)), [table.names.index(q.video_id) for q in asked]]
    ranks = np.maximum(1, (scores >= own[:, None]).sum(1))
    return {"r1": float((ranks == 1).mean()), "mrr": float((1 / ranks).mean())}


def dev_score(model: DPR, data: Dataset, encoder: TextEncoder, table: WindowTable | None = None) -> float:
    """What training selects by: MRR, which moves more evenly than R@1."""
    return dev_scores(model, data, encoder, table)["mrr"]
