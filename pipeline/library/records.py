"""What is written into rows: checked and cleaned values, and the statements that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, text

from pipeline.errors import VideoNotFound
from pipeline.library import rows, search
from pipeline.library.database import fold
from pipeline.library.rows import Feedback
from pipeline.library.schema import (
    CueRowsRow,
    FeedbackRow,
    TagRow,
    TextVectorsRow,
    TranscriptRow,
    VideoRow,
    WindowRow,
)
from pipeline.types import Filters, Passage, Transcript, Video

_TEXT_FIELDS = frozenset({"title", "original_name", "language", "state", "notice", "site", "site_id", "url"})
_PLAIN_FIELDS = frozenset({"duration", "width", "height", "size", "strip_count"})
_FILE_FIELDS = frozenset({"thumbnail", "strip"})


def video_row(root: Path, video: Video) -> dict[str, Any]:
    """The column values of a new video."""
    names = _TEXT_FIELDS | _PLAIN_FIELDS | _FILE_FIELDS | {"path", "owned"}
    values = video_values(root, {name: getattr(video, name) for name in names})
    values |= {"id": rows.checked_id(video.id), "sha256": video.sha256}
    return values | ({"added_at": video.added_at} if video.added_at else {})


def video_values(root: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Column values of fields of `Video`, cleaned and checked."""
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "title":
            values[name] = rows.clean_title(value, fields.get("original_name", ""))
        elif name in _TEXT_FIELDS:
            values[name] = rows.clean(value, 4000)
        elif name in _FILE_FIELDS:
            values[name] = rows.inside(root, value) if value else ""
        elif name in _PLAIN_FIELDS or name == "owned":
            values[name] = value
        elif name != "path":
            raise TypeError(f"{name!r} is not a field of a video that can be changed")
    if values.get("url") and not values["url"].startswith(("http://", "https://")):
        values["url"] = ""  # it is shown as a link
    if "path" in fields:
        owned = fields.get("owned", Path(fields["path"]).is_relative_to(root))
        path = Path(fields["path"])
        values["path"] = rows.inside(root, path) if owned else rows.path_text(path.absolute())
        values["owned"] = owned
    elif "owned" in fields:
        raise TypeError("'owned' is changed together with 'path' only")
    return values


def not_found(video_id: str) -> VideoNotFound:
    return VideoNotFound(f"There is no video {rows.clean(video_id, 80)!r} in the library.")


def listed(wanted_words: str, filters: Filters) -> list[Any]:
    tags = (
        select(func.group_concat(TagRow.tag, " "))
        .where(TagRow.video_number == VideoRow.number)
        .correlate(VideoRow)
        .scalar_subquery()
    )
    words = func.fold(VideoRow.title + " " + VideoRow.original_name + " " + func.coalesce(tags, ""))
    wanted = [func.instr(words, fold(word)) > 0 for word in rows.clean(wanted_words, 300).split()]
    return wanted + rows.restrictions(filters)


def number_of(connection: Connection, video_id: str) -> int:
    number = connection.scalar(select(VideoRow.number).where(VideoRow.id == video_id))
    if number is None:
        raise not_found(video_id)
    return number


def put_tags(connection: Connection, number: int, tags: Iterable[str]) -> None:
    for tag in rows.clean_tags(tags):
        connection.execute(insert(TagRow).values(video_number=number, tag=tag))


def packed_windows(passages: Sequence[Passage], vectors: np.ndarray) -> list[dict[str, Any]]:
    """Rows of `windows`; ValueError when vectors and passages do not fit together."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if len(vectors) != len(passages) or (len(passages) and vectors.ndim != 2):
        raise ValueError(f"{len(passages)} passages, but vectors of shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("a vector holds a value that is not finite")
    return [
        {
            "start": passage.span.start,
            "end": passage.span.end,
            "text": rows.storable(passage.text),
            "vector": rows.pack_vector(vector),
        }
        for passage, vector in zip(passages, vectors, strict=True)
    ]


def insert_video(connection: Connection, root: Path, video: Video) -> int:
    """Puts the row and its tags in; returns videos.number."""
    added = insert(VideoRow).values(video_row(root, video)).returning(VideoRow.number)
    number = connection.execute(added).scalar_one()
    put_tags(connection, number, video.tags)
    return number


def put_transcript(connection: Connection, number: int, transcript: Transcript) -> None:
    """Replaces the words of a video; what a localizer read in the old ones goes with them."""
    values = {
        "origin": str(transcript.origin),
        "language": transcript.language,
        "detail": rows.storable(transcript.detail),
        "cues": rows.pack_cues(transcript.cues),
    }
    for table in (TranscriptRow, CueRowsRow):
        connection.execute(delete(table).where(table.video_number == number))
    connection.execute(insert(TranscriptRow).values(video_number=number, **values))


def put_index(connection: Connection, number: int, windows: list[dict[str, Any]]) -> None:
    """Replaces what is searched of a video."""
    search.index_transcript(connection, number)
    connection.execute(delete(WindowRow).where(WindowRow.video_number == number))
    if windows:
        connection.execute(insert(WindowRow), [{"video_number": number, **window} for window in windows])


def fits_model(connection: Connection, number: int, model: str, dimension: int) -> bool:
    """Whether the other videos' vectors of this model have the same length."""
    query = (
        select(func.length(WindowRow.vector))
        .join(TextVectorsRow, TextVectorsRow.video_number == WindowRow.video_number)
        .where(TextVectorsRow.model == model, WindowRow.video_number != number)
    )
    return connection.scalar(query.limit(1)) in (None, 2 * dimension)


def put_text_vectors(connection: Connection, number: int, model: str, data: bytes) -> None:
    connection.execute(delete(TextVectorsRow).where(TextVectorsRow.video_number == number))
    connection.execute(insert(TextVectorsRow).values(video_number=number, model=model, data=data))


def set_meta(connection: Connection, key: str, value: str) -> None:
    connection.execute(
        text("INSERT INTO meta VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value"),
        {"key": key, "value": value},
    )


def touch(connection: Connection, windows: bool = False) -> None:
    keys = "('revision', 'windows_revision')" if windows else "('revision')"
    connection.execute(text(f"UPDATE meta SET value = value + 1 WHERE key IN {keys}"))


def put_feedback(connection: Connection, said: Feedback) -> bool:
    """Adds it unless the very same is there."""
    corrected = said.corrected
    values = {
        "question": rows.clean(said.question, 5000),
        "video_id": said.video_id,
        "start": said.span.start,
        "end": said.span.end,
        "verdict": said.verdict,
        "corrected_start": corrected.start if corrected else None,
        "corrected_end": corrected.end if corrected else None,
        "confidence": said.confidence,
    }
    if said.created_at:
        values["created_at"] = said.created_at
        same = [getattr(FeedbackRow, name) == value for name, value in values.items()]
        if connection.scalar(select(FeedbackRow.id).where(*same).limit(1)):
            return False
    connection.execute(insert(FeedbackRow).values(values))
    return True
