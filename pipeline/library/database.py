"""Opens `library.db`: connections, pragmas, and SQLite's errors in plain words.

Writing transactions begin with BEGIN IMMEDIATE, so that two processes queue up instead of failing
half-way; reading ones see one snapshot and never wait.
"""

from __future__ import annotations

import errno
import json
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from pipeline.errors import AnswerClipError, DiskFull, LibraryError

BUSY_SECONDS = 60
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
    "PRAGMA journal_size_limit = 67108864",
)


def connect(path: Path) -> Engine:
    """An engine of the database at `path`; connections are pooled and safe between threads."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        json_serializer=lambda value: json.dumps(value, separators=(",", ":")),
        pool_size=8,
        max_overflow=56,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's events below begin the transactions
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        connection.create_function("fold", 1, fold, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine, "checkin")
    def clear(connection: sqlite3.Connection | None, _record: Any) -> None:
        if connection is not None and connection.in_transaction:
            connection.rollback()  # a commit failed: the next user must not find its transaction open

    return engine


def fold(text: str | None) -> str:
    """Text for comparing without case and accents.

    >>> fold("Crème BRÛLÉE")
    'creme brulee'
    """
    parts = unicodedata.normalize("NFKD", text or "")
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """Turns what SQLite and the file system say into this project's errors; bugs pass through."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise explain(error.orig, folder) or error from error
        raise
    except sqlite3.Error as error:
        raise explain(error, folder) or error from error
    except OSError as error:
        raise explain_os(error, folder) or error from error


def explain(error: sqlite3.Error, folder: Path) -> AnswerClipError | None:
    """The error to show for one of SQLite's, or None when it is a bug of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_space(folder)):
        return disk_full(folder)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LibraryError(
            f"The library's database in {folder} is damaged. Put a backup of library.db in its place, "
            "or move the folder away to start an empty library."
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return not_writable(folder)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return LibraryError(
            f"Another program has kept the library in {folder} busy for a minute. Close it or try again."
        )
    if code == sqlite3.SQLITE_IOERR:
        return LibraryError(
            f"The disk that holds the library in {folder} could not be read or written. Check the disk."
        )
    return None


def explain_os(error: OSError, folder: Path) -> AnswerClipError | None:
    """The same for the file system's errors."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(folder)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return not_writable(folder)
    return None


def disk_full(folder: Path) -> DiskFull:
    return DiskFull(
        f"The disk that holds the library in {folder} is full. Free some space, then try again; "
        "nothing that was in the library is lost."
    )


def not_writable(folder: Path) -> LibraryError:
    return LibraryError(
        f"The library folder {folder} cannot be written. Check its permissions, or choose another "
        "folder with --library or LIBRARY_DIR."
    )


def _no_space(folder: Path) -> bool:
    import shutil

    try:
        return shutil.disk_usage(folder).free < 1 << 20
    except OSError:
        return False
