"""Waiting for jobs in a terminal: a progress bar, and the work itself while no other worker does it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from tqdm import tqdm

from pipeline.errors import AnswerClipError
from pipeline.library import jobs
from pipeline.library.jobs import Job
from pipeline.library.queue import WorkerLock
from pipeline.library.store import Library
from pipeline.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds
BAR = "{percentage:3.0f}% |{bar:30}| {desc}"


def follow(
    library: Library, settings: Settings, ids: Sequence[int], ended: Callable[[Job], None]
) -> list[Job]:
    """Wait until the jobs have ended, telling `ended` of each as it does; the last state of each."""
    wanted = list(dict.fromkeys(ids))
    told: set[int] = set()
    with Bar(len(wanted)) as bar, _Helper(library, settings) as helper:
        while True:
            current = [jobs.job(library, each) for each in wanted]
            bar.show(current)
            for job in current:
                if not job.active and job.id not in told:
                    told.add(job.id)
                    with bar.above():
                        ended(job)
            if len(told) == len(wanted):
                return current
            helper.look()
            time.sleep(LOOK_EVERY)


class _Helper:
    """Becomes the library's worker whenever there is none, for as long as the jobs are waited for."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self._library, self._settings = library, settings
        self._lock = WorkerLock(library.root)
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = lambda: None

    def __enter__(self) -> _Helper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._thread:
            self._thread.join()

    def look(self) -> None:
        if (self._thread and self._thread.is_alive()) or self._lock.held():
            return
        from pipeline.library.worker import Worker

        worker = Worker(self._library, self._settings)
        self._stop = worker.stop
        self._thread = threading.Thread(target=self._work, args=(worker.run_forever,), name="worker")
        self._thread.start()

    def _work(self, run: Callable[[], None]) -> None:
        try:
            run()
        except AnswerClipError as e:  # another worker was quicker: it is followed then
            log.info("%s", e)


class Bar:
    """One progress bar for a few jobs, where the terminal can show one."""

    def __init__(self, count: int) -> None:
        self._bar = tqdm(
            total=1.0,
            disable=None,
            leave=False,
            dynamic_ncols=True,
            bar_format=BAR,
        )
        self._count = count

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def above(self) -> AbstractContextManager[None]:
        """Lines printed inside go above the bar."""
        return tqdm.external_write_mode()

    def show(self, current: Sequence[Job]) -> None:
        done = sum(not job.active for job in current)
        busy = next((job for job in current if job.status == "running"), None)
        self._bar.n = sum((job.fraction or 0.0) if job.active else 1.0 for job in current) / len(current)
        self._bar.set_description_str(_count(done, self._count) + (_doing(busy) if busy else "waiting"))


def simple_bar(description: str) -> tuple[tqdm, Callable[[float], None]]:
    """A bar for one thing, and what moves it with a fraction in 0..1."""
    bar = tqdm(total=1.0, disable=None, leave=False, dynamic_ncols=True, bar_format=BAR)
    bar.set_description_str(description)

    def report(fraction: float) -> None:
        bar.n = min(1.0, fraction)
        bar.refresh()

    return bar, report


def _count(done: int, count: int) -> str:
    return f"{done} of {count} videos · " if count > 1 else ""


def _doing(job: Job) -> str:
    title = job.title if len(job.title) <= 30 else f"{job.title[:29]}…"
    parts = [title, job.detail or job.stage]
    if job.remaining is not None and job.remaining >= 2:
        parts.append(f"{clock(job.remaining)} left")
    return " · ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as people write times.

    >>> clock(75.4), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
