"""The Library tab: what is being prepared, the list of videos, and keeping the library as one archive.

Taking videos in is `add_videos.py`. The list and the jobs call the functions below directly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import add_videos, keep, player, render, wording
from pipeline.errors import AnswerClipError
from pipeline.library import jobs as work
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.types import Filters

log = logging.getLogger(__name__)

MOST_JOBS = 60  # rows; the rest is a number
MOST_DONE = 3  # of those that went well, the last few
MOST_ROWS = 2000
Call = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class LibraryTab:
    """The parts of the tab that the page's timer feeds."""

    jobs: gr.HTML
    videos: gr.HTML
    keeping: gr.HTML


def build(library: Library, settings: Settings, keeper: keep.Keeper, shared: bool) -> LibraryTab:
    """Lay the tab out inside the open `gr.Tab` and wire it."""
    may_change = not settings.read_only
    if may_change:
        add_videos.build(library, settings, shared)
    else:
        gr.HTML(f'<p class="ac-hint">{wording.READ_ONLY}</p>', elem_classes=["ac-bare"], elem_id="read-only")
    jobs = player.jobs(jobs_value(library), [steering(library)] if may_change else [])
    calls = listing_calls(library)
    videos = player.videos({"revision": library.revision()}, calls if may_change else calls[:1])
    return LibraryTab(jobs, videos, keep.build(keeper) if may_change else player.archive(keeper.kept.view()))


def jobs_value(library: Library) -> dict[str, Any]:
    """The jobs as the page lists them: what runs, waits or failed first, then what is done, newest first."""
    known = work.jobs(library, most_done=MOST_DONE)
    active = [job for job in known if job.active]
    active.sort(key=lambda job: (job.status != "running", job.id))
    failed = [job for job in known if job.status == "failed"]
    done = [job for job in known if not job.active and job.status != "failed"]
    rows = [*active, *failed][:MOST_JOBS]
    waiting = len(active) + len(failed) - len(rows)
    rows += sorted(done, key=lambda job: -job.id)
    title = "Being prepared" if active else "Lately added"
    return {"title": title, "jobs": [render.job_view(job) for job in rows], "waiting": waiting}


def steering(library: Library) -> Call:
    """Cancel, retry or dismiss a job; answers with the list as it is then."""

    def steer(data: dict[str, Any]) -> dict[str, Any]:
        act, job_id = data.get("act"), data.get("id")
        try:
            message = _steer(library, str(act), int(job_id) if job_id is not None else None)
        except AnswerClipError as e:
            message = str(e)
        return jobs_value(library) | {"message": message}

    return steer


def _steer(library: Library, act: str, job_id: int | None) -> str:
    if act == "cancel" and job_id is not None:
        return f"“{work.cancel(library, job_id).title}” is being stopped."
    if act == "retry" and job_id is not None:
        return f"“{work.retry(library, job_id)[0].title}” goes on where it stopped."
    if act == "dismiss":
        work.dismiss(library, job_id)
        return "Cleared."
    return "There is nothing to do."


def listing_calls(library: Library) -> list[Call]:
    """What the list of videos asks of the server: first its rows, then the changes."""

    def listing(data: dict[str, Any]) -> dict[str, Any]:
        return list_rows(library, data)

    def edit(data: dict[str, Any]) -> dict[str, Any]:
        return _said(lambda: _edit(library, data))

    def remove(data: dict[str, Any]) -> dict[str, Any]:
        return _said(lambda: _remove(library, str(data["id"])))

    def retranscribe(data: dict[str, Any]) -> dict[str, Any]:
        return _said(lambda: _retranscribe(library, str(data["id"])))

    return [listing, edit, remove, retranscribe]


def list_rows(library: Library, data: dict[str, Any]) -> dict[str, Any]:
    """A page of the list: rows, how many there are in all, and what can be chosen from."""
    search, tag, code = (str(data.get(key) or "") for key in ("search", "tag", "language"))
    filters = Filters(tags=(tag,) if tag else (), language=code)
    order = data.get("order") if data.get("order") in {"added", "title", "duration", "size"} else "added"
    limit = min(MOST_ROWS, max(1, int(data.get("limit") or 40)))
    return {
        "videos": [render.video_view(video) for video in library.videos(search, filters, str(order), limit)],
        "total": library.count(search, filters),
        "tags": [[name, name] for name in library.tags()],
        "languages": [[each, wording.language(each)] for each in library.languages()],
        "use": render.disk_words(library.disk_use(), library.count()),
    }


def _said(act: Callable[[], str]) -> dict[str, Any]:
    """What an action answers, or why it was refused, in plain words."""
    try:
        return {"ok": True, "message": act()}
    except AnswerClipError as e:
        return {"ok": False, "message": str(e)}


def _edit(library: Library, data: dict[str, Any]) -> str:
    video = library.video(str(data["id"]))
    title = " ".join(str(data.get("title") or "").split()) or video.title
    tags = [str(tag) for tag in data.get("tags") or []]
    if title != video.title:
        library.update(video.id, title=title)
    if tuple(tags) != video.tags:
        library.set_tags(video.id, tags)
    return f"“{title}” is stored."


def _remove(library: Library, video_id: str) -> str:
    title = library.video(video_id).title
    library.remove(video_id)
    return f"“{title}” is no longer in the library."


def _retranscribe(library: Library, video_id: str) -> str:
    job = work.retranscribe(library, video_id)
    return f"“{job.title}” is being transcribed anew. Until that is done, its old words stay."
