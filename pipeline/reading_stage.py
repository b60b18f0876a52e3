"""The stage "reading": the localizer that answers reads a video's cues ahead of the questions.

It needs no more than the transcript. Without a localizer that reads ahead, or when it fails, the stage does
nothing: the video is added, and the untrained method answers until `read_all`, a job of its own that the
worker starts by itself, has caught up.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import AnswerClipError, VideoNotFound
from pipeline.ingest import READING, Task, read_transcript, write_whole
from pipeline.library.cue_rows import as_kept
from pipeline.types import Cue, Transcript

if TYPE_CHECKING:
    from pipeline.localize.base import Localizer

log = logging.getLogger(__name__)

_FILE = "reading.npy"
_LOADING = "loading the trained method"


class UnreadVideos(AnswerClipError):
    """A localizer could not read some videos; the log says why."""


def reading(task: Task) -> dict[str, Any]:
    """Have the rows of the new transcript's cues, where a localizer reads ahead."""
    nothing = {"file": "", "model": ""}
    cues = read_transcript(task.work / task.result("subtitles")["file"]).cues
    task.ledger.report(0.0, _LOADING)
    localizer = task.engines.reader(task.library)
    if localizer is None:
        log.info("video %s is not read ahead: there is no trained method that does", task.video_id)
    if localizer is None or not cues:
        return nothing
    task.check()
    task.ledger.report(0.1, "reading what is said")
    rows = _rows(localizer, cues, task.video_id)
    task.check()
    if rows is None:
        return nothing
    data = io.BytesIO()
    np.save(data, rows, allow_pickle=False)
    write_whole(task.work / _FILE, data.getvalue())
    return {"file": _FILE, "model": localizer.reading}


def keep_reading(task: Task, transcript: Transcript) -> None:
    """Put the rows into the library, after the transcript and before the video can be asked."""
    found = task.result(READING)
    if found.get("file"):
        rows = np.load(task.work / found["file"], allow_pickle=False)
        task.library.set_cue_rows(task.video_id, found["model"], rows, transcript.cues)


def read_all(task: Task) -> dict[str, Any]:
    """Let the localizer read all videos that it has not read; goes on where it stopped."""
    task.ledger.report(None, _LOADING)
    localizer = task.engines.reader(task.library)
    if localizer is None:
        return {"videos": 0}
    task.ledger.save(model=localizer.reading)
    unread = task.library.needs_cue_rows(localizer.reading)
    failed = 0
    for number, video_id in enumerate(unread):
        task.ledger.report(number / len(unread), f"video {number + 1} of {len(unread)}")
        task.check()
        with contextlib.suppress(VideoNotFound):  # removed meanwhile
            failed += not _read_one(task, video_id, localizer)
        task.ledger.got_on()
    if failed:
        raise UnreadVideos(
            f"{failed} of {len(unread)} videos could not be read by the trained method (the log says why); "
            "the untrained one answers questions about them. Retry, or train the method again."
        )
    return {"videos": len(unread)}


def _read_one(task: Task, video_id: str, localizer: Localizer) -> bool:
    """Whether the video was read; one that was transcribed again meanwhile has been read then."""
    cues = task.library.transcript(video_id).cues
    rows = _rows(localizer, cues, video_id)
    if rows is not None:
        task.library.set_cue_rows(video_id, localizer.reading, rows, cues)
    return rows is not None


def _rows(localizer: Localizer, cues: Sequence[Cue], video_id: str) -> np.ndarray | None:
    """(cues, D) float16; None, with the reason in the log: one video's odd words must not end the work."""
    if not cues:
        return np.zeros((0, 0), np.float16)
    try:
        return as_kept(localizer.read([cue.text for cue in cues]), len(cues))
    except Exception:  # a checkpoint is a file of others: whatever it makes its network raise
        log.exception("%s cannot read video %s", localizer.name, video_id)
        return None
