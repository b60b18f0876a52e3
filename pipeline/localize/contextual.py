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
from torch.nn.utils import parametrize

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
    question: Tensor  # (B, p, D) states of the tokens
    question_mask: Tensor  # (B, p)
    question_vector: Tensor  # (B, D), their mean


class LowRank(nn.Module):
    """W + 2 B A with A (rank, in) and B (out, rank), at first zero; a parametrization of a weight W."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, weight.shape[1]))
        self.b = nn.Parameter(torch.zeros(weight.shape[0], rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 2 * self.b @ self.a


class ContextualReader(nn.Module):
    """`encoder`: a Hugging Face name or folder, empty for the packaged MiniLM. A transcript is read in
    windows of at most `window` tokens with `margin` tokens more on either side, whose own states are not
    kept; a cue's vector is the mean of its tokens' states."""

    def __init__(self, encoder: str, rank: int, window: int, margin: int) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        source = encoder_source(encoder)
        here = Path(source).is_dir()
        self.encoder = AutoModel.from_pretrained(source, local_files_only=here)
        self.encoder.requires_grad_(False)
        self.window, self.margin = window, margin
        if (most := longest(self.encoder)) < window + 2 * margin + 2:
            raise ValueError(f"the encoder reads {most} tokens: set window and 2 * margin to less together")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, local_files_only=here)
        if not (changed := _changed_layers(self.encoder)):
            raise ValueError(
                f"the layers of a {type(self.encoder).__name__} are not known here: see _CHANGED"
            )
        for layer in changed:
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))

    def train(self, mode: bool = True) -> ContextualReader:
        """The encoder's own dropout stays off: on a CPU it takes two thirds of a training step."""
        super().train(mode)
        self.encoder.eval()
        return self

    @property
    def dim(self) -> int:
        return int(self.encoder.config.hidden_size)

    @property
    def digest(self) -> str:
        """Twelve digits that are others when cues are read otherwise, and stay when only the rest of a
        network is trained anew."""
        found = hashlib.sha256(f"{self.window} {self.margin}".encode())
        for name, weight in sorted(self.state_dict().items()):
            found.update(name.encode() + weight.detach().float().cpu().numpy().tobytes())
        return found.hexdigest()[:12]

    def merge(self) -> None:
        """Makes the changes part of the encoder's weights: faster, and no more to be trained."""
        for layer in _changed_layers(self.encoder):
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        self.encoder.requires_grad_(False)

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
        """Windows of the W videos: `row` says whose, `token_at` the cue of each token that is kept."""
        windows = [(v, ids, at) for v, texts in enumerate(videos) for ids, at in self._windows(texts)]
        ids, attention = self._padded([row for _, row, _ in windows])
        at = torch.full_like(ids, -1)
        for line, (_, _, cues) in zip(at, windows, strict=True):
            line[: len(cues)] = torch.tensor(cues)
        owner = torch.tensor([v for v, _, _ in windows])
        return replace(batch, ids=ids, attention=attention, row=owner, token_at=at)

    def forward(self, batch: Batch) -> Heard:
        if batch.question_ids is None or batch.question_attention is None or batch.question_of is None:
            raise ValueError("contextual reading needs tokens: call `prepare` on the batch")
        states = self._states(batch.question_ids, batch.question_attention)
        mask = batch.question_attention.bool()
        real = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * real).sum(1) / real.sum(1).clamp(min=1)
        cues = self._cues(batch) if batch.read is None else batch.read
        of = batch.question_of
        return Heard(cues, states[of], mask[of], mean[of])

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """The cues of one video, (cues, D) float32; a cue without any token is a row of zeros."""
        found, held = np.zeros((len(texts), self.dim), np.float32), np.zeros(len(texts), np.float32)
        windows = self._windows(texts)
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            part = windows[start : start + _WINDOWS_AT_ONCE]
            ids, attention = self._padded([row for row, _ in part])
            device = next(self.parameters()).device
            with torch.inference_mode():
                states = self._states(ids.to(device), attention.to(device)).cpu().numpy()
            for state, (_, at) in zip(states, part, strict=True):
                kept = np.array(at)
                real = kept >= 0
                np.add.at(found, kept[real], state[: len(kept)][real])
                np.add.at(held, kept[real], 1.0)
        return found / np.maximum(held, 1.0)[:, None]

    def _cues(self, batch: Batch) -> Tensor:
        """(W, r, D): the mean of the states of each cue's tokens."""
        assert batch.ids is not None and batch.attention is not None
        assert batch.row is not None and batch.token_at is not None and batch.video is not None
        states = self._states(batch.ids, batch.attention)
        count, videos = batch.cue_mask.shape[1], int(batch.video.max()) + 1
        real = batch.token_at >= 0
        flat = (batch.row[:, None] * count + batch.token_at)[real]
        total = states.new_zeros(videos * count, self.dim).index_add(0, flat, states[real])
        held = states.new_zeros(videos * count).index_add(0, flat, states.new_ones(len(flat)))
        return (total / held.clamp(min=1).unsqueeze(-1)).view(videos, count, -1)

    def _states(self, ids: Tensor, attention: Tensor) -> Tensor:
        return self.encoder(input_ids=ids, attention_mask=attention).last_hidden_state.float()

    def _windows(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Token ids of each window, and the cue of each of them, -1 for those that are not kept."""
        cues = self._ids(texts)
        tokens = [token for cue in cues for token in cue]
        owner = [number for number, cue in enumerate(cues) for _ in cue]
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

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and attention, `(n, longest)` each."""
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.tokenizer.pad_token_id or 0)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = torch.tensor(row)
        return ids, lengths_mask([len(row) for row in rows]).long()


def _changed_layers(encoder: nn.Module) -> list[nn.Linear]:
    """The linear layers of the Transformer's blocks."""
    return [
        module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in _CHANGED and "pooler" not in name
    ]
