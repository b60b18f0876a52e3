"""Older databases are upgraded whole, with a copy made before; newer and foreign ones stay untouched."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, insert, text

from pipeline.errors import DiskFull, LibraryError, LibraryTooNew
from pipeline.library import migrations, records
from pipeline.library.database import connect, plain_errors
from pipeline.library.rows import pack_cues
from pipeline.library.schema import Base, TranscriptRow, WindowRow
from pipeline.library.store import Library
from tests.library_factory import a_transcript, a_video, add

ROOT = Path(__file__).resolve().parent.parent
NEXT = """
from alembic import op
import sqlalchemy as sa
revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None
def upgrade():
    op.add_column("videos", sa.Column("mood", sa.String(), nullable=False, server_default="calm"))
    op.execute("CREATE TABLE moods (name TEXT)")
    {more}
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The migrations of a version of AnswerClip that has one revision more than this one."""
    return scripts_of_the_next_version(tmp_path, "pass")


def scripts_of_the_next_version(folder: Path, more: str) -> Path:
    copy = folder / "100% of the migrations"
    shutil.copytree(migrations.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "versions" / "0003_mood.py").write_text(NEXT.format(more=more))
    return copy


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The database of a library of this version, which is older than the next."""
    with Library.open(tmp_path / "library") as library:
        add(library, "Tea", "boil the kettle")
    return tmp_path / "library" / "library.db"


@pytest.fixture
def engine(older: Path) -> Iterator[Engine]:
    opened = connect(older)
    yield opened
    opened.dispose()


def revision(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    connection.close()
    return found


def test_head_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(migrations.FOLDER))
    assert scripts.get_current_head() == migrations.HEAD
    assert scripts.get_bases() == ["0001"]


def test_the_migrations_make_the_tables_of_the_schema(engine: Engine) -> None:
    def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or not str(name).startswith(("transcripts_fts", "passages_fts"))

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": False})
        assert compare_metadata(context, Base.metadata) == []
        for table in Base.metadata.sorted_tables:  # what the comparison does not see
            sql = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = :n"), {"n": table.name})
            assert ("AUTOINCREMENT" in sql) == bool(table.dialect_options["sqlite"]["autoincrement"]), table


def test_an_older_library_is_upgraded_and_copied_before(older: Path, engine: Engine, scripts: Path) -> None:
    migrations.migrate(engine, scripts, "0003")
    assert revision(older) == "0003"
    copy = older.with_name("library.db.before-upgrade-from-0002")
    assert revision(copy) == "0002"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT title FROM videos").fetchall() == [("Tea",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT title, mood FROM videos")).all() == [("Tea", "calm")]
        match = text("SELECT count(*) FROM passages_fts WHERE passages_fts MATCH 'kettles'")
        assert connection.scalar(match) == 1
    migrations.migrate(engine, scripts, "0003")  # nothing more to do


@pytest.mark.parametrize(
    "more", ["raise RuntimeError('boom')", "op.execute('INSERT INTO nowhere VALUES (1)')"]
)
def test_an_upgrade_that_fails_leaves_the_library_as_it_was(
    older: Path, engine: Engine, tmp_path: Path, more: str
) -> None:
    with pytest.raises(Exception, match=r"boom|nowhere"):
        migrations.migrate(engine, scripts_of_the_next_version(tmp_path, more), "0003")
    assert revision(older) == "0002"
    with engine.connect() as connection:
        columns = [row.name for row in connection.execute(text("PRAGMA table_info(videos)"))]
        assert "mood" not in columns
        assert not connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'moods'"))
    with Library.open(older.parent) as library:
        assert library.videos()[0].title == "Tea"


def test_a_killed_upgrade_leaves_the_library_as_it_was(older: Path, tmp_path: Path) -> None:
    """The process dies inside the migration, without any chance to clean up."""
    scripts = scripts_of_the_next_version(tmp_path, "import os; os._exit(9)")
    program = f"""
        from pathlib import Path
        from pipeline.library import migrations, records
        from pipeline.library.database import connect
        migrations.migrate(connect(Path({str(older)!r})), Path({str(scripts)!r}), "0003")
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, timeout=60)
    assert ended.returncode == 9
    with Library.open(older.parent) as library:
        assert library.videos()[0].title == "Tea"
    assert revision(older) == "0002"


def test_a_library_of_the_first_schema_gets_rows_of_cues(tmp_path: Path) -> None:
    root = tmp_path / "old"
    root.mkdir()
    opened = connect(root / "library.db")
    migrations.migrate(opened, head="0001")
    with opened.execution_options(writes=True).connect() as connection:
        tables = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        assert "videos" in tables and "cue_rows" not in tables
        records.insert_video(connection, root, a_video("Tea", state="ready"))
        words = {"origin": "given", "cues": pack_cues(a_transcript("boil the kettle").cues)}
        connection.execute(insert(TranscriptRow).values(video_number=1, **words))
        window = {"start": 0.0, "end": 30.0, "text": "boil the kettle", "vector": b""}
        connection.execute(insert(WindowRow).values(video_number=1, **window))
        connection.commit()
    opened.dispose()
    with Library.open(root) as library:
        [tea] = library.videos()
        cues = library.transcript(tea.id).cues
        assert [cue.text for cue in cues] == ["boil the kettle"]
        assert library.needs_cue_rows("reader") == [tea.id]
        assert library.set_cue_rows(tea.id, "reader", np.ones((1, 4)), cues)
        assert library.cue_rows([tea.id], "reader")[tea.id].tolist() == [[1, 1, 1, 1]]
    assert revision(root / "library.db") == "0002"
    assert revision(root / "library.db.before-upgrade-from-0001") == "0001"


def test_no_room_for_the_copy_means_no_upgrade(
    older: Path, engine: Engine, scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def tight(database: object, *arguments: object, **options: object) -> sqlite3.Connection:
        connection = real(database, *arguments, **options)  # type: ignore[call-overload]
        if str(database).endswith(".part"):
            connection.execute("PRAGMA max_page_count = 3")
        return connection

    monkeypatch.setattr(sqlite3, "connect", tight)
    with pytest.raises(DiskFull), plain_errors(older.parent):
        migrations.migrate(engine, scripts, "0003")
    monkeypatch.undo()
    assert revision(older) == "0002"
    assert not list(older.parent.glob("*before-upgrade*"))


def test_several_processes_upgrade_once(older: Path, scripts: Path) -> None:
    program = f"""
        from pathlib import Path
        from pipeline.library import migrations, records
        from pipeline.library.database import connect
        migrations.migrate(connect(Path({str(older)!r})), Path({str(scripts)!r}), "0003")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert revision(older) == "0003"


def test_a_newer_library_is_refused_and_untouched(older: Path, engine: Engine, scripts: Path) -> None:
    migrations.migrate(engine, scripts, "0003")
    engine.dispose()
    with sqlite3.connect(older) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    before = older.read_bytes()
    with pytest.raises(LibraryTooNew, match="Update AnswerClip"):
        Library.open(older.parent)
    assert older.read_bytes() == before
    assert revision(older) == "0003"


def test_a_foreign_database_is_refused_and_untouched(tmp_path: Path) -> None:
    database = tmp_path / "library.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = database.read_bytes()
    with pytest.raises(LibraryError, match="not one of AnswerClip"):
        Library.open(tmp_path)
    assert database.read_bytes() == before


def test_an_empty_file_becomes_a_library(tmp_path: Path) -> None:
    (tmp_path / "library.db").touch()
    with Library.open(tmp_path) as library:
        assert library.videos() == [] and len(library.fact("library_id")) == 32
