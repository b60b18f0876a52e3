"""What the processes of one library share besides its database: a queue that carries job ids (huey on
`queue.db`) and the lock that makes one process at a time the worker.

The job rows are the truth: a lost or doubled message does no harm, and a damaged queue is made anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout
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
    """`worker.lock`, held by the one process that works for a library; the system frees it at death.

    `worker.pid` beside it names the holder, since some systems let nobody read a locked file.
    """

    # One look at a time in a process: two would take each other for the worker.
    _looking = threading.Lock()

    def __init__(self, root: Path) -> None:
        self._path, self._named = root / "worker.lock", root / "worker.pid"
        self._lock: FileLock | None = None

    def acquire(self, patience: float = 0.5) -> bool:
        """Whether this process is the worker now. `patience` outlasts another process's `held` check."""
        lock = self._new_lock()
        if not _taken(lock, patience):
            return False
        self._lock = lock
        with contextlib.suppress(OSError):  # only for people to read
            self._named.write_text(f"{os.getpid()}\n")
        return True

    def release(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._named.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def held(self) -> bool:
        """Whether any process is the worker of this library.

        It is found out by taking the lock for a moment, so another process's look may seem a worker.
        """
        if not self._path.exists():
            return False
        with self._looking:
            lock = self._new_lock()
            if not _taken(lock, 0):
                return True
            lock.release()
            return False

    def holder(self) -> int | None:
        """The worker's process id, where it can be read."""
        try:
            return int(self._named.read_text()) if self.held() else None
        except (OSError, ValueError):
            return None

    def _new_lock(self) -> FileLock:
        return FileLock(self._path, thread_local=False)


def _taken(lock: FileLock, patience: float) -> bool:
    try:
        lock.acquire(timeout=patience, poll_interval=0.02)
    except Timeout:
        return False
    return True
