"""The addresses under `video/<id>/`: the file that plays, its pictures, its words, and clips to take away.

They name nothing but ids of the library, so no path can be asked for; they answer only those whom the page
itself answers (its login), and never another site's page.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import logging
import re
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app import render, wording
from pipeline import media, subtitles
from pipeline.errors import AnswerClipError, VideoNotFound
from pipeline.library.store import Library
from pipeline.types import Span, Video

log = logging.getLogger(__name__)

LONGEST_CLIP = 15 * 60.0  # seconds; the cut is encoded again, about ten times faster than real time
VIDEO_ID = re.compile(r"[0-9a-f]{16}")
VIDEO_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm",
               ".mkv": "video/x-matroska", ".ogv": "video/ogg"}  # fmt: skip
# What comes from these addresses is data: it is never a page, and no other site may embed it.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KEPT = "private, max-age=3600"  # bytes that belong to a content hash do not change
CHECKED = "private, no-cache"  # words can be written anew: ask each time, 304 when nothing changed


class Refused(Exception):
    """The request cannot be answered; carries the status and what to tell the viewer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Handler = Callable[[Request, Video], Response]


class MediaRoutes:
    """The routes of one library; `routes()` goes to the server that serves the page."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._cutting = threading.BoundedSemaphore(2)  # encoding takes every core it gets
        self._picturing = threading.BoundedSemaphore(4)

    def routes(self) -> list[BaseRoute]:
        named: dict[str, Handler] = {
            "play": self.play,
            "thumbnail.jpg": self.thumbnail,
            "strip.jpg": self.strip,
            "frame.jpg": self.frame,
            "captions.vtt": self.captions,
            "transcript.json": self.transcript,
            "subtitles.srt": self.subtitles,
            "subtitles.vtt": self.subtitles,
            "clip.mp4": self.clip,
        }
        return [
            Route(f"/video/{{video_id}}/{name}", self._guarded(handler)) for name, handler in named.items()
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """`handler` behind the checks, on a thread, its refusals as plain text."""

        async def answer(request: Request) -> Response:
            try:
                await check_visitor(request)
                response = await run_in_threadpool(self._answer, handler, request)
            except Refused as e:
                response = PlainTextResponse(str(e), e.status)
            response.headers.update(SAFE_HEADERS)
            return response

        return answer

    def _answer(self, handler: Handler, request: Request) -> Response:
        video_id = request.path_params["video_id"]
        try:
            if not VIDEO_ID.fullmatch(video_id):
                raise Refused(404, "No video has this address.")
            return handler(request, self.library.video(video_id))
        except VideoNotFound as e:
            raise Refused(404, str(e)) from e
        except AnswerClipError as e:
            raise Refused(422, str(e)) from e

    # What the player shows

    def play(self, request: Request, video: Video) -> Response:
        """The whole file; the browser asks for the ranges it needs."""
        kind = VIDEO_TYPES.get(video.path.suffix.lower(), "application/octet-stream")
        return _file(request, video.path, kind, f"{video.sha256[:32]}-{video.size}")

    def thumbnail(self, request: Request, video: Video) -> Response:
        return _file(request, video.thumbnail, "image/jpeg")

    def strip(self, request: Request, video: Video) -> Response:
        return _file(request, video.strip, "image/jpeg")

    def frame(self, request: Request, video: Video) -> Response:
        """The picture at second `t`."""
        second = round(_number(request, "t", 0.0), 1)
        etag = f"{video.id}-{second}"
        if _known(request, etag):
            return _unchanged(etag, KEPT)
        path = _existing(video.path)
        with self._picturing:
            picture = _picture(path, path.stat().st_mtime, min(second, max(0.0, video.duration - 0.2)))
        return Response(picture, media_type="image/jpeg", headers=_tagged(etag, KEPT))

    def captions(self, request: Request, video: Video) -> Response:
        return _text(request, subtitles.to_vtt(self.library.transcript(video.id).cues), "text/vtt")

    def transcript(self, request: Request, video: Video) -> Response:
        view = render.transcript_view(self.library.transcript(video.id))
        return _text(request, json.dumps(view, ensure_ascii=False), "application/json")

    # What one takes away

    def subtitles(self, request: Request, video: Video) -> Response:
        """The words as .srt or .vtt; with `s` and `e` those of that stretch, from 0 on."""
        ending = request.url.path.rsplit(".", 1)[-1]
        cues = self.library.transcript(video.id).cues
        span = _span(request, video) if "s" in request.query_params else None
        if span:
            cues = subtitles.clip(cues, span)
        words = subtitles.to_vtt(cues) if ending == "vtt" else subtitles.to_srt(cues)
        kind = "text/vtt" if ending == "vtt" else "application/x-subrip"
        response = _text(request, words, kind)
        response.headers["Content-Disposition"] = attachment(_name(video, span), ending)
        return response

    def clip(self, request: Request, video: Video) -> Response:
        """The stretch from `s` to `e` as a file of its own, exact to a picture."""
        span, path = _span(request, video), _existing(video.path)
        if span.duration > LONGEST_CLIP:
            raise Refused(413, f"A clip can be {wording.spell(LONGEST_CLIP)} long at most. Make it shorter.")
        if request.method == "HEAD":
            return Response(media_type="video/mp4")
        if not self._cutting.acquire(timeout=120):
            raise Refused(503, "Too many clips are being cut at the moment. Try again in a minute.")
        folder = tempfile.TemporaryDirectory(prefix="answerclip-")
        try:
            out = media.cut(path, span, Path(folder.name) / "clip.mp4", exact=True)
        except BaseException:
            folder.cleanup()
            raise
        finally:
            self._cutting.release()
        headers = {
            "Content-Disposition": attachment(_name(video, span), "mp4"),
            "Cache-Control": "private, no-store",
        }
        return FileResponse(
            out, media_type="video/mp4", headers=headers, background=BackgroundTask(folder.cleanup)
        )


async def check_visitor(request: Request) -> None:
    """Refuses who has not signed in where the page asks for it, and pages of other sites."""
    if from_elsewhere(request.headers) and request.headers.get("sec-fetch-mode") != "navigate":
        raise Refused(403, "Videos of this library are shown on its own page only.")
    if not await signed_in(request):
        raise Refused(401, "Sign in on the page first.")


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site's page makes this request, in its visitor's name."""
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if site:
        return site == "cross-site"
    return bool(origin) and urlsplit(origin).netloc != headers.get("host")


async def signed_in(request: Request) -> bool:
    """Whether Gradio, which keeps the sessions, would show this visitor the page."""
    server: Any = request.app
    if getattr(server, "auth_dependency", None) is not None:
        user = server.auth_dependency(request)
        return (await user if inspect.isawaitable(user) else user) is not None
    if getattr(server, "auth", None) is None:
        return True
    names = (f"access-token-{server.cookie_id}", f"access-token-unsecure-{server.cookie_id}")
    return any(request.cookies.get(name) in server.tokens for name in names if request.cookies.get(name))


def _existing(path: Path | None) -> Path:
    if path is None:
        raise Refused(404, "There is no such picture of this video.")
    if not path.is_file():
        raise Refused(410, "The file of this video is not where it was. Put it back, or delete the video.")
    return path


def _file(request: Request, path: Path | None, kind: str, etag: str = "") -> Response:
    found = _existing(path)
    stat = found.stat()
    etag = f"{etag}-{stat.st_mtime_ns:x}-{stat.st_size:x}"
    if _known(request, etag) and "range" not in request.headers:
        return _unchanged(etag, KEPT)
    return FileResponse(found, media_type=kind, headers=_tagged(etag, KEPT), stat_result=stat)


def _text(request: Request, words: str, kind: str) -> Response:
    data = words.encode("utf-8", "replace")
    etag = hashlib.sha256(data).hexdigest()[:32]
    if _known(request, etag):
        return _unchanged(etag, CHECKED)
    return Response(data, media_type=f"{kind}; charset=utf-8", headers=_tagged(etag, CHECKED))


def _tagged(etag: str, caching: str) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "Cache-Control": caching}


def _known(request: Request, etag: str) -> bool:
    names = request.headers.get("if-none-match", "").split(",")
    return any(name.strip().removeprefix("W/") == f'"{etag}"' for name in names)


def _unchanged(etag: str, caching: str) -> Response:
    return Response(status_code=304, headers=_tagged(etag, caching))


def _number(request: Request, name: str, default: float) -> float:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError as e:
        raise Refused(400, f"{name} is not a number of seconds.") from e
    if not 0 <= value < 1e7:
        raise Refused(400, f"{name} is not a time in a video.")
    return value


def _span(request: Request, video: Video) -> Span:
    start, end = _number(request, "s", 0.0), _number(request, "e", video.duration)
    end = min(end, video.duration) if video.duration else end
    if start >= end:
        raise Refused(400, "The clip ends before it begins, or lies behind the end of the video.")
    return Span(start, end)


@lru_cache(maxsize=64)
def _probed(path: Path, changed: float) -> media.Media:
    return media.probe(path)


@lru_cache(maxsize=512)
def _picture(path: Path, changed: float, second: float) -> bytes:
    """A JPEG of about 20 KB; `changed` keeps pictures of a replaced file out."""
    out = io.BytesIO()
    media.picture(path, second, _probed(path, changed)).save(out, "JPEG", quality=82)
    return out.getvalue()


def _name(video: Video, span: Span | None) -> str:
    if span is None:
        return video.title
    begin, end = (wording.clock(t).replace(":", ".") for t in (span.start, span.end))
    return f"{video.title} {begin}-{end}"


def attachment(name: str, ending: str) -> str:
    """A Content-Disposition that any title survives: no path, no header, no hidden file comes of it.

    >>> print(attachment("../a b", "mp4"))
    attachment; filename="clip.mp4"; filename*=utf-8''a%20b.mp4
    """
    safe = re.sub(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u200e\u200f\u202a-\u202e\u2066-\u2069]', "_", name)
    safe = safe.encode("utf-8", "replace").decode().strip(" ._-")[:120].strip() or "clip"
    return f"attachment; filename=\"clip.{ending}\"; filename*=utf-8''{quote(f'{safe}.{ending}', safe='')}"
