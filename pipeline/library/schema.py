"""The rows of `library.db`: the truth about a library. FTS5 tables are made by the migrations.

A change here needs a migration in `migrations/versions/` and a test that upgrades an older library.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def now() -> datetime:
    """The current time in UTC, as SQLite keeps it (without a zone)."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class VideoRow(Base):
    __tablename__ = "videos"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)  # rowid of transcripts_fts
    id: Mapped[str] = mapped_column(unique=True)  # first 16 hex digits of sha256
    sha256: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    original_name: Mapped[str] = mapped_column(default="")
    path: Mapped[str]  # the file that plays; relative to the library folder when `owned`
    owned: Mapped[bool] = mapped_column(default=False)
    duration: Mapped[float]
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(default=0)
    language: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="processing")
    notice: Mapped[str] = mapped_column(default="")
    site: Mapped[str] = mapped_column(default="")
    site_id: Mapped[str] = mapped_column(default="")
    url: Mapped[str] = mapped_column(default="")
    thumbnail: Mapped[str] = mapped_column(default="")  # relative to the library folder
    strip: Mapped[str] = mapped_column(default="")
    strip_count: Mapped[int] = mapped_column(default=0)
    added_at: Mapped[datetime] = mapped_column(default=now)

    tags: Mapped[list[TagRow]] = relationship(cascade="all, delete-orphan", lazy="selectin")
    transcript: Mapped[TranscriptRow | None] = relationship(cascade="all, delete-orphan")

    __table_args__ = (
        Index("videos_by_site", "site", "site_id"),
        Index("videos_by_added", "added_at"),
        {"sqlite_autoincrement": True},
    )


class TagRow(Base):
    __tablename__ = "tags"

    video_number: Mapped[int] = mapped_column(
        ForeignKey("videos.number", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(primary_key=True)


class TranscriptRow(Base):
    __tablename__ = "transcripts"

    video_number: Mapped[int] = mapped_column(
        ForeignKey("videos.number", ondelete="CASCADE"), primary_key=True
    )
    origin: Mapped[str]
    language: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")
    cues: Mapped[list] = mapped_column(JSON)  # [[start, end, text, [[start, end, word], …]], …]


class WindowRow(Base):
    """A passage: 30 s of transcript every 15 s. Ids only grow, so an index can catch up by id."""

    __tablename__ = "windows"
    __table_args__ = (
        UniqueConstraint("video_number", "start"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)  # rowid of passages_fts, id in FAISS
    video_number: Mapped[int] = mapped_column(ForeignKey("videos.number", ondelete="CASCADE"))
    start: Mapped[float]
    end: Mapped[float]
    text: Mapped[str]
    vector: Mapped[bytes] = mapped_column(LargeBinary)  # float16, unit length


class TextVectorsRow(Base):
    """Vectors of the cue windows of one video at several scales, as `features.text` packs them."""

    __tablename__ = "text_vectors"

    video_number: Mapped[int] = mapped_column(
        ForeignKey("videos.number", ondelete="CASCADE"), primary_key=True
    )
    model: Mapped[str]
    data: Mapped[bytes] = mapped_column(LargeBinary)

    # Which videos have vectors of a model is asked often; without it every fat row is touched.
    __table_args__ = (Index("text_vectors_by_model", "model", "video_number"),)


class CueRowsRow(Base):
    """What a localizer read in the cues of one video, see `cue_rows`: float16, (cues, dim)."""

    __tablename__ = "cue_rows"

    video_number: Mapped[int] = mapped_column(
        ForeignKey("videos.number", ondelete="CASCADE"), primary_key=True
    )
    model: Mapped[str]  # `Localizer.reading`
    cues: Mapped[int]
    dim: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (Index("cue_rows_by_model", "model", "video_number"),)  # as for text vectors


class JobRow(Base):
    """One thing to be done by the worker. The row is the truth, the queue only wakes the worker.

    Ids are never used again: a stale task in the queue must not find another job under its id.
    """

    __tablename__ = "jobs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str]  # add | retranscribe | reindex | reading | pictures
    source: Mapped[dict] = mapped_column(JSON)  # what `sources.Source.as_dict` gives
    title: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="queued", index=True)
    # queued | running | done | already | failed | cancelled
    stage: Mapped[str] = mapped_column(default="")
    fraction: Mapped[float | None] = mapped_column(default=None)
    detail: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")  # why it failed, in plain words
    cancel_asked: Mapped[bool] = mapped_column(default=False)
    video_id: Mapped[str] = mapped_column(default="")
    state: Mapped[dict] = mapped_column(JSON, default=dict)  # results of finished stages
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    stage_started_at: Mapped[datetime | None] = mapped_column(default=None)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)


class FeedbackRow(Base):
    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    question: Mapped[str]
    video_id: Mapped[str]
    start: Mapped[float]
    end: Mapped[float]
    verdict: Mapped[str]  # right | wrong | corrected
    corrected_start: Mapped[float | None] = mapped_column(default=None)
    corrected_end: Mapped[float | None] = mapped_column(default=None)
    confidence: Mapped[float | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=now)


class MetaRow(Base):
    """Facts about the library: the text encoder of its vectors, its own random id, a change counter."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
