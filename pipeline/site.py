"""yt-dlp on a leash: its requests are checked one by one, its errors come out in plain words.

It gets no ffmpeg, which would make connections of its own.
"""

from __future__ import annotations

import logging
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking._urllib import UrllibRH
from yt_dlp.utils import DownloadCancelled

from pipeline.addresses import Guard
from pipeline.errors import AnswerClipError, DiskFull, SourceGone, SourceRefused, SourceUnavailable

log = logging.getLogger(__name__)

JS_RUNTIMES: dict[str, dict] = {"deno": {}, "node": {}, "bun": {}}
OPTIONS: dict[str, Any] = {
    "quiet": True,
    "noprogress": True,
    "color": "never",
    "noplaylist": True,
    "extract_flat": "in_playlist",
    "outtmpl": "%(id).60B.%(format_id).40B.%(ext)s",
    "restrictfilenames": True,
    "cachedir": False,
    "enable_file_urls": False,
    "ffmpeg_location": "/nonexistent/ffmpeg",
    "external_downloader": {"default": "native"},
    "js_runtimes": JS_RUNTIMES,
    "socket_timeout": 20,
    "retries": 3,
    "fragment_retries": 3,
    "skip_unavailable_fragments": False,
    "updatetime": False,
}


class Site(YoutubeDL):
    """yt-dlp that makes all its requests through `_GuardedRH`."""

    def __init__(
        self,
        options: dict[str, Any],
        guard: Guard,
        cancelled: Callable[[], bool],
        extractors: Sequence[Any],
    ) -> None:
        self.guard = guard
        self.cancelled = cancelled
        super().__init__(options | {"logger": _Log()}, auto_init=False)
        for extractor in extractors:
            self.add_info_extractor(extractor)
        self.add_default_info_extractors()

    def check(self, url: str) -> None:
        self.guard.check(url)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        director = super().build_request_director([_GuardedRH])
        for handler in director.handlers.values():
            handler.guard, handler.cancelled = self.guard, self.cancelled
        return director


class _GuardedRH(UrllibRH):
    """Checks each request and each redirect, and lets go when the job is cancelled."""

    _SUPPORTED_URL_SCHEMES = ("http", "https", "data")
    RH_NAME = "urllib"
    guard = Guard()
    cancelled: Callable[[], bool] = staticmethod(lambda: False)

    def _send(self, request: Any) -> Any:
        if self.cancelled():
            raise DownloadCancelled("cancelled")
        if request.url[:5].lower() != "data:":  # carries its content with it
            self.guard.check(request.url)
        return super()._send(request)

    def _create_instance(self, **keywords: Any) -> urllib.request.OpenerDirector:
        opener = super()._create_instance(**keywords)
        opener.add_handler(_CheckedRedirects(self.guard))
        return opener


class _CheckedRedirects(urllib.request.BaseHandler):
    """Sees a redirect before the handler that follows it."""

    handler_order = 100

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def http_error_302(self, request: Any, file: Any, code: int, message: str, headers: Any) -> None:
        target = headers.get("Location") or headers.get("URI")
        if target:
            self._guard.check(urllib.parse.urljoin(request.full_url, target))

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Log:
    """yt-dlp's words in the log; errors are raised anyway."""

    def debug(self, words: str) -> None:
        log.debug("%s", words)

    info = warning = error = debug


# What yt-dlp says, by its words, and what it means. The first that fits counts.
_MEANINGS: tuple[tuple[str, type[AnswerClipError], str], ...] = (
    (r"No space left|disk quota", DiskFull, "There is no space left on the disk. Free some and retry."),
    (r"DRM", SourceRefused, "The video is copy-protected (DRM) and cannot be added."),
    (
        r"not a bot|confirm you.re not|captcha|cloudflare|impersonat",
        SourceUnavailable,
        "The site takes this computer for a robot and refuses it. Download the video in a browser and "
        "add the file.",
    ),
    (
        r"HTTP Error 429|Too Many Requests|rate.?limit",
        SourceUnavailable,
        "The site says that there were too many requests. Wait an hour and retry, or add the file.",
    ),
    (
        r"members.only|join this channel|subscriber|premium|purchase|rent(al|ed)?\b|paid",
        SourceGone,
        "The video is for members or buyers only. If you may have it, download it there and add the file.",
    ),
    (
        r"private (video|playlist)|is private|has been set to private",
        SourceGone,
        "The video is private. Ask its owner for the file, or to make it public.",
    ),
    (
        r"confirm your age|age.?restrict|inappropriate for some",
        SourceGone,
        "The site shows this video only to signed-in adults. Download it there and add the file.",
    ),
    (
        r"(not|n't) (made )?(this video )?available (in|from) your (country|location)|geo.?restrict"
        r"|blocked it in",
        SourceGone,
        "The video is not available in this country. Add the file if you have it.",
    ),
    (
        r"live event|premieres? in|is (currently )?live|is not currently live|will begin in|offline",
        SourceRefused,
        "It is a live broadcast or has not been shown yet. Add it when it is over.",
    ),
    (
        r"log ?in|sign ?in|logged.?in|authenticat|registered users|cookies|HTTP Error 401",
        SourceUnavailable,
        "The site shows this video only to people who sign in. Download it there and add the file.",
    ),
    (
        r"removed|deleted|no longer available|terminated|HTTP Error (404|410)|does not exist"
        r"|Video unavailable|This video is(n't| not) available",
        SourceGone,
        "There is no video at this link (any more). Check it in a browser.",
    ),
    (
        r"Unsupported URL|no video|No media|is not a valid URL|not supported|Unsupported features",
        SourceUnavailable,
        "No video was found behind this link. Open the video's own page and copy its address, "
        "or add the file.",
    ),
    (
        r"No suitable extractor|not enabled|allowed.extractors",
        SourceRefused,
        "Links of this site are not allowed here. Add the file itself.",
    ),
    (
        r"HTTP Error 403|Forbidden",
        SourceUnavailable,
        "The site refuses to hand out the video. Retry later, or download it in a browser and add the file.",
    ),
    (
        r"HTTP Error 5\d\d",
        SourceUnavailable,
        "The site has a fault at the moment. Retry later.",
    ),
    (
        r"Requested format|No video formats|nsig|JavaScript runtime|player",
        SourceUnavailable,
        "The site offers no format that can be fetched. Install the newest yt-dlp and a JavaScript runtime "
        "(deno), or add the file.",
    ),
    (
        r"getaddrinfo|resolve|timed? ?out|refused|reset|unreachable|SSL|CERTIFICATE|Connection|IncompleteRead"
        r"|bytes read|transport",
        SourceUnavailable,
        "The site cannot be reached. Check the link and the internet connection, then retry.",
    ),
)


def explain(words: str) -> AnswerClipError:
    """yt-dlp's error as one of ours, in plain words."""
    log.info("yt-dlp: %s", words[:2000])
    said = re.sub(r"\w+://\S+", "", words)  # a link's own words and port mean nothing
    for pattern, kind, meaning in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(meaning)
    return SourceUnavailable("The link cannot be fetched. Check it in a browser, or add the file itself.")


def javascript_runtime() -> str:
    """The JavaScript runtime that YouTube links need, as "name version"; "" where there is none."""
    with YoutubeDL({"quiet": True, "js_runtimes": JS_RUNTIMES}, auto_init=False) as site:
        for runtime in getattr(site, "_js_runtimes", {}).values():
            if runtime and runtime.info and runtime.info.supported:
                return f"{runtime.info.name} {runtime.info.version}"
    return ""
