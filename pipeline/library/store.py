"""The library: a folder with `library.db` (the truth), the videos' files, and caches made from the rows.

`Library.open(folder)` makes or upgrades it. One object serves all threads; several processes may have
the same folder open and see each other's changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from pipeline.errors import AlreadyInLibrary, LibraryError, VideoNotFound
from pipeline.library import files, rows, search
from pipeline.library.database import connect, fold, plain_errors
from pipeline.library.migrations import check_not_newer, migrate
from pipeline.library.rows import Feedback
from pipeline.library.schema import (
    FeedbackRow,
    MetaRow,
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
_TEXT_FIELDS = frozenset({"title", "original_name", "language", "state", "notice", "site", "site_id", "url"})
_PLAIN_FIELDS = frozenset({"duration", "width", "height", "size", "strip_count"})
_FILE_FIELDS = frozenset({"thumbnail", "strip"})


class Library:
    """Everything that is asked of or done to one library folder."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self.root = root
        self.engine = engine
        self._index = WindowIndex(self)

    @classmethod
    def open(cls, root: Path | str) -> Library:
        """The library in `root`, made when it is not there, upgraded when it is older.

        LibraryTooNew for a newer database, which stays untouched; LibraryError or DiskFull otherwise.
        """
        root = Path(root).expanduser().absolute()
        if root.exists() and not root.is_dir():
            raise LibraryError(f"{root} is a file. Choose a folder for the library.")
        with plain_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            check_not_newer(root / "library.db")
            engine = connect(root / "library.db")
            try:
                migrate(engine)
                library = cls(root, engine)
                with library._writing() as connection:
                    files.recover(root, connection)
            except BaseException:
                engine.dispose()
                raise
        return library

    def close(self) -> None:
        """Lets the files go; the object is of no use afterwards."""
        self._index.close()
        self.engine.dispose()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Transactions

    @contextmanager
    def session(self) -> Iterator[Session]:
        """An ORM session that may write: committed at the end, rolled back on an error.

        It holds the library's one write lock: keep it short, and use `reading` to look only.
        """
        writer = self.engine.execution_options(writes=True)
        with plain_errors(self.root), Session(writer) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """An ORM session on one snapshot; it never waits for writers and what it changes is dropped."""
        with plain_errors(self.root), Session(self.engine) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        writer = self.engine.execution_options(writes=True)
        with plain_errors(self.root), writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A plain connection for reading; cheaper than `reading`."""
        with plain_errors(self.root), self.engine.connect() as connection:
            yield connection

    # Videos

    def add_video(self, video: Video) -> Video:
        """Puts a row in; AlreadyInLibrary when the content, or the site's video, is known."""
        values = self._row_of(video)
        with self._writing() as connection:
            known = self._find(connection, video.sha256, video.site, video.site_id)
            if known:
                raise AlreadyInLibrary(f"“{known.title}” is in the library already.", known.id)
            added = insert(VideoRow).values(values).returning(VideoRow.number)
            number = connection.execute(added).scalar_one()
            _put_tags(connection, number, video.tags)
            _touch(connection)
        return self.video(video.id)

    def video(self, video_id: str) -> Video:
        """The video, or VideoNotFound."""
        with self.snapshot() as connection:
            row = connection.execute(rows.select_videos().where(VideoRow.id == video_id)).mappings().first()
        if row is None:
            raise _not_found(video_id)
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
        query = rows.select_videos().where(*_listed(search, filters)).order_by(*_ORDERS[order])
        with self.snapshot() as connection:
            found = connection.execute(query.limit(limit).offset(offset)).mappings().all()
        return [rows.to_video(row, self.root) for row in found]

    def count(self, search: str = "", filters: Filters = Filters()) -> int:  # noqa: B008 - immutable
        """How many videos `videos` would list without a limit."""
        with self.snapshot() as connection:
            return (
                connection.scalar(select(func.count(VideoRow.number)).where(*_listed(search, filters))) or 0
            )

    def find(self, sha256: str = "", site: str = "", site_id: str = "") -> Video | None:
        """The video with this content or, for links, of this site; None when it is not there."""
        with self.snapshot() as connection:
            return self._find(connection, sha256, site, site_id)

    def update(self, video_id: str, **fields: Any) -> Video:
        """Changes fields of a video by the names of `Video` (not id, sha256, tags or origin)."""
        values = self._values(fields)
        with self._writing() as connection:
            number = _number(connection, video_id)
            if values:
                connection.execute(update(VideoRow).where(VideoRow.number == number).values(values))
            if "title" in values:
                search.rename(connection, number, values["title"])
            _touch(connection)
        return self.video(video_id)

    def set_tags(self, video_id: str, tags: Iterable[str]) -> None:
        """Replaces the tags of a video."""
        with self._writing() as connection:
            number = _number(connection, video_id)
            connection.execute(delete(TagRow).where(TagRow.video_number == number))
            _put_tags(connection, number, tags)
            _touch(connection)

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
        with self._writing() as connection:
            row = connection.execute(select(VideoRow.__table__).where(VideoRow.id == video_id)).first()
            if row is None:
                raise _not_found(video_id)
            search.forget(connection, row.number)
            connection.execute(delete(WindowRow).where(WindowRow.video_number == row.number))
            connection.execute(delete(VideoRow).where(VideoRow.number == row.number))
            _touch(connection, windows=True)
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
        values = {
            "origin": str(transcript.origin),
            "language": transcript.language,
            "detail": rows.storable(transcript.detail),
            "cues": rows.pack_cues(transcript.cues),
        }
        with self._writing() as connection:
            number = _number(connection, video_id)
            connection.execute(delete(TranscriptRow).where(TranscriptRow.video_number == number))
            connection.execute(insert(TranscriptRow).values(video_number=number, **values))
            if transcript.language:
                changed = update(VideoRow).where(VideoRow.number == number)
                connection.execute(changed.values(language=transcript.language))
            _touch(connection)

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
        packed = _packed_windows(passages, vectors)
        with self._writing() as connection:
            number = _number(connection, video_id)
            search.index_transcript(connection, number)
            _put_windows(connection, number, packed)
            _put_text_vectors(connection, number, model, text_vectors)
            connection.execute(update(VideoRow).where(VideoRow.number == number).values(state="ready"))
            _set_meta(connection, "text_model", model)
            _touch(connection, windows=True)

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
        return self._meta("text_model")

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
        with self._writing() as connection:
            search.rebuild(connection)
            _touch(connection, windows=True)
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
        values = {
            "question": rows.clean(question, 5000),
            "video_id": video_id,
            "start": span.start,
            "end": span.end,
            "verdict": verdict,
            "corrected_start": corrected.start if corrected else None,
            "corrected_end": corrected.end if corrected else None,
            "confidence": confidence,
        }
        with self._writing() as connection:
            _number(connection, video_id)
            connection.execute(insert(FeedbackRow).values(values))

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
        return int(self._meta("revision") or 0)

    def stored(self, relative: Path | str) -> Path:
        """A path inside the library folder; LibraryError for one that would leave it."""
        return self.root / rows.text_path(rows.inside(self.root, Path(relative)))

    def folder(self, video_id: str) -> Path:
        """The folder of a video's own files; it need not exist."""
        return self.root / "videos" / rows.checked_id(video_id)

    # Parts of the above

    def _meta(self, key: str) -> str:
        with self.snapshot() as connection:
            return connection.scalar(_META, {"key": key}) or ""

    def _find(self, connection: Connection, sha256: str, site: str, site_id: str) -> Video | None:
        for condition in (
            [VideoRow.sha256 == sha256] if sha256 else None,
            [VideoRow.site == site, VideoRow.site_id == site_id] if site and site_id else None,
        ):
            query = rows.select_videos().where(*condition) if condition else None
            row = connection.execute(query).mappings().first() if query is not None else None
            if row is not None:
                return rows.to_video(row, self.root)
        return None

    def _row_of(self, video: Video) -> dict[str, Any]:
        names = _TEXT_FIELDS | _PLAIN_FIELDS | _FILE_FIELDS | {"path", "owned"}
        values = self._values({name: getattr(video, name) for name in names})
        values |= {"id": rows.checked_id(video.id), "sha256": video.sha256}
        return values | ({"added_at": video.added_at} if video.added_at else {})

    def _values(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Column values of fields of `Video`, cleaned and checked."""
        values: dict[str, Any] = {}
        for name, value in fields.items():
            if name == "title":
                values[name] = rows.clean_title(value, fields.get("original_name", ""))
            elif name in _TEXT_FIELDS:
                values[name] = rows.clean(value, 4000)
            elif name in _FILE_FIELDS:
                values[name] = rows.inside(self.root, value) if value else ""
            elif name in _PLAIN_FIELDS or name == "owned":
                values[name] = value
            elif name != "path":
                raise TypeError(f"{name!r} is not a field of a video that can be changed")
        if "path" in fields:
            owned = fields.get("owned", Path(fields["path"]).is_relative_to(self.root))
            path = Path(fields["path"])
            values["path"] = rows.inside(self.root, path) if owned else rows.path_text(path.absolute())
            values["owned"] = owned
        elif "owned" in fields:
            raise TypeError("'owned' is changed together with 'path' only")
        return values


_META = select(MetaRow.value).where(MetaRow.key == text(":key"))


def _not_found(video_id: str) -> VideoNotFound:
    return VideoNotFound(f"There is no video {rows.clean(video_id, 80)!r} in the library.")


def _listed(search: str, filters: Filters) -> list[Any]:
    tags = (
        select(func.group_concat(TagRow.tag, " "))
        .where(TagRow.video_number == VideoRow.number)
        .correlate(VideoRow)
        .scalar_subquery()
    )
    words = func.fold(VideoRow.title + " " + VideoRow.original_name + " " + func.coalesce(tags, ""))
    wanted = [func.instr(words, fold(word)) > 0 for word in rows.clean(search, 300).split()]
    return wanted + rows.restrictions(filters)


def _number(connection: Connection, video_id: str) -> int:
    number = connection.scalar(select(VideoRow.number).where(VideoRow.id == video_id))
    if number is None:
        raise _not_found(video_id)
    return number


def _put_tags(connection: Connection, number: int, tags: Iterable[str]) -> None:
    for tag in rows.clean_tags(tags):
        connection.execute(insert(TagRow).values(video_number=number, tag=tag))


def _packed_windows(passages: Sequence[Passage], vectors: np.ndarray) -> list[dict[str, Any]]:
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


def _put_windows(connection: Connection, number: int, windows: list[dict[str, Any]]) -> None:
    connection.execute(delete(WindowRow).where(WindowRow.video_number == number))
    if windows:
        connection.execute(insert(WindowRow), [{"video_number": number, **window} for window in windows])


def _put_text_vectors(connection: Connection, number: int, model: str, data: bytes) -> None:
    connection.execute(delete(TextVectorsRow).where(TextVectorsRow.video_number == number))
    connection.execute(insert(TextVectorsRow).values(video_number=number, model=model, data=data))


def _set_meta(connection: Connection, key: str, value: str) -> None:
    connection.execute(
        text("INSERT INTO meta VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value"),
        {"key": key, "value": value},
    )


def _touch(connection: Connection, windows: bool = False) -> None:
    keys = "('revision', 'windows_revision')" if windows else "('revision')"
    connection.execute(text(f"UPDATE meta SET value = value + 1 WHERE key IN {keys}"))
