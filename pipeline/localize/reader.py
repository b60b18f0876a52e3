"""How a network reads the words: one switch, `joint` or `cached`, behind one output, `Words`.

joint: question and cues together through any Hugging Face encoder, as the papers do (T = PLM[Q, S]); one
pass of the encoder for each question and video; transcripts longer than the encoder are read in overlapping
windows, each with the question, and a token's state is the mean of the windows that hold it.
cached: the cues' vectors are those that the library keeps since ingest, only the question passes the encoder;
a few layers here take the place of the encoder's joint attention (departure from the papers; it is what
answers in a large library within milliseconds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.features.text import encoder_source
from pipeline.localize.examples import MOST_ROWS, Batch, Example
from pipeline.localize.layers import ContextQueryAttention, ConvBlock

_LONGEST_QUESTION = 64  # tokens


@dataclass(frozen=True)
class ReadingConfig:
    """Fields that every network shares; flat, so that it is one JSON object beside the weights."""

    d: int = 128
    dropout: float = 0.1
    reading: str = "cached"  # cached | joint | contextual (the default method's, see `contextual`)
    encoder: str = ""  # joint, contextual: Hugging Face name or folder; empty: the packaged MiniLM
    encoder_config: dict[str, Any] | None = None  # joint: filled in when the encoder is loaded
    encoder_dim: int = 384  # cached: of the library's vectors
    scales: int = 3  # cached: window scales of the library's vectors
    layers: int = 2  # cached: convolutions over the cues
    max_tokens: int = 512  # joint: one window of the encoder
    overlap: int = 128  # joint: transcript tokens shared by neighbouring windows
    visual: str = "none"  # none | i3d | transcript
    visual_dim: int = 1024
    visual_rows: int = MOST_ROWS  # longer videos are averaged down to it
    decode: str = "argmax"  # argmax (the papers') | expected_iou
    retrieval_temperature: float = 0.05  # of the retriever's scores, where they choose among videos
    answers_weight: float = 0.0  # of what the network says of a video as a whole, beside them

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is '{getattr(self, name)}'; known: {', '.join(known)}")
        for name in ("d", "encoder_dim", "scales", "max_tokens", "visual_dim", "visual_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


_CHOICES = {
    "reading": ("cached", "joint", "contextual"),
    "visual": ("none", "i3d", "transcript"),
    "decode": ("argmax", "expected_iou"),
}


@dataclass(frozen=True)
class Words:
    """What was read. Cached reading has one token for each cue."""

    question: Tensor  # (B, p, d)
    question_mask: Tensor  # (B, p)
    tokens: Tensor  # (B, T, d) of the transcript, each aware of the question
    cue_of: Tensor  # (B, T) cue of each token, -1: padding
    cue_mask: Tensor  # (B, r)
    times: Tensor  # (B, r, 2) seconds

    @property
    def token_mask(self) -> Tensor:
        return self.cue_of >= 0


class RowDropout(nn.Dropout):
    """Drops the same features of all rows of an example, (B, n, d): what is drawn does not grow with n, which
    saves a third of a training step."""

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x.new_ones(len(x), 1, x.shape[-1])) if self.training else x


class QuestionReader(nn.Module):
    """The question alone, for networks that look at pictures only."""

    def __init__(self, config: ReadingConfig) -> None:
        super().__init__()
        self.question = nn.Linear(config.encoder_dim, config.d)
        self.dropout = RowDropout(config.dropout)

    def prepare(self, batch: Batch, examples: Sequence[Example]) -> Batch:
        """Nothing to add: everything was encoded before."""
        return batch

    def read_question(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """States (B, p, d) of the question's tokens, read without the video, and their mask (B, p)."""
        if batch.question is None or batch.question_mask is None:
            raise ValueError("cached reading needs the question's states")
        return self.question(self.dropout(batch.question)), batch.question_mask


class CachedReader(QuestionReader):
    """Words from the library's vectors: each cue with its windows' vectors c by scale, the question's vector
    q, their product after projection, their cosine at each scale (over the video's mean, which tells places
    apart, and as it is, which tells videos apart), the question's words said nearby, and where in the video
    the cue stands; then attention to the question's tokens and `layers` convolutions."""

    _PLACE = 4  # numbers that say where and how long a cue is

    def __init__(self, config: ReadingConfig) -> None:
        super().__init__(config)
        d, dim, scales = config.d, config.encoder_dim, config.scales
        self.scales, self.dim = scales, dim
        self.vector, self.cue = nn.Linear(dim, d), nn.Linear(scales * dim, d)
        self.mix = nn.Sequential(
            nn.Linear(2 * d + 2 * scales + 1 + self._PLACE, d), nn.GELU(), nn.Dropout(config.dropout)
        )
        self.attention = ContextQueryAttention(d, config.dropout)
        self.context = nn.ModuleList(ConvBlock(d, dropout=config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, batch: Batch) -> Words:
        if batch.cues is None or batch.cosines is None or batch.said is None or batch.question_vector is None:
            raise ValueError("cached reading needs the library's vectors and the question's")
        mask, times, cosines = batch.cue_mask, batch.times, batch.cosines
        c = batch.spread(self.cue(self.dropout(batch.cues)))
        q = self.vector(batch.question_vector).unsqueeze(1)
        over = 10 * _over_the_video(cosines, mask)
        signs = torch.cat([over, 4 * cosines, batch.said.unsqueeze(-1)], -1)
        x = self.mix(torch.cat([c, c * q, signs, _place(times, batch.duration)], -1))
        tokens, question_mask = self.read_question(batch)
        x = x + self.attention(x, tokens, mask, question_mask)
        for layer in self.context:
            x = layer(x, mask)
        numbers = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        return Words(
            tokens,
            question_mask,
            self.norm(x),
            numbers.masked_fill(~mask, -1),
            mask,
            times,
        )


def _over_the_video(cosines: Tensor, mask: Tensor) -> Tensor:
    """(B, r, S) cosines over the video's own mean: a video that speaks of one subject still has its peak."""
    real = mask.unsqueeze(-1).to(cosines.dtype)
    return (cosines - (cosines * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)) * real


def _place(times: Tensor, duration: Tensor) -> Tensor:
    """(B, r, 4): relative middle, distance to the ends, the cue's and the video's length on a log scale."""
    total = duration.clamp(min=1.0)[:, None]
    middle = (times.mean(-1) / total).clamp(0, 1)
    length = (times[..., 1] - times[..., 0]).clamp(min=0.1).log() - 1
    return torch.stack([middle, 4 * middle * (1 - middle), length, total.log().expand_as(middle) - 5], -1)


class JointReader(nn.Module):
    """Words from the encoder itself, which is trained with the rest. Without `transcript` its windows hold
    the question alone. `prompts` places in front of each window stay free for what is not text."""

    def __init__(self, config: ReadingConfig, transcript: bool = True, prompts: int = 0) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel

        if config.encoder_config is None:
            source = encoder_source(config.encoder)
            self.encoder = AutoModel.from_pretrained(source, local_files_only=Path(source).is_dir())
        else:
            self.encoder = AutoModel.from_config(AutoConfig.for_model(**config.encoder_config))
        self.project = nn.Linear(self.encoder.config.hidden_size, config.d)
        self.max_tokens, self.overlap = min(config.max_tokens, longest(self.encoder)), config.overlap
        self.transcript, self.prompts = transcript, prompts
        self.tokenizer: Any = None  # of the encoder; see `with_tokenizer`

    def with_tokenizer(self, source: str | Path) -> JointReader:
        """Loads the tokenizer of a folder or hub name."""
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=Path(source).is_dir())
        return self

    def prepare(self, batch: Batch, examples: Sequence[Example]) -> Batch:
        """The batch with the windows of tokens that the encoder reads."""
        windows, cue_of = self._windows(examples)
        width = max(len(ids) for _, ids, _, _ in windows)

        def padded(rows: Sequence[Sequence[int]], fill: int, width: int = width) -> Tensor:
            return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])

        ids = [ids for _, ids, _, _ in windows]
        longest = max(map(len, cue_of))
        return replace(
            batch,
            ids=padded(ids, self.tokenizer.pad_token_id or 0),
            attention=padded([[1] * len(row) for row in ids], 0),
            row=torch.tensor([row for row, _, _, _ in windows]),
            token_at=padded([tokens for _, _, tokens, _ in windows], -1),
            question_at=padded([question for _, _, _, question in windows], -1),
            cue_of=padded(cue_of, -1, longest),
        )

    def _windows(self, examples: Sequence[Example]) -> tuple[list[_Window], list[list[int]]]:
        """The windows of all examples, and the cue of every transcript token of each."""
        found: list[_Window] = []
        cue_of: list[list[int]] = []
        for row, example in enumerate(examples):
            question = self._ids(example.asked.text)[: min(_LONGEST_QUESTION, self.max_tokens // 2)]
            cues = [self._ids(text) for text in example.texts if self.transcript]
            tokens = [token for cue in cues for token in cue]
            cue_of.append([number for number, cue in enumerate(cues) for _ in cue] or [0])
            found += self._cut(row, question, tokens)
        return found, cue_of

    def _cut(self, row: int, question: list[int], tokens: list[int]) -> list[_Window]:
        """[CLS] question [SEP] part of the transcript [SEP], until the transcript is through."""
        first, between = self._special()
        room = max(1, self.max_tokens - self.prompts - len(question) - 3)
        overlap = min(self.overlap, room - 1)  # else tokens at the end would be in no window
        windows: list[_Window] = []
        for at in range(0, max(1, len(tokens) - overlap), room - overlap):
            part = tokens[at : at + room]
            head = [-1, *[-1] * len(question), -1]
            windows.append(
                (
                    row,
                    [first, *question, between, *part, between],
                    [*head, *range(at, at + len(part)), -1],
                    [-1, *range(len(question)), -1, *[-1] * (len(part) + 1)],
                )
            )
        return windows

    def _special(self) -> tuple[int, int]:
        t = self.tokenizer
        first = t.cls_token_id if t.cls_token_id is not None else t.bos_token_id
        between = t.sep_token_id if t.sep_token_id is not None else t.eos_token_id
        return int(first), int(between)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def read_question(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """States (B, p, d) of the question's tokens, read without the video, and their mask (B, p)."""
        if batch.ids is None or batch.row is None or batch.question_at is None:
            raise ValueError("joint reading needs token windows: call `prepare` on the batch")
        first = torch.cat([batch.row.new_ones(1), batch.row.diff()]) > 0  # of the windows of a row
        at = batch.question_at[first]
        real = at >= 0
        longest = int(real.sum(1).max())
        head = slice(0, longest + 2)  # [CLS] question [SEP]
        seen = torch.arange(longest + 2, device=at.device) < real.sum(1, keepdim=True) + 2
        read = self.encoder(input_ids=batch.ids[first][:, head], attention_mask=seen.long())
        return self.project(read.last_hidden_state)[:, 1:-1], real[:, 1 : longest + 1]

    def forward(self, batch: Batch, prompt: Tensor | None = None) -> Words:
        """`prompt` (B, prompts, hidden) stands in front of the embeddings of every window of its row."""
        if batch.ids is None or batch.cue_of is None or batch.row is None:
            raise ValueError("joint reading needs token windows: call `prepare` on the batch")
        if prompt is None:
            read = self.encoder(input_ids=batch.ids, attention_mask=batch.attention).last_hidden_state
        else:
            read = self._prompted(batch.ids, batch.attention, prompt[batch.row])
        states = self.project(read)  # (N, L, d)
        tokens, _ = self._gather(states, batch, batch.token_at, batch.cue_of.shape[1])
        longest = int(batch.question_at.max()) + 1  # type: ignore[union-attr]
        question, question_mask = self._gather(states, batch, batch.question_at, max(1, longest))
        return Words(question, question_mask, tokens, batch.cue_of, batch.cue_mask, batch.times)

    def _prompted(self, ids: Tensor, attention: Tensor | None, prompt: Tensor) -> Tensor:
        """States (N, L, hidden) of the tokens behind a prompt (N, prompts, hidden)."""
        embeddings = torch.cat([prompt, self.encoder.get_input_embeddings()(ids)], 1)
        seen = torch.cat([ids.new_ones(prompt.shape[:2]), attention], 1)  # type: ignore[list-item]
        return self.encoder(inputs_embeds=embeddings, attention_mask=seen).last_hidden_state[
            :, prompt.shape[1] :
        ]

    def _gather(self, states: Tensor, batch: Batch, at: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
        """Means over the windows of the states placed `at` (N, L): (B, count, d) and which there are."""
        assert at is not None and batch.row is not None
        real = at >= 0
        flat = (batch.row[:, None] * count + at)[real]  # row and place as one number
        out = states.new_zeros(len(batch) * count, states.shape[-1]).index_add(0, flat, states[real])
        held = states.new_zeros(len(batch) * count).index_add(0, flat, states.new_ones(len(flat)))
        mean = out / held.clamp(min=1).unsqueeze(-1)
        return mean.view(len(batch), count, -1), held.view(len(batch), count) > 0


def longest(encoder: nn.Module) -> int:
    """How many tokens an encoder can read: as many as one likes where positions are only relative (DeBERTa),
    and less than its table of positions where that begins behind the padding (RoBERTa)."""
    config: Any = encoder.config
    if not getattr(config, "position_biased_input", True):
        return 1 << 30
    embeddings = getattr(encoder, "embeddings", None)
    before = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    limit = int(getattr(config, "max_position_embeddings", 1 << 30))
    return limit - (0 if before is None else before + 1)


# row, token ids, transcript token of each place, question token of each place (-1: none)
_Window = tuple[int, list[int], list[int], list[int]]


Reader = CachedReader | QuestionReader | JointReader


def reader_of(config: ReadingConfig, transcript: bool = True, prompts: int = 0) -> Reader:
    """The reader for this config; without `transcript` it reads questions only (`read_question`)."""
    if config.reading == "joint":
        return JointReader(config, transcript, prompts)
    return CachedReader(config) if transcript else QuestionReader(config)
