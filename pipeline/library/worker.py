"""The worker: the one process of a library that runs its jobs, a few at a time, and writes how far they are.

The rows are the truth. A worker that starts takes every unfinished row up again, so a kill at any moment
loses nothing; a row changes hands only by a compare-and-set of its status, so nothing is done twice.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import aliased

from pipeline import ingest
from pipeline.errors import (
    AlreadyInLibrary,
    AnswerClipError,
    Cancelled,
    DiskFull,
    LibraryError,
    VideoNotFound,
)
from pipeline.library import files
from pipeline.library.jobs import ACTIVE, pictures, reading, reindex
from pipeline.library.ledger import Claims, ContentBusy, Observer, RowLedger
from pipeline.library.queue import JobQueue, WorkerLock
from pipeline.library.schema import JobRow, now
from pipeline.library.store import Library
from pipeline.library.undo import end_cancelled
from pipeline.picture_stage import GivesWay
from pipeline.settings import Settings
from pipeline.sources import Source
from pipeline.types import Progress

log = logging.getLogger(__name__)

THREADS = 2  # a download or an encode goes on while another video is listened to
MOST_DEATHS = 4  # runs of one stage that ended without a word before the job is given up
SWEEP_EVERY = 3.0  # seconds between two looks for rows that no message announced
VECTORS_EVERY = 60.0  # seconds between two looks for vectors of another encoder or missing features
KEEP_DAYS = 7  # finished jobs are forgotten after this


class WorkerBusy(LibraryError):
    """Another process is this library's worker already."""


class Worker:
    """Runs the jobs of one library; `observe` is told every step of every job."""

    def __init__(
        self,
        library: Library,
        settings: Settings,
        engines: ingest.Engines | None = None,
        threads: int = THREADS,
        observe: Observer = lambda job_id, progress: None,
        free_space: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self.library, self.settings = library, settings
        self.engines: ingest.Engines = engines or ingest.Models(settings)
        self.observe, self.free_space = observe, free_space
        self.claims = Claims()
        self._threads = threads
        self._stop = threading.Event()
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._swept_at = self._features_looked_at = -1e9  # long ago

    def run_forever(self, wait: bool = False) -> None:
        """Work until `stop`. `wait`: stand by while another process is the worker, else WorkerBusy."""
        self._work(wait, until_idle=False)

    def run_until_idle(self, wait: bool = False) -> None:
        """Work until no job is left to run, then give the lock back."""
        self._work(wait, until_idle=True)

    def stop(self) -> None:
        """Let every job stop where it is; the next worker goes on from there."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait; True when the worker stops meanwhile."""
        return self._stop.wait(seconds)

    def _work(self, wait: bool, until_idle: bool) -> None:
        with self._being_the_worker(wait) as mine:
            if not mine:
                return
            with JobQueue(self.library.root, self._run) as queue:
                self._start_up(queue)
                crew = [
                    threading.Thread(target=self._loop, args=(queue, until_idle), name=f"jobs-{number}")
                    for number in range(self._threads)
                ]
                for thread in crew:
                    thread.start()
                for thread in crew:
                    thread.join()

    @contextlib.contextmanager
    def _being_the_worker(self, wait: bool) -> Iterator[bool]:
        lock = WorkerLock(self.library.root)
        while not (mine := lock.acquire()):
            if not wait:
                raise WorkerBusy(
                    f"Another worker (process {lock.holder() or 'unknown'}) works for this library already."
                )
            if self._stop.wait(1.0):
                break
        try:
            yield mine
        finally:
            if mine:
                lock.release()

    def _loop(self, queue: JobQueue, until_idle: bool) -> None:
        while not self._stop.is_set():
            try:
                if queue.run_next():
                    continue
                self._sweep(queue)
                if until_idle and not self._unfinished():
                    return
            except Exception:  # the database or the queue hiccuped; the jobs' own errors end in their rows
                log.exception("the worker goes on after an error between two jobs")
                self._stop.wait(2.0)
            self._stop.wait(0.2)

    # Keeping the rows and the queue in step

    def _start_up(self, queue: JobQueue) -> None:
        """Nobody else runs jobs now: whatever says so was left by a worker that died."""
        with self.library.session() as session:
            session.execute(update(JobRow).where(JobRow.status == "running").values(status="queued"))
        queue.clear()
        self._tidy()
        self._keep_features_current()
        self._sweep(queue)

    def _keep_features_current(self) -> None:
        """Queue what is missing: vectors of another encoder, since the setting was changed or they were
        imported, rows of a localizer that was trained anew, and picture features of new videos, or of all
        when their weights have come.

        Not when that failed or was cancelled: then it is the user's to retry.
        """
        self._features_looked_at = time.monotonic()
        if not self._tried("reindex") and self.library.needs_vectors(self.engines.encoder_name()):
            reindex(self.library)
        self._keep_read()
        model = "" if self._tried("pictures") else self.engines.picture_model()
        if model and self.library.needs_pictures(model):
            pictures(self.library)

    def _keep_read(self) -> None:
        """The same for what a localizer reads ahead; a failure speaks only against the checkpoint it had."""
        if not self.library.ready_videos(limit=1):  # the localizer need not be loaded to see that
            return
        localizer = self.engines.reader(self.library)
        if localizer is None or self._tried("reading", localizer.reading):
            return
        if self.library.needs_cue_rows(localizer.reading):
            reading(self.library, localizer.reading)

    def _tried(self, kind: str, model: str = "") -> bool:
        """Whether such a job is under way, or did not end well (with this `model`)."""
        unfinished = (JobRow.kind == kind, JobRow.status.not_in(("done", "already")))
        with self.library.reading() as session:
            found = session.execute(select(JobRow.status, JobRow.state).where(*unfinished)).all()
        return any(status in ACTIVE or state.get("model", "") == model for status, state in found)

    def _sweep(self, queue: JobQueue) -> None:
        """Announce queued rows whose message was lost, and take up what this process lost sight of."""
        with self._lock:
            if time.monotonic() - self._swept_at < SWEEP_EVERY:
                return
            self._swept_at = time.monotonic()
            look_at_features = time.monotonic() - self._features_looked_at > VECTORS_EVERY
            mine = list(self._running)
        if look_at_features:
            self._keep_features_current()
        stray = (JobRow.status == "running", JobRow.id.not_in(mine))
        queued = select(JobRow.id).where(JobRow.status == "queued").order_by(JobRow.id)
        with self.library.reading() as session:
            lost = [*session.scalars(select(JobRow.id).where(*stray))]
            waiting = [*session.scalars(queued)]
        if lost:
            old = JobRow.updated_at < now() - timedelta(seconds=30)
            with self.library.session() as session:
                session.execute(update(JobRow).where(*stray, old).values(status="queued"))
        for job_id in waiting:  # a message too many does no harm: the row is taken once
            if not self.claims.holds_back(job_id):
                queue.put(job_id)

    def _unfinished(self) -> bool:
        with self.library.reading() as session:
            return session.scalar(select(JobRow.id).where(JobRow.status.in_(ACTIVE)).limit(1)) is not None

    def _tidy(self) -> None:
        """Forget old finished jobs, and delete folders that no job will use again."""
        long_ago = now() - timedelta(days=KEEP_DAYS)
        ended = JobRow.status.in_(("done", "already", "cancelled")) & (JobRow.finished_at < long_ago)
        with self.library.session() as session:
            session.execute(delete(JobRow).where(ended))
            kept = session.execute(select(JobRow.state, JobRow.video_id, JobRow.status)).all()
        incoming = {state.get("incoming") for state, _, status in kept if status not in ("done", "already")}
        unfinished = {video_id for _, video_id, status in kept if status in (*ACTIVE, "failed")}
        with self.library.writing() as connection:
            files.remove_orphans(self.library.root, connection)
        _remove_others(self.library.root / "incoming", incoming)
        _remove_others(self.library.root / "work", unfinished)
        _remove_others(self.library.root / "exports", set())  # archives that were packed for a download

    # One job

    def _run(self, job_id: int) -> None:
        """Run a queued job to its end, whatever that is; called by the queue, one job per thread."""
        if not self._take(job_id):
            return
        with self._lock:
            self._running.add(job_id)
        ledger = RowLedger(self, job_id)
        try:
            self._attempt(ledger)
        finally:
            self.claims.release(job_id)
            with self._lock:
                self._running.discard(job_id)
                self._swept_at = -1e9  # jobs that waited for this one can go on
                if ledger.kind == "add":  # a video may have come
                    self._features_looked_at = -1e9

    def _take(self, job_id: int) -> bool:
        """Make the job this worker's; picture features are taken up when nothing else waits."""
        other = aliased(JobRow)
        urgent = select(other.id).where(other.kind != "pictures", other.status.in_(ACTIVE)).exists()
        with self.library.session() as session:
            taken = session.execute(
                update(JobRow)
                .where(JobRow.id == job_id, JobRow.status == "queued")
                .where((JobRow.kind != "pictures") | ~urgent)
                .values(status="running", attempts=JobRow.attempts + 1, detail="", message="")
            )
            return taken.rowcount == 1  # type: ignore[attr-defined]

    def _attempt(self, ledger: RowLedger) -> None:
        try:
            task = self._task(ledger)
            ingest.run(task)
        except Cancelled:
            self._stopped(ledger)
        except ContentBusy as e:
            self.claims.hold_back(ledger.job_id, e.video_id)
            ledger.end("queued", detail="waits: the same video is being added", attempts=0)
        except GivesWay:
            ledger.end("queued", detail="waits until the other videos can be searched", attempts=0)
        except AlreadyInLibrary as e:
            ledger.end("already", message=str(e), video_id=e.video_id)
            self._clear(ledger)
        except Exception as e:
            if self._was_removed(ledger):
                end_cancelled(self.library, ledger.job_id, "The video was removed while it was worked on.")
            else:
                self._failed(ledger, e)
        else:
            ledger.end("done", fraction=1.0)
            self._clear(ledger)

    def _task(self, ledger: RowLedger) -> ingest.Task:
        with self.library.reading() as session:
            row = session.get(JobRow, ledger.job_id)
            assert row is not None
            if row.attempts > MOST_DEATHS:
                raise AnswerClipError(
                    f"The worker died {row.attempts - 1} times in the stage “{row.stage or 'fetch'}”, "
                    "perhaps for want of memory. Close other programs or choose a smaller model, then retry."
                )
            ledger.state, ledger.kind = dict(row.state), row.kind
            return ingest.Task(
                id=row.id,
                kind=row.kind,
                library=self.library,
                settings=self.settings,
                engines=self.engines,
                ledger=ledger,
                state=ledger.state,
                source=_source(row, self.library.root) if row.kind == "add" else None,
                video_id=row.video_id if row.kind == "retranscribe" else "",
                free_space=self.free_space,
            )

    def _stopped(self, ledger: RowLedger) -> None:
        if ledger.cancel_asked():
            end_cancelled(self.library, ledger.job_id)
            self.observe(ledger.job_id, Progress("cancelled"))
        else:  # the worker stops: not the job's doing
            ledger.end("queued", attempts=0, detail="")

    def _was_removed(self, ledger: RowLedger) -> bool:
        """Whether the user took the video out of the library: then whatever failed is of no interest."""
        was_there = ledger.kind == "retranscribe" or "normalise" in ledger.state.get("stages", {})
        if not was_there or not ledger.video_id:
            return False
        try:
            self.library.video(ledger.video_id)
        except VideoNotFound:
            return True
        except AnswerClipError:  # the database has another trouble, which is told instead
            return False
        return False

    def _failed(self, ledger: RowLedger, error: Exception) -> None:
        message = _plain(error)
        if not isinstance(error, AnswerClipError):
            log.error("job %s failed in %s", ledger.job_id, ledger.stage, exc_info=error)
        ledger.end("failed", message=message)
        if ledger.video_id:
            with contextlib.suppress(AnswerClipError):
                if self.library.video(ledger.video_id).state == "processing":
                    self.library.update(ledger.video_id, state="failed", notice=message)

    def _clear(self, ledger: RowLedger) -> None:
        """Delete what only the finished job needed."""
        if incoming := ledger.state.get("incoming"):
            shutil.rmtree(self.library.root / "incoming" / incoming, ignore_errors=True)
        if ledger.video_id and ledger.kind != "pictures":
            shutil.rmtree(self.library.root / "work" / ledger.video_id, ignore_errors=True)


def _source(row: JobRow, root: Path) -> Source:
    """The job's source; uploads are where the library folder is now, which may have been moved."""
    source = Source.from_dict(row.source)
    if source.kind != "upload" or source.path is None:
        return source
    incoming = root / "incoming" / row.state["incoming"]
    subtitles = tuple(incoming / path.name for path in source.subtitles)
    return replace(source, path=incoming / source.path.name, subtitles=subtitles)


def _plain(error: Exception) -> str:
    """Why a job failed, in words for the user."""
    if isinstance(error, AnswerClipError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return str(DiskFull("The disk is full. Free some space, then retry: the job goes on where it was."))
    if isinstance(error, MemoryError):
        return "The memory did not suffice. Close other programs or choose a smaller model, then retry."
    if isinstance(error, PermissionError):
        name = Path(error.filename or "").name
        return f"“{name}” may not be read or written. Check its rights, then retry."
    kind = type(error).__name__
    return f"Something unexpected went wrong ({kind}: {str(error)[:200]}). Retry; the log has the details."


def _remove_others(folder: Path, kept: set[Any]) -> None:
    """Delete what nobody keeps in `folder`, except what is new: it may be in the making."""
    day_ago = time.time() - 86400
    for each in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if each.name in kept or os.stat(each).st_mtime >= day_ago:
                continue
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink()
