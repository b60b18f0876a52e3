"""The library: a folder with `library.db` (the truth), the videos' files, and caches made from the rows.

`Library.open(folder)` makes or upgrades it. One object serves all threads; several processes may have
the same folder open and see each other's changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, delete, func, select, update

from pipeline.errors import AlreadyInLibrary
from pipeline.library import files, records, rows, search
from pipeline.library.cue_rows import CueRows
from pipeline.library.database import fold, plain_errors
from pipeline.library.pictures import PictureFiles
from pipeline.library.rows import Feedback
from pipeline.library.schema import (
    FeedbackRow,
    JobRow,
    TagRow,
    TextVectorsRow,
    TranscriptRow,
    VideoRow,
    WindowRow,
)
from pipeline.library.vectors import WindowIndex
from pipeline.types import Filters, Origin, Passage, Span, Transcript, Video

_ORDERS = {
    "added": (VideoRow.added_at.desc(), VideoRow.number.desc()),
    "title": (func.fold(VideoRow.title), VideoRow.number),
    "duration": (VideoRow.duration.desc(), VideoRow.number),
    "size": (VideoRow.size.desc(), VideoRow.number),
}


class Library(PictureFiles, CueRows):
    """Everything that is asked of or done to one library folder."""

    def __init__(self, root: Path, engine: Engine) -> None:
        super().__init__(root, engine)
        self._index = WindowIndex(self)

    def close(self) -> None:
        """Saves the vector index and lets the files go; the object is of no use afterwards."""
        self._index.close()
        super().close()

    # Videos

    def add_video(self, video: Video) -> Video:
        """Puts a row in; AlreadyInLibrary when the content, or the site's video, is known."""
        with self.writing() as connection:
            known = self.known(connection, video.sha256, video.site, video.site_id)
            if known:
                raise AlreadyInLibrary(f"“{known.title}” is in the library already.", known.id)
            records.insert_video(connection, self.root, video)
            records.touch(connection)
        return self.video(video.id)

    def video(self, video_id: str) -> Video:
        """The video, or VideoNotFound."""
        with self.snapshot() as connection:
            row = connection.execute(rows.select_videos().where(VideoRow.id == video_id)).mappings().first()
        if row is None:
            raise records.not_found(video_id)
        return rows.to_video(row, self.root)

    def videos(
        self,
        search: str = "",
        filters: Filters = Filters(),  # noqa: B008 - immutable
        order: str = "added",
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Video]:
        """The list of videos: each word of `search` occurs in the title, a tag or the file's name.

        `order` is added (newest first), title, duration or size (largest first).
        """
        if order not in _ORDERS:
            raise ValueError(f"unknown order {order!r}; there are {', '.join(_ORDERS)}")
        query = rows.select_videos().where(*records.listed(search, filters)).order_by(*_ORDERS[order])
        with self.snapshot() as connection:
            found = connection.execute(query.limit(limit).offset(offset)).mappings().all()
        return [rows.to_video(row, self.root) for row in found]

    def count(self, search: str = "", filters: Filters = Filters()) -> int:  # noqa: B008 - immutable
        """How many videos `videos` would list without a limit."""
        with self.snapshot() as connection:
            return (
                connection.scalar(select(func.count(VideoRow.number)).where(*records.listed(search, filters)))
                or 0
            )

    def ready_videos(
        self,
        filters: Filters = Filters(),  # noqa: B008 - immutable
        limit: int | None = None,
    ) -> list[str]:
        """Ids of the videos that can be searched, ascending."""
        query = select(VideoRow.id).where(VideoRow.state == "ready", *rows.restrictions(filters))
        with self.snapshot() as connection:
            return list(connection.scalars(query.order_by(VideoRow.id).limit(limit)))

    def being_added(self) -> int:
        """How many videos the worker has yet to make ready."""
        waiting = select(func.count(JobRow.id)).where(
            JobRow.kind == "add", JobRow.status.in_(["queued", "running"])
        )
        with self.snapshot() as connection:
            return connection.scalar(waiting) or 0

    def has_urgent_jobs(self) -> bool:
        """Whether a job waits or runs that comes before picture features."""
        urgent = select(JobRow.id).where(JobRow.kind != "pictures", JobRow.status.in_(["queued", "running"]))
        with self.snapshot() as connection:
            return connection.scalar(urgent.limit(1)) is not None

    def find(self, sha256: str = "", site: str = "", site_id: str = "") -> Video | None:
        """The video with this content or, for links, of this site; None when it is not there."""
        with self.snapshot() as connection:
            return self.known(connection, sha256, site, site_id)

    def update(self, video_id: str, **fields: Any) -> Video:
        """Changes fields of a video by the names of `Video` (not id, sha256, tags or origin)."""
        values = records.video_values(self.root, fields)
        with self.writing() as connection:
            number = records.number_of(connection, video_id)
            if values:
                connection.execute(update(VideoRow).where(VideoRow.number == number).values(values))
            if "title" in values:
                search.rename(connection, number, values["title"])
            records.touch(connection)
        return self.video(video_id)

    def set_tags(self, video_id: str, tags: Iterable[str]) -> None:
        """Replaces the tags of a video."""
        with self.writing() as connection:
            number = records.number_of(connection, video_id)
            connection.execute(delete(TagRow).where(TagRow.video_number == number))
            records.put_tags(connection, number, tags)
            records.touch(connection)

    def tags(self) -> list[str]:
        """Every tag in use, sorted."""
        with self.snapshot() as connection:
            return sorted(connection.scalars(select(TagRow.tag).distinct()), key=fold)

    def languages(self) -> list[str]:
        """Every language in use, sorted."""
        with self.snapshot() as connection:
            return sorted(filter(None, connection.scalars(select(VideoRow.language).distinct())))

    def remove(self, video_id: str) -> None:
        """Takes a video out: rows, words, vectors, and the files that the library owns.

        The files are set aside before the commit and deleted after it; `open` settles what a crash
        in between left behind.
        """
        with self.writing() as connection:
            row = connection.execute(select(VideoRow.__table__).where(VideoRow.id == video_id)).first()
            if row is None:
                raise records.not_found(video_id)
            search.forget(connection, row.number)
            connection.execute(delete(WindowRow).where(WindowRow.video_number == row.number))
            connection.execute(delete(VideoRow).where(VideoRow.number == row.number))
            records.touch(connection, windows=True)
            aside = files.set_aside(self.root, row)
            try:
                connection.commit()
            except BaseException:
                files.put_back(self.root, aside)
                raise
        files.delete(aside)

    # Words and vectors

    def set_transcript(self, video_id: str, transcript: Transcript) -> None:
        """Replaces the words of a video. They are searched once `set_index` has run."""
        with self.writing() as connection:
            number = records.number_of(connection, video_id)
            records.put_transcript(connection, number, transcript)
            if transcript.language:
                changed = update(VideoRow).where(VideoRow.number == number)
                connection.execute(changed.values(language=transcript.language))
            records.touch(connection)

    def transcript(self, video_id: str) -> Transcript:
        """The words of a video; no cues when there are none (yet)."""
        found = self.transcripts([video_id])
        if video_id not in found:
            self.video(video_id)
        return found.get(video_id) or Transcript((), Origin.GIVEN)

    def transcripts(self, video_ids: Iterable[str], words: bool = True) -> dict[str, Transcript]:
        """The transcripts of those videos that have one; `words=False` leaves word times out (faster)."""
        query = (
            select(VideoRow.id, TranscriptRow.__table__)
            .join(TranscriptRow, TranscriptRow.video_number == VideoRow.number)
            .where(VideoRow.id.in_(list(video_ids)))
        )
        with self.snapshot() as connection:
            return {row.id: rows.to_transcript(row, words) for row in connection.execute(query)}

    def set_index(
        self,
        video_id: str,
        passages: Sequence[Passage],
        vectors: np.ndarray,
        model: str,
        text_vectors: bytes,
    ) -> None:
        """Replaces what is searched of a video, in one transaction, and makes it ready.

        `vectors` are (n, D) float32 unit rows, one per passage, of the encoder named `model`;
        `text_vectors` is what `features.text` packs.
        """
        packed = records.packed_windows(passages, vectors)
        with self.writing() as connection:
            number = records.number_of(connection, video_id)
            if packed and not records.fits_model(connection, number, model, len(packed[0]["vector"]) // 2):
                raise ValueError(f"the library's vectors of {model} have another length")
            records.put_index(connection, number, packed)
            records.put_text_vectors(connection, number, model, text_vectors)
            connection.execute(update(VideoRow).where(VideoRow.number == number).values(state="ready"))
            records.set_meta(connection, "text_model", model)
            records.touch(connection, windows=True)

    def text_vectors(self, video_ids: Iterable[str]) -> dict[str, tuple[str, bytes]]:
        """(model, packed vectors) of those videos that have them."""
        query = (
            select(VideoRow.id, TextVectorsRow.model, TextVectorsRow.data)
            .join(TextVectorsRow, TextVectorsRow.video_number == VideoRow.number)
            .where(VideoRow.id.in_(list(video_ids)))
        )
        with self.snapshot() as connection:
            return {row.id: (row.model, row.data) for row in connection.execute(query)}

    def text_model(self) -> str:
        """The encoder of the last indexed video; "" in a library without vectors."""
        return self.fact("text_model")

    def needs_vectors(self, model: str) -> list[str]:
        """Videos with a transcript whose vectors are missing or of another encoder than `model`."""
        current = select(TextVectorsRow.video_number).where(TextVectorsRow.model == model)
        query = (
            select(VideoRow.id)
            .join(TranscriptRow, TranscriptRow.video_number == VideoRow.number)
            .where(VideoRow.state == "ready", VideoRow.number.not_in(current))
            .order_by(VideoRow.number)
        )
        with self.snapshot() as connection:
            return list(connection.scalars(query))

    # Search; see search.py and vectors.py

    def search_transcripts(
        self,
        match: str,
        limit: int = 50,
        filters: Filters = Filters(),  # noqa: B008 - immutable
    ) -> list[tuple[str, float]]:
        """(video id, score) by the words of whole videos, best first; `match` comes from `to_match`."""
        with self.snapshot() as connection:
            return search.transcripts(connection, match, limit, filters)

    def search_passages(
        self,
        match: str,
        limit: int = 100,
        filters: Filters = Filters(),  # noqa: B008 - immutable
    ) -> list[tuple[int, str, Span, str, float]]:
        """(window id, video id, span, text, score) by the words of 30 s windows, best first."""
        with self.snapshot() as connection:
            return search.passages(connection, match, limit, filters)

    def nearest_windows(
        self,
        vector: np.ndarray,
        limit: int = 100,
        filters: Filters = Filters(),  # noqa: B008 - immutable
        model: str = "",
    ) -> list[tuple[int, str, Span, float]]:
        """(window id, video id, span, cosine) of the windows whose vectors are nearest, best first.

        Only windows of `model` (default: `text_model()`) are compared; vectors are never mixed.
        """
        return self._index.nearest(vector, limit, filters, model)

    def rebuild(self) -> None:
        """Makes full-text search and the vector index again from the rows."""
        with self.writing() as connection:
            search.rebuild(connection)
            records.touch(connection, windows=True)
        self._index.rebuild()

    # Feedback, files, counters

    def add_feedback(
        self,
        question: str,
        video_id: str,
        span: Span,
        verdict: str,
        corrected: Span | None = None,
        confidence: float | None = None,
    ) -> None:
        """Keeps what a user said about an answer: verdict is right, wrong or corrected."""
        if verdict not in ("right", "wrong", "corrected") or (verdict == "corrected") != bool(corrected):
            raise ValueError(f"bad verdict {verdict!r} with corrected span {corrected}")
        said = Feedback(question, video_id, span, verdict, corrected, confidence)
        with self.writing() as connection:
            records.number_of(connection, video_id)
            records.put_feedback(connection, said)

    def feedback(self) -> list[Feedback]:
        """All feedback, oldest first; also of videos that are gone."""
        with self.reading() as session:
            return [rows.to_feedback(row) for row in session.scalars(select(FeedbackRow))]

    def disk_use(self) -> dict[str, int]:
        """Bytes by part of the library; `outside` are the user's own files, `free` the disk's room."""
        owned_elsewhere = select(func.coalesce(func.sum(VideoRow.size), 0)).where(~VideoRow.owned)
        with self.snapshot() as connection:
            outside = connection.scalar(owned_elsewhere) or 0
        with plain_errors(self.root):
            return files.disk_use(self.root) | {"outside": outside}

    def revision(self) -> int:
        """A number that grows with every change of videos, words or vectors by any process."""
        return int(self.fact("revision") or 0)

    def stored(self, relative: Path | str) -> Path:
        """A path inside the library folder; LibraryError for one that would leave it."""
        return self.root / rows.text_path(rows.inside(self.root, Path(relative)))

    def folder(self, video_id: str) -> Path:
        """The folder of a video's own files; it need not exist."""
        return self.root / "videos" / rows.checked_id(video_id)

    # Parts of the above

    def known(self, connection: Connection, sha256: str, site: str, site_id: str) -> Video | None:
        """`find`, within a transaction."""
        for condition in (
            [(VideoRow.sha256 == sha256) | (VideoRow.id == sha256[:16])] if sha256 else None,
            [VideoRow.site == site, VideoRow.site_id == site_id] if site and site_id else None,
        ):
            query = rows.select_videos().where(*condition) if condition else None
            row = connection.execute(query).mappings().first() if query is not None else None
            if row is not None:
                return rows.to_video(row, self.root)
        return None
