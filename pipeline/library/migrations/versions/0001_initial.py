"""The first schema: videos, their transcripts and windows, jobs, feedback, and full-text search.

`passages_fts` keeps no text of its own, it reads `windows`; triggers take out exactly the words that
were put in. `transcripts_fts` keeps its text, which exists nowhere else in one piece.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_videos()
    _make_text()
    _make_work()
    _make_full_text()
    op.execute(f"INSERT INTO meta VALUES ('library_id', '{uuid.uuid4().hex}')")
    op.execute("INSERT INTO meta VALUES ('revision', '0'), ('windows_revision', '0')")


def downgrade() -> None:
    raise NotImplementedError("A library is not taken back to an older schema; use the copy made before.")


def _text(name: str) -> sa.Column:
    return sa.Column(name, sa.String(), nullable=False)


def _integer(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False)


def _number(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Float(), nullable=nullable)


def _time(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(), nullable=nullable)


def _of_video(primary_key: bool = True) -> sa.Column:
    return sa.Column(
        "video_number",
        sa.Integer(),
        sa.ForeignKey("videos.number", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


def _make_videos() -> None:
    op.create_table(
        "videos",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("id", sa.String(), nullable=False, unique=True),
        sa.Column("sha256", sa.String(), nullable=False, unique=True),
        _text("title"),
        _text("original_name"),
        _text("path"),
        sa.Column("owned", sa.Boolean(), nullable=False),
        _number("duration"),
        _integer("width"),
        _integer("height"),
        _integer("size"),
        _text("language"),
        _text("state"),
        _text("notice"),
        _text("site"),
        _text("site_id"),
        _text("url"),
        _text("thumbnail"),
        _text("strip"),
        _integer("strip_count"),
        _time("added_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("videos_by_site", "videos", ["site", "site_id"])
    op.create_index("videos_by_added", "videos", ["added_at"])
    op.create_table("tags", _of_video(), sa.Column("tag", sa.String(), primary_key=True, nullable=False))


def _make_text() -> None:
    op.create_table(
        "transcripts",
        _of_video(),
        _text("origin"),
        _text("language"),
        _text("detail"),
        sa.Column("cues", sa.JSON(), nullable=False),
    )
    op.create_table(
        "windows",
        sa.Column("id", sa.Integer(), primary_key=True),
        _of_video(primary_key=False),
        _number("start"),
        _number("end"),
        _text("text"),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("video_number", "start"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "text_vectors", _of_video(), _text("model"), sa.Column("data", sa.LargeBinary(), nullable=False)
    )
    op.create_index("text_vectors_by_model", "text_vectors", ["model", "video_number"])


def _make_work() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("kind"),
        sa.Column("source", sa.JSON(), nullable=False),
        _text("title"),
        _text("status"),
        _text("stage"),
        _number("fraction", nullable=True),
        _text("detail"),
        _text("message"),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        _text("video_id"),
        sa.Column("state", sa.JSON(), nullable=False),
        _integer("attempts"),
        _time("created_at"),
        _time("started_at", nullable=True),
        _time("stage_started_at", nullable=True),
        _time("updated_at"),
        _time("finished_at", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_status", "jobs", ["status"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("question"),
        _text("video_id"),
        _number("start"),
        _number("end"),
        _text("verdict"),
        _number("corrected_start", nullable=True),
        _number("corrected_end", nullable=True),
        _number("confidence", nullable=True),
        _time("created_at"),
    )
    op.create_table("meta", sa.Column("key", sa.String(), primary_key=True), _text("value"))


def _make_full_text() -> None:
    words = "tokenize = 'porter unicode61 remove_diacritics 2'"
    op.execute(f"CREATE VIRTUAL TABLE transcripts_fts USING fts5(title, text, {words})")
    op.execute(
        "CREATE VIRTUAL TABLE passages_fts USING "
        f"fts5(text, content = 'windows', content_rowid = 'id', {words})"
    )
    put = "INSERT INTO passages_fts(rowid, text) VALUES (new.id, new.text);"
    take = "INSERT INTO passages_fts(passages_fts, rowid, text) VALUES ('delete', old.id, old.text);"
    op.execute(f"CREATE TRIGGER windows_put AFTER INSERT ON windows BEGIN {put} END")
    op.execute(f"CREATE TRIGGER windows_taken AFTER DELETE ON windows BEGIN {take} END")
    op.execute(f"CREATE TRIGGER windows_changed AFTER UPDATE OF text ON windows BEGIN {take} {put} END")
