"""What a learned localizer reads: a question and a video as arrays (`Example`), and padded batches of them
as tensors (`Batch`). Seconds become cue and row indexes here, and nowhere else.

Video rows ("visual") are picture features, one a second, or, with `visual="transcript"`, the transcript's
own vectors once a second as their stand-in on sets that have no pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.localize.base import Candidate
from pipeline.localize.windows import words_nearby
from pipeline.types import Span

_REACH = 12.0  # seconds around a cue within which the question's words count
MOST_ROWS = 512  # video rows, where a configuration does not say fewer; longer videos are averaged down


@dataclass(frozen=True)
class Asked:
    """A question: its unit vector (D,) and its tokens' states (p, D), of the text encoder."""

    text: str
    vector: np.ndarray | None = None
    states: np.ndarray | None = None


@dataclass(frozen=True)
class Example:
    """One question of one video, as arrays. Indexes are -1 where there is no answer."""

    asked: Asked
    texts: tuple[str, ...]  # of the cues
    times: np.ndarray  # (r, 2) seconds
    duration: float
    cues: np.ndarray | None  # (r, S * D): mean of the windows that hold each cue, by scale
    cosines: np.ndarray | None  # (r, S) of `cues` with the question's vector, by scale
    said: np.ndarray | None  # (r,) share of the question's words said nearby, 0..1
    visual: np.ndarray | None  # (m, V)
    visual_times: np.ndarray | None  # (m, 2) seconds
    read: np.ndarray | None = None  # (r, D) of contextual reading, where the library has them
    start: int = -1
    end: int = -1
    start_visual: int = -1
    end_visual: int = -1
    answer: tuple[float, float] = (0.0, 0.0)


def example(
    asked: Asked,
    candidate: Candidate,
    visual: str = "none",
    answer: Span | None = None,
    most_rows: int = MOST_ROWS,
    with_cues: bool = True,
) -> Example:
    """The example of a question and a video; `visual`: none | i3d | transcript, of at most `most_rows`."""
    made = asking(asked, candidate, video_rows(candidate, visual, most_rows, with_cues))
    return made if answer is None else with_answer(made, answer)


def video_rows(
    candidate: Candidate, visual: str = "none", most_rows: int = MOST_ROWS, with_cues: bool = True
) -> Example:
    """What is the same for all questions of a video; the questions' own fields are empty."""
    starts, ends = candidate.times
    cues = candidate.cue_vectors if with_cues else None
    duration = max(candidate.duration, float(ends.max()))
    return Example(
        Asked(""),
        tuple(cue.text for cue in candidate.cues),
        np.stack([starts, ends], 1),
        duration,
        cues,
        None,
        None,
        *_visual_rows(visual, candidate, cues, duration, most_rows),
        candidate.read,
    )


def asking(asked: Asked, candidate: Candidate, rows: Example) -> Example:
    """The video's `rows` with a question; arrays of the video are shared, not copied."""
    if candidate.vectors is None or asked.vector is None:
        return replace(rows, asked=asked)
    said = words_nearby(asked.text, candidate, _REACH)
    return replace(rows, asked=asked, cosines=candidate.cosines(asked.vector), said=said)


def with_answer(example: Example, answer: Span) -> Example:
    """The example with its targets: the cue that starts nearest to the answer's start and the one that ends
    nearest to its end, and likewise for the video's rows."""
    start, end = target(example.times, answer)
    found = replace(example, start=start, end=end, answer=(answer.start, answer.end))
    if example.visual_times is None:
        return found
    start, end = target(example.visual_times, answer)
    return replace(found, start_visual=start, end_visual=end)


def target(times: np.ndarray, answer: Span) -> tuple[int, int]:
    """Indexes of the first and the last of `times` (n, 2) for an answer.

    >>> target(np.array([[0, 2], [2, 5], [5, 9]]), Span(2.4, 8.0))
    (1, 2)
    """
    start = int(np.abs(times[:, 0] - answer.start).argmin())
    end = int(np.abs(times[:, 1] - answer.end).argmin())
    return start, max(start, end)


def _visual_rows(
    kind: str, candidate: Candidate, cues: np.ndarray | None, duration: float, most: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows of the video and their times; None where the stream is off or missing."""
    if kind == "i3d" and candidate.visual is not None and len(candidate.visual):
        rows = np.asarray(candidate.visual, np.float32)
    elif kind == "transcript" and cues is not None:
        middles = candidate.times.mean(0)
        seconds = np.arange(max(1, int(np.ceil(duration)))) + 0.5
        rows = cues[np.abs(seconds[:, None] - middles[None, :]).argmin(1)]
        # As large as picture features are: of unit vectors hardly anything would pass the first layer.
        rows = rows * (np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6))
    else:
        return None, None
    begins = np.arange(len(rows), dtype=np.float64)
    return _pooled(rows, np.stack([begins, np.minimum(begins + 1, max(duration, 1.0))], 1), most)


def _pooled(rows: np.ndarray, times: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` rows: neighbours are averaged."""
    every = -(-len(rows) // most)
    if every == 1:
        return rows, times
    cuts = np.arange(0, len(rows), every)
    counts = np.diff(np.append(cuts, len(rows)))[:, None]
    ends = times[np.append(cuts[1:], len(rows)) - 1, 1]
    return np.add.reduceat(rows, cuts) / counts, np.stack([times[cuts, 0], ends], 1)


@dataclass(frozen=True)
class Batch:
    """B examples, padded. With negatives, rows come in groups of `group`, the positive first.

    `cues` and `visual` hold each of the W videos once, and `video` tells whose each row is: what does not
    depend on the question is computed once for all its questions, and then `spread`.
    """

    times: Tensor  # (B, r, 2) seconds
    cue_mask: Tensor  # (B, r)
    duration: Tensor  # (B,)
    start: Tensor  # (B,) first cue of the answer, -1: none
    end: Tensor  # (B,) last cue of it
    answer: Tensor  # (B, 2) seconds
    group: int = 1
    # cached reading
    question_vector: Tensor | None = None  # (B, D)
    question: Tensor | None = None  # (B, p, D)
    question_mask: Tensor | None = None  # (B, p)
    video: Tensor | None = None  # (B,) number of the row's video
    cues: Tensor | None = None  # (W, r, S * D)
    cosines: Tensor | None = None  # (B, r, S)
    said: Tensor | None = None  # (B, r)
    # contextual reading: see `contextual`
    read: Tensor | None = None  # (W, r, D)
    question_ids: Tensor | None = None  # (Q, L) of the Q different questions
    question_attention: Tensor | None = None  # (Q, L)
    question_of: Tensor | None = None  # (B,) number of the row's question
    # the video's rows
    visual: Tensor | None = None  # (W, m, V)
    visual_mask: Tensor | None = None  # (B, m)
    visual_times: Tensor | None = None  # (B, m, 2)
    start_visual: Tensor | None = None  # (B,)
    end_visual: Tensor | None = None
    # joint reading: N windows of the B rows, see `reader.JointReader`; contextual reading: of the W videos
    ids: Tensor | None = None  # (N, L)
    attention: Tensor | None = None  # (N, L)
    row: Tensor | None = None  # (N,) row of each window; contextual: its video
    token_at: Tensor | None = (
        None  # (N, L) number of the transcript token in its row, -1: none; contextual: slot of its cue
    )
    question_at: Tensor | None = None  # (N, L) number of the question token, -1: none
    cue_of: Tensor | None = None  # (B, T) cue of each transcript token, -1: padding

    def __len__(self) -> int:
        return len(self.duration)

    def spread(self, of_videos: Tensor) -> Tensor:
        """(W, …) values of the videos -> (B, …) values of the rows."""
        assert self.video is not None
        return of_videos[self.video]

    @property
    def video_mask(self) -> Tensor:
        """(W, m): which rows of `visual` are real."""
        assert self.visual is not None and self.visual_mask is not None and self.video is not None
        found = self.visual_mask.new_zeros(self.visual.shape[:2])
        found[self.video] = self.visual_mask
        return found

    def to(self, device: torch.device | str) -> Batch:
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in found.items()}
        return Batch(**moved)


def collate(examples: Sequence[Example], group: int = 1) -> Batch:
    """Pads examples to one batch; for joint reading `reader.JointReader.prepare` adds the token windows.

    A video without rows has none in the batch (its mask is all False) and leaves those of the others alone.
    """
    first = examples[0]
    videos = _distinct(examples)
    each = [examples[i] for i in videos.first]
    found: dict[str, Any] = {
        "video": torch.tensor(videos.number),
        "times": pad([e.times for e in examples]),
        "cue_mask": lengths_mask([len(e.times) for e in examples]),
        "duration": torch.tensor([e.duration for e in examples], dtype=torch.float32),
        "start": torch.tensor([e.start for e in examples]),
        "end": torch.tensor([e.end for e in examples]),
        "answer": torch.tensor([e.answer for e in examples], dtype=torch.float32),
        "group": group,
    }
    if first.asked.states is not None and first.cues is not None:
        states = [np.asarray(e.asked.states) for e in examples]
        found |= {
            "question_vector": torch.from_numpy(np.stack([np.asarray(e.asked.vector) for e in examples])),
            "question": pad(states),
            "question_mask": lengths_mask([len(s) for s in states]),
            "cues": pad([np.asarray(e.cues) for e in each]),
        }
    if first.cosines is not None:
        found |= {
            "cosines": pad([np.asarray(e.cosines) for e in examples]),
            "said": pad([np.asarray(e.said) for e in examples]),
        }
    if width := max((e.visual.shape[1] for e in examples if e.visual is not None), default=0):
        none, never = np.zeros((0, width), np.float32), np.zeros((0, 2))
        found |= {
            "visual": pad([none if e.visual is None else e.visual for e in each]),
            "visual_mask": lengths_mask([0 if e.visual is None else len(e.visual) for e in examples]),
            "visual_times": pad([never if e.visual_times is None else e.visual_times for e in examples]),
            "start_visual": torch.tensor([e.start_visual for e in examples]),
            "end_visual": torch.tensor([e.end_visual for e in examples]),
        }
    return Batch(**found)


@dataclass(frozen=True)
class _Videos:
    number: list[int]  # of each example's video
    first: list[int]  # the first example of each video


def _distinct(examples: Sequence[Example]) -> _Videos:
    """Examples of one video share its arrays."""
    numbers: dict[tuple[int, ...], int] = {}
    found = _Videos([], [])
    for i, e in enumerate(examples):
        key = (id(e.times), id(e.cues), id(e.visual))
        if key not in numbers:
            numbers[key] = len(numbers)
            found.first.append(i)
        found.number.append(numbers[key])
    return found


def pad(arrays: Sequence[np.ndarray], fill: float = 0.0) -> Tensor:
    """Arrays of different lengths as one float tensor (B, longest, …)."""
    longest = max(len(a) for a in arrays)
    out = torch.full((len(arrays), longest, *arrays[0].shape[1:]), fill)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = torch.from_numpy(np.asarray(array, np.float32))
    return out


def lengths_mask(lengths: Sequence[int]) -> Tensor:
    """(B, longest), True for what is real."""
    return torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
