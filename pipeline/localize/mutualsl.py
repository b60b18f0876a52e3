"""MutualSL: a visual predictor over the video's seconds and a textual predictor over its cues, each taught
also by what the other predicts (Weng and Li 2023, "Visual Answer Localization with Cross-modal Mutual
Knowledge Transfer", https://arxiv.org/abs/2210.14823).

Particular to it: the look-up table between seconds and cues (`lookup.py`), pseudo labels that carry no
gradient, and the one-way dynamic loss, which weighs each transfer by an overlap with the true answer. The
answer is the textual predictor's; `output="visual"` gives the other (the rows VP of the paper's Table 2),
`transfer=False` leaves the transfer out (its rows W/O MKT).

How open points are settled, and departures:
- T = [Q, s_1 … s_n] is the question's tokens and one state for each cue, the mean of its tokens. Both are the
  query of the context-query attention and of eq. 4; the textual predictor looks at the cues only.
- Eq. 4's Attention(V', T) pools T to one vector by attention and puts it beside each row (as VSLNet does).
- Picture features pass one linear layer to d features, since d need not be their 1024.
- Each FFN of eq. 9 has one hidden layer. With a linear one the picture's average, which eq. 6 adds to every
  cue alike, would add the same number to every logit and cancel: the picture could not matter. Eq. 6 prints
  T_i where eq. 5's T'_i must be meant. The FFNs of eq. 7 and 8 act on each row, so the length is free.
- E of eq. 14 is the arg max of start and of end, each for itself, as the authors' program has it: a mean
  would point between two likely places. The overlaps of eq. 18 are measured in seconds, not in cues.
- A pseudo label that ends before it starts has overlap 0, so it teaches nothing.
- Eq. 18 and Figure 3 disagree. By eq. 12, 13 and 18 (and the authors' program) a transfer weighs as much as
  its pseudo label is right: alpha is the overlap of the textual predictor's span with the answer, beta that
  of the visual one's, and where text is the better predictor alpha is the larger. Figure 3 shows beta the
  larger "because the textual predictor has better answering localization ability", and eq. 14 too calls a
  predictor's own span by the sign of eq. 18. `weigh="label"` is the former and the default, since a wrong
  label should not teach; `weigh="learner"` the latter: alpha is the visual predictor's own overlap, beta
  the textual one's, and both curves are Figure 3's. With it, a right predictor goes on learning the wrong
  labels of the other: of our proofs, a handful learned by heart and the picture that tells two places apart
  fail. The log has alpha and beta as used.

With `visual="none"` there is nothing to predict from but words: it trains and answers with the textual
predictor alone, by eq. 9 and 11 with T' for T-bar, and says so in the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

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
    masked_mean,
    pool_cues,
    span_mask,
)
from pipeline.localize.learned import Network, Spans
from pipeline.localize.lookup import LookUpTable, matching
from pipeline.localize.reader import ReadingConfig, RowDropout, Words

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MutualSLConfig(ReadingConfig):
    transfer: bool = True  # False: the ablation without mutual knowledge transfer
    weigh: str = "label"  # label: eq. 18 | learner: as Figure 3 tells it
    output: str = "textual"  # textual | visual

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in {"weigh": ("label", "learner"), "output": ("textual", "visual")}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is '{getattr(self, name)}'; known: {', '.join(known)}")
        if self.output == "visual" and self.visual == "none":
            raise ValueError("output 'visual' needs video rows: set visual to i3d or transcript")


@dataclass(frozen=True)
class Predicted:
    """Start and end logits of the two predictors; the masked ones are not low yet."""

    textual: tuple[Tensor, Tensor]  # (B, r) each
    visual: tuple[Tensor, Tensor] | None  # (B, m) each; None without video rows


@dataclass(frozen=True)
class Transfer:
    """What each predictor is taught by the other, for the B rows: spans as (first, last), and its weight."""

    cues: tuple[Tensor, Tensor]  # pseudo labels of the textual predictor (eq. 12)
    rows: tuple[Tensor, Tensor]  # pseudo labels of the visual predictor (eq. 13)
    alpha: Tensor  # (B,) weight of `rows` (eq. 18)
    beta: Tensor  # (B,) weight of `cues`


class Fusion(nn.Module):
    """Cross-modal fusion, eq. 2 to 4: the video's rows, each aware of the words, (B, m, d)."""

    def __init__(self, visual_dim: int, d: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Sequential(RowDropout(dropout), nn.Linear(visual_dim, d))
        self.attend = ContextQueryAttention(d, dropout)
        self.concatenate = ContextQueryConcatenation(d)

    def forward(self, batch: Batch, text: Tensor, text_mask: Tensor) -> Tensor:
        assert batch.visual is not None and batch.visual_mask is not None
        v = batch.spread(self.project(batch.visual))
        v = self.attend(v, text, batch.visual_mask, text_mask)  # V' of eq. 3
        return self.concatenate(v, text, text_mask)  # V'' of eq. 4


class VisualPredictor(nn.Module):
    """Eq. 7 and 8. Its LSTMs read forwards, so padding behind a video changes nothing in it."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.lstm_start, self.lstm_end = nn.LSTM(d, d, batch_first=True), nn.LSTM(d, d, batch_first=True)
        self.ffn_start, self.ffn_end = nn.Linear(d, 1), nn.Linear(d, 1)

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(B, m, d) -> start and end logits (B, m)."""
        start, end = self.ffn_start(self.lstm_start(v)[0]), self.ffn_end(self.lstm_end(v)[0])
        return start.squeeze(-1).float(), end.squeeze(-1).float()


class TextualPredictor(nn.Module):
    """Eq. 9, and FFN_P of eq. 5 before it."""

    def __init__(self, d: int, dropout: float) -> None:
        super().__init__()
        self.ffn_p = nn.Linear(d, d)
        self.ffn_start, self.ffn_end = _feed_forward(d, dropout), _feed_forward(d, dropout)

    def forward(self, cues: Tensor, picture: Tensor | None) -> tuple[Tensor, Tensor]:
        """`cues` (B, r, d) and the average `picture` (B, d) -> start and end logits (B, r)."""
        t = self.ffn_p(cues)
        if picture is not None:
            t = t + picture.unsqueeze(1)  # eq. 6
        return self.ffn_start(t).squeeze(-1).float(), self.ffn_end(t).squeeze(-1).float()


def _feed_forward(d: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Dropout(dropout), nn.Linear(d, 1))


class MutualSL(Network):
    """Two predictors that teach each other."""

    Config = MutualSLConfig
    method = "mutualsl"

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        c = self.config
        self.textual = TextualPredictor(c.d, c.dropout)
        self.fusion, self.visual = None, None
        if c.visual == "none":
            log.warning("MutualSL without video rows: the textual predictor alone, nothing is transferred")
        else:
            self.fusion, self.visual = Fusion(c.visual_dim, c.d, c.dropout), VisualPredictor(c.d)
        # The textual predictor answers without a picture, if it must.
        self.needs_visual = c.output == "visual"  # type: ignore[misc]

    def forward(self, batch: Batch) -> Predicted:
        words = self.reader(batch)
        cues = pool_cues(words.tokens, words.cue_of, batch.cue_mask.shape[1])
        v = self._fused(batch, words, cues)
        if v is None or self.visual is None or batch.visual_mask is None:
            return Predicted(self.textual(cues, None), None)
        picture = masked_mean(v, batch.visual_mask)  # eq. 5
        return Predicted(self.textual(cues, picture), self.visual(v))

    def _fused(self, batch: Batch, words: Words, cues: Tensor) -> Tensor | None:
        if self.fusion is None or batch.visual is None:
            return None
        text = torch.cat([words.question, cues], 1)  # T = [Q, s_1 … s_n]
        mask = torch.cat([words.question_mask, batch.cue_mask], 1)
        return self.fusion(batch, text, mask)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Eq. 19; the log has its four terms, and alpha and beta (Figure 3) as means over the batch."""
        said: Predicted = self(batch)
        textual = ends_loss(*said.textual, batch.cue_mask, batch.start, batch.end)  # eq. 11
        if said.visual is None or batch.start_visual is None or batch.end_visual is None:
            return textual, {"textual": textual.item()}
        table = LookUpTable.of(batch)
        visual = ends_loss(*said.visual, table.row_mask, batch.start_visual, batch.end_visual)  # eq. 10
        loss, logged = visual + textual, {"visual": visual.item(), "textual": textual.item()}
        real = (batch.start >= 0) & (batch.start_visual >= 0)
        if not self.config.transfer or not real.any():
            return loss, logged
        t = self.transfer(said, batch)
        mutual_visual = weighted_ends_loss(*said.visual, table.row_mask, *t.rows, t.alpha, real)  # eq. 16
        mutual_textual = weighted_ends_loss(*said.textual, table.cue_mask, *t.cues, t.beta, real)  # eq. 17
        logged |= {"mutual_visual": mutual_visual.item(), "mutual_textual": mutual_textual.item()}
        logged |= {"alpha": t.alpha[real].mean().item(), "beta": t.beta[real].mean().item()}
        return loss + mutual_visual + mutual_textual, logged

    @torch.no_grad()
    def transfer(self, said: Predicted, batch: Batch) -> Transfer:
        """The pseudo labels and their weights, eq. 12 to 15 and 18. No gradient passes: this is sg.

        Rows of the batch without an answer or without video rows get weights that mean nothing.
        """
        assert said.visual is not None and batch.start_visual is not None and batch.end_visual is not None
        table = LookUpTable.of(batch)
        textual, visual = _argmax(*said.textual, table.cue_mask), _argmax(*said.visual, table.row_mask)
        rows, cues = table.to_rows(*textual), table.to_cues(*visual)
        true_rows = batch.start_visual.clamp(min=0), batch.end_visual.clamp(min=0)
        true_cues = batch.start.clamp(min=0), batch.end.clamp(min=0)
        by_label = self.config.weigh == "label"
        alpha = matching(table.rows, rows if by_label else visual, true_rows)
        beta = matching(table.cues, cues if by_label else textual, true_cues)
        return Transfer(cues, rows, alpha, beta)

    def spans(self, batch: Batch) -> Spans:
        said: Predicted = self(batch)
        if self.config.output == "textual":
            return Spans(from_ends(*said.textual), span_mask(batch.cue_mask), batch.times)
        if said.visual is None:
            raise ValueError("output 'visual' needs video rows in the batch")
        table = LookUpTable.of(batch)
        return Spans(from_ends(*said.visual), span_mask(table.row_mask), table.rows)


def _argmax(start: Tensor, end: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 14: the predicted first and last unit, (B,) each, of logits (B, n)."""
    return start.masked_fill(~mask, NEVER).argmax(1), end.masked_fill(~mask, NEVER).argmax(1)


def weighted_ends_loss(
    start: Tensor, end: Tensor, mask: Tensor, first: Tensor, last: Tensor, weight: Tensor, real: Tensor
) -> Tensor:
    """Eq. 16 and 17: weight * (CE(start, first) + CE(end, last)) of each row, mean over the `real` rows."""
    start, end = start.masked_fill(~mask, NEVER)[real], end.masked_fill(~mask, NEVER)[real]
    each = F.cross_entropy(start, first[real], reduction="none")
    each = each + F.cross_entropy(end, last[real], reduction="none")
    return (weight[real] * each).mean()
