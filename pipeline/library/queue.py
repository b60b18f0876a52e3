"""What the processes of one library share besides its database: a queue that carries job ids (huey on
`queue.db`) and the lock that makes one process at a time the worker.

The job rows are the truth: a lost or doubled message does no harm, and a damaged queue is made anew.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from huey import SqliteHuey

log = logging.getLogger(__name__)


class JobQueue:
    """Messages from whoever submits to whoever works; given `run`, `run_next` calls it with an id."""

    def __init__(self, root: Path, run: Callable[[int], None] | None = None) -> None:
        self._huey = _open(root / "queue.db")

        def job(job_id: int) -> None:  # huey knows a task by this module and name, on both ends
            if run is not None:
                run(job_id)

        self._task = self._huey.task()(job)

    def __enter__(self) -> JobQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put(self, job_id: int) -> None:
        self._task(job_id)

    def run_next(self) -> bool:
        """Take the next message and run it here; False when there is none."""
        task = self._huey.dequeue()
        if task is None:
            return False
        self._huey.execute(task)
        return True

    def clear(self) -> None:
        self._huey.storage.flush_queue()

    def close(self) -> None:
        self._huey.storage.close()


def wake(root: Path, job_ids: Sequence[int]) -> None:
    """Tell the worker of these jobs. A failure is only logged: it also looks through the rows."""
    try:
        with JobQueue(root) as queue:
            for job_id in job_ids:
                queue.put(job_id)
    except sqlite3.Error as e:
        log.warning("the worker is not told of its jobs (%s) and finds them by their rows", e)


def _open(path: Path) -> SqliteHuey:
    try:
        return _connect(path)
    except sqlite3.DatabaseError as e:
        if isinstance(e, sqlite3.OperationalError):  # locked or no space: the file itself is sound
            raise
        log.warning("the queue is damaged (%s) and is made anew", e)
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> SqliteHuey:
    return SqliteHuey("answerclip", filename=str(path), results=False, strict_fifo=True, timeout=30)


class WorkerLock:
    """`worker.lock`, held by the one process that works for a library; the system frees it at death."""

    def __init__(self, root: Path) -> None:
        self._path = root / "worker.lock"
        self._file: int | None = None

    def acquire(self, patience: float = 0.5) -> bool:
        """Whether this process is the worker now. `patience` outlasts another process's `held` check."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + patience
        while not _try_lock(handle, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                os.close(handle)
                return False
            time.sleep(0.02)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._file = handle
        return True

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def held(self) -> bool:
        """Whether any process is the worker of this library."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    def holder(self) -> int | None:
        """The worker's process id, where it can be read."""
        try:
            return int(self._path.read_text()) if self.held() else None
        except (OSError, ValueError):
            return None


def _try_lock(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
