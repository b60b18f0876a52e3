"""MedVidQA / MedVidCQA: questions on medical how-to videos (Gupta et al., https://arxiv.org/abs/2201.12888).

`FOLDER/SPLIT.json` is a list of questions: `sample_id, question, answer_start, answer_end` (mm:ss),
`answer_start_second, answer_end_second, video_length, video_id, video_url` (or `video_link`). The VCVAL
authors' files also hold each video's whole transcript, `video_sub_title: [{text, start, duration}]`; the
original annotations hold none, so the words come from `FOLDER/subtitles/VIDEO_ID.vtt` (`.srt`, `.json3`;
`python -m pipeline prepare medvidqa` fetches them). Which of the two a file is, is found out row by row.
The split is the file's name without its ending ("val" where none is given).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import subtitles
from pipeline.datasets.base import SHORTEST, Dataset, Narration, Question, json_rows, span_of, tidy
from pipeline.errors import BadDataset, SubtitlesFailed
from pipeline.types import Cue

log = logging.getLogger(__name__)

SUBTITLES = "subtitles"
_ENDINGS = (".vtt", ".srt", ".json3")  # of the same video, the first that can be read counts
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")

Row = Mapping[str, Any]


def read(folder: Path, split: str = "") -> Dataset:
    """The questions of one split and their videos; questions whose video has no words are left out.

    Raises `BadDataset` for a file that is not in the format, FileNotFoundError where there is none.
    """
    split = split or "val"
    path = folder / f"{split}.json"
    rows = list(question_rows(path))
    said = _Words(folder / SUBTITLES)
    videos: dict[str, Narration] = {}
    questions: list[Question] = []
    for where, row in rows:
        question = _question(row, where)
        questions.append(question)
        if question.video_id not in videos and (cues := said.of(row, where)):
            videos[question.video_id] = _narration(row, cues, where)
    kept = tuple(q for q in questions if q.video_id in videos)
    _tell_left_out(questions, kept, folder)
    return Dataset("medvidqa", split, videos, kept)


def question_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The questions of a file, each with the words that name its place in an error.

    Published files hold empty rows, which are passed over. Raises `BadDataset`.
    """
    for number, row in json_rows(path):
        if not isinstance(row, dict):
            raise BadDataset(
                f"Row {number} of “{path.name}” is no question. Give the published file as it is."
            )
        if row:
            yield f"row {number} of “{path.name}”", {"sample_id": number} | row


class _Words:
    """The transcripts of videos: in the row itself, or in a folder of subtitle files."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix in _ENDINGS:  # yt-dlp calls them VIDEO_ID.en.vtt
                self._files.setdefault(path.name.partition(".")[0], []).append(path)

    def of(self, row: Row, where: str) -> tuple[Cue, ...]:
        """The cues of the row's video, none where there are none."""
        if row.get("video_sub_title") is not None:
            return _given(row["video_sub_title"], where)
        for path in sorted(self._files.get(_text(row, "video_id", where), ()), key=_worth):
            try:
                return tidy(subtitles.read(path))
            except SubtitlesFailed as error:
                log.warning("%s", error)
        return ()


def has_words(row: Row) -> bool:
    """Whether the row brings its video's transcript."""
    return bool(row.get("video_sub_title"))


def _worth(path: Path) -> tuple[int, str]:
    return _ENDINGS.index(path.suffix), path.name


def _given(lines: Any, where: str) -> tuple[Cue, ...]:
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise BadDataset(f"video_sub_title is no list of subtitles in {where}.")
    cues = []
    for line in lines:
        start = _number(line, "start", where)
        end = start + max(_number(line, "duration", where), SHORTEST)
        cues.append(Cue(start, end, _text(line, "text", where, empty=True)))
    return tidy(cues)


def _narration(row: Row, cues: tuple[Cue, ...], where: str) -> Narration:
    length = _number(row, "video_length", where) if row.get("video_length") else 0.0
    title = str(row.get("video_title") or "").strip()
    return Narration(_text(row, "video_id", where), title, length or cues[-1].end, cues)


def _question(row: Row, where: str) -> Question:
    span = span_of(_moment(row, "answer_start", where), _moment(row, "answer_end", where))
    question, video = _text(row, "question", where), _text(row, "video_id", where)
    return Question(str(row["sample_id"]), question, video, span)


def _moment(row: Row, name: str, where: str) -> float:
    """Seconds, from `name_second` or from `name` as mm:ss."""
    if row.get(f"{name}_second") is not None:
        return _number(row, f"{name}_second", where)
    if found := _CLOCK.fullmatch(str(row.get(name, "")).strip()):
        return int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3])
    return _number(row, name, where)


def _number(row: Row, name: str, where: str) -> float:
    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise BadDataset(f"{name} is missing or no time in {where}.")
    return value


def _text(row: Row, name: str, where: str, empty: bool = False) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise BadDataset(f"{name} is missing or no text in {where}.")
    return value.strip()


def _tell_left_out(asked: list[Question], kept: tuple[Question, ...], folder: Path) -> None:
    if len(kept) == len(asked):
        return
    lost = {q.video_id for q in asked} - {q.video_id for q in kept}
    if not kept:
        raise BadDataset(
            f"None of the {len(lost)} videos has subtitles. Fetch them first: "
            f"python -m pipeline prepare medvidqa --data {folder}"
        )
    left_out = len(asked) - len(kept)
    log.warning("%d of %d questions left out: %d videos have no subtitles", left_out, len(asked), len(lost))
