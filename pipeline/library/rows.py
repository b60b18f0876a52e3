"""Between rows and `pipeline.types`: videos, cues and vectors, and the cleaning of untrusted text."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import RowMapping, Select, func, select

from pipeline.errors import LibraryError
from pipeline.library.database import fold
from pipeline.library.schema import TagRow, TranscriptRow, VideoRow
from pipeline.types import Cue, Filters, Origin, Span, Transcript, Video, Word

TITLE_LIMIT = 300
TAG_LIMIT = 60
TAGS_LIMIT = 50
_SEPARATOR = "\x1f"  # cannot occur in a tag: control characters are removed
_SAME = (  # columns that are fields of `Video` as they are
    *("id", "sha256", "title", "duration", "width", "height", "size", "language", "state", "notice"),
    *("original_name", "site", "site_id", "url", "strip_count", "owned", "added_at"),
)
_RAW_PATH = "hex:"  # marks paths that are no valid Unicode, which SQLite cannot keep as text


@dataclass(frozen=True)
class Feedback:
    """What a user said about one answer."""

    question: str
    video_id: str
    span: Span
    verdict: str  # right | wrong | corrected
    corrected: Span | None = None
    confidence: float | None = None
    created_at: datetime | None = None


def clean(text: str, limit: int) -> str:
    """One line without control, direction-changing and unpaired surrogate characters.

    >>> clean("How to\\x00\\n  swim\\u202e", 100)
    'How to swim'
    """
    kept = "".join(c if _harmless(c) else " " if c.isspace() else "" for c in text[: 20 * limit])
    return " ".join(kept.split())[:limit].strip()


def _harmless(character: str) -> bool:
    if "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069":
        return False
    return unicodedata.category(character) not in ("Cc", "Cs", "Cn", "Zl", "Zp")


def storable(text: str) -> str:
    """Text that SQLite can keep: no NUL, no unpaired surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def clean_title(title: str, otherwise: str) -> str:
    return clean(title, TITLE_LIMIT) or clean(otherwise, TITLE_LIMIT) or "Untitled"


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Cleaned, sorted, and each once whatever its case."""
    found: dict[str, str] = {}
    for tag in tags:
        if kept := clean(tag, TAG_LIMIT):
            found.setdefault(fold(kept), kept)
    return tuple(sorted(found.values(), key=fold))[:TAGS_LIMIT]


def checked_id(video_id: str) -> str:
    """The id, which names a folder, or LibraryError when it could name another place."""
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", video_id):
        raise LibraryError(f"{video_id[:80]!r} cannot be the id of a video.")
    return video_id


def path_text(path: Path) -> str:
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _RAW_PATH + os.fsencode(path).hex()
    return text


def text_path(text: str) -> Path:
    if text.startswith(_RAW_PATH):
        return Path(os.fsdecode(bytes.fromhex(text.removeprefix(_RAW_PATH))))
    return Path(text)


def inside(root: Path, path: Path) -> str:
    """`path` relative to the library folder, or LibraryError when it lies outside."""
    try:
        relative = (root / path).resolve().relative_to(root.resolve())
    except ValueError:
        raise LibraryError(f"{path} does not lie in the library folder {root}.") from None
    return path_text(Path(relative.as_posix()))


def select_videos() -> Select:
    """Everything `to_video` needs, one row per video."""
    tags = (
        select(func.group_concat(TagRow.tag, _SEPARATOR))
        .where(TagRow.video_number == VideoRow.number)
        .correlate(VideoRow)
        .scalar_subquery()
        .label("tag_list")
    )
    return select(
        VideoRow.__table__, TranscriptRow.origin, TranscriptRow.detail.label("origin_detail"), tags
    ).outerjoin(TranscriptRow, TranscriptRow.video_number == VideoRow.number)


def restrictions(filters: Filters) -> list[Any]:
    """Conditions on `videos`: any of the videos, any of the tags, the language."""
    found: list[Any] = []
    if filters.video_ids:
        found.append(VideoRow.id.in_(filters.video_ids))
    if filters.tags:
        tags = [fold(tag) for tag in filters.tags]
        tagged = select(TagRow.video_number).where(func.fold(TagRow.tag).in_(tags))
        found.append(VideoRow.number.in_(tagged))
    if filters.language:
        found.append(VideoRow.language == filters.language)
    return found


def to_video(row: Mapping[Any, Any] | RowMapping, root: Path) -> Video:
    """The video of one row of `select_videos`; looks whether its file is there."""
    path = text_path(row["path"])
    path = root / path if row["owned"] else path
    return Video(
        **{name: row[name] for name in _SAME},
        path=path,
        origin=Origin(row["origin"]) if row["origin"] else None,
        origin_detail=row["origin_detail"] or "",
        tags=tuple(sorted(row["tag_list"].split(_SEPARATOR), key=fold)) if row["tag_list"] else (),
        thumbnail=root / text_path(row["thumbnail"]) if row["thumbnail"] else None,
        strip=root / text_path(row["strip"]) if row["strip"] else None,
        missing=not path.is_file(),
    )


def pack_cues(cues: Sequence[Cue]) -> list:
    """Cues as the JSON of `transcripts.cues`."""
    return [
        [cue.start, cue.end, storable(cue.text), [[w.start, w.end, storable(w.text)] for w in cue.words]]
        for cue in cues
    ]


def unpack_cues(packed: list, words: bool = True) -> tuple[Cue, ...]:
    """The cues again; `words=False` leaves their word times out, which is four times faster."""
    return tuple(
        Cue(start, end, text, tuple(Word(*word) for word in timed) if words else ())
        for start, end, text, timed in packed
    )


def to_transcript(row: TranscriptRow | Any, words: bool = True) -> Transcript:
    return Transcript(unpack_cues(row.cues, words), Origin(row.origin), row.language, row.detail)


def pack_vector(vector: np.ndarray) -> bytes:
    """One unit row as float16, little endian."""
    return np.ascontiguousarray(vector, dtype="<f2").tobytes()


def unpack_vectors(blobs: Sequence[bytes], dimension: int) -> np.ndarray:
    """(n, D) float32 of packed rows."""
    return np.frombuffer(b"".join(blobs), dtype="<f2").reshape(-1, dimension).astype(np.float32)


def to_feedback(row: Any) -> Feedback:
    corrected = None
    if row.corrected_start is not None and row.corrected_end is not None:
        corrected = Span(row.corrected_start, row.corrected_end)
    span = Span(row.start, row.end)
    return Feedback(row.question, row.video_id, span, row.verdict, corrected, row.confidence, row.created_at)
