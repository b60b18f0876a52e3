"""MedVidQA / MedVidCQA in the JSON of the VCVAL authors.

`FOLDER/SPLIT.json` is a list of questions, each with its video's whole transcript: `sample_id, question,
answer_start_second, answer_end_second, video_length, video_id, video_sub_title: [{text, start, duration}]`.
The split is the file's name without its ending ("val" where none is given).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.datasets.base import SHORTEST, Dataset, Narration, Question, existing, span_of, tidy
from pipeline.types import Cue


def read(folder: Path, split: str = "") -> Dataset:
    """The questions of one split and their videos."""
    split = split or "val"
    rows = json.loads(existing(folder / f"{split}.json").read_text(encoding="utf-8"))
    videos: dict[str, Narration] = {}
    for row in rows:
        if row["video_id"] not in videos:
            videos[row["video_id"]] = _narration(row)
    return Dataset("medvidqa", split, videos, tuple(_question(row) for row in rows))


def _narration(row: dict[str, Any]) -> Narration:
    cues = [
        Cue(c["start"], c["start"] + max(c["duration"], SHORTEST), c["text"].strip())
        for c in row["video_sub_title"]
    ]
    return Narration(row["video_id"], row.get("video_title", ""), float(row["video_length"]), tidy(cues))


def _question(row: dict[str, Any]) -> Question:
    span = span_of(row["answer_start_second"], row["answer_end_second"])
    return Question(str(row["sample_id"]), row["question"].strip(), row["video_id"], span)
