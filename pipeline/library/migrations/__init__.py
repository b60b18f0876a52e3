"""Brings `library.db` to this version's schema, in one transaction, with a copy made before.

To change the schema: edit `schema.py`, add a file to `versions/`, set HEAD to its revision, and
add an upgrade test that starts from the older database.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from pipeline.errors import LibraryError, LibraryTooNew

HEAD = "0002"
FOLDER = Path(__file__).resolve().parent


def revision_of(connection: Connection) -> str:
    """The revision that the database says it is of; "" when it is empty."""
    made = text("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'")
    if not connection.scalar(made):
        return ""
    return connection.scalar(text("SELECT version_num FROM alembic_version")) or ""


def check_known(database: Path, scripts: Path = FOLDER, head: str = HEAD) -> None:
    """LibraryTooNew when a newer version wrote the database, LibraryError when it is of something else.

    It is opened for reading only, so that a database that is refused stays as it was.
    """
    if not database.exists() or not database.stat().st_size:
        return
    connection = sqlite3.connect(database.resolve().as_uri() + "?mode=ro", uri=True, timeout=60)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        ours = "alembic_version" in tables
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone() if ours else None
    finally:
        connection.close()
    if tables and (not found or "videos" not in tables):
        raise LibraryError(
            f"library.db in {database.parent} is a database, but not one of AnswerClip. "
            "Choose another library folder."
        )
    if found and found[0] != head and found[0] not in _known_revisions(scripts):
        raise LibraryTooNew(
            f"The library in {database.parent} was written by a newer version of AnswerClip "
            f"(schema {found[0]!s:.20}, this one knows {head}). Update AnswerClip, or choose another "
            "library folder. Nothing was changed."
        )


def migrate(engine: Engine, scripts: Path = FOLDER, head: str = HEAD) -> None:
    """Makes or upgrades the tables. Of several processes one does it and the others wait.

    The whole upgrade is one transaction of SQLite: broken off, it leaves the database as it was.
    """
    with engine.connect() as connection:
        if revision_of(connection) == head:
            return
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        current = revision_of(connection)  # again: another process may have been faster
        if current == head:
            return
        if current:
            _back_up(Path(str(engine.url.database)), current)
        _upgrade(connection, scripts, head)


def _upgrade(connection: Connection, scripts: Path, head: str) -> None:
    from alembic import command  # slow to import and hardly ever needed

    command.upgrade(_config(scripts, connection), head)


def _known_revisions(scripts: Path) -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config(scripts)).walk_revisions()}


def _config(scripts: Path, connection: Connection | None = None):
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _back_up(database: Path, revision: str) -> Path:
    """A copy of the database beside it, complete or not there at all.

    A second connection reads the last committed state while the caller holds the write lock.
    """
    copy = database.with_name(f"{database.name}.before-upgrade-from-{revision}")
    unfinished = copy.with_name(copy.name + ".part")
    unfinished.unlink(missing_ok=True)
    source = sqlite3.connect(database, timeout=60)
    target = sqlite3.connect(unfinished)
    try:
        source.backup(target)
    except BaseException:
        target.close()
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        source.close()
        target.close()
    os.replace(unfinished, copy)
    return copy
