"""CCGS: cross-modal contrastive global-span, which finds the video and the span in it by one matrix.

Li, Weng, Sun, Li, "Learning to Locate Visual Answer in Video Corpus Using Question", ICASSP 2023,
https://arxiv.org/abs/2210.05423. Every span [y, x] of every video gets one logit, the dot product of its
first token's Y with its last token's X; cross-entropy over the spans of one video (Loss 1) places the answer,
and cross-entropy over the spans of the right video and M others together (Loss 2) makes the logits of
different videos comparable, so that the largest logit of a corpus is the answer.

What the paper leaves open, and how it is read here:
(a) Eq. 3 maps m rows to one vector, but Conv1d(d -> 1) gives m numbers: they are the scores of a masked
    softmax over time, and V''' is the sum of V'' so weighted.
    Eq. 2 prints Concat[Attention(V', T^Q); T^Q], whose parts have m and p rows: as in VSLNet, whose module
    it is, the question is pooled to one vector, by attention that does not look at V', beside each row of V'.
(b) Eq. 5 prints the same slice twice: X is the first half of the split layer's output, Y the second.
(c) Eq. 6 adds a "spiral position embedding" and links to rotary embedding: X and Y are rotated.
(d) Eq. 7's average pooling brings the matrix of tokens to cues: the mean over a block of tokens y times
    tokens x. The mean of the dot products of two sets of vectors is the dot product of the two means, so the
    rotated X and Y are pooled to cues before the product; the tokens' matrix is never held.
(e) Spans that end before they start are masked (the paper prints x > y, which is the other half of its own
    "y <= x").
(f) Eq. 9 and 11 index y * d + x: the rows of the matrix are r long, so it is y * r + x.
(g) The M negatives are other videos with the same question. The loss asks only that a negative row holds no
    answer, so pairs of the same video and another question (the authors' code) would do as well.
(h) A video's score is its largest logit, the corpus' answer the largest of all.

Departures: the products are divided by sqrt(d), as attention's are: without it the first losses are those
of a nearly one-hot guess. Cached reading (see `reader`) has one token for each cue. Fusion is off without
video rows; the paper's Table 2 calls that "w/o element-wise CF". The negatives of a batch are drawn from a
few videos that its questions share (`training/batches.py`), so that each video is read once. Behind a
retriever that scores videos, the score is added to the logits as a prior (`learned.py`); behind `all`, which
the paper's figures are to be compared with, (h) holds as it stands. Its spans of one video do not overlap.

What fusion can do: eq. 3 and 4 give the video as ONE vector to all cues, and no module before it knows when
a row was shown. So the order of the rows changes nothing: pictures tell videos apart, and tell which of the
places that the words offer is meant, but never by themselves where in the video something is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.localize.examples import Batch
from pipeline.localize.layers import (
    NEVER,
    ContextQueryAttention,
    ContextQueryConcatenation,
    ends_loss,
    from_ends,
    masked_softmax,
    pool_cues,
    rotary,
    span_mask,
)
from pipeline.localize.learned import Network, Spans
from pipeline.localize.reader import ReadingConfig, Words


@dataclass(frozen=True)
class CCGSConfig(ReadingConfig):
    """The paper's Table 2 by switch; its hyperparameters are in the recipes."""

    fusion: bool = True  # off: "w/o element-wise CF"; also off where there are no video rows
    contrastive: bool = True  # off: "w/o GS Contrastive", Loss 1 alone
    matrix: bool = True  # off: "w/o GS Predictor", a start and an end predictor as Span-Base has
    negatives: int = 1  # M, videos beside the right one in Loss 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.negatives < 0 or self.d % 2:
            raise ValueError("negatives cannot be less than 0, and d must be even to be rotated")


class CrossModalFusion(nn.Module):
    """Eq. 1-3: the video's rows, asked by the question, as one vector."""

    def __init__(self, d: int, visual_dim: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(visual_dim, d)  # the "visual projection"
        self.attend = ContextQueryAttention(d, dropout)
        self.concatenate = ContextQueryConcatenation(d)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv1d(d, 1, 1)

    def forward(self, batch: Batch, words: Words) -> Tensor:
        """Video rows and the question T^Q -> V''' (B, 1, d); zero where no row is real."""
        assert batch.visual is not None and batch.visual_mask is not None
        mask = batch.visual_mask
        v = batch.spread(self.project(batch.visual))  # V (B, m, d)
        v = self.attend(v, words.question, mask, words.question_mask)  # V', eq. 1
        v = self.dropout(self.concatenate(v, words.question, words.question_mask))  # V'', eq. 2
        scores = self.score(v.transpose(1, 2)).squeeze(1)  # (B, m), eq. 3
        return masked_softmax(scores, mask).unsqueeze(1).to(v.dtype) @ v


class GlobalSpanMatrix(nn.Module):
    """Eq. 5-7: the ESLayer, rotary positions, and the matrix of cues."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.split = nn.Linear(d, 2 * d)

    def forward(self, tokens: Tensor, cue_of: Tensor, count: int) -> Tensor:
        """Fused tokens (B, T, d) and the cue of each -> Matrix (B, r, r), r = `count`; [y, x] is the logit
        of the span from cue y to cue x. Products are taken in full precision whatever autocast says: logits
        of a whole corpus are compared by them."""
        ends = self.split(tokens)  # eq. 5
        with torch.autocast(tokens.device.type, enabled=False):
            x, y = ends.float().chunk(2, -1)
            positions = torch.arange(tokens.shape[1], device=tokens.device)
            x, y = rotary(x, positions), rotary(y, positions)  # eq. 6
            x, y = pool_cues(x, cue_of, count), pool_cues(y, cue_of, count)
            return y @ x.transpose(1, 2) * tokens.shape[-1] ** -0.5  # eq. 7


class StartAndEnd(nn.Module):
    """In the matrix' place: one logit for the first and one for the last cue, added. Being linear, it cannot
    place a span by the fused picture, which adds the same to all cues; it can still tell videos apart."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.start, self.end = nn.Linear(d, 1), nn.Linear(d, 1)

    def forward(self, tokens: Tensor, cue_of: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Logits of the first and the last cue, (B, r) each."""
        cues = pool_cues(tokens, cue_of, count)
        return self.start(cues).squeeze(-1).float(), self.end(cues).squeeze(-1).float()


class CCGS(Network):
    """One logit for each span of each video, comparable between videos."""

    Config = CCGSConfig
    method = "ccgs"
    ranks_videos = True

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        c = self.config
        self.negatives = c.negatives if c.contrastive else 0
        self.fuse: CrossModalFusion | None = None
        if c.fusion and c.visual != "none":
            self.fuse = CrossModalFusion(c.d, c.visual_dim, c.dropout)
        self.predict: GlobalSpanMatrix | StartAndEnd = GlobalSpanMatrix(c.d) if c.matrix else StartAndEnd(c.d)

    def forward(self, batch: Batch) -> Tensor | tuple[Tensor, Tensor]:
        """The matrix (B, r, r), or start and end logits (B, r) each without the matrix predictor."""
        words = self.reader(batch)
        tokens = words.tokens  # T[p:]
        if self.fuse is not None and batch.visual is not None:
            tokens = tokens + self.fuse(batch, words)  # eq. 4
        return self.predict(tokens, words.cue_of, batch.cue_mask.shape[1])

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Loss 1 + Loss 2 (eq. 12). Without negatives in the batch there is nothing to contrast: Loss 1."""
        out = self(batch)
        mask = span_mask(batch.cue_mask)
        if isinstance(out, tuple):
            first, last = out
            matrix = from_ends(first, last)
            place = ends_loss(first, last, batch.cue_mask, batch.start, batch.end)
        else:
            matrix = out
            place = span_loss(matrix, mask, batch.start, batch.end)
        if not self.config.contrastive or batch.group == 1:
            return place, {"loss1": float(place.detach())}
        contrast = span_loss(matrix, mask, batch.start, batch.end, batch.group)
        return place + contrast, {"loss1": float(place.detach()), "loss2": float(contrast.detach())}

    def spans(self, batch: Batch) -> Spans:
        out = self(batch)
        logits = from_ends(*out) if isinstance(out, tuple) else out
        return Spans(logits, span_mask(batch.cue_mask), batch.times)


def span_loss(matrix: Tensor, mask: Tensor, start: Tensor, end: Tensor, group: int = 1) -> Tensor:
    """Cross-entropy of the answers among all spans: eq. 8 and 9, of each matrix by itself; with `group` =
    1 + M eq. 10 and 11, of the matrices of a group end to end, the first being the right video's.

    `matrix` and `mask` (B, r, r), `start` and `end` (B,) cues, -1 where the row has no answer; such rows and
    groups count only as what others are compared with. Mean over the answers.
    """
    r = matrix.shape[-1]
    flat = matrix.masked_fill(~mask, NEVER).flatten(1)  # eq. 8
    flat = flat.view(-1, group * r * r)  # eq. 10
    target = (start * r + end)[::group]
    real = start[::group] >= 0
    if not real.any():
        return matrix.sum() * 0.0
    return F.cross_entropy(flat[real], target[real])
