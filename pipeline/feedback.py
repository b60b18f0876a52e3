"""What users said of answers as an evaluation set: `python -m pipeline feedback FOLDER/feedback.json`.

The file is in the JSON of the VCVAL authors (`datasets/medvidqa.py`), so `evaluate --data medvidqa:FOLDER
--split feedback` runs on it as it is. A right or corrected answer is a truth; that an answer is wrong does
not say where the right one is. The corpus are the videos of the answers: that format names no others.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import SourceRefused
from pipeline.library.rows import Feedback
from pipeline.library.store import Library
from pipeline.types import Filters, Span, Transcript, Video

NOTHING = "No answer was called right or corrected yet, so there is nothing to measure with."
WRONG = "rated wrong without a correction"
GONE = "of videos that are gone"
NO_QUESTION = "without a question"
NO_WORDS = "of videos without words"
OUTSIDE = "outside their video"


@dataclass(frozen=True)
class RatedAnswers:
    """The rows of the evaluation set, and how many verdicts could not become one, by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """What is in it and what is not, in one or two sentences."""
        count = len(self.rows)
        words = f"{count} rated answer{'s' * (count != 1)}."
        if self.left_out:
            words += f" Left out: {', '.join(f'{n} {reason}' for reason, n in self.left_out.most_common())}."
        return words

    def as_json(self) -> str:
        return json.dumps(self.rows, ensure_ascii=False, indent=1)


def rated_answers(library: Library) -> RatedAnswers:
    """One row for each question and clip that was last called right or corrected, oldest first."""
    said = _last_words(library.feedback())
    ids = sorted({each.video_id for each in said})
    videos = {v.id: v for v in library.videos(filters=Filters(tuple(ids)))} if ids else {}
    transcripts = library.transcripts(ids, words=False) if ids else {}
    found = RatedAnswers()
    known: set[tuple[Any, ...]] = set()
    for each in said:
        truth = each.corrected or each.span
        video, spoken = videos.get(each.video_id), transcripts.get(each.video_id)
        if reason := _unusable(each, truth, video, spoken):
            found.left_out[reason] += 1
        elif (each.question, each.video_id, truth) not in known:
            assert video and spoken
            known.add((each.question, each.video_id, truth))
            found.rows.append(_row(len(known), each.question, truth, video, spoken))
    return found


def write(library: Library, path: Path) -> RatedAnswers:
    """The evaluation set as a file, whole or not at all; `SourceRefused` when nothing can be in it."""
    if path.suffix != ".json":
        raise SourceRefused(f"“{path.name}” must end with .json: `evaluate` looks for it by that name.")
    found = rated_answers(library)
    if not found.rows:
        raise SourceRefused(NOTHING + (f" {found.summary()}" if found.left_out else ""))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(found.as_json() + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise SourceRefused(
            f"“{path.name}” cannot be written ({error.strerror}). Name another place."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return found


def _last_words(feedback: Iterable[Feedback]) -> list[Feedback]:
    """Of several verdicts on one question and clip only the last: people change their minds."""
    last: dict[tuple[Any, ...], Feedback] = {}
    for each in feedback:
        key = (each.question, each.video_id, each.span)
        last.pop(key, None)
        last[key] = each
    return list(last.values())


def _unusable(said: Feedback, truth: Span, video: Video | None, spoken: Transcript | None) -> str:
    """Why a verdict cannot be measured with; "" when it can."""
    if said.verdict == "wrong":
        return WRONG
    if video is None:
        return GONE
    if not said.question.strip():  # a clip's own link, opened without a question
        return NO_QUESTION
    if spoken is None or not spoken.cues:
        return NO_WORDS
    return OUTSIDE if truth.start >= video.duration else ""


def _row(number: int, question: str, truth: Span, video: Video, spoken: Transcript) -> dict[str, Any]:
    start, end = truth.start, min(truth.end, video.duration)
    return {
        "sample_id": number,
        "question": question,
        "answer_start": _clock(start),
        "answer_end": _clock(end),
        "answer_start_second": round(start, 3),
        "answer_end_second": round(end, 3),
        "video_length": round(video.duration, 3),
        "video_id": video.id,
        "video_url": video.url,
        "video_title": video.title,
        "video_sub_title": [
            {"text": cue.text, "start": cue.start, "duration": round(cue.end - cue.start, 3)}
            for cue in spoken.cues
        ],
    }


def _clock(seconds: float) -> str:
    """The authors' mm:ss.

    >>> _clock(65.9), _clock(3725)
    ('01:05', '62:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02}:{rest:02}"
