"""The stages of `ingest.py`, one function each: a task goes in, the result to keep comes out. The one that
finds the words is in `subtitle_stage.py`.

Each may be killed at any moment and run again: it first looks what an earlier run has left, writes under
temporary names, and says what it will do to files outside `work/` before it does it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import media
from pipeline.errors import (
    AlreadyInLibrary,
    AnswerClipError,
    DiskFull,
    SourceRefused,
    SourceUnavailable,
    UnreadableMedia,
    VideoNotFound,
)
from pipeline.features import text as features
from pipeline.ingest import READING, Task, read_transcript, write_whole
from pipeline.reading_stage import keep_reading, reading
from pipeline.settings import GIGABYTE
from pipeline.subtitle_stage import given_subtitles, subtitle, two_letters
from pipeline.types import Video

if TYPE_CHECKING:
    from pipeline.features.text import TextEncoder
    from pipeline.sources import Source

log = logging.getLogger(__name__)

MARGIN = 64 << 20  # bytes that must stay free for the database and small pictures
ENCODED_BYTES_PER_SECOND = 350_000  # of a normalised video, generously
ENCODE_BATCH = 64  # texts between two looks at whether to stop
STRIP_PICTURES = 40


def fetch(task: Task) -> dict[str, Any]:
    """Have the file here: look that it is there, or download it."""
    source = _source(task)
    _need_space(task, 0)
    if source.kind == "link":
        return _download(task, source)
    path = source.path
    if path is None or not path.is_file():
        raise SourceUnavailable(
            f"“{source.original_name or (path.name if path else '')}” is no longer where it was. "
            "Put it back there and retry, or add it again."
        )
    found = path.stat()
    if found.st_size > task.settings.max_file_bytes:
        size, limit = found.st_size / GIGABYTE, task.settings.max_file_gb
        raise SourceRefused(
            f"“{path.name}” has {size:.1f} GB; the limit is {limit:g} GB. "
            "Cut or compress it, or raise ANSWERCLIP_MAX_FILE_GB."
        )
    return {"path": str(path), "size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _download(task: Task, source: Source) -> dict[str, Any]:
    from pipeline.links import Links

    if source.site_id and (known := task.library.find(site=source.site, site_id=source.site_id)):
        raise AlreadyInLibrary(f"“{known.title}” is in the library already.", known.id)
    task.incoming.mkdir(parents=True, exist_ok=True)
    loaded = Links(task.settings).download(
        source, task.incoming, task.part(0, 1, "downloading"), task.ledger.cancelled
    )
    found, facts = loaded.path.stat(), loaded.info
    title = source.title or facts.get("title") or ""
    if title:
        task.ledger.name(title)
    return {
        "path": str(loaded.path),
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "subtitles": [[str(path), str(origin), language] for path, origin, language in loaded.subtitles],
        "title": title,
        "site": facts.get("site") or "",
        "site_id": facts.get("site_id") or "",
        "language": two_letters(facts.get("language") or ""),
    }


def _looked_at(task: Task, path: Path) -> media.Media:
    """The file's facts; what is wrong with it is said of the name that its giver knows."""
    try:
        return media.probe(path)
    except UnreadableMedia as e:
        source = _source(task)
        name = source.original_name or source.title or task.result("fetch").get("title")
        raise UnreadableMedia(str(e).replace(f"“{path.name}”", f"“{name}”") if name else str(e)) from e


def probe(task: Task) -> dict[str, Any]:
    """Know the video by its content, and refuse what cannot be or need not be taken in."""
    path = Path(task.result("fetch")["path"])
    found = _looked_at(task, path)
    if found.duration > task.settings.max_hours * 3600:
        raise SourceRefused(
            f"The video lasts {found.duration / 3600:.1f} hours; the limit is "
            f"{task.settings.max_hours:g}. Cut it, or raise ANSWERCLIP_MAX_HOURS."
        )
    sha256 = _content(task, path)
    task.video_id = media.video_id(sha256)
    task.ledger.claim(task.video_id)
    known = task.library.find(sha256=sha256)
    if known and known.state == "ready" and not known.missing:
        raise AlreadyInLibrary(f"“{known.title}” is in the library already.", known.id)
    speech = found.has_audio and not found.text_tracks and not given_subtitles(task)
    plan = {"duration": found.duration, "encode": not found.picture_fits, "speech": speech}
    task.ledger.save(plan=task.plan | plan)
    return {"sha256": sha256, "video_id": task.video_id, "notice": found.notice}


def _content(task: Task, path: Path) -> str:
    """The file's SHA-256, which an earlier run may have computed."""
    fetched = task.result("fetch")
    stamp = [fetched["size"], fetched["mtime_ns"]]
    kept = task.state.get("hash", {})
    if kept.get("stamp") == stamp:
        return str(kept["sha256"])
    sha256 = media.sha256(path, task.part(0, 1, "reading the file"), task.ledger.cancelled)
    task.ledger.save(hash={"stamp": stamp, "sha256": sha256})
    return sha256


def normalise(task: Task) -> dict[str, Any]:
    """Have a file that browsers play, its pictures, and the video's row in the library."""
    sha256 = task.result("probe")["sha256"]
    known = task.library.find(sha256=sha256)
    if known is None:
        task.ledger.save(adding=True)
    task.folder.mkdir(parents=True, exist_ok=True)
    for left in task.folder.glob(".*.part"):  # by a worker that was killed
        left.unlink(missing_ok=True)
    path, owned = _playable(task, known)
    played = media.probe(path)
    _keep_given_subtitles(task)
    video = replace(_described(task, path, played), owned=owned, sha256=sha256)
    video = _with_pictures(task, video, played)
    if known is None:
        task.library.add_video(video)
    else:
        changed = {name: getattr(video, name) for name in _FILE_FIELDS}
        if known.state != "ready":
            changed |= {"state": "processing", "notice": ""}
        task.library.update(known.id, **changed)
    if known is not None and known.state == "ready":
        # Its file had gone and has come back: what was read from it still stands.
        message = f"“{known.title}” was in the library; its missing file is found again."
        raise AlreadyInLibrary(message, known.id)
    return {"path": str(path)}


_FILE_FIELDS = (
    "path", "owned", "duration", "width", "height", "size", "thumbnail", "strip", "strip_count"
)  # fmt: skip


def _playable(task: Task, known: Video | None) -> tuple[Path, bool]:
    """The file to play and whether the library owns it: kept as it is wherever browsers can play it."""
    if known is not None and not known.missing:
        return known.path, known.owned
    if not task.media.playable:
        target = task.folder / "play.mp4"
        if not target.exists():
            _need_space(task, int(task.media.duration * ENCODED_BYTES_PER_SECOND))
            report = task.part(0, 0.9, "making it playable in browsers")
            media.normalise(task.original, target, task.media, report, task.ledger.cancelled)
        return target, True
    if _source(task).kind == "file":
        return task.original, False
    target = task.folder / f"source.{'webm' if task.media.container == 'webm' else 'mp4'}"
    came = Path(task.result("fetch")["path"])
    if came.exists():
        task.ledger.save(moved=[str(place.relative_to(task.library.root)) for place in (came, target)])
        os.replace(came, target)
    return target, True


def _described(task: Task, path: Path, played: media.Media) -> Video:
    source, fetched = _source(task), task.result("fetch")
    return Video(
        id=task.video_id,
        sha256="",
        title=source.title or fetched.get("title") or Path(source.original_name or path).stem,
        path=path,
        duration=played.duration,
        width=played.width,
        height=played.height,
        size=path.stat().st_size,
        language=source.language or fetched.get("language", ""),
        tags=source.tags,
        original_name=source.original_name,
        site=source.site or fetched.get("site", ""),
        site_id=source.site_id or fetched.get("site_id", ""),
        url=source.url,
    )


def _with_pictures(task: Task, video: Video, played: media.Media) -> Video:
    """The thumbnail and the strip; a video without them is still a video."""
    thumbnail, strip = task.folder / "thumbnail.jpg", task.folder / "strip.jpg"
    count = 0
    try:
        task.part(0.9, 1, "pictures")(0.0)
        media.thumbnail(video.path, thumbnail, played)
        count = media.strip(video.path, strip, played, STRIP_PICTURES)
    except (DiskFull, OSError):
        raise
    except AnswerClipError as e:
        log.warning("no pictures of %s: %s", video.id, e)
    return replace(
        video,
        thumbnail=thumbnail if thumbnail.exists() else None,
        strip=strip if count else None,
        strip_count=count,
    )


def _keep_given_subtitles(task: Task) -> None:
    """Copy subtitle files to the video: uploads and downloads are cleared away when the job is done."""
    for path, _, _ in given_subtitles(task):
        target = task.folder / f"subtitles.{path.name}"[-120:]
        if path.is_file() and not target.exists():
            write_whole(target, path.read_bytes())


def vectors(task: Task) -> dict[str, Any]:
    """Have the vectors of the transcript's windows."""
    transcript = read_transcript(task.work / task.result("subtitles")["file"])
    task.ledger.report(0.0, "loading the text encoder")
    encoder = task.engines.encoder()
    found = features.text_vectors(transcript.cues, _Watched(task, encoder))
    write_whole(task.work / "vectors.bin", found.pack())
    return {"file": "vectors.bin"}


def index(task: Task) -> dict[str, Any]:
    """Make it searchable: words and vectors go into the database, which ends the work."""
    transcript = read_transcript(task.work / task.result("subtitles")["file"])
    packed = (task.work / task.result("text vectors")["file"]).read_bytes()
    found = features.TextVectors.unpack(packed)
    notices = [task.result(stage).get("notice", "") for stage in ("probe", "subtitles")]
    if transcript.cues or transcript.detail:  # else nobody has listened: there is no transcript
        task.library.set_transcript(task.video_id, transcript)
        keep_reading(task, transcript)
    task.library.update(task.video_id, notice=" ".join(filter(None, notices)))
    passages = features.passages(transcript.cues)
    task.library.set_index(task.video_id, passages, features.passage_vectors(found), found.model, packed)
    return {}


def reindex(task: Task) -> dict[str, Any]:
    """Recompute the vectors of all videos whose vectors are of another encoder; goes on where it stopped."""
    task.ledger.report(None, "loading the text encoder")
    encoder = task.engines.encoder()
    outdated = task.library.needs_vectors(encoder.name)
    for number, video_id in enumerate(outdated):
        task.ledger.report(number / len(outdated), f"video {number + 1} of {len(outdated)}")
        task.check()
        with contextlib.suppress(VideoNotFound):  # removed meanwhile
            _reindex_one(task, video_id, encoder)
    return {"videos": len(outdated)}


def _reindex_one(task: Task, video_id: str, encoder: TextEncoder) -> None:
    cues = task.library.transcript(video_id).cues
    found = features.text_vectors(cues, encoder)
    if task.library.transcript(video_id).cues != cues:
        return  # transcribed again meanwhile, and so indexed with this encoder
    task.library.set_index(
        video_id, features.passages(cues), features.passage_vectors(found), found.model, found.pack()
    )


class _Watched:
    """An encoder that reports how far it is and can be stopped between batches."""

    def __init__(self, task: Task, encoder: TextEncoder) -> None:
        self._task, self._encoder = task, encoder
        self.name, self.dim = encoder.name, encoder.dim

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        report = self._task.part(0.0, 1.0, "understanding the words")
        rows = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), ENCODE_BATCH):
            self._task.check()
            report(start / len(texts))
            rows.append(self._encoder.encode(texts[start : start + ENCODE_BATCH]))
        return np.concatenate(rows)

    def states(self, text: str) -> np.ndarray:
        return self._encoder.states(text)


def _source(task: Task) -> Source:
    assert task.source is not None, f"a job of kind {task.kind!r} has no source"
    return task.source


def _need_space(task: Task, size: int) -> None:
    """DiskFull when `size` bytes and the margin do not fit any more."""
    free = task.free_space(task.library.root)
    if free < size + MARGIN:
        raise DiskFull(
            f"The disk of the library has {free / 1e6:,.0f} MB left; this video needs about "
            f"{(size + MARGIN) / 1e6:,.0f} MB. Free some space, then retry."
        )


BY_NAME: dict[str, Callable[[Task], dict[str, Any]]] = {
    "fetch": fetch,
    "probe": probe,
    "normalise": normalise,
    "subtitles": subtitle,
    "text vectors": vectors,
    READING: reading,
    "index": index,
}
