"""The form of a library archive: names inside the zip, the manifest, and one video's description.

Everything read here comes from a stranger's file: each value is checked, and what does not fit is
`BadArchive`. Entries are stored, not compressed, so an archive cannot unpack to more than its size.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import BadArchive
from pipeline.library.rows import Feedback, pack_cues, unpack_cues
from pipeline.types import Origin, Passage, Span, Transcript, Video

Value = TypeVar("Value")

FORMAT, VERSION = "answerclip-library", 1
MANIFEST, FEEDBACK = "manifest.json", "feedback.json"
DESCRIPTION, VECTORS, TEXT_VECTORS = "video.json", "windows.f16", "text-vectors.bin"
_MANIFEST_LIMIT, _JSON_LIMIT = 256 << 20, 64 << 20
_NAME = re.compile(
    r"feedback\.json"
    r"|videos/[0-9a-f]{16}/(video\.json|windows\.f16|text-vectors\.bin)"
    r"|videos/[0-9a-f]{16}/pictures\.[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.npy"
    r"|videos/[0-9a-f]{16}/files/[A-Za-z0-9][A-Za-z0-9._-]{0,119}"
)
# What a library may hold: nothing that a browser would run if it were served.
_VIDEO = "mp4 m4v mov webm mkv avi wmv flv mpg mpeg ts mts m2ts 3gp ogv ogg asf vob mxf"
_BESIDE = "jpg jpeg png webp srt vtt json3 ass ssa"
_ENDINGS = frozenset("." + ending for ending in f"{_VIDEO} {_BESIDE}".split())
DAMAGED = "Ask for it again, or export the library anew."
_PLAIN: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("title", "original_name", "language", "notice", "site", "site_id", "url"), str),
    **dict.fromkeys(("width", "height", "size", "strip_count"), int),
    "duration": (int, float),
}


@dataclass(frozen=True)
class Entry:
    """One video of an archive. `file`, `thumbnail` and `strip` are names in its `files/`, or empty."""

    video: Video  # its paths mean nothing
    file: str = ""
    thumbnail: str = ""
    strip: str = ""
    transcript: Transcript | None = None
    passages: tuple[Passage, ...] = ()
    model: str = ""  # of the vectors; "" when there are none


@dataclass(frozen=True)
class Manifest:
    """What the archive says of itself; `files` are (sha256, size) by name."""

    text_model: str = ""
    files: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def video_ids(self) -> list[str]:
        return sorted({name.split("/")[1] for name in self.files if name.startswith("videos/")})


def safe_file_name(name: str, taken: set[str]) -> str:
    """A name for `files/` that every system and `_NAME` allow, unlike those taken; "" for other kinds."""
    path = Path(name)
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        return ""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_-")[:80] or "file"
    found, number = stem + ending, 1
    while found.lower() in taken:
        number += 1
        found = f"{stem}-{number}{ending}"
    taken.add(found.lower())
    return found


def check_entries(archive: zipfile.ZipFile, size: int) -> None:
    """BadArchive unless every entry is plain, stored, allowed by name, and all fit into `size` bytes."""
    total, seen = 0, set()
    for info in archive.infolist():
        if info.filename != MANIFEST and not _NAME.fullmatch(info.filename):
            raise BadArchive(
                f"The archive holds {info.filename[:80]!r}, which no library has. It is refused."
            )
        if "/files/" in info.filename and Path(info.filename).suffix not in _ENDINGS:
            raise BadArchive(f"The archive holds a file of a kind no library has: {info.filename[:80]!r}.")
        if info.filename.lower() in seen:
            raise BadArchive(f"The archive holds {info.filename[:80]!r} twice. {DAMAGED}")
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not stored or info.flag_bits & 1:
            raise BadArchive(
                "The archive was not made by AnswerClip (packed or locked entries). It is refused."
            )
        seen.add(info.filename.lower())
        total += info.file_size
    if total > size:
        raise BadArchive(f"The archive claims to hold more than its size. {DAMAGED}")


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """The manifest, which must name exactly the other entries."""
    if MANIFEST not in archive.namelist():
        raise BadArchive("This file is no AnswerClip library: it has no manifest. Choose an exported .zip.")
    if archive.getinfo(MANIFEST).file_size > _MANIFEST_LIMIT:
        raise BadArchive(f"The archive's manifest is too large. {DAMAGED}")
    data = parsed(archive.read(MANIFEST), "manifest")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BadArchive("This file is no AnswerClip library. Choose an exported .zip.")
    if not isinstance(data.get("version"), int) or data["version"] > VERSION:
        raise BadArchive("The archive was made by a newer version of AnswerClip. Update, then import it.")
    manifest = _checked(lambda: _manifest(data), "manifest")
    sizes = {info.filename: info.file_size for info in archive.infolist() if info.filename != MANIFEST}
    if sizes != {name: size for name, (_, size) in manifest.files.items()}:
        raise BadArchive(f"The archive does not hold the files that its manifest names. {DAMAGED}")
    return manifest


def _manifest(data: dict[str, Any]) -> Manifest:
    files = {
        name: (_typed(entry["sha256"], str), _typed(entry["size"], int))
        for name, entry in data["files"].items()
    }
    return Manifest(_typed(data.get("text_model", ""), str)[:200], files)


def manifest_json(manifest: Manifest, schema: str, made: datetime) -> bytes:
    files = {name: {"sha256": sha256, "size": size} for name, (sha256, size) in manifest.files.items()}
    about = {"format": FORMAT, "version": VERSION, "schema": schema}
    about |= {"made_at": made.isoformat(), "text_model": manifest.text_model}
    about["videos"] = len(manifest.video_ids)
    return json.dumps(about | {"files": files}, indent=1).encode()


def entry_json(entry: Entry) -> bytes:
    """One video as JSON; its vectors are files beside it."""
    video = entry.video
    data: dict[str, Any] = {name: getattr(video, name) for name in _PLAIN}
    data |= {"id": video.id, "sha256": video.sha256, "tags": list(video.tags), "state": video.state}
    data |= {"file": entry.file, "thumbnail": entry.thumbnail, "strip": entry.strip, "model": entry.model}
    data["added_at"] = video.added_at.isoformat() if video.added_at else ""
    if (said := entry.transcript) is not None:
        data["transcript"] = {
            "origin": str(said.origin),
            "language": said.language,
            "detail": said.detail,
            "cues": pack_cues(said.cues),
        }
    data["passages"] = [[p.span.start, p.span.end, p.text] for p in entry.passages]
    return json.dumps(data, separators=(",", ":")).encode()


def read_entry(data: bytes, video_id: str, files: set[str]) -> Entry:
    """The reverse of `entry_json`; `files` are the names that its `files/` hold."""
    values = parsed(data, f"video {video_id}")
    return _checked(lambda: _entry(values, video_id, files), f"video {video_id}")


def _entry(data: dict[str, Any], video_id: str, files: set[str]) -> Entry:
    plain = {name: _typed(data[name], kind) for name, kind in _PLAIN.items()}
    sha256 = _typed(data["sha256"], str)
    if data["id"] != video_id or not re.fullmatch("[0-9a-f]{64}", sha256) or sha256[:16] != video_id:
        raise ValueError("the id is not that of the content")
    if not 0 < plain["duration"] < 1e7 or min(plain[name] for name in ("width", "height", "size")) < 0:
        raise ValueError("a number out of range")
    if data["state"] not in ("ready", "failed", "processing"):
        raise ValueError("an unknown state")
    names = {name: _typed(data[name], str) for name in ("file", "thumbnail", "strip")}
    if not {name for name in names.values() if name} <= files:
        raise ValueError("a file that is not there")
    added = datetime.fromisoformat(data["added_at"]).replace(tzinfo=None) if data["added_at"] else None
    tags = tuple(_typed(tag, str) for tag in data["tags"])
    state = "ready" if data["state"] == "ready" else "failed"
    video = Video(
        id=video_id, sha256=sha256, path=Path(), state=state, tags=tags, added_at=added, **plain
    )  # fmt: skip
    transcript = _transcript(data["transcript"]) if "transcript" in data else None
    passages = tuple(
        Passage(Span(_number(start), _number(end)), _typed(text, str))
        for start, end, text in data["passages"]
    )
    if len({passage.span.start for passage in passages}) != len(passages):
        raise ValueError("two passages at one time")
    return Entry(
        video, **names, transcript=transcript, passages=passages, model=_typed(data["model"], str)[:200]
    )


def _transcript(data: dict[str, Any]) -> Transcript:
    for start, end, text, words in data["cues"]:
        for value in (start, end, *(time for word in words for time in word[:2])):
            _number(value)
        for value in (text, *(word[2] for word in words)):
            _typed(value, str)
    language, detail = _typed(data["language"], str), _typed(data["detail"], str)
    return Transcript(unpack_cues(data["cues"]), Origin(data["origin"]), language[:20], detail[:200])


def feedback_json(feedback: list[Feedback]) -> bytes:
    """All feedback: [[question, video, start, end, verdict, corrected start, end, confidence, time], …]."""
    rows = []
    for said in feedback:
        corrected = (said.corrected.start, said.corrected.end) if said.corrected else (None, None)
        made = said.created_at.isoformat() if said.created_at else ""
        span = (said.span.start, said.span.end)
        rows.append([said.question, said.video_id, *span, said.verdict, *corrected, said.confidence, made])
    return json.dumps(rows).encode()


def read_feedback(data: bytes) -> list[Feedback]:
    rows = parsed(data, "feedback")
    return _checked(lambda: [_feedback(*row) for row in rows], "feedback")


def _feedback(
    question: Any,
    video_id: Any,
    start: Any,
    end: Any,
    verdict: Any,
    first: Any,
    last: Any,
    sure: Any,
    made: Any,
) -> Feedback:
    if verdict not in ("right", "wrong", "corrected") or not re.fullmatch("[0-9a-zA-Z_-]{1,64}", video_id):
        raise ValueError("an unknown verdict or a bad id")
    corrected = Span(_number(first), _number(last)) if first is not None else None
    confidence = _number(sure) if sure is not None else None
    created = datetime.fromisoformat(made).replace(tzinfo=None) if made else None
    span = Span(_number(start), _number(end))
    return Feedback(_typed(question, str)[:5000], video_id, span, verdict, corrected, confidence, created)


def read_vectors(data: bytes, count: int) -> np.ndarray | None:
    """(count, D) rows of `windows.f16`, or None when they are not unit rows of one length."""
    if not count or not data or len(data) % (2 * count):
        return None
    rows = np.frombuffer(data, "<f2").reshape(count, -1).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1)
    return rows if np.isfinite(norms).all() and (np.abs(norms - 1) < 0.05).all() else None


def parsed(data: bytes, what: str) -> Any:
    """JSON of a stranger; numbers that are none are refused."""
    if len(data) > (_MANIFEST_LIMIT if what == "manifest" else _JSON_LIMIT):
        raise BadArchive(f"The archive's {what} is too large. {DAMAGED}")

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadArchive(f"The archive's {what} cannot be read. {DAMAGED}") from error


def _checked(read: Callable[[], Value], what: str) -> Value:
    try:
        return read()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise BadArchive(f"The archive's {what} does not make sense ({error}). {DAMAGED}") from error


def _typed(value: Any, kind: type | tuple[type, ...]) -> Any:
    if (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or (isinstance(value, int) and abs(value) >> 62)
    ):
        raise ValueError(f"{str(value)[:40]!r} is of the wrong kind")
    return value


def _number(value: Any) -> float:
    number = float(_typed(value, (int, float)))
    if not math.isfinite(number) or abs(number) > 1e7:
        raise ValueError(f"{number} is out of range")
    return number
