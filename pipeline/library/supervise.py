"""Keeps a worker process alive beside the app: starts it, starts it again when it dies, ends with the app.

The child holds the reading end of a pipe whose other end dies with the parent, however it dies; reading
its end, the worker lets its jobs stop where they are.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

PATIENCE = 15.0  # seconds that jobs get to stop by themselves
_LONGEST_PAUSE = 30.0
_LIVED_WELL = 60.0  # seconds after which a death is not counted as another in a row


class WorkerProcess:
    """A worker that is started again whenever it dies, until `stop`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="worker-watch", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process id of the worker that runs now, None between two."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def stop(self) -> None:
        """End the worker; unfinished jobs go on with the next one."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process:
            _end(process)
        self._thread.join(timeout=PATIENCE)

    def _watch(self) -> None:
        pause = 1.0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with self._lock:
                    if self._stopping.is_set():
                        return
                    self._process = _spawn(self._command)
                code = self._process.wait()
            except OSError as e:
                code = e.errno or -1
            if self._stopping.is_set():
                return
            pause = 1.0 if time.monotonic() - began > _LIVED_WELL else min(_LONGEST_PAUSE, 2 * pause)
            log.warning("the worker ended (%s); the next one starts in %.0f s", code, pause)
            self._stopping.wait(pause)


def start_worker(library_root: Path | str) -> WorkerProcess:
    """A supervised worker for the library in this folder; it waits while another process is the worker."""
    root = str(Path(library_root).absolute())
    return WorkerProcess(
        [sys.executable, "-m", "pipeline", "--library", root, "worker", "--wait", "--with-parent"]
    )


def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    project = str(Path(__file__).resolve().parent.parent.parent)
    path = os.pathsep.join(filter(None, (project, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    for last_word in (process.terminate, process.kill):
        try:
            process.wait(PATIENCE + 2)
            return
        except subprocess.TimeoutExpired:
            last_word()
    process.wait()


def end_with_parent(
    stop: Callable[[], None], pipe: BinaryIO | None = None, exit_now: Callable[[int], None] = os._exit
) -> threading.Thread:
    """In the worker: call `stop` when the parent is gone, and leave for good if that takes too long."""

    def wait_for_end() -> None:
        source = pipe or sys.stdin.buffer
        while source.read(4096):
            pass
        stop()
        time.sleep(PATIENCE)
        exit_now(1)  # every stage survives a kill

    thread = threading.Thread(target=wait_for_end, name="parent-watch", daemon=True)
    thread.start()
    return thread
