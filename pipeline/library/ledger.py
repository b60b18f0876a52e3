"""Between a running job and its row: progress is written, the wish to stop is read, and a video is
claimed so that two jobs of one content never work at the same time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import select, update

from pipeline.errors import AnswerClipError
from pipeline.library.schema import JobRow, now
from pipeline.library.store import Library
from pipeline.types import Progress

log = logging.getLogger(__name__)

WRITE_EVERY = 0.4  # seconds between two writes of a job's progress

Observer = Callable[[int, Progress], None]


class ContentBusy(AnswerClipError):
    """Another job works on the same video; this one goes on when that has ended."""

    def __init__(self, video_id: str) -> None:
        super().__init__("The same video is being added by another job.")
        self.video_id = video_id


class Claims:
    """Which job works on which video, so that two jobs of one content never work at the same time."""

    def __init__(self) -> None:
        self._owner: dict[str, int] = {}
        self._held_back: dict[int, str] = {}
        self._lock = threading.Lock()

    def claim(self, video_id: str, job_id: int) -> None:
        with self._lock:
            if self._owner.setdefault(video_id, job_id) != job_id:
                raise ContentBusy(video_id)

    def release(self, job_id: int) -> None:
        with self._lock:
            for video_id in [v for v, owner in self._owner.items() if owner == job_id]:
                del self._owner[video_id]

    def hold_back(self, job_id: int, video_id: str) -> None:
        with self._lock:
            self._held_back[job_id] = video_id

    def holds_back(self, job_id: int) -> bool:
        """Whether the video that this job waits for is still being worked on."""
        with self._lock:
            waits_for = self._held_back.get(job_id)
            if waits_for in self._owner:
                return True
            self._held_back.pop(job_id, None)
            return False


class Host(Protocol):
    """What a ledger needs of its worker."""

    library: Library
    claims: Claims
    observe: Observer

    @property
    def stopping(self) -> bool: ...

    def pause(self, seconds: float) -> bool:
        """Wait; True when the worker stops meanwhile."""
        ...


class RowLedger:
    """Writes one running job's progress to its row, a few times a second, and reads its wish to stop."""

    def __init__(self, worker: Host, job_id: int) -> None:
        self._worker, self.job_id = worker, job_id
        self.state: dict[str, Any] = {}
        self.kind = self.stage = self.video_id = ""
        self._began = time.monotonic()
        self._begun_at: float | None = None
        self._written_at = self._asked_at = 0.0
        self._asked = False

    def begin(self, stage: str) -> None:
        self.stage, self._began, self._begun_at = stage, time.monotonic(), None
        self.state["begun_at"] = 0.0
        self._asked_at = 0.0  # a stage does not begin when the job was cancelled just now
        self._write(stage=stage, fraction=None, detail="", stage_started_at=now(), state=dict(self.state))
        with self._worker.library.session() as session:
            first = (JobRow.id == self.job_id, JobRow.started_at.is_(None))
            session.execute(update(JobRow).where(*first).values(started_at=now()))
        self._tell(0.0)

    def report(self, fraction: float | None, detail: str = "") -> None:
        """Note how far the stage is; most notes are not written, since pages ask once a second."""
        self._tell(fraction, detail)
        if time.monotonic() - self._written_at < WRITE_EVERY:
            return
        values: dict[str, Any] = {"fraction": fraction, "detail": detail}
        if self._begun_at is None and fraction is not None:
            self._begun_at = self.state["begun_at"] = fraction
            values |= {"state": dict(self.state), "stage_started_at": now()}
        try:
            self._write(**values)
        except AnswerClipError as e:  # progress may be lost, the work may not
            log.warning("the progress of job %s was not written: %s", self.job_id, e)

    def finish(self, stage: str, result: dict[str, Any]) -> None:
        self._tell(1.0, "done")
        stages = dict(self.state.get("stages", {}))
        before = stages.get(stage, {}).get("seconds", 0.0)
        seconds = round(before + time.monotonic() - self._began, 2)
        stages[stage] = {**result, "seconds": seconds}
        self.state["stages"] = stages
        self._write(state=dict(self.state), fraction=1.0, attempts=0)

    def save(self, **state: Any) -> None:
        self.state.update(state)
        self._write(state=dict(self.state))

    def got_on(self) -> None:
        self._write(attempts=0)

    def name(self, title: str) -> None:
        self._write(title=title[:300])

    def claim(self, video_id: str) -> None:
        self._worker.claims.claim(video_id, self.job_id)
        self.video_id = video_id
        self._write(video_id=video_id)

    def cancelled(self) -> bool:
        return self._worker.stopping or self.cancel_asked(every=WRITE_EVERY)

    def cancel_asked(self, every: float = 0.0) -> bool:
        """Whether the user wants the job to stop; looked up at most each `every` seconds."""
        if not self._asked and time.monotonic() - self._asked_at >= every:
            self._asked_at = time.monotonic()
            with self._worker.library.reading() as session:
                self._asked = bool(
                    session.scalar(select(JobRow.cancel_asked).where(JobRow.id == self.job_id))
                )
        return self._asked

    def end(self, status: str, **values: Any) -> None:
        """Write the last word; a full disk or a busy database is waited out for a while."""
        if status in ("done", "already", "failed", "cancelled"):
            values |= {"finished_at": now(), "cancel_asked": False}
        values = {"detail": "", **values}
        for patience in (0.5, 2.0, 8.0, 20.0):
            try:
                self._write(status=status, **values)
                break
            except AnswerClipError as e:
                log.warning("the end of job %s could not be written yet: %s", self.job_id, e)
                if self._worker.pause(patience):
                    break
        self._worker.observe(self.job_id, Progress(status, None, values.get("message", "")))

    def _tell(self, fraction: float | None, detail: str = "") -> None:
        self._worker.observe(self.job_id, Progress(self.stage, fraction, detail))

    def _write(self, **values: Any) -> None:
        self._written_at = time.monotonic()
        with self._worker.library.session() as session:
            mine = (JobRow.id == self.job_id, JobRow.status == "running")
            session.execute(update(JobRow).where(*mine).values(**values))
