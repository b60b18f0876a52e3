"""VehicleVQA: car how-to videos with crowd questions, in ten folds.

`FOLDER/fold1.csv` … `fold10.csv`, rows `video_id` (video_segment, e.g. v_97_3), `question_id`, `video_name`,
`video_trans` (the WebVTT cues of the answering segment) and `question`. A video's transcript is put
together from the segments of all folds. Split: "all" (the default), the number of one fold, or `-7` for all
folds but 7 (to train on).
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from pipeline.datasets.base import Dataset, Narration, Question, existing, span_of, tidy, told_by_row
from pipeline.errors import BadDataset
from pipeline.types import Cue

FOLDS = tuple(str(i) for i in range(1, 11))
_CUE = re.compile(r"^(\d+):(\d+):([\d.]+) --> (\d+):(\d+):([\d.]+).*$")


def read(folder: Path, split: str = "") -> Dataset:
    """The questions of one fold, of all but one or of all; the corpus is always all videos.

    Raises `BadDataset` for files that are not in the format, FileNotFoundError where there are none.
    """
    split = split or "all"
    asked_folds = _folds_of(split)
    segments: dict[str, dict[str, tuple[Cue, ...]]] = {}
    titles: dict[str, str] = {}
    questions: list[Question] = []
    for fold in FOLDS:
        path = folder / f"fold{fold}.csv"
        for number, row in enumerate(_rows(path), 1):
            with told_by_row(path, number):
                video, cues = _video(row), parse_cues(row["video_trans"])
                titles[video] = _title(row["video_name"])
                segments.setdefault(video, {})[row["video_id"]] = cues
                if fold in asked_folds:
                    questions.append(_question(row, cues))
    videos = {v: _narration(v, titles[v], list(parts.values())) for v, parts in segments.items()}
    return Dataset("vehiclevqa", split, videos, tuple(questions))


def _folds_of(split: str) -> tuple[str, ...]:
    if split == "all":
        return FOLDS
    if split.removeprefix("-") not in FOLDS:
        raise ValueError(f"no split '{split}' of vehiclevqa; known: {', '.join(FOLDS)}, -1 … -10, all")
    return (split,) if split in FOLDS else tuple(fold for fold in FOLDS if fold != split[1:])


def parse_cues(text: str) -> tuple[Cue, ...]:
    """The cues of a WebVTT excerpt, with or without its head; cues without words are left out."""
    cues: list[tuple[float, float, list[str]]] = []
    for line in text.splitlines():
        if found := _CUE.match(line.strip()):
            start, end = _seconds(found.groups()[:3]), _seconds(found.groups()[3:])
            cues.append((start, max(end, start + 0.1), []))
        elif cues and line.strip():
            cues[-1][2].append(line.strip())
    return tidy([Cue(start, end, " ".join(words)) for start, end, words in cues])


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with existing(path).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadDataset(f"“{path.name}” is damaged: {error}. Get it again.") from error


def _video(row: dict[str, str]) -> str:
    return row["video_id"].rsplit("_", 1)[0]


def _title(name: str) -> str:
    """The name without the site's id: 'Electric Parking Brake _ Ford-Qrl3w8RBP6Q'."""
    return re.sub(r"-[\w-]{11}$", "", name).replace(" _ ", " | ").strip()


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds = parts
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _narration(video: str, title: str, parts: list[tuple[Cue, ...]]) -> Narration:
    cues = tidy([cue for part in parts for cue in part])
    return Narration(video, title, max(cue.end for cue in cues), cues)


def _question(row: dict[str, str], cues: tuple[Cue, ...]) -> Question:
    if not cues:
        raise ValueError("video_trans holds no cue")
    span = span_of(cues[0].start, max(cue.end for cue in cues))
    return Question(row["question_id"], row["question"].strip(), _video(row), span)
