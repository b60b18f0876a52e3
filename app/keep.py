"""Keeping the library as one archive, and the rated answers as a data set: in the background.

This is long and belongs to no visitor: one of them runs at a time, and whoever looks at the page sees it.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app import player, wording
from app.media_routes import SAFE_HEADERS, Refused, attachment, check_visitor
from pipeline.errors import AnswerClipError
from pipeline.library.store import Library

log = logging.getLogger(__name__)

RATED = "rated-answers"  # the file's name without its ending, by which `evaluate` finds it
HOW_TO_MEASURE = f"Measure with them: python -m pipeline evaluate --data medvidqa:FOLDER --split {RATED}"


@dataclass(frozen=True)
class Kept:
    """How far the archive work is; `token` names a finished file, until the next one."""

    state: str = "idle"  # idle | busy | ready | failed
    words: str = ""
    fraction: float | None = None
    token: str = ""
    size: int = 0
    kind: str = "zip"  # the ending of the finished file: zip | json

    def view(self) -> dict[str, Any]:
        link = f"archive/{self.token}.{self.kind}" if self.token else ""
        name = f"Download the {_NAMES[self.kind]} ({wording.weigh(self.size)})" if link else ""
        return {
            "state": self.state,
            "words": self.words,
            "fraction": self.fraction,
            "link": link,
            "name": name,
        }


_NAMES = {"zip": "archive", "json": "rated answers"}


class Keeper:
    """Runs one export or import at a time."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.kept = Kept()
        self._busy = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where archives lie: beside the videos, on the disk that has room for them."""
        return self.library.root / "exports"

    def export(self) -> None:
        self._start("Packing the library", self._export)

    def give_feedback(self, wait: float = 2.0) -> None:
        """The answers that were called right or corrected, as a data set to evaluate on.

        This is mostly done within a moment, so `wait` saves the visitor the time to the page's next look.
        """
        self._start("Gathering the rated answers", self._feedback, wait)

    def take_in(self, archive: Path) -> None:
        """Import an uploaded archive, which is deleted afterwards."""
        self._start("Unpacking the archive", lambda: self._import(archive))

    def _start(self, words: str, work: Callable[[], Kept], wait: float = 0.0) -> None:
        if not self._busy.acquire(blocking=False):
            return
        self.kept = Kept("busy", words, 0.0)

        def run() -> None:
            try:
                self.kept = work()
            except AnswerClipError as e:
                self.kept = Kept("failed", str(e))
            except Exception:
                self.kept = Kept(
                    "failed", "That went wrong inside the app; its log says why. Nothing was changed."
                )
                log.exception("archive work failed")
            finally:
                self._busy.release()

        thread = threading.Thread(target=run, name="archive", daemon=True)
        thread.start()
        thread.join(wait)

    def _report(self, *progress: Any) -> None:
        """`progress` is the fraction, with or without words after it."""
        fraction = next((p for p in progress if isinstance(p, float | int)), None)
        self.kept = replace(self.kept, fraction=fraction)

    def _export(self) -> Kept:
        from pipeline.library.archive import export_library

        token, out = self._new_file("zip")
        export_library(self.library, out, self._report)
        return Kept("ready", "The archive is ready.", 1.0, token, out.stat().st_size)

    def _feedback(self) -> Kept:
        from pipeline.feedback import write

        token, out = self._new_file("json")
        words = f"{write(self.library, out).summary()} {HOW_TO_MEASURE}"
        return Kept("ready", words, 1.0, token, out.stat().st_size, "json")

    def _new_file(self, kind: str) -> tuple[str, Path]:
        """A name that nobody can guess, in a folder without older files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        token = secrets.token_urlsafe(16)
        return token, self.folder / f"{token}.{kind}"

    def _import(self, archive: Path) -> Kept:
        from pipeline.library.archive import import_library

        try:
            counts = import_library(self.library, archive, self._report)
        finally:
            archive.unlink(missing_ok=True)
        return Kept("ready", f"Imported: {imported_words(counts)}.", 1.0)

    def routes(self) -> list[BaseRoute]:
        return [Route("/archive/{token}.{kind}", self._download)]

    async def _download(self, request: Request) -> Response:
        try:
            await check_visitor(request)
            path = await run_in_threadpool(self._file, **request.path_params)
        except Refused as e:
            return PlainTextResponse(str(e), e.status, headers=SAFE_HEADERS)
        kind = path.suffix[1:]
        day = f"{date.today():%Y-%m-%d}"
        name = attachment(f"AnswerClip library {day}" if kind == "zip" else RATED, kind)
        headers = SAFE_HEADERS | {"Content-Disposition": name}
        return FileResponse(path, media_type=f"application/{kind}", headers=headers)

    def _file(self, token: str, kind: str) -> Path:
        kept = self.kept
        path = self.folder / f"{kept.token}.{kept.kind}"
        asked = f"{token}.{kind}".encode()
        if not kept.token or not secrets.compare_digest(asked, path.name.encode()) or not path.is_file():
            raise Refused(404, "This archive is no longer there. Export it again.")
        return path


def imported_words(counts: Any) -> str:
    """What an import brought, from its counts by name.

    >>> imported_words({"videos_added": 2, "already_there": 0})
    '2 videos added'
    """
    named = counts if isinstance(counts, dict) else vars(counts)
    words = [f"{value} {name.replace('_', ' ')}" for name, value in named.items() if value]
    return ", ".join(words) or "nothing new"


def build(keeper: Keeper) -> gr.HTML:
    """The export and import line below the list."""
    with gr.Accordion("Export or import", open=False, elem_classes=["ac-fold"], elem_id="keep"):
        with gr.Row(elem_id="keep-row"):
            give = gr.Button("Export as one archive", elem_id="export", size="md", scale=0, min_width=200)
            take = gr.UploadButton(
                "Import an archive", file_types=[".zip"], elem_id="import", size="md", scale=0, min_width=200
            )
            rated = gr.Button(
                "Export rated answers", elem_id="export-rated", size="md", scale=0, min_width=200
            )
        line = player.archive(keeper.kept.view())

    def export_rated() -> dict[str, Any]:
        keeper.give_feedback()
        return keeper.kept.view()

    def export() -> dict[str, Any]:
        keeper.export()
        return keeper.kept.view()

    def take_in(file: str | None) -> dict[str, Any]:
        if file:
            keeper.take_in(Path(file))
        return keeper.kept.view()

    quiet: dict[str, Any] = {"outputs": [line], "api_visibility": "private", "show_progress": "hidden"}
    give.click(export, **quiet)
    rated.click(export_rated, **quiet)
    take.upload(take_in, inputs=[take], **quiet)
    return line
