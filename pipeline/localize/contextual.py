"""Contextual reading: an encoder of the network's own reads the transcript once, when a video is added, and
each cue as part of what is said around it; when a question is asked, only the question passes the encoder.

It stands between the two readings of the papers: as cheap to ask as `cached`, since a cue's vector does not
depend on the question, yet trained end to end like `joint`. The encoder's own weights stay as they came; what
is learned are low-rank changes of them (LoRA, Hu et al. 2021), so that a checkpoint has a few megabytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.features.text import encoder_source
from pipeline.localize.examples import Batch, Example, lengths_mask, pad
from pipeline.localize.reader import longest

_LONGEST_QUESTION = 62  # tokens
_WINDOWS_AT_ONCE = 16
_CHANGED = ("query", "key", "value", "dense", "lin1", "lin2", "q_lin", "k_lin", "v_lin", "out_lin")


@dataclass(frozen=True)
class Heard:
    """What was read: W videos, B rows that ask about them."""

    cues: Tensor  # (W, r, D), float32
    parts: Tensor  # (W, r, K, m), zeros where a cue has fewer tokens than parts
    question: Tensor  # (B, p, D) states of the tokens
    question_mask: Tensor  # (B, p)
    question_vector: Tensor  # (B, D), their mean


class LowRank(nn.Module):
    """A linear layer x -> W x + c that stays as it is, plus 2 B A x with A (rank, in) and B (out, rank), B at
    first zero. W itself gets no gradient: to multiply by B A first would cost a step a third more."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self.a = nn.Parameter(torch.empty(rank, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + F.linear(F.linear(x, self.a), 2 * self.b)

    def merged(self) -> nn.Linear:
        """The layer with the change in its weights."""
        with torch.no_grad():
            self.layer.weight += 2 * self.b @ self.a
        return self.layer


class ContextualReader(nn.Module):
    """`encoder`: a Hugging Face name or folder, empty for the packaged MiniLM. A transcript is read in
    windows of at most `window` tokens with `margin` tokens more on either side, whose own states are not
    kept; a cue's vector is the mean of its tokens' states. Beside it stand `parts` vectors of `part`
    dimensions, projections of the means of as many runs of its tokens: what single words of a question are
    compared with (late interaction, ColBERT, Khattab and Zaharia 2020; there one vector for each token)."""

    def __init__(
        self, encoder: str, rank: int, window: int, margin: int, parts: int = 0, part: int = 0
    ) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        source = encoder_source(encoder)
        here = Path(source).is_dir()
        self.encoder = AutoModel.from_pretrained(source, local_files_only=here)
        self.encoder.requires_grad_(False)
        self.window, self.margin, self.parts = window, margin, parts
        if (most := longest(self.encoder)) < window + 2 * margin + 2:
            raise ValueError(f"the encoder reads {most} tokens: set window and 2 * margin to less together")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, local_files_only=here)
        if not (changed := _changed_layers(self.encoder)):
            raise ValueError(
                f"the layers of a {type(self.encoder).__name__} are not known here: see _CHANGED"
            )
        for name, layer in changed:
            self.encoder.set_submodule(name, LowRank(layer, rank))
        self.slots, self.part_dim = max(1, parts), part if parts else 0
        if parts:
            self.part = nn.Linear(self.dim, part, bias=False)

    def train(self, mode: bool = True) -> ContextualReader:
        """The encoder's own dropout stays off: on a CPU it takes two thirds of a training step. And there
        the gradient of attention is twice as fast when it is written out."""
        super().train(mode)
        self.encoder.eval()
        self.encoder.set_attn_implementation("eager" if mode else "sdpa")
        return self

    @property
    def dim(self) -> int:
        return int(self.encoder.config.hidden_size)

    @property
    def width(self) -> int:
        """Of the rows that `read` gives."""
        return self.dim + self.parts * self.part_dim

    @property
    def digest(self) -> str:
        """Twelve digits that are others when cues are read otherwise, and stay when only the rest of a
        network is trained anew."""
        found = hashlib.sha256(f"{self.window} {self.margin} {self.parts}".encode())
        for name, weight in sorted(self.state_dict().items()):
            found.update(name.encode() + weight.detach().float().cpu().numpy().tobytes())
        return found.hexdigest()[:12]

    def merge(self) -> None:
        """Makes the changes part of the encoder's weights: faster, and no more to be trained."""
        self.requires_grad_(False)
        for name, module in list(self.encoder.named_modules()):
            if isinstance(module, LowRank):
                self.encoder.set_submodule(name, module.merged())

    def prepare(self, batch: Batch, examples: Sequence[Example]) -> Batch:
        """The batch with the questions' tokens, and with the videos' rows or, where an example has none, the
        windows of their tokens."""
        assert batch.video is not None
        first = {int(number): i for i, number in reversed(list(enumerate(batch.video)))}
        videos = [examples[first[number]] for number in range(len(first))]
        texts = list(dict.fromkeys(example.asked.text for example in examples))
        number = {text: i for i, text in enumerate(texts)}
        ids, attention = self._padded([self._framed(row[:_LONGEST_QUESTION]) for row in self._ids(texts)])
        found = replace(
            batch,
            question_ids=ids,
            question_attention=attention,
            question_of=torch.tensor([number[example.asked.text] for example in examples]),
        )
        rows = [video.read for video in videos]
        if all(row is not None for row in rows):
            return replace(found, read=pad([np.asarray(row) for row in rows]))
        return self._with_windows(found, [video.texts for video in videos])

    def _with_windows(self, batch: Batch, videos: Sequence[Sequence[str]]) -> Batch:
        """Windows of the W videos: `row` says whose, `token_at` the slot of each token that is kept."""
        of_videos = [self._windows(texts) for texts in videos]
        ids, attention, slots = self._filled([window for windows in of_videos for window in windows])
        owner = torch.tensor([v for v, windows in enumerate(of_videos) for _ in windows])
        return replace(batch, ids=ids, attention=attention, row=owner, token_at=slots)

    def forward(self, batch: Batch) -> Heard:
        if batch.question_ids is None or batch.question_attention is None or batch.question_of is None:
            raise ValueError("contextual reading needs tokens: call `prepare` on the batch")
        states = self._states(batch.question_ids, batch.question_attention)
        mask = batch.question_attention.bool()
        real = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * real).sum(1) / real.sum(1).clamp(min=1)
        cues, parts = self._cues(batch) if batch.read is None else self._split(batch.read)
        of = batch.question_of
        return Heard(cues, parts, states[of], mask[of], mean[of])

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(…, width) -> (…, D), (…, K, m)."""
        return rows[..., : self.dim], rows[..., self.dim :].unflatten(-1, (self.parts, self.part_dim))

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> np.ndarray:
        """The cues of one video, (cues, width) float32; a cue without any token is a row of zeros."""
        windows, device = self._windows(texts), next(self.parameters()).device
        total = torch.zeros(len(texts) * self.slots, self.dim, device=device)
        held = torch.zeros(len(total), device=device)
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            ids, attention, slots = self._filled(windows[start : start + _WINDOWS_AT_ONCE])
            self._add(total, held, slots.to(device), self._states(ids.to(device), attention.to(device)))
        cues, parts = self._pooled(total[None], held[None])
        return torch.cat([cues[0], parts[0].flatten(1)], 1).cpu().numpy()

    def _cues(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(W, r, D): the mean of the states of each cue's tokens, and (W, r, K, m) of its parts."""
        assert batch.ids is not None and batch.attention is not None
        assert batch.row is not None and batch.token_at is not None and batch.video is not None
        states = self._states(batch.ids, batch.attention)
        count, videos = batch.cue_mask.shape[1] * self.slots, int(batch.video.max()) + 1
        slots = torch.where(batch.token_at < 0, -1, batch.row[:, None] * count + batch.token_at)
        total, held = states.new_zeros(videos * count, self.dim), states.new_zeros(videos * count)
        self._add(total, held, slots, states)
        return self._pooled(total.view(videos, count, -1), held.view(videos, count))

    @staticmethod
    def _add(total: Tensor, held: Tensor, slots: Tensor, states: Tensor) -> None:
        """Adds the states of windows, (n, l, D), to the slots of their tokens."""
        real = slots >= 0
        total.index_add_(0, slots[real], states[real])
        held.index_add_(0, slots[real], held.new_ones(len(slots[real])))

    def _pooled(self, total: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of states by slot, (W, r * slots, D), and how many -> cues (W, r, D), parts (W, r, K, m)."""
        total, held = total.unflatten(1, (-1, self.slots)), held.unflatten(1, (-1, self.slots)).unsqueeze(-1)
        cues = total.sum(2) / held.sum(2).clamp(min=1)
        if not self.parts:
            return cues, total[..., :0, :0]
        return cues, self.part(total / held.clamp(min=1)).float()

    def _states(self, ids: Tensor, attention: Tensor) -> Tensor:
        return self.encoder(input_ids=ids, attention_mask=attention).last_hidden_state.float()

    def _windows(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Token ids of each window, and the slot of each of them, -1 for those that are not kept. Each cue
        has `slots` of them, for as many runs of its tokens."""
        cues = self._ids(texts)
        tokens = [token for cue in cues for token in cue]
        owner = [
            number * self.slots + i * self.slots // max(len(cue), self.slots)
            for number, cue in enumerate(cues)
            for i in range(len(cue))
        ]
        count = max(1, -(-len(tokens) // self.window))
        size = max(1, -(-len(tokens) // count))
        windows = []
        for start in range(0, len(tokens), size):
            end = min(start + size, len(tokens))
            low, high = max(0, start - self.margin), min(len(tokens), end + self.margin)
            at = [-1] * (1 + start - low) + owner[start:end] + [-1] * (high - end + 1)
            windows.append((self._framed(tokens[low:high]), at))
        return windows

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def _framed(self, tokens: list[int]) -> list[int]:
        return [self.tokenizer.cls_token_id, *tokens, self.tokenizer.sep_token_id]

    def _filled(
        self, windows: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids, attention and slots of windows, `(n, longest)` each."""
        ids, attention = self._padded([row for row, _ in windows])
        slots = torch.full_like(ids, -1)
        for line, (_, at) in zip(slots, windows, strict=True):
            line[: len(at)] = torch.tensor(at)
        return ids, attention, slots

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and attention, `(n, longest)` each."""
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.tokenizer.pad_token_id or 0)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = torch.tensor(row)
        return ids, lengths_mask([len(row) for row in rows]).long()


def _changed_layers(encoder: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The linear layers of the Transformer's blocks, by name."""
    return [
        (name, module)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in _CHANGED and "pooler" not in name
    ]
