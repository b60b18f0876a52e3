"""The default: spans of contextual cues, trained to find the section that answers and where it begins and
ends.

What it takes from which paper. From CCGS (Li et al., ICASSP 2023) the global-span matrix: one logit for each
span [y, x] by the dot product of what is read at its ends, rotated (eq. 5-7), and learning by contrast. From
QANet and VSLNet, by way of CCGS and MutualSL, context-query attention. From DPR (Karpukhin et al. 2020) the
in-batch contrast of a question with the mean vector of its section, here among all sections of a batch, most
of them of the same video.

What is its own. (a) Reading: see `contextual`; cues are encoded once at ingest by an encoder that is trained
with the rest, so a cue's vector knows what is said around it, and where a section begins. (b) A span's logit
is the sum of CCGS's dot product, of its ends' logits, of how much the cues inside speak for it over those
outside, and of how usual its length is, by the question. (c) The loss is the cross-entropy with a target
spread over the spans that overlap the answer almost as much as the best does, plus the negative logarithm of
the expected overlap, which is what is decoded by. Besides, the network learns to tell whether the video
answers at all, from questions that it does not answer. (d) The cosines of the question with the library's
windows of the frozen encoder, and the words said nearby, are read beside: what was learned narrows to its
data, what was not learned does not. (e) Beside the vectors of whole cues, the words of the question are
compared with parts of cues (late interaction as in ColBERT, see `contextual`), and how long the video is
stands beside each cue.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.localize.contextual import ContextualReader, Heard
from pipeline.localize.examples import Batch
from pipeline.localize.layers import (
    NEVER,
    ContextQueryAttention,
    ConvBlock,
    flat_log_softmax,
    masked_mean,
    masked_softmax,
    rotary,
    span_mask,
)
from pipeline.localize.learned import Network, Spans
from pipeline.localize.reader import ReadingConfig, RowDropout

_PLACE = 5.0  # seconds; what rotary positions count in
_SIZES = 60.0, 600.0  # seconds; shorter videos are all alike, and so are longer ones
_SHORTEST, _LONGEST = 2.0, 300.0  # seconds, the ends of the scale of lengths


@dataclass(frozen=True)
class ContextSpanConfig(ReadingConfig):
    reading: str = "contextual"
    d: int = 192
    rank: int = 16  # of the encoder's changes
    window: int = 192  # tokens whose states one pass of the encoder gives
    margin: int = 32  # tokens more on either side
    blocks: int = 2
    heads: int = 4
    width: int = 7  # of the convolutions, cues
    similar: int = 128  # dimensions in which questions and cues are compared
    lengths: int = 24  # places on the scale of lengths
    parts: int = 8  # of each cue, that single words of a question are compared with; 0: none
    part: int = 32  # dimensions of each
    signs: bool = True  # read the frozen windows' cosines and the words said nearby
    place: float = 1.0  # weight of the cross-entropy with the spans that overlap the answer almost best
    expected: float = 1.0  # weight of the expected overlap
    contrast: float = 1.0  # weight of the question's contrast with sections
    answered: float = 0.5  # weight of telling whether the video answers at all
    spread: float = 0.05  # of the target over the overlaps with the answer
    temperature: float = 1.0  # of the spans' logits when they are decoded
    decode: str = "expected_iou"


class Block(nn.Module):
    """A convolution over neighbours, then attention over the whole video with rotary positions in seconds."""

    def __init__(self, d: int, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.near = ConvBlock(d, width, dropout)
        self.norm = nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.heads, self.dropout = heads, nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        """(B, r, d), (B, r), (B, r) -> (B, r, d)."""
        x = self.near(x, mask)
        rows, count, d = x.shape
        q, k, v = (
            part.view(rows, count, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm(x)).chunk(3, -1)
        )
        places = places[:, None].expand(-1, self.heads, -1)
        seen = F.scaled_dot_product_attention(
            rotary(q, places), rotary(k, places), v, attn_mask=mask[:, None, None, :]
        )
        return x + self.dropout(self.out(seen.transpose(1, 2).reshape(rows, count, d)))


class ContextSpan(Network):
    """One logit for each span of each video."""

    Config = ContextSpanConfig
    method = "default"
    looks_into = 8  # with 16 no answer to 831 questions of four sets was another, and each takes its time

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        c, dim = self.config, self.reader.dim
        self.cue, self.question = nn.Linear(dim, c.d), nn.Linear(dim, c.d)
        self.like_cue, self.like_question = nn.Linear(dim, c.similar), nn.Linear(dim, c.similar)
        kinds = (2 if c.parts else 0) + (c.scales + 1 if c.signs else 0)
        self.signs = nn.Linear(4 + 2 * kinds, c.d)
        self._peaks = 2 + kinds
        if c.parts:
            self.word, self.matters = nn.Linear(dim, c.part, bias=False), nn.Linear(dim, 1)
            self.word.load_state_dict(self.reader.part.state_dict())  # at first, alike is alike
        self.dropout = RowDropout(c.dropout)
        self.alone = nn.ModuleList(ConvBlock(c.d, c.width, c.dropout) for _ in range(2))
        self.bound = nn.Linear(c.d, 2)
        self.attention = ContextQueryAttention(c.d, c.dropout)
        self.context = nn.ModuleList(Block(c.d, c.heads, c.width, c.dropout) for _ in range(c.blocks))
        self.norm = nn.LayerNorm(c.d)
        self.split, self.ends, self.inside = nn.Linear(c.d, 2 * c.d), nn.Linear(c.d, 2), nn.Linear(c.d, 1)
        self.length = nn.Linear(c.d, c.lengths)
        self.answers = nn.Sequential(nn.Linear(c.d + self._peaks, c.d), nn.GELU(), nn.Linear(c.d, 1))
        self.weigh = nn.Parameter(torch.tensor([1.0, 1.0]))  # of the cues inside, and of those outside
        self.scale = nn.Parameter(torch.tensor(math.log(15.0)))  # of the contrast's cosines

    def make_reader(self) -> ContextualReader:
        c = self.config
        return ContextualReader(c.encoder, c.rank, c.window, c.margin, c.parts, c.part)

    def forward(self, batch: Batch, heard: Heard | None = None) -> tuple[Tensor, Tensor]:
        """Logits (B, r, r) of the spans from cue y to cue x, and (B,) that the video answers at all."""
        heard = heard or self.reader(batch)
        with torch.autocast(heard.cues.device.type, enabled=False):  # spans of a whole corpus are compared
            return self._logits(batch, heard)

    def _logits(self, batch: Batch, heard: Heard) -> tuple[Tensor, Tensor]:
        mask, places = batch.cue_mask, batch.times.mean(-1) / _PLACE
        alone = self._alone(batch, heard)
        x = self.attention(batch.spread(alone), self.question(heard.question), mask, heard.question_mask)
        signs, peaks = self._signs(batch, heard)
        x = x + self.signs(signs)
        for block in self.context:
            x = block(x, mask, places)
        x = self.norm(x)
        ends = self.ends(x) + batch.spread(self.bound(alone))
        about = self.question(heard.question_vector) + masked_mean(x, mask)
        matrix = self._matrix(x, places) + ends[:, :, None, 0] + ends[:, None, :, 1]
        spans = matrix + self._insides(x, batch) + self._lengths(about, batch.times)
        best = masked_softmax(self.inside(x).squeeze(-1), mask).unsqueeze(1) @ x  # where it is most likely
        return spans, self.answers(torch.cat([best.squeeze(1), peaks], -1)).squeeze(-1)

    def _alone(self, batch: Batch, heard: Heard) -> Tensor:
        """(W, r, d): what the cues say for themselves, whatever is asked."""
        assert batch.video is not None
        mask = batch.cue_mask.new_zeros(heard.cues.shape[:2])
        mask[batch.video] = batch.cue_mask
        x = self.cue(self.dropout(heard.cues))
        for layer in self.alone:
            x = layer(x, mask)
        return x

    def _signs(self, batch: Batch, heard: Heard) -> tuple[Tensor, Tensor]:
        """How alike question and cue are, by the encoder, by a projection, and by the library: (B, r, n) as
        it is and over the video, beside how long the video is, and (B, k) the highest of each."""
        cues, question, mask = heard.cues, heard.question_vector, batch.cue_mask
        plain = _cosines(batch.spread(cues), question)
        learned = _cosines(batch.spread(self.like_cue(cues)), self.like_question(question))
        found = [5 * plain, 3 * learned, _over(plain.unsqueeze(-1), mask, 1e-3).squeeze(-1), _size(batch)]
        rows, alike = [torch.stack(found, -1)], [torch.stack([5 * plain, 3 * learned], -1)]
        if self.config.parts:
            late = self._late(batch, heard)
            rows += [4 * late, _over(late, mask, 1e-2)]
            alike.append(4 * late)
        if self.config.signs:
            if batch.cosines is None or batch.said is None:
                raise ValueError("this network needs the library's vectors beside its own")
            signs = torch.cat([batch.cosines, batch.said.unsqueeze(-1)], -1)
            rows += [4 * signs, _over(signs, mask, 1e-2)]
            alike.append(4 * signs)
        highest = torch.cat(alike, -1).masked_fill(~mask.unsqueeze(-1), NEVER).amax(1)
        return torch.cat(rows, -1), highest

    def _late(self, batch: Batch, heard: Heard) -> Tensor:
        """(B, r, 2): how near the question's words, by what each matters, come to the nearest part of a cue,
        and of the cues around."""
        words = F.normalize(self.word(heard.question), dim=-1)
        parts = F.normalize(heard.parts, dim=-1).flatten(1, 2)
        near = torch.einsum("bpm,bkm->bpk", words, batch.spread(parts))
        near = near.unflatten(2, (-1, self.config.parts)).amax(-1)  # a part of no token: 0
        near = near * batch.cue_mask.unsqueeze(1)
        matter = masked_softmax(self.matters(heard.question).squeeze(-1), heard.question_mask).unsqueeze(2)
        around = F.max_pool1d(near, self.config.width, 1, self.config.width // 2)
        return torch.stack([(near * matter).sum(1), (around * matter).sum(1)], -1)

    def _matrix(self, x: Tensor, places: Tensor) -> Tensor:
        """CCGS eq. 5-7, over sqrt(d)."""
        last, first = self.split(x).chunk(2, -1)
        return rotary(first, places) @ rotary(last, places).transpose(1, 2) * x.shape[-1] ** -0.5

    def _insides(self, x: Tensor, batch: Batch) -> Tensor:
        """(B, r, r): the mean of the cues' logits within each span less that outside, by their seconds."""
        seconds = (batch.times[..., 1] - batch.times[..., 0]).clamp(min=0.1) * batch.cue_mask
        value = self.inside(x).squeeze(-1) * seconds
        upto, length = F.pad(value.cumsum(1), (1, 0)), F.pad(seconds.cumsum(1), (1, 0))
        inside = upto[:, None, 1:] - upto[:, :-1, None]
        held = (length[:, None, 1:] - length[:, :-1, None]).clamp(min=0.1)
        rest = (length[:, -1, None, None] - held).clamp(min=1.0)
        outside = (upto[:, -1, None, None] - inside) / rest
        return self.weigh[0] * inside / held - self.weigh[1] * outside

    def _lengths(self, about: Tensor, times: Tensor) -> Tensor:
        """(B, r, r): how usual each span's length is, between places on a logarithmic scale."""
        count = self.config.lengths
        seconds = (times[:, None, :, 1] - times[:, :, None, 0]).clamp(_SHORTEST, _LONGEST)
        share = (seconds / _SHORTEST).log() / math.log(_LONGEST / _SHORTEST) * (count - 1)
        low = share.floor().long().clamp(max=count - 2)
        usual, between = self.length(about), share - low
        rows = low.flatten(1)
        below, above = usual.gather(1, rows).view_as(share), usual.gather(1, rows + 1).view_as(share)
        return below * (1 - between) + above * between

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Rows without an answer (`start` -1) count only for telling whether there is one."""
        heard = self.reader(batch)
        told, place, expected = zip(*(self._losses(*part) for part in _by_video(batch, heard)), strict=True)
        terms = {"answered": torch.cat(told).mean()}
        if (batch.start >= 0).any():
            terms |= {"place": torch.cat(place).mean(), "expected": torch.cat(expected).mean()}
            terms["contrast"] = self._contrast(batch, heard, batch.start >= 0)
        total = torch.stack([getattr(self.config, name) * term for name, term in terms.items()]).sum()
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def _losses(self, batch: Batch, heard: Heard) -> tuple[Tensor, Tensor, Tensor]:
        """Whether there is an answer, of each row; its place and expected overlap, of each that has one."""
        logits, answers = self(batch, heard)
        real = batch.start >= 0
        told = F.binary_cross_entropy_with_logits(answers, real.float(), reduction="none")
        overlaps = _overlaps(batch)[real]
        chances = flat_log_softmax(logits[real], span_mask(batch.cue_mask[real]))
        best = overlaps.amax(1, keepdim=True)
        target = ((overlaps - best) / self.config.spread).exp() * (overlaps >= 0.6 * best)
        place = -(target / target.sum(1, keepdim=True) * chances).sum(1)
        return told, place, -torch.logsumexp(chances + (overlaps + 1e-6).log(), 1)

    def _contrast(self, batch: Batch, heard: Heard, real: Tensor) -> Tensor:
        """Cross-entropy of each question with its section among all sections that the batch asks for."""
        assert batch.video is not None
        video, answer = batch.video[real], batch.answer[real]
        middle = batch.times[real].mean(-1)
        inside = (middle >= answer[:, :1]) & (middle <= answer[:, 1:]) & batch.cue_mask[real]
        inside[torch.arange(len(inside)), batch.start[real]] = True
        weights = inside / inside.sum(1, keepdim=True)
        sections = torch.einsum("br,brd->bd", weights, heard.cues[video])
        _, number = torch.cat([video.unsqueeze(1).to(answer.dtype), answer], 1).unique(
            dim=0, return_inverse=True
        )
        first = torch.full((int(number.max()) + 1,), len(number), device=number.device)
        first = first.scatter_reduce(0, number, torch.arange(len(number), device=number.device), "amin")
        questions = F.normalize(heard.question_vector[real], dim=-1)
        alike = questions @ F.normalize(sections[first], dim=-1).T
        return F.cross_entropy(alike * self.scale.exp(), number)

    def spans(self, batch: Batch) -> Spans:
        logits, answers = self(batch)
        mask = span_mask(batch.cue_mask)
        return Spans(logits / self.config.temperature, mask, batch.times, answers)

    # Ingest and checkpoints

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """The rows of a video's cues, (cues, D) float32, that the library keeps."""
        return self.reader.read(texts)

    def write_weights(self, path: Path) -> None:
        """What was learned; the encoder's own weights come with it."""
        from safetensors.torch import save_file

        kept = {k: v.half().contiguous() for k, v in self.state_dict().items() if _is_learned(k)}
        save_file(kept, path)

    def read_weights(self, path: Path) -> None:
        from safetensors.torch import load_file

        found = load_file(path)
        wanted = {k: v for k, v in self.state_dict().items() if _is_learned(k)}
        if set(found) != set(wanted) or any(found[k].shape != v.shape for k, v in wanted.items()):
            raise ValueError("its weights are not those of this network")
        self.load_state_dict(found, strict=False)
        self.reader.merge()


def _by_video(batch: Batch, heard: Heard) -> Iterator[tuple[Batch, Heard]]:
    """The rows of each video by themselves: span matrices grow with the square of the longest one's cues."""
    assert batch.video is not None
    for number in range(len(heard.cues)):
        rows = (batch.video == number).nonzero().squeeze(1)
        count = int(batch.cue_mask[rows[0]].sum())
        part = replace(
            batch,
            video=torch.zeros_like(rows),
            times=batch.times[rows, :count],
            cue_mask=batch.cue_mask[rows, :count],
            cosines=None if batch.cosines is None else batch.cosines[rows, :count],
            said=None if batch.said is None else batch.said[rows, :count],
            answer=batch.answer[rows],
            start=batch.start[rows],
        )
        yield (
            part,
            Heard(
                heard.cues[number : number + 1, :count],
                heard.parts[number : number + 1, :count],
                heard.question[rows],
                heard.question_mask[rows],
                heard.question_vector[rows],
            ),
        )


def _is_learned(name: str) -> bool:
    return not name.startswith("reader.encoder.") or name.endswith((".a", ".b"))


def _cosines(cues: Tensor, question: Tensor) -> Tensor:
    """(B, r, D), (B, D) -> (B, r)."""
    return torch.einsum(
        "brd,bd->br", F.normalize(cues.float(), dim=-1), F.normalize(question.float(), dim=-1)
    )


def _size(batch: Batch) -> Tensor:
    """(B, r): the logarithm of how long a video is: in a short one, answers are short."""
    seconds = (batch.times[..., 1] * batch.cue_mask).amax(1, keepdim=True).clamp(*_SIZES)
    return (seconds / _SIZES[0]).log().expand(-1, batch.cue_mask.shape[1])


def _over(values: Tensor, mask: Tensor, least: float) -> Tensor:
    """(B, r, n) values over the video's own mean, in standard deviations."""
    real = mask.unsqueeze(-1).to(values.dtype)
    count = real.sum(1, keepdim=True).clamp(min=1)
    mean = (values * real).sum(1, keepdim=True) / count
    spread = ((values - mean) ** 2 * real).sum(1, keepdim=True) / count
    return (values - mean) / (spread + least**2).sqrt() * real  # a root of nothing has no gradient


def _overlaps(batch: Batch) -> Tensor:
    """(B, r * r): overlap over union of each span with the answer; 0 for spans that are none."""
    begins, ends = batch.times[..., 0], batch.times[..., 1].cummax(1).values
    first, last = batch.answer[:, 0, None, None], batch.answer[:, 1, None, None]
    shared = (torch.minimum(ends[:, None, :], last) - torch.maximum(begins[:, :, None], first)).clamp(min=0)
    union = (ends[:, None, :] - begins[:, :, None]) + (last - first) - shared
    return (shared / union.clamp(min=0.1) * span_mask(batch.cue_mask)).flatten(1)
