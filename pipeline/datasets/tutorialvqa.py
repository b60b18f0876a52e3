"""TutorialVQA: Photoshop tutorials (Colas et al., https://arxiv.org/abs/1912.01046).

`FOLDER/videos.json` lists videos (`video_id, video_title, transcript` of sentences, `segments` with times
and the numbers of their first and last sentence); `train.json`, `dev.json`, `test.json` list questions
with the numbers of the first and last answering sentence. Split "all" (the default) joins the three.
Sentences have no times of their own: they are interpolated by words between the segments' times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.base import Dataset, Narration, Question, json_rows, span_of, tidy, told_by_row
from pipeline.types import Cue

SPLITS = ("train", "dev", "test")
_PACE = 2.5  # words a second, used outside the segments of a video that has fewer than two anchors


def read(folder: Path, split: str = "") -> Dataset:
    """The questions of one split; the corpus is always all videos, as published.

    Raises `BadDataset` for files that are not in the format, FileNotFoundError where there are none.
    """
    split = split or "all"
    if split not in (*SPLITS, "all"):
        raise ValueError(f"no split '{split}' of tutorialvqa; known: {', '.join(SPLITS)}, all")
    videos: dict[str, Narration] = {}
    sentences: dict[str, np.ndarray] = {}
    for number, row in json_rows(folder / "videos.json", "videos"):
        with told_by_row(folder / "videos.json", number):
            sentences[row["video_id"]] = _times(row)
            videos[row["video_id"]] = _narration(row, sentences[row["video_id"]])
    questions = []
    for path in (folder / f"{name}.json" for name in (SPLITS if split == "all" else (split,))):
        for number, row in json_rows(path):
            with told_by_row(path, number):
                questions.append(_question(f"{path.stem}-{number - 1}", row, sentences))
    return Dataset("tutorialvqa", split, videos, tuple(questions))


def _times(row: dict[str, Any]) -> np.ndarray:
    """Start and end of every sentence, `(n, 2)` seconds, never going back."""
    counts = [max(1, len(sentence.split())) for sentence in row["transcript"]]
    words = np.concatenate([[0.0], np.cumsum(counts)])  # words before sentence i
    anchors: dict[float, float] = {}
    for segment in row["segments"]:
        at, when = segment["sentence_indexes"], segment["timestamps"]
        anchors.setdefault(float(words[at["start"]]), float(when["start"]))
        anchors.setdefault(float(words[at["end"] + 1]), float(when["end"]))
    xs = np.array(sorted(anchors))
    ys = np.maximum.accumulate([anchors[x] for x in xs]) if len(xs) else np.array([])
    pace = (ys[-1] - ys[0]) / (xs[-1] - xs[0]) if len(xs) > 1 and ys[-1] > ys[0] else 1 / _PACE
    x0, y0 = (xs[0], ys[0]) if len(xs) else (0.0, 0.0)
    begin = max(0.0, y0 - x0 * pace)
    xs, ys = np.append(xs, words[-1] + 1), np.append(ys, 0.0)
    ys[-1] = (ys[-2] if len(ys) > 1 else y0) + (xs[-1] - (xs[-2] if len(xs) > 1 else x0)) * pace
    xs, ys = np.insert(xs, 0, -1e-6), np.insert(ys, 0, begin)
    times = np.interp(words, xs, np.maximum.accumulate(ys))
    return np.stack([times[:-1], times[1:]], axis=1)


def _narration(row: dict[str, Any], times: np.ndarray) -> Narration:
    cues = [
        Cue(float(a), float(max(b, a + 0.1)), sentence.removeprefix(">>").strip())
        for (a, b), sentence in zip(times, row["transcript"], strict=True)
    ]
    labels = [
        (str(segment["title"]), span_of(float(times[at["start"], 0]), float(times[at["end"], 1])))
        for segment in row["segments"]
        for at in (segment["sentence_indexes"],)
    ]
    return Narration(row["video_id"], row["video_title"], float(times[-1, 1]), tidy(cues), tuple(labels))


def _question(number: str, row: dict[str, Any], sentences: dict[str, np.ndarray]) -> Question:
    times = sentences[row["video_id"]]
    span = span_of(float(times[row["answer_start"], 0]), float(times[row["answer_end"], 1]))
    return Question(number, row["question"].strip(), row["video_id"], span)
