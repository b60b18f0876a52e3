"""ACRM: Frame-wise Cross-modal Matching for Video Moment Retrieval (Tang et al., IEEE Transactions on
Multimedia 2021, https://arxiv.org/abs/2009.10434).

Every frame is matched with the question by itself: it attends to the question's words, and what it finds is
multiplied with it. A bidirectional LSTM goes over the matched frames, and three predictors give, as softmax
over the frames, the start, the end, and the frames inside the answer; the last ("internal frame") has many
positive frames where the other two have one each, and is there for training. It hears no word of the
transcript: with `visual="transcript"` the transcript's vectors stand in for the pictures.

Hyperparameters of the authors' code: LSTMs of 256 each way (d = 512), predictors with 256 hidden units,
dropout 0.5, Adam with 1e-3, weight decay 1e-5, batches of 32 (TACoS) and 64 (Charades-STA), 50 epochs.

Settled from the authors' released code (https://github.com/tanghaoyu258/ACRM-for-moment-retrieval), since
the paper's text was not at hand: the fusion is the product of frame and attended words (of its four, the
one that is set there); the three losses have equal weight; the answer is decoded from start and end alone.
The layer after the frames' LSTM and after the attention is linear with tanh, as in the code that theirs
builds on (https://github.com/crodriguezo/TMLGA); with ReLU it learns several times slower. Open: whether the
paper decodes with the internal frames too.

Departures: the internal loss is the mean over the answer's rows, where the code divides their sum by one
less; the text encoder's token states in place of GloVe; videos are averaged down beyond
`visual_rows` rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pipeline.localize.examples import Batch
from pipeline.localize.layers import NEVER, ends_loss, from_ends, masked_softmax, span_mask
from pipeline.localize.learned import Network, Spans
from pipeline.localize.reader import Reader, ReadingConfig, reader_of


@dataclass(frozen=True)
class ACRMConfig(ReadingConfig):
    inside_weight: float = 1.0  # of the internal-frame loss; 0: the ablation without it


class BothWays(nn.Module):
    """A bidirectional LSTM, (B, n, inputs) -> (B, n, d), d / 2 each way; padding is not read."""

    def __init__(self, inputs: int, d: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, d // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class WordsOfFrames(nn.Module):
    """For each frame v the words h that concern it: sum of a_j h_j, a = softmax of w · tanh(W h_j + U v)."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.word, self.frame, self.weigh = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, 1)

    def forward(self, frames: Tensor, words: Tensor, word_mask: Tensor) -> Tensor:
        """(B, m, d), (B, p, d), (B, p) -> (B, m, d)."""
        both = torch.tanh(self.frame(frames).unsqueeze(2) + self.word(words).unsqueeze(1))  # (B, m, p, d)
        return masked_softmax(self.weigh(both).squeeze(-1), word_mask[:, None, :]) @ words


def inside_loss(logits: Tensor, mask: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """-log softmax over the frames, mean over the answer's frames, then over the rows with an answer."""
    chances = torch.log_softmax(logits.masked_fill(~mask, NEVER), 1)
    at = torch.arange(mask.shape[1], device=mask.device)
    inside = (at >= first[:, None]) & (at <= last[:, None]) & (first >= 0)[:, None]
    of_row = -(chances * inside).sum(1) / inside.sum(1).clamp(min=1)
    return of_row.sum() / (first >= 0).sum().clamp(min=1)


class ACRM(Network):
    """P(first row) * P(last row) over seconds of video, each row matched with the question's words."""

    method = "acrm"
    Config = ACRMConfig
    needs_visual = True

    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        d, dropout = self.config.d, self.config.dropout
        if d % 2:
            raise ValueError(f"d = {d} is odd; its LSTMs run both ways")
        self.dropout = nn.Dropout(dropout)
        self.frames, self.words = BothWays(self.config.visual_dim, d), BothWays(d, d)
        self.of_frame = nn.Sequential(nn.Linear(d, d), nn.Tanh())
        self.of_word = nn.Sequential(nn.Linear(d, d), nn.Tanh())
        self.attention = WordsOfFrames(d)
        self.matched = BothWays(d, d)
        self.start, self.end, self.inside = _predictor(d), _predictor(d), _predictor(d)

    def make_reader(self) -> Reader:
        return reader_of(self.config, transcript=False)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Start, end and inside logits over rows, (B, m) each."""
        mask = batch.visual_mask
        if batch.visual is None or mask is None:
            raise ValueError("acrm works on video rows, and a video of this batch has none")
        question, question_mask = self.reader.read_question(batch)
        words = self.dropout(self.words(question, question_mask))
        frames = batch.spread(self.of_frame(self.dropout(self.frames(batch.visual, batch.video_mask))))
        found = self.of_word(self.attention(frames, words, question_mask))
        x = self.dropout(self.matched(found * frames, mask))
        return self.start(x).squeeze(-1), self.end(x).squeeze(-1), self.inside(x).squeeze(-1)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        start, end, inside = self(batch)
        mask, first, last = batch.visual_mask, batch.start_visual, batch.end_visual
        assert mask is not None and first is not None and last is not None
        ends = ends_loss(start, end, mask, first, last)
        within = inside_loss(inside, mask, first, last)
        logged = {"ends": float(ends.detach()), "inside": float(within.detach())}
        return ends + self.config.inside_weight * within, logged

    def spans(self, batch: Batch) -> Spans:
        start, end, _ = self(batch)
        return Spans(from_ends(start, end), span_mask(batch.visual_mask), batch.visual_times)  # type: ignore[arg-type]


def _predictor(d: int) -> nn.Module:
    return nn.Sequential(nn.Linear(d, d // 2), nn.Tanh(), nn.Linear(d // 2, 1))
