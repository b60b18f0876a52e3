"""VSLBase and VSLNet: Span-based Localizing Network for Natural Language Video Localization (Zhang et al.,
ACL 2020, https://arxiv.org/abs/2004.13931).

Localising in a video as reading comprehension: the video's rows are the passage, and a start and an end row
are its answer. Particular to it: one feature encoder shared by video and question (convolutions and
self-attention), context-query attention, and a predictor whose end stands on its start. VSLNet adds
query-guided highlighting (QGH): each row's chance to lie in the foreground, which is the answer lengthened by
`extend` of its length on both sides, weighs the row before the spans are predicted. It hears no word of the
transcript: with `visual="transcript"` the transcript's vectors stand in for the pictures.

Hyperparameters of the paper: d = 128, 8 heads, 4 convolutions of width 7, dropout 0.2, videos of 128 rows,
batches of 16, Adam with 1e-4 (the authors' PyTorch code: AdamW, 5e-4, weight decay 0.01), linearly to 0 in
100 epochs, gradients clipped at 1, extend 0.1, weight of the highlight loss 5.

Departures: sinusoids in place of learned positions, which end where the longest training video ended; the
text encoder's token states in place of GloVe and character convolutions; GELU in place of ReLU in the
convolutions (`layers.ConvBlock`); CE(start) + CE(end) without the paper's factor 1/2, as in the authors'
code, to which the weight 5 belongs, and as there the foreground counts double in the highlight loss.
Videos are averaged down beyond `visual_rows` rows: 512 by default, the paper's 128 in the recipes.
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
    ConvBlock,
    ends_loss,
    from_ends,
    masked_softmax,
    span_mask,
)
from pipeline.localize.learned import Network, Spans
from pipeline.localize.reader import Reader, ReadingConfig, RowDropout, reader_of


@dataclass(frozen=True)
class HighlightConfig(ReadingConfig):
    """Fields of networks that look at a video through a question and highlight what it asks for."""

    heads: int = 8
    convolutions: int = 4
    extend: float = 0.1  # of the answer's length, on both sides: the foreground
    highlight_weight: float = 5.0  # of the highlight loss


@dataclass(frozen=True)
class VSLConfig(HighlightConfig):
    predictor: str = "rnn"  # rnn | transformer

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predictor not in ("rnn", "transformer"):
            raise ValueError(f"predictor is '{self.predictor}'; known: rnn, transformer")


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself and a linear layer, each with a residual."""

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        if d % heads:
            raise ValueError(f"d = {d} is not a multiple of heads = {heads}")
        self.heads = heads
        self.before, self.after = nn.LayerNorm(d), nn.LayerNorm(d)
        self.project, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, n, d), (B, n) -> (B, n, d)."""
        parts = self.project(self.dropout(self.before(x))).unflatten(-1, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, n, d / heads)
        weights = masked_softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, mask[:, None, None, :])
        x = x + self.dropout((self.dropout(weights) @ v).transpose(1, 2).flatten(2))
        return x + self.dropout(self.out(self.dropout(self.after(x))))


class FeatureEncoder(nn.Module):
    """Positions, convolutions, self-attention (the encoder block of QANet, once)."""

    def __init__(self, d: int, heads: int, convolutions: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(ConvBlock(d, dropout=dropout) for _ in range(convolutions))
        self.attention = SelfAttention(d, heads, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, n, d), (B, n) -> (B, n, d)."""
        x = x + sinusoids(x)
        for convolution in self.convolutions:
            x = convolution(x, mask)
        return self.attention(x, mask)


def sinusoids(x: Tensor) -> Tensor:
    """(n, d) fixed positions (Vaswani et al. 2017) for `x` (B, n, d), d even."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, device=x.device) / half)
    angles = torch.arange(x.shape[1], device=x.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1).to(x.dtype)


class VideoQuestion(nn.Module):
    """The video's rows as the question sees them: the shared encoder, attention, concatenation."""

    def __init__(self, config: HighlightConfig) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.rows, self.dropout = nn.Linear(config.visual_dim, d), RowDropout(dropout)
        self.encoder = FeatureEncoder(d, config.heads, config.convolutions, dropout)
        self.attention = ContextQueryAttention(d, dropout)
        self.concatenation = ContextQueryConcatenation(d)

    def forward(self, batch: Batch, question: Tensor, question_mask: Tensor) -> Tensor:
        """The batch's video rows, (B, p, d), (B, p) -> (B, m, d)."""
        assert batch.visual is not None and batch.visual_mask is not None
        v = batch.spread(self.encoder(self.rows(self.dropout(batch.visual)), batch.video_mask))
        q = self.encoder(question, question_mask)
        return self.concatenation(self.attention(v, q, batch.visual_mask, question_mask), q, question_mask)


class ConditionedPredictor(nn.Module):
    """Start and end logits; what the end is told from stands on what the start was told from."""

    def __init__(self, config: VSLConfig) -> None:
        super().__init__()
        self.start_states, self.end_states = _sequence(config), _sequence(config)
        self.start, self.end = _head(config.d), _head(config.d)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, m, d), (B, m) -> (B, m) twice."""
        starts = _run(self.start_states, x, mask)
        ends = _run(self.end_states, starts, mask)
        start = self.start(torch.cat([starts, x], -1)).squeeze(-1)
        return start, self.end(torch.cat([ends, x], -1)).squeeze(-1)


def _sequence(config: VSLConfig) -> nn.Module:
    if config.predictor == "rnn":
        return nn.LSTM(config.d, config.d, batch_first=True)  # forward in time: padding comes after
    return FeatureEncoder(config.d, config.heads, config.convolutions, config.dropout)


def _run(layer: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    return layer(x)[0] if isinstance(layer, nn.LSTM) else layer(x, mask)


def _head(d: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2 * d, d), nn.ReLU(), nn.Linear(d, 1))


def foreground(start: Tensor, end: Tensor, mask: Tensor, extend: float) -> Tensor:
    """Which rows are to be highlighted: the answer's, (B,) first and last row, and `extend` of their number
    before and after, (B, m) of 0 and 1; nothing where there is no answer."""
    more = torch.round(extend * (end - start + 1))
    at = torch.arange(mask.shape[1], device=mask.device)
    inside = (at >= (start - more)[:, None]) & (at <= (end + more)[:, None])
    return (inside & mask & (start >= 0)[:, None]).to(torch.float32)


def highlight_loss(logits: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real rows of the binary cross-entropy (VSLNet eq. 11); the foreground counts double."""
    losses = F.binary_cross_entropy_with_logits(logits, wanted, weight=1 + wanted, reduction="none")
    return (losses * mask).sum() / mask.sum().clamp(min=1)


class VSLBase(Network):
    """P(first row) * P(last row | what told the first) over seconds of video."""

    method = "vslbase"
    Config = VSLConfig
    needs_visual = True

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        self.fusion = VideoQuestion(self.config)
        self.predictor = ConditionedPredictor(self.config)

    def make_reader(self) -> Reader:
        return reader_of(self.config, transcript=False)

    def features(self, batch: Batch) -> Tensor:
        """Rows that know the question, (B, m, d)."""
        if batch.visual is None or batch.visual_mask is None:
            raise ValueError(f"{self.method} works on video rows, and a video of this batch has none")
        return self.fusion(batch, *self.reader.read_question(batch))

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        """Start and end logits over rows, (B, m) each."""
        return self.predictor(self.features(batch), batch.visual_mask)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        start, end = self(batch)
        return ends_loss(start, end, batch.visual_mask, batch.start_visual, batch.end_visual), {}  # type: ignore[arg-type]

    def spans(self, batch: Batch) -> Spans:
        start, end = self(batch)[:2]
        return Spans(from_ends(start, end), span_mask(batch.visual_mask), batch.visual_times)  # type: ignore[arg-type]


class VSLNet(VSLBase):
    """VSLBase over rows weighed by their chance to lie in the foreground."""

    method = "vslnet"

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        self.highlight = nn.Linear(self.config.d, 1)

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        """Start, end and highlight logits over rows, (B, m) each."""
        x = self.features(batch)
        logits = self.highlight(x).squeeze(-1).masked_fill(~batch.visual_mask, NEVER)  # type: ignore[operator]
        start, end = self.predictor(x * logits.sigmoid().unsqueeze(-1), batch.visual_mask)
        return start, end, logits

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        start, end, logits = self(batch)
        mask, first, last = batch.visual_mask, batch.start_visual, batch.end_visual
        assert mask is not None and first is not None and last is not None
        spans = ends_loss(start, end, mask, first, last)
        highlight = highlight_loss(logits, foreground(first, last, mask, self.config.extend), mask)
        loss = spans + self.config.highlight_weight * highlight
        return loss, {"spans": float(spans.detach()), "highlight": float(highlight.detach())}
