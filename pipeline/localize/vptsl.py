"""VPTSL: Visual-Prompt Text Span Localizing (Li et al. 2022, "Towards Visual-Prompt Temporal Answering
Grounding in Medical Instructional Video", https://arxiv.org/abs/2203.06667).

Span-Base's text predictor, given one vector of the video, the prompt. The video's side is VSLNet's: attention
between rows and question, concatenation, and a highlight of the rows in the answer (lengthened by `extend` of
its length on both sides) with its own loss. What was highlighted becomes the prompt, one more token among
those of question and subtitles. Without video rows this is Span-Base by construction, and a trained one
answers a video without rows as Span-Base would, from the same weights.

Two readings of "visual highlight features" as a prompt, `prompt`:
"scores" (the authors' released code, https://github.com/WENGSYX/VPTSL): a linear map of the highlight scores
along the video, so the prompt says where, and what only as far as scores can be bent to a code;
"pooled": the mean of the rows weighed by their scores, so it says what, and where only as far as positions
are left in the rows.
Either way it is one vector for all tokens. It can favour a place or a subject that a token's own fits; it
cannot hand each token the picture beside it, as MutualSL's look-up does. On planted corpora (tests) "scores"
finds answers that only pictures tell, "pooled" the one of two places whose subject is shown.

Hyperparameters of the authors' code: DeBERTa-v3 base or large, 1,800 tokens, AdamW with 1e-5 (default 8e-6),
weight decay 1e-6, 32 epochs, batches of 4, cosine schedule with one epoch of warm-up; on the video's side
d = 1024, 32 heads, 6 convolutions, dropout 0.2; extend 0.25; highlight loss times 0.1 beside the mean of the
two span losses.

Departures. The prompt stands in front of the tokens; the code appends it, and behind padding its place would
depend on the batch. "scores" takes `moments` equal parts of the video instead of 1,024 seconds, so that every
weight is trained on every video. The span losses are summed, so the default highlight weight is 0.2. In
cached reading there is no encoder to put the prompt before: each cue c takes c + FFN([c; P; c * P]), which is
attention to one key with a learned gate, and nothing passes between cues. The question for the video's side
is, as in the code, read by the encoder alone and without its gradient (joint); in cached reading it is the
library's encoder's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.localize.examples import Batch
from pipeline.localize.layers import NEVER, ends_loss
from pipeline.localize.reader import JointReader, Reader, reader_of
from pipeline.localize.spanbase import SpanBase
from pipeline.localize.vslnet import HighlightConfig, VideoQuestion, foreground, highlight_loss


@dataclass(frozen=True)
class VPTSLConfig(HighlightConfig):
    extend: float = 0.25
    highlight_weight: float = 0.2
    prompt: str = "scores"  # scores | pooled
    moments: int = 64  # equal parts of the video whose scores make the prompt

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt not in ("scores", "pooled"):
            raise ValueError(f"prompt is '{self.prompt}'; known: scores, pooled")


class VisualPrompt(nn.Module):
    """The highlight of a video's rows under a question, and the prompt made of it."""

    def __init__(self, config: VPTSLConfig, width: int) -> None:
        super().__init__()
        self.moments = config.moments if config.prompt == "scores" else 0
        self.fusion = VideoQuestion(config)
        self.highlight = nn.Linear(config.d, 1)
        self.prompt = nn.Linear(self.moments or config.d, width)

    def forward(self, batch: Batch, question: Tensor, question_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Prompts (B, width) and highlight logits over rows (B, m)."""
        assert batch.visual_mask is not None
        mask = batch.visual_mask
        rows = self.fusion(batch, question, question_mask)
        logits = self.highlight(rows).squeeze(-1).masked_fill(~mask, NEVER)
        scores = logits.sigmoid()
        if self.moments:
            said = torch.einsum("bkm,bm->bk", parts(mask, self.moments), scores)
        else:
            said = (scores.unsqueeze(-1) * rows).sum(1) / scores.sum(1, keepdim=True).clamp(min=1e-6)
        return self.prompt(said), logits


def parts(mask: Tensor, count: int) -> Tensor:
    """(B, count, m): the share that each row has in each of `count` equal parts of its video; shares of a
    part sum to 1."""
    rows = mask.sum(1).clamp(min=1)[:, None, None]
    at = torch.arange(mask.shape[1], device=mask.device)[None, None, :]
    part = torch.arange(count, device=mask.device)[None, :, None]
    shared = torch.minimum((at + 1) / rows, (part + 1) / count) - torch.maximum(at / rows, part / count)
    return shared.clamp(min=0) * count * mask[:, None, :]


class PromptedCues(nn.Module):
    """Cached reading's place for the prompt: c + FFN([c; P; c * P])."""

    def __init__(self, d: int, dropout: float) -> None:
        super().__init__()
        self.ffn = nn.Sequential(nn.Linear(3 * d, d), nn.GELU(), nn.Dropout(dropout), nn.Linear(d, d))

    def forward(self, cues: Tensor, prompt: Tensor) -> Tensor:
        """(B, T, d), (B, d) -> (B, T, d)."""
        p = prompt.unsqueeze(1).expand_as(cues)
        return cues + self.ffn(torch.cat([cues, p, cues * p], -1))


class VPTSL(SpanBase):
    """Span-Base over words that were read behind a visual prompt."""

    method = "vptsl"
    Config = VPTSLConfig

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        self.prompt: VisualPrompt | None = None
        self.prompted: PromptedCues | None = None  # joint reading needs none
        if self.config.visual == "none":
            return
        width = self.config.d
        if isinstance(self.reader, JointReader):
            width = self.reader.encoder.config.hidden_size
        else:
            self.prompted = PromptedCues(width, self.config.dropout)
        self.prompt = VisualPrompt(self.config, width)

    def make_reader(self) -> Reader:
        return reader_of(self.config, prompts=int(self.config.visual != "none"))

    def look(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """States of the cues (B, r, d), and highlight logits (B, m) where there are video rows."""
        if self.prompt is None or batch.visual is None:
            return super().states(batch), None
        prompt, logits = self.prompt(batch, *self._question(batch))
        seen = batch.visual_mask.any(1)  # type: ignore[union-attr]
        if self.prompted is not None:
            plain = super().states(batch)
            return torch.where(seen[:, None, None], self.prompted(plain, prompt), plain), logits
        found = self.of_cues(self.reader(batch, prompt.unsqueeze(1)))
        if not bool(seen.all()):  # beside others that have rows too: what stands next to it changes nothing
            found = torch.where(seen[:, None, None], found, super().states(batch))
        return found, logits

    def _question(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.prompted is not None):
            return self.reader.read_question(batch)

    def states(self, batch: Batch) -> Tensor:
        return self.look(batch)[0]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        states, logits = self.look(batch)
        spans = ends_loss(*self.ends(states), batch.cue_mask, batch.start, batch.end)
        if logits is None:
            return spans, {}
        mask, first, last = batch.visual_mask, batch.start_visual, batch.end_visual
        assert mask is not None and first is not None and last is not None
        highlight = highlight_loss(logits, foreground(first, last, mask, self.config.extend), mask)
        logged = {"spans": float(spans.detach()), "highlight": float(highlight.detach())}
        return spans + self.config.highlight_weight * highlight, logged
