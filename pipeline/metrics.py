"""The published measures, exactly: overlap of spans, ranks of videos, and intervals over videos.

Values are fractions in 0..1 for single questions; tables are in percent with two decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.types import Span

THRESHOLDS = (0.3, 0.5, 0.7)
DEPTHS = (1, 5, 10, 100)


def overlap_values(iou: float) -> dict[str, float]:
    """What one answer contributes to iou3, iou5, iou7 and miou; a hit is IoU >= threshold.

    >>> overlap_values(0.5)
    {'iou3': 1.0, 'iou5': 1.0, 'iou7': 0.0, 'miou': 0.5}
    """
    return {f"iou{round(10 * t)}": float(iou >= t) for t in THRESHOLDS} | {"miou": iou}


def best_iou(spans: Sequence[tuple[str, Span]], video: str, truth: Span, depth: int) -> float:
    """Rank@depth of CCGS: the best overlap among the first `depth` spans; another video's count 0."""
    return max((span.iou(truth) for found, span in spans[:depth] if found == video), default=0.0)


def rank_values(rank: int | None) -> dict[str, float]:
    """What the rank of the true video (1 = first, None = not found) contributes to recall and MRR.

    >>> rank_values(4)
    {'r1': 0.0, 'r5': 1.0, 'r10': 1.0, 'r100': 1.0, 'mrr': 0.25}
    """
    hits = {f"r{depth}": float(rank is not None and rank <= depth) for depth in DEPTHS}
    return hits | {"mrr": 1 / rank if rank else 0.0}


def median_rank(ranks: Sequence[int | None], behind: int) -> float:
    """The middle rank of the true video; one that is not listed (None) counts as the place `behind`.

    >>> median_rank([1, None, 4], 101), median_rank([1, 2, 4, None], 101)
    (4, 3.0)
    """
    placed = sorted(behind if rank is None else rank for rank in ranks)
    middle = len(placed) // 2
    return placed[middle] if len(placed) % 2 else (placed[middle - 1] + placed[middle]) / 2


def percent(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of the questions' values, in percent with two decimals; nothing of nothing."""
    return {name: round(100 * float(np.mean([row[name] for row in rows])), 2) for name in (rows or [{}])[0]}


def intervals(
    rows: Sequence[Mapping[str, float]], videos: Sequence[str], draws: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Bootstrap 95 % intervals of `percent`, drawing whole videos: questions of one video hang together."""
    if not rows:
        return {}
    names = list(rows[0])
    values = np.array([[row[name] for name in names] for row in rows])
    distinct, member = np.unique(np.asarray(videos), return_inverse=True)
    sums, counts = np.zeros((len(distinct), len(names))), np.bincount(member)
    np.add.at(sums, member, values)
    drawn = np.random.default_rng(seed).integers(len(distinct), size=(draws, len(distinct)))
    means = 100 * sums[drawn].sum(1) / counts[drawn].sum(1)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return {
        name: (round(float(a), 2), round(float(b), 2)) for name, a, b in zip(names, low, high, strict=True)
    }


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The chance that a positive scores above a negative; ties count half, 0.5 where a kind is missing.

    >>> auroc([0.9, 0.8, 0.3, 0.1], [True, False, True, False])
    0.75
    """
    scores_, labels = np.asarray(scores, float), np.asarray(positive, bool)
    right, wrong = labels.sum(), (~labels).sum()
    if not right or not wrong:
        return 0.5
    _, position, counts = np.unique(scores_, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[position]
    return float((ranks[labels].sum() - right * (right + 1) / 2) / (right * wrong))


def risk_at_coverage(confidences: Sequence[float], right: Sequence[bool], coverage: float = 0.8) -> float:
    """The share of wrong answers when only the most confident `coverage` of the questions are answered.

    >>> risk_at_coverage([0.9, 0.8, 0.7, 0.6, 0.1], [True, True, True, False, False])
    0.25
    """
    kept = max(1, round(coverage * len(confidences)))
    order = np.argsort(-np.asarray(confidences, float), kind="stable")[:kept]
    return 1 - float(np.asarray(right, float)[order].mean())


def reliability(
    confidences: Sequence[float],
    right: Sequence[bool],
    weights: Sequence[float] | None = None,
    bins: int = 10,
) -> list[tuple[float, float, int]]:
    """(mean confidence, share right, count) of each filled tenth of the confidence scale."""
    values, truth = np.asarray(confidences, float), np.asarray(right, float)
    share = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    which = np.minimum((values * bins).astype(int), bins - 1)
    return [
        (
            float(np.average(values[which == b], weights=share[which == b])),
            float(np.average(truth[which == b], weights=share[which == b])),
            int((which == b).sum()),
        )
        for b in range(bins)
        if (which == b).any()
    ]
