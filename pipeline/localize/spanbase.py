"""Span-Base: a start and an end predictor over the transcript alone, the text-only baseline of CCGS's
Tables 1 and 3 (the textual predictor of Li et al. 2022, https://arxiv.org/abs/2203.06667, without the visual
prompt).

The paper predicts token positions and looks their cues up; here each end is predicted over cues, whose state
is the mean of its tokens, so that every method of this package answers in the same units.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.localize.examples import Batch
from pipeline.localize.layers import ends_loss, from_ends, pool_cues, span_mask
from pipeline.localize.learned import Network, Spans
from pipeline.localize.reader import Words


class SpanBase(Network):
    """P(first cue) * P(last cue), from one feed-forward layer each over the cues."""

    method = "spanbase"

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        d = self.config.d
        self.start, self.end = nn.Linear(d, 1), nn.Linear(d, 1)

    def states(self, batch: Batch) -> Tensor:
        """What is predicted from: states of the cues, (B, r, d)."""
        return self.of_cues(self.reader(batch))

    def of_cues(self, words: Words) -> Tensor:
        """(B, r, d): means of each cue's tokens."""
        return pool_cues(words.tokens, words.cue_of, words.cue_mask.shape[1])

    def ends(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Start and end logits over cues, (B, r) each."""
        return self.start(states).squeeze(-1), self.end(states).squeeze(-1)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Start and end logits over cues, (B, r) each."""
        return self.ends(self.states(batch))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        start, end = self(batch)
        return ends_loss(start, end, batch.cue_mask, batch.start, batch.end), {}

    def spans(self, batch: Batch) -> Spans:
        start, end = self(batch)
        return Spans(from_ends(start, end), span_mask(batch.cue_mask), batch.times)
