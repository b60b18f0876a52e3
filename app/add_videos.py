"""Taking videos in: files dropped on the page, a folder of this computer, a link or a playlist.

Nothing is worked on here: everything becomes a job of the worker, and the job list shows how it goes.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app import player, wording
from app.needs import help_lines
from pipeline.errors import AnswerClipError, SourceRefused
from pipeline.library import jobs as work
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.sources import (
    SUBTITLE_ENDINGS,
    VIDEO_ENDINGS,
    LinkItem,
    Links,
    Source,
    from_item,
    from_paths,
    from_uploads,
)

log = logging.getLogger(__name__)

Data = dict[str, Any]
KEPT_PLAYLISTS = 50


def build(library: Library, settings: Settings, shared: bool) -> gr.HTML:
    """The section with the ways in, inside the open `gr.Tab`."""
    return player.adding(_offer(settings, shared), Adding(library, settings, shared).calls())


def _offer(settings: Settings, shared: bool) -> Data:
    """What the section shows: the ways there are, and what is missing for them."""
    return {
        "folder": not shared,
        "links": settings.links,
        "endings": sorted(VIDEO_ENDINGS | SUBTITLE_ENDINGS),
        "most_bytes": settings.max_file_bytes,
        "languages": sorted(([code, name] for code, name in wording.LANGUAGES.items()), key=lambda p: p[1]),
        "help": help_lines(settings),
    }


class Adding:
    """What the page's script calls; every call answers `{ok, message}`, a playlist also `{items, token}`."""

    def __init__(self, library: Library, settings: Settings, shared: bool) -> None:
        self.library, self.settings, self.shared = library, settings, shared
        self._playlists: OrderedDict[str, list[LinkItem]] = OrderedDict()  # by a name nobody can guess

    def calls(self) -> list[player.ServerFunction]:
        def uploads(data: Data) -> Data:
            return self._submit(lambda: from_uploads(_uploaded(data.get("files") or [])), data)

        def folder(data: Data) -> Data:
            return self._submit(lambda: self._in_folder(str(data.get("path") or "")), data)

        def link(data: Data) -> Data:
            return self.link(str(data.get("url") or ""), data)

        def pick(data: Data) -> Data:
            return self._submit(lambda: self._picked(data), data)

        return [uploads, folder, link, pick]

    def link(self, url: str, data: Data) -> Data:
        """One video is added at once; of a playlist the visitor picks."""
        try:
            items = probe_link(url, self.settings)
        except AnswerClipError as e:
            return {"ok": False, "message": str(e)}
        if len(items) == 1:
            return self._submit(lambda: [from_item(items[0])], data)
        token = secrets.token_urlsafe(16)
        self._playlists[token] = items
        while len(self._playlists) > KEPT_PLAYLISTS:
            self._playlists.popitem(last=False)
        listed = [playlist_line(number, item) for number, item in enumerate(items)]
        return {"ok": True, "message": "", "items": listed, "token": token}

    def _picked(self, data: Data) -> list[Source]:
        items = self._playlists.get(str(data.get("token")))
        if items is None:
            raise SourceRefused("This playlist was looked up too long ago. Look it up again.")
        wanted = {int(number) for number in data.get("numbers") or []}
        chosen = [item for number, item in enumerate(items) if number in wanted and not item.refused]
        if not chosen:
            raise SourceRefused("Nothing is ticked. Tick at least one video.")
        return [from_item(item) for item in chosen]

    def _in_folder(self, typed: str) -> list[Source]:
        if self.shared:
            raise SourceRefused("On a shared server, files are added by uploading them.")
        path = typed.strip().strip("\"'")
        if not path:
            raise SourceRefused("Type the path of a folder or of a video file on this computer.")
        found = from_paths([Path(path).expanduser()])
        if not found:
            raise SourceRefused("No video is in this folder. See whether the path is right.")
        return found

    def _submit(self, found: Callable[[], Sequence[Source]], data: Data) -> Data:
        """Hand the sources to the worker and say what became of them."""
        tags, language = str(data.get("tags") or ""), str(data.get("language") or "")
        try:
            sources = [with_options(source, tags, language) for source in found()]
            jobs = work.submit(self.library, sources)
        except AnswerClipError as e:
            return {"ok": False, "message": str(e)}
        return {"ok": True, "message": added_words(jobs)}


def probe_link(url: str, settings: Settings) -> list[LinkItem]:
    """The videos behind a link, at least one of which may be added."""
    if not settings.links:
        raise SourceRefused("Links are switched off here. Download the video and add the file.")
    if not url.strip():
        raise SourceRefused("Paste the link of a video or of a playlist.")
    items = Links(settings).probe(url.strip())
    if not items:
        raise SourceRefused("There is no video at this link. Copy the address of the video's own page.")
    if all(item.refused for item in items):
        raise SourceRefused(items[0].refused)
    return items


def with_options(source: Source, tags: str, language: str) -> Source:
    """The source with what was typed beside it: tags with commas between them, the spoken language."""
    given = tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    return replace(source, tags=given or source.tags, language=language or source.language)


def playlist_line(number: int, item: LinkItem) -> Data:
    return {
        "number": number,
        "title": wording.short(item.title or item.url, 120),
        "duration": wording.clock(item.duration) if item.duration else "",
        "refused": item.refused,
    }


def added_words(jobs: Sequence[work.Job]) -> str:
    """What became of what was just handed in."""
    known = [job for job in jobs if job.status == "already"]
    new = len(jobs) - len(known)
    parts = [f"{wording.count(new, 'video')} on the way"] if new else []
    if known:
        names = ", ".join(f"“{wording.short(job.title, 40)}”" for job in known[:3])
        parts.append(f"{names} {'is' if len(known) == 1 else 'are'} in the library already")
    return "; ".join(parts) + "." if parts else "No video was among the files."


def _uploaded(files: Sequence[Data]) -> list[tuple[Path, str]]:
    """Uploads as `(path, the name on the visitor's computer)`; the path must be one that an upload made."""
    folder = Path(get_upload_folder()).resolve()
    pairs = []
    for file in files:
        path = Path(str(file.get("path") or "")).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise SourceRefused("An upload did not arrive. Add the file again.")
        pairs.append((path, str(file.get("name") or path.name)))
    if not pairs:
        raise SourceRefused("No file arrived. Choose one or more video files.")
    return pairs
