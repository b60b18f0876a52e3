"""Opens a library folder: the database made or upgraded, what a crash left settled, and transactions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from pipeline.errors import LibraryError
from pipeline.library import files
from pipeline.library.database import connect, explain_os, plain_errors
from pipeline.library.migrations import check_known, migrate


class LibraryFolder:
    """The folder and its database; `Library` adds what is done with them."""

    def __init__(self, root: Path, engine: Engine) -> None:
        self.root = root
        self.engine = engine

    @classmethod
    def open(cls, root: Path | str) -> Self:
        """The library in `root`, made when it is not there, upgraded when it is older.

        LibraryTooNew for a newer database, which stays untouched; LibraryError or DiskFull otherwise.
        """
        root = Path(root).expanduser().absolute()
        if os.path.isfile(root):
            raise LibraryError(f"{root} is a file. Choose a folder for the library.")
        with plain_errors(root):
            _make_folder(root)
            check_known(root / "library.db")
            engine = connect(root / "library.db")
            try:
                migrate(engine)
                library = cls(root, engine)
                if files.unsettled(root):
                    with library.writing() as connection:
                        files.recover(root, connection)
            except BaseException:
                engine.dispose()
                raise
        return library

    def close(self) -> None:
        """Lets the files go; the object is of no use afterwards."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
    def writing(self) -> Iterator[Connection]:
        """A plain connection that holds the write lock: committed at the end, rolled back on an error."""
        writer = self.engine.execution_options(writes=True)
        with plain_errors(self.root), writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A plain connection for reading; cheaper than `reading`."""
        with plain_errors(self.root), self.engine.connect() as connection:
            yield connection

    def fact(self, key: str) -> str:
        """A value of `meta`; "" when it is not there."""
        with self.snapshot() as connection:
            return connection.scalar(text("SELECT value FROM meta WHERE key = :key"), {"key": key}) or ""


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if explain_os(error, root):
            raise
        reason = error.strerror or "the system refuses it"
        raise LibraryError(
            f"The library folder {root} cannot be made: {reason}. "
            "Choose another folder with --library or LIBRARY_DIR."
        ) from error
