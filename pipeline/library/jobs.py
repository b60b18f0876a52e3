"""Jobs as the app and the command line see them: submit sources, follow, cancel, retry and dismiss.

Nothing here does the work itself: a job is a row that the worker (`worker.py`) takes up, and everything
that a page shows of it is computed from the row, so that closing the page loses nothing.
"""

from __future__ import annotations

import errno
import json
import logging
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.errors import AnswerClipError, DiskFull
from pipeline.library.progress import STAGES_OF, job_fraction, remaining_seconds
from pipeline.library.queue import WorkerLock, wake
from pipeline.library.rows import clean_title
from pipeline.library.schema import JobRow, MetaRow, VideoRow, now
from pipeline.library.undo import end_cancelled

if TYPE_CHECKING:
    from pipeline.library.store import Library
    from pipeline.sources import Source

log = logging.getLogger(__name__)

ACTIVE = ("queued", "running")
FINISHED = ("done", "already", "failed", "cancelled")
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


class JobNotFound(AnswerClipError):
    """No job with this number, or it is not in a state that allows what was asked."""


@dataclass(frozen=True)
class Job:
    """One job at one moment. Fractions are in 0..1, times in seconds, None where unknown."""

    id: int
    kind: str  # add | retranscribe | reindex | reading | pictures
    title: str
    source: str  # the link, or the file's name
    status: str  # queued | running | done | already | failed | cancelled
    stage: str
    stage_number: int  # 1-based; 0 before the first
    stage_count: int
    fraction: float | None
    stage_fraction: float | None
    detail: str
    message: str  # why it failed or ended early, in plain words
    video_id: str
    elapsed: float
    remaining: float | None
    created_at: datetime

    @property
    def of_many(self) -> bool:
        """Whether it is about videos that were there before; `video_id` is then the one that it was at."""
        return self.kind in ("reindex", "reading", "pictures")

    @property
    def active(self) -> bool:
        return self.status in ACTIVE


def submit(library: Library, sources: Sequence[Source]) -> list[Job]:
    """One job per source, at once; uploads are moved into the library first (DiskFull when they do not fit).

    A link that the library holds is answered "already"; a source that is under way gives its job again.
    """
    under_way = _under_way(library)
    ids: list[int] = []
    try:
        for source in sources:
            if _key(source) not in under_way:
                under_way[_key(source)] = _submit(library, source)
            ids.append(under_way[_key(source)])
    finally:
        wake(library.root, ids)
    return [job(library, job_id) for job_id in ids]


def retranscribe(library: Library, video_id: str, language: str = "") -> Job:
    """Let speech recognition make a new transcript; the old one stays until the new one is whole."""
    video = library.video(video_id)
    with library.session() as session:
        busy = select(JobRow.id).where(
            JobRow.kind == "retranscribe", JobRow.video_id == video_id, JobRow.status.in_(ACTIVE)
        )
        job_id = session.scalar(busy)
        if job_id is None:
            state = {"language": language, "plan": {"duration": video.duration, "speech": True}}
            row = JobRow(kind="retranscribe", source={}, title=video.title, video_id=video_id, state=state)
            session.add(row)
            session.flush()
            job_id = row.id
    return _wake(library, job_id)


def reindex(library: Library) -> Job:
    """Recompute the vectors of every video whose vectors were made by another text encoder."""
    return _for_all(library, "reindex", "All videos: new text vectors")


def reading(library: Library, model: str) -> Job:
    """Let the localizer whose rows are named `model` read every video that it has not read yet."""
    return _for_all(library, "reading", "All videos: read by the trained method", {"model": model})


def pictures(library: Library) -> Job:
    """Look at the pictures of every video that has no picture features of the weights at hand."""
    return _for_all(library, "pictures", "Picture features")


def _for_all(library: Library, kind: str, title: str, state: dict[str, str] | None = None) -> Job:
    """The one job of this kind that is under way, or a new one."""
    with library.session() as session:
        job_id = session.scalar(select(JobRow.id).where(JobRow.kind == kind, JobRow.status.in_(ACTIVE)))
        if job_id is None:
            row = JobRow(kind=kind, source={}, title=title, state=state or {})
            session.add(row)
            session.flush()
            job_id = row.id
    return _wake(library, job_id)


def add_demo(library: Library, examples: Path = EXAMPLES) -> list[Job]:
    """Submit the demo videos, once in a library's life and only while it is empty.

    They are referenced where they lie. A row remembers it, so that deleting them is respected.
    """
    from pipeline.sources import from_paths

    videos = sorted(examples.glob("*.mp4"))
    if not videos or not _first_filling(library):
        return []
    titles_file = examples / "demo.json"
    titles = json.loads(titles_file.read_text("utf-8")) if titles_file.is_file() else {}
    sources = [
        replace(source, title=titles.get(source.path.name, source.title), language=source.language or "en")
        for source in from_paths(videos)
        if source.path is not None
    ]
    return submit(library, sources)


def _first_filling(library: Library) -> bool:
    """Whether nobody has filled this library before; says so to the next who asks."""
    try:
        with library.session() as session:
            if session.get(MetaRow, "demo") is not None:
                return False
            empty = session.scalar(select(VideoRow.number).limit(1)) is None
            empty = empty and session.scalar(select(JobRow.id).limit(1)) is None
            session.add(MetaRow(key="demo", value="filled" if empty else "not wanted"))
            return empty
    except IntegrityError:  # another process was quicker
        return False


def _submit(library: Library, source: Source) -> int:
    known = library.find(site=source.site, site_id=source.site_id) if source.site_id else None
    incoming = secrets.token_hex(8)
    folder = library.root / "incoming" / incoming
    upload = source if known is None and source.kind == "upload" else None
    if upload is not None:
        source = _take_in(upload, folder)
    row = JobRow(
        kind="add",
        source=source.as_dict(),
        title=clean_title(source.title, source.original_name or source.url),
        state={"incoming": incoming, "plan": {"link": source.kind == "link"}},
    )
    if known is not None:
        row.status, row.video_id, row.finished_at = "already", known.id, now()
        row.title = known.title
        row.message = f"“{known.title}” is in the library already."
    try:
        with library.session() as session:
            session.add(row)
            session.flush()
            return row.id
    except BaseException:
        if upload is not None:
            _give_back(upload, folder)
        raise


def _take_in(upload: Source, folder: Path) -> Source:
    """Move an upload and its subtitles into `folder`: the temporary place they came from is cleared."""
    path, *subtitles = _places(upload, folder).values()
    try:
        folder.mkdir(parents=True)
        for came, place in _places(upload, folder).items():
            shutil.move(came, place)
    except OSError as e:
        _give_back(upload, folder)
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"There is no space left for “{upload.title}”. Free some disk space and add it again."
            ) from e
        raise
    return replace(upload, path=path, subtitles=tuple(subtitles))


def _places(upload: Source, folder: Path) -> dict[Path, Path]:
    """Where the upload and its subtitles are, and where in `folder` they go.

    They keep their names, by which the user is told what is wrong with them.
    """
    assert upload.path is not None
    places: dict[Path, Path] = {}
    for number, came in enumerate((upload.path, *upload.subtitles)):
        taken = folder / came.name in places.values()
        places[came] = folder / (f"{number}-{came.name}" if taken else came.name)
    return places


def _give_back(upload: Source, folder: Path) -> None:
    """Undo `_take_in`, as far as it came: a refused upload is where it was."""
    for came, place in _places(upload, folder).items():
        if place.exists() and not came.exists():
            shutil.move(place, came)
    shutil.rmtree(folder, ignore_errors=True)


def _key(source: Source) -> tuple[str, ...]:
    """What two submissions of the same thing have in common."""
    if source.kind == "link":
        return ("link", source.site, source.site_id) if source.site_id else ("link", source.url)
    return ("file", str(source.path), *(str(path) for path in source.subtitles))


def _under_way(library: Library) -> dict[tuple[str, ...], int]:
    from pipeline.sources import Source

    with library.reading() as session:
        rows = session.execute(
            select(JobRow.id, JobRow.source).where(JobRow.kind == "add", JobRow.status.in_(ACTIVE))
        )
        return {_key(Source.from_dict(source)): job_id for job_id, source in rows}


def jobs(library: Library, active_only: bool = False, most_done: int | None = None) -> list[Job]:
    """Every job that was not dismissed, in the order of their submission.

    Of those that ended without failing, `most_done` are the newest that are given; None: all.
    """
    alive = WorkerLock(library.root).held()
    chosen = select(JobRow).order_by(JobRow.id)
    if active_only:
        chosen = chosen.where(JobRow.status.in_(ACTIVE))
    elif most_done is not None:
        open_ones = JobRow.status.in_([*ACTIVE, "failed"])
        newest = select(JobRow.id).where(~open_ones).order_by(JobRow.id.desc()).limit(most_done)
        chosen = chosen.where(open_ones | JobRow.id.in_(newest))
    with library.reading() as session:
        return [_as_job(row, alive) for row in session.scalars(chosen)]


def job(library: Library, job_id: int) -> Job:
    """One job; JobNotFound when it is none or was dismissed."""
    alive = WorkerLock(library.root).held()
    with library.reading() as session:
        return _as_job(_row(session, job_id), alive)


def _row(session: Session, job_id: int) -> JobRow:
    row = session.get(JobRow, job_id)
    if row is None:
        raise JobNotFound(f"There is no job {job_id}. `list --jobs` shows those there are.")
    return row


def _as_job(row: JobRow, worker_alive: bool) -> Job:
    stages, plan = STAGES_OF[row.kind], row.state.get("plan", {})
    running = row.status == "running" and worker_alive
    in_stage = (now() - row.stage_started_at).total_seconds() if running and row.stage_started_at else 0.0
    spent = sum(done.get("seconds", 0.0) for done in row.state.get("stages", {}).values())
    return Job(
        id=row.id,
        kind=row.kind,
        title=row.title,
        source=row.source.get("url") or row.source.get("original_name") or "",
        status="queued" if row.status == "running" and not worker_alive else row.status,
        stage=row.stage,
        stage_number=stages.index(row.stage) + 1 if row.stage in stages else 0,
        stage_count=len(stages),
        fraction=_fraction(row),
        stage_fraction=row.fraction,
        detail=row.detail if worker_alive or row.status not in ACTIVE else "waits for the worker to start",
        message=row.message,
        video_id=row.video_id,
        elapsed=spent + max(0.0, in_stage),
        remaining=None
        if not running
        else remaining_seconds(
            stages,
            row.stage,
            elapsed=in_stage,
            begun_at=row.state.get("begun_at", 0.0),
            fraction=row.fraction,
            plan=plan,
        ),
        created_at=row.created_at,
    )


def _fraction(row: JobRow) -> float | None:
    if row.status in ("done", "already"):
        return 1.0
    return job_fraction(STAGES_OF[row.kind], row.stage, row.fraction, row.state.get("plan", {}))


def cancel(library: Library, job_id: int) -> Job:
    """Stop a job and take back what it has added; an upload is kept until the job is dismissed.

    A running job stops within about a second, at the next point where its stage looks.
    """
    with library.session() as session:
        if _row(session, job_id).status in FINISHED:
            raise JobNotFound(f"Job {job_id} has ended; there is nothing to cancel.")
        # Whoever turns "queued" into "running" owns the job: the worker, or here the one who cancels it.
        mine = _turn(session, job_id, "queued", status="running", cancel_asked=True, detail="stopping")
        if not mine:
            session.execute(update(JobRow).where(JobRow.id == job_id).values(cancel_asked=True))
    lock = WorkerLock(library.root)
    if mine:
        end_cancelled(library, job_id)
    elif lock.acquire(patience=0.1):  # the worker died: nobody else would notice the wish
        try:
            end_cancelled(library, job_id)
        finally:
            lock.release()
    return job(library, job_id)


def retry(library: Library, job_id: int | None = None) -> list[Job]:
    """Queue a failed or cancelled job again, None for all that failed; it goes on where it stopped."""
    with library.session() as session:
        chosen = select(JobRow.id).where(JobRow.status == "failed").order_by(JobRow.id)
        if job_id is not None:
            if _row(session, job_id).status not in ("failed", "cancelled"):
                raise JobNotFound(f"Job {job_id} did not fail; there is nothing to retry.")
            chosen = select(JobRow.id).where(JobRow.id == job_id)
        ids = list(session.scalars(chosen))
        session.execute(
            update(JobRow)
            .where(JobRow.id.in_(ids), JobRow.status.in_(("failed", "cancelled")))
            .values(status="queued", message="", detail="", attempts=0, cancel_asked=False, finished_at=None)
        )
    return [_wake(library, each) for each in ids]


def dismiss(library: Library, job_id: int | None = None) -> int:
    """Forget a finished job and the files it kept; None for all that are done or cancelled.

    Failed jobs are forgotten only one by one: theirs may be the only copy of an upload.
    """
    with library.session() as session:
        if job_id is not None and _row(session, job_id).status not in FINISHED:
            raise JobNotFound(f"Job {job_id} is still under way; cancel it first.")
        which = JobRow.status.in_(("done", "already", "cancelled")) if job_id is None else JobRow.id == job_id
        gone = session.execute(select(JobRow.id, JobRow.state).where(which)).all()
        session.execute(delete(JobRow).where(JobRow.id.in_([each for each, _ in gone])))
    for _, state in gone:
        if state.get("incoming"):
            shutil.rmtree(library.root / "incoming" / state["incoming"], ignore_errors=True)
    return len(gone)


def _turn(session: Session, job_id: int, was: str, **values: object) -> bool:
    """Change a row if it has this status, and say whether it had: the one way a job changes hands."""
    found = session.execute(update(JobRow).where(JobRow.id == job_id, JobRow.status == was).values(**values))
    return found.rowcount == 1  # type: ignore[attr-defined]


def _wake(library: Library, job_id: int) -> Job:
    wake(library.root, [job_id])
    return job(library, job_id)
