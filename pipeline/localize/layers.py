"""Mathematics that at least two of the papers share: attention between context and question, rotary
positions, pooling of tokens to cues, and distributions over spans. Shapes: B rows, m context rows, p
question tokens, r cues, d features; masks are True where something real stands.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A logit that leaves no probability, gives no NaN where all is masked, and, twice, fits half precision.
NEVER = -3e4


def masked_softmax(logits: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the real entries; all zero where none is real.

    >>> masked_softmax(torch.tensor([1.0, 1.0, 5.0]), torch.tensor([True, True, False])).tolist()
    [0.5, 0.5, 0.0]
    """
    return torch.softmax(logits.masked_fill(~mask, NEVER), dim) * mask


def masked_mean(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Mean of `x` (B, n, d) over the real rows of `mask` (B, n)."""
    weights = mask.unsqueeze(-1).to(x.dtype)
    return (x * weights).sum(dim) / weights.sum(dim).clamp(min=1)


class ContextQueryAttention(nn.Module):
    """Trilinear attention of QANet and VSLNet (CCGS eq. 1, MutualSL eq. 3).

    S[i, j] = w · [v_i; q_j; v_i * q_j]; S_r and S_c are its row- and column-wise softmax;
    A = S_r Q, B = S_r S_c^T V; the output is FFN([V; A; V*A; V*B]), (B, m, d). The papers print
    S_c S_r^T for B; QANet and VSLNet, whose module it is, have S_r S_c^T, which is used here.
    """

    def __init__(self, d: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.context, self.query = nn.Linear(d, 1, bias=False), nn.Linear(d, 1, bias=False)
        self.both = nn.Parameter(torch.empty(d).uniform_(-(d**-0.5), d**-0.5))
        self.dropout = nn.Dropout(dropout)
        self.ffn = nn.Linear(4 * d, d)

    def forward(self, context: Tensor, query: Tensor, context_mask: Tensor, query_mask: Tensor) -> Tensor:
        """`context` (B, m, d), `query` (B, p, d) and their masks -> (B, m, d)."""
        v, q = self.dropout(context), self.dropout(query)
        s = self.context(v) + self.query(q).transpose(1, 2) + (v * self.both) @ q.transpose(1, 2)
        s_r = masked_softmax(s, query_mask[:, None, :], 2)  # (B, m, p)
        s_c = masked_softmax(s, context_mask[:, :, None], 1)
        a = s_r @ query
        b = s_r @ (s_c.transpose(1, 2) @ context)
        return self.ffn(torch.cat([context, a, context * a, context * b], dim=-1))


class ContextQueryConcatenation(nn.Module):
    """CCGS eq. 2, MutualSL eq. 4 (VSLNet's CQConcatenate): the question, pooled by additive attention
    (Bahdanau; Chorowski et al. 2015) to one vector, beside every context row, then Conv1d(2d -> d)."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(d, 1)
        self.conv = nn.Conv1d(2 * d, d, 1)

    def forward(self, context: Tensor, query: Tensor, query_mask: Tensor) -> Tensor:
        """(B, m, d), (B, p, d), (B, p) -> (B, m, d)."""
        alpha = masked_softmax(self.weigh(query).squeeze(-1), query_mask)
        pooled = (alpha.unsqueeze(-1) * query).sum(1, keepdim=True).expand_as(context)
        return self.conv(torch.cat([context, pooled], -1).transpose(1, 2)).transpose(1, 2)


class ConvBlock(nn.Module):
    """Depth-wise separable convolution over a sequence with a residual (QANet's encoder layer); sees `width`
    neighbours and, unlike learned positions, works at any length."""

    def __init__(self, d: int, width: int = 7, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.depth = nn.Conv1d(d, d, width, padding=width // 2, groups=d)
        self.point = nn.Conv1d(d, d, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, n, d), (B, n) -> (B, n, d); what is masked does not leak into its neighbours."""
        h = (self.norm(x) * mask.unsqueeze(-1)).transpose(1, 2)
        return x + self.dropout(F.gelu(self.point(self.depth(h))).transpose(1, 2))


def rotary(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Rotary position embedding (Su et al. 2021): `x` (B, n, d), d even, at `positions` (B, n) or (n,).

    The dot product of two rotated vectors depends on the difference of their positions only.
    """
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = positions.to(torch.float32).unsqueeze(-1) * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half : 2 * half]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def pool_cues(tokens: Tensor, cue_of: Tensor, count: int) -> Tensor:
    """Mean of the tokens of each cue: `tokens` (B, L, d), `cue_of` (B, L) -1 for none -> (B, count, d)."""
    index = cue_of.clamp(min=0)
    real = (cue_of >= 0).unsqueeze(-1).to(tokens.dtype)
    sums = tokens.new_zeros(len(tokens), count, tokens.shape[-1])
    sums.scatter_add_(1, index.unsqueeze(-1).expand_as(tokens), tokens * real)
    held = tokens.new_zeros(len(tokens), count, 1).scatter_add_(1, index.unsqueeze(-1), real)
    return sums / held.clamp(min=1)


def span_mask(mask: Tensor) -> Tensor:
    """(B, n) -> (B, n, n): which spans [first, last] exist: both ends real, not ending before they start."""
    return (mask[:, :, None] & mask[:, None, :]).triu()


def from_ends(start: Tensor, end: Tensor) -> Tensor:
    """Span logits (B, n, n) of independent start and end logits (B, n): their sum."""
    return start[:, :, None] + end[:, None, :]


def flat_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities over all spans of a row: (B, n, n) -> (B, n * n), `NEVER`-low where masked."""
    return F.log_softmax(logits.masked_fill(~mask, NEVER).flatten(1), 1)


def ends_loss(start: Tensor, end: Tensor, mask: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """CE(start, first) + CE(end, last), mean over the rows that have a target (`first` >= 0)."""
    real = first >= 0
    start, end = start.masked_fill(~mask, NEVER)[real], end.masked_fill(~mask, NEVER)[real]
    if not len(start):
        return start.sum() * 0.0
    return F.cross_entropy(start, first[real]) + F.cross_entropy(end, last[real])
