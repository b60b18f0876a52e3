"""Taking back what a cancelled job has added. Each step may have been done before a kill, and is then
skipped; an upload goes back to where a retry finds it.
"""

from __future__ import annotations

import contextlib
import os
import shutil

from sqlalchemy import select, update

from pipeline.errors import VideoNotFound
from pipeline.library.schema import JobRow, now
from pipeline.library.store import Library


def end_cancelled(library: Library, job_id: int, message: str = "Stopped on request.") -> None:
    """Take back what a stopped job has added and mark it cancelled; its owner calls this."""
    with library.reading() as session:
        row = session.get(JobRow, job_id)
        if row is None or row.status not in ("queued", "running"):
            return
        kind, state, video_id = row.kind, dict(row.state), row.video_id
    if kind == "add":
        _take_back(library, job_id, video_id, state)
        state = {"incoming": state.get("incoming", ""), "plan": state.get("plan", {})}
        if not state["plan"].get("link"):
            state["plan"] = {}
        else:
            shutil.rmtree(library.root / "incoming" / state["incoming"], ignore_errors=True)
    if video_id:
        shutil.rmtree(library.root / "work" / video_id, ignore_errors=True)
    with library.session() as session:
        session.execute(
            update(JobRow)
            .where(JobRow.id == job_id)
            .values(
                status="cancelled",
                message=message,
                detail="",
                stage="",
                fraction=None,
                state=state,
                cancel_asked=False,
                video_id=video_id if kind == "retranscribe" else "",
                finished_at=now(),
            )
        )


def _take_back(library: Library, job_id: int, video_id: str, state: dict) -> None:
    """Undo what an unfinished `add` left in the library; each step may have been done before."""
    if not video_id or _has_another(library, job_id, video_id):
        return  # nothing was touched, or another job has taken this video over
    if not state.get("adding"):  # it went on with what a failed job had added, which stays
        with contextlib.suppress(VideoNotFound):
            if library.video(video_id).state == "processing":
                library.update(video_id, state="failed", notice="Adding it was stopped.")
        return
    came, went = (library.root / place for place in state.get("moved", ("", "")))
    if went.is_file() and not came.exists():
        came.parent.mkdir(parents=True, exist_ok=True)
        os.replace(went, came)
    try:
        if library.video(video_id).state != "ready":
            library.remove(video_id)
    except VideoNotFound:
        shutil.rmtree(library.folder(video_id), ignore_errors=True)


def _has_another(library: Library, job_id: int, video_id: str) -> bool:
    with library.reading() as session:
        other = (JobRow.video_id == video_id, JobRow.id != job_id, JobRow.status == "running")
        return session.scalar(select(JobRow.id).where(*other)) is not None
