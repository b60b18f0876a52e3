"""The rows that a localizer makes of a video's cues when it is added (`Localizer.read`), kept as float16.

They belong to the transcript that they were made of and to the model that made them: a new transcript
drops them, and rows of two models are never mixed. What is missing or of another model, the worker makes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from pipeline.library import records
from pipeline.library.opening import LibraryFolder
from pipeline.library.rows import pack_cues
from pipeline.library.schema import CueRowsRow, TranscriptRow, VideoRow, WindowRow
from pipeline.types import Cue

log = logging.getLogger(__name__)


class CueRows(LibraryFolder):
    """What a library does with the rows of its videos' cues; part of `Library`."""

    def set_cue_rows(self, video_id: str, model: str, rows: np.ndarray, cues: Sequence[Cue]) -> bool:
        """Keep the rows (cues, D) that `model` made of these cues, in place of any others; VideoNotFound.

        False, and nothing is kept, when the video's words are others by now. ValueError for rows that are
        not finite, not as float16 either, or of another number than the cues.
        """
        kept = as_kept(rows, len(cues))
        with self.writing() as connection:
            number = records.number_of(connection, video_id)
            if not _says(connection, number, cues):
                return False
            connection.execute(delete(CueRowsRow).where(CueRowsRow.video_number == number))
            values = {"cues": len(kept), "dim": kept.shape[1], "data": kept.tobytes()}
            connection.execute(insert(CueRowsRow).values(video_number=number, model=model, **values))
        # The revision stays: what is shown and searched is the same, and while all videos of a library are
        # read, whoever keeps something of it in memory would forget it with each of them.
        return True

    def cue_rows(self, video_ids: Iterable[str], model: str) -> dict[str, np.ndarray]:
        """(cues, D) float32 of those videos that have rows of this model; damaged ones are left out."""
        query = (
            select(VideoRow.id, CueRowsRow.cues, CueRowsRow.dim, CueRowsRow.data)
            .join(CueRowsRow, CueRowsRow.video_number == VideoRow.number)
            .where(VideoRow.id.in_(list(video_ids)), CueRowsRow.model == model)
        )
        with self.snapshot() as connection:
            found = {row.id: _unpacked(row) for row in connection.execute(query)}
        return {video: rows for video, rows in found.items() if rows is not None}

    def needs_cue_rows(self, model: str) -> list[str]:
        """Videos that can be searched, have words, and have no rows of this model, oldest first."""
        current = select(CueRowsRow.video_number).where(CueRowsRow.model == model)
        # Windows tell whether there are cues: a look at the transcripts would read all of them.
        words = select(WindowRow.id).where(WindowRow.video_number == VideoRow.number).exists()
        query = (
            select(VideoRow.id)
            .join(TranscriptRow, TranscriptRow.video_number == VideoRow.number)
            .where(VideoRow.state == "ready", VideoRow.number.not_in(current), words)
            .order_by(VideoRow.number)
        )
        with self.snapshot() as connection:
            return list(connection.scalars(query))


def as_kept(rows: np.ndarray, count: int) -> np.ndarray:
    """(cues, D) float16 of the rows of `count` cues; ValueError for another number, or what is not finite."""
    with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, and is refused
        kept = np.ascontiguousarray(rows, dtype="<f2")
    fits = kept.ndim == 2 and len(kept) == count and (kept.shape[1] > 0 or not count)
    if not fits or not np.isfinite(kept).all():
        raise ValueError(f"rows of shape {kept.shape} for {count} cues, or not finite")
    return kept


def _says(connection: Connection, number: int, cues: Sequence[Cue]) -> bool:
    """Whether the video's transcript has exactly these cues; their word times do not matter."""
    query = select(TranscriptRow.cues).where(TranscriptRow.video_number == number)
    stored = connection.scalar(query)
    return stored is not None and [cue[:3] for cue in stored] == [cue[:3] for cue in pack_cues(cues)]


def _unpacked(row: Any) -> np.ndarray | None:
    """(cues, D) float32; None, with a line in the log, where the bytes are not what `set_cue_rows` writes."""
    if min(row.cues, row.dim) >= 0 and len(row.data) == 2 * row.cues * row.dim:
        rows = np.frombuffer(row.data, "<f2").reshape(row.cues, row.dim).astype(np.float32)
        if np.isfinite(rows).all():
            return rows
    log.warning("damaged rows of the cues of %s", row.id)
    return None
