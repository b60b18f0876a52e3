"""Links: `Links.probe` says what is behind one, `Links.download` fetches it as one file with its captions.

yt-dlp does the sites (`site.py`); here are the limits and the order of things. Picture and sound that a
site keeps apart are fetched apart and joined afterwards.
"""

from __future__ import annotations

import logging
import re
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yt_dlp.networking import Request
from yt_dlp.utils import DownloadCancelled, YoutubeDLError

from pipeline.addresses import Guard, Resolver, proxy_addresses
from pipeline.convert import join
from pipeline.errors import AnswerClipError, Cancelled, SourceRefused, SourceUnavailable, UnreadableMedia
from pipeline.formats import pick_captions, pick_formats
from pipeline.probe import probe
from pipeline.settings import GIGABYTE, Settings
from pipeline.site import OPTIONS, Site, explain
from pipeline.types import Origin

if TYPE_CHECKING:
    from pipeline.sources import Source

_CAPTION_BYTES = 20 << 20
log = logging.getLogger(__name__)

# Sites whose ids are file names: two videos may share one.
_UNNAMED_SITES = {"Generic", "HTML5MediaEmbed", "GenericEmbeds"}


@dataclass(frozen=True)
class LinkItem:
    """One video behind a link. `refused` says in plain words why it cannot be added ("" when it can)."""

    url: str
    site: str
    site_id: str
    title: str
    duration: float | None = None
    thumbnail_url: str = ""
    live: bool = False
    refused: str = ""


@dataclass(frozen=True)
class Download:
    """What was fetched. `subtitles` are `(file, where it came from, language)`, the best first."""

    path: Path
    subtitles: tuple[tuple[Path, Origin, str], ...] = ()
    info: dict[str, Any] = field(default_factory=dict)  # title, duration, site, site_id, url, language


class Links:
    """The way to videos on the web, within the limits of `settings`.

    `exempt` are `(host, port)` pairs that may be reached although they are private, and `extractors`
    yt-dlp extractors that are asked before its own.
    """

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver = socket.getaddrinfo,
        exempt: frozenset[tuple[str, int]] = frozenset(),
        extractors: Sequence[Any] = (),
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._exempt = exempt
        self._extractors = extractors

    def probe(self, url: str) -> list[LinkItem]:
        """The videos behind the link, none downloaded: one, or a playlist's first `max_playlist`."""
        url = tidy(url)
        with self._site(lambda: False) as site:
            site.check(url)
            info = site.extract_info(url, download=False) or {}
            found = list(self._items(site, info, url))
        if not found:
            raise SourceUnavailable("No video was found behind this link. Check it in a browser.")
        return found[: self._settings.max_playlist]

    def download(
        self,
        source: Source,
        folder: Path,
        report: Callable[[float], None] = lambda fraction: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Download:
        """Fetch the video into `folder`, and its captions where the site has any.

        What an earlier try left in `folder` is gone on with. Raises `SourceUnavailable`,
        `SourceRefused`, `Cancelled`, `DiskFull`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        url = tidy(source.url)
        counter = _Counter(self._settings.max_file_bytes, report, cancelled)
        extra = {"format": pick_formats, "match_filter": self._check, "progress_hooks": [counter.on_progress]}
        extra |= {"paths": {"home": str(folder)}, "playlist_items": "1"}
        with self._site(cancelled, extra) as site:
            site.check(url)
            info = _single(site.extract_info(url, download=True))
            captions = _fetch_captions(site, info, folder, source.language)
        files = [Path(one["filepath"]) for one in info.get("requested_downloads", ()) if "filepath" in one]
        files = [file for file in files if file.exists()]
        if not files:
            raise SourceUnavailable("The site gave no file for this link. Try again later, or add the file.")
        facts = _facts(info, url)
        return Download(_one_file(files, folder, cancelled), captions, facts)

    def captions(self, url: str, folder: Path, language: str) -> tuple[tuple[Path, Origin, str], ...]:
        """Only the captions that the site has of this video, the best first; none where it has none."""
        url = tidy(url)
        with self._site(lambda: False, {"ignore_no_formats_error": True, "playlist_items": "1"}) as site:
            site.check(url)
            info = _single(site.extract_info(url, download=False))
            return _fetch_captions(site, info, folder, language)

    @contextmanager
    def _site(self, cancelled: Callable[[], bool], extra: Mapping[str, Any] | None = None) -> Iterator[Site]:
        """yt-dlp for one job, watched; whatever it raises comes out in plain words."""
        if not self._settings.links:
            raise SourceRefused("Links are switched off here. Add the file itself.")
        exempt = self._exempt | proxy_addresses()
        guard = Guard(self._settings.allow_private_addresses, self._resolver, exempt)
        options = self._options() | dict(extra or {})
        try:
            with guard.watching(), Site(options, guard, cancelled, self._extractors) as site:
                yield site
        except AnswerClipError as error:
            raise guard.refusal or error from error.__cause__
        except DownloadCancelled as error:
            raise guard.refusal or Cancelled("Stopped.") from error
        except (YoutubeDLError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            if cancelled():  # noticed within a request, whose errors yt-dlp keeps to itself
                raise Cancelled("Stopped.") from error
            raise guard.refusal or explain(str(error)) from error

    def _options(self) -> dict[str, Any]:
        return OPTIONS | {
            "playlist_items": f"1:{self._settings.max_playlist}",
            "allowed_extractors": list(self._settings.allowed_sites) or ["default"],
        }

    def _items(self, site: Site, info: Mapping[str, Any], url: str, depth: int = 0) -> Iterator[LinkItem]:
        """The videos of a probe's answer; a channel's tabs are opened, no deeper than two levels."""
        if info.get("entries") is None:
            yield self._item(info, _own_url(info, url, inside=depth > 0))
            return
        entries = [entry for entry in info["entries"] if entry]
        for entry in entries:
            if entry.get("entries") is None and str(entry.get("ie_key", "")).endswith(("Tab", "Playlist")):
                if depth < 2:
                    below = site.extract_info(entry["url"], download=False) or {}
                    yield from self._items(site, below, entry["url"], depth + 1)
            else:
                alone = {"title": info["title"]} if len(entries) == 1 and info.get("title") else {}
                yield from self._items(site, entry | alone, url, depth + 1)

    def _item(self, info: Mapping[str, Any], url: str) -> LinkItem:
        facts = _facts(info, url)
        return LinkItem(
            url=facts["url"],
            site=facts["site"],
            site_id=facts["site_id"],
            title=facts["title"],
            duration=facts["duration"],
            thumbnail_url=_picture_url(info),
            live=_is_live(info),
            refused=self._refusal(info),
        )

    def _refusal(self, info: Mapping[str, Any]) -> str:
        """Why the video cannot be added, as far as the site tells beforehand."""
        if info.get("live_status") == "is_upcoming":
            return "It has not been shown yet. Add it when it is over."
        if _is_live(info):
            return "It is a live broadcast. Add it when it is over."
        if (info.get("duration") or 0) > self._settings.max_hours * 3600:
            return f"It is longer than {self._settings.max_hours:g} hours, the most that is taken in."
        sizes = [one.get("filesize") or one.get("filesize_approx") or 0 for one in _chosen(info)]
        if sum(sizes) > self._settings.max_file_bytes:
            return f"It is larger than {self._settings.max_file_gb:g} GB, the most that is taken in."
        return ""

    def _check(self, info: Mapping[str, Any], *, incomplete: bool = False) -> None:
        """yt-dlp's question before a download whether to go on."""
        if reason := self._refusal(info):
            raise SourceRefused(f"“{info.get('title') or 'The video'}” cannot be added. {reason}")


def tidy(url: str) -> str:
    """The link as it was meant: without spaces around it, with https:// where the scheme is missing.

    >>> tidy(" youtube.com/watch?v=1 "), tidy("file:/etc/passwd")
    ('https://youtube.com/watch?v=1', 'file:/etc/passwd')
    """
    url = url.strip()
    return f"https://{url}" if re.match(r"^[\w-]+(\.[\w-]+)+([/?#]|$)", url) else url


def _is_live(info: Mapping[str, Any]) -> bool:
    return bool(info.get("is_live")) or info.get("live_status") in ("is_live", "is_upcoming")


def _chosen(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The formats that a download would take, as far as the probe knows them."""
    return list(pick_formats(info)) if info.get("formats") else [info]


def _single(info: Mapping[str, Any] | None) -> dict[str, Any]:
    """The one video of an answer; the first where a page holds several."""
    found = dict(info or {})
    while found.get("entries") is not None:
        found = next((dict(entry) for entry in found["entries"] if entry), {})
    if not found:
        raise SourceUnavailable("No video was found behind this link. Check it in a browser.")
    return found


def _facts(info: Mapping[str, Any], url: str) -> dict[str, Any]:
    """What is kept of a site's answer; plain values, which can be stored as JSON."""
    site = "Generic" if _is_unnamed(info) else str(info.get("extractor_key") or info.get("ie_key"))
    linked = info.get("_type") in ("url", "url_transparent")
    page = str((info.get("url") if linked else None) or url)
    name = page if _is_unnamed(info) else str(info.get("id") or page)
    length = info.get("duration")
    return {
        "url": page,
        "site": site,
        "site_id": name,
        "title": _title(info, page),
        "duration": float(length) if isinstance(length, (int, float)) and length > 0 else None,
        "language": str(info.get("language") or "").partition("-")[0].lower(),
    }


def _own_url(info: Mapping[str, Any], url: str, inside: bool) -> str:
    """Where the video can be had by itself: its page, or its file where several share a page."""
    page = str(info.get("webpage_url") or url)
    if not _is_unnamed(info):
        return page if page.startswith(("http://", "https://")) else url
    formats = info.get("formats") or [info]
    return str(formats[-1].get("url") or url) if inside else url


def _is_unnamed(info: Mapping[str, Any]) -> bool:
    return str(info.get("extractor_key") or info.get("ie_key") or "Generic") in _UNNAMED_SITES


def _title(info: Mapping[str, Any], page: str) -> str:
    words = " ".join(str(info.get("title") or "").split())
    if info.get("extractor_key") == "HTML5MediaEmbed":
        words = words.removesuffix(" (1)")  # numbered even where there is only one
    return (words or urllib.parse.unquote(page.rstrip("/").rpartition("/")[2]) or page)[:300]


def _picture_url(info: Mapping[str, Any]) -> str:
    pictures = [one.get("url") or "" for one in info.get("thumbnails") or ()]
    url = str(info.get("thumbnail") or (pictures[-1] if pictures else ""))
    return url if url.startswith(("http://", "https://")) else ""


def _fetch_captions(
    site: Site, info: Mapping[str, Any], folder: Path, language: str
) -> tuple[tuple[Path, Origin, str], ...]:
    """The captions as files; one that cannot be had is passed over, the speech is transcribed then."""
    fetched: list[tuple[Path, Origin, str]] = []
    for spoken, origin, one in pick_captions(info, language):
        path = folder / f"captions.{len(fetched)}.{re.sub('[^A-Za-z0-9-]', '', spoken)[:20]}.{one['ext']}"
        try:
            data = one["data"].encode() if one.get("data") else _read(site, one)
        except (YoutubeDLError, OSError, ValueError) as error:
            log.info("captions of %s: %s", info.get("id"), error)
            continue
        path.write_bytes(data)
        fetched.append((path, origin, spoken.partition("-")[0].lower()))
    return tuple(fetched)


def _read(site: Site, one: Mapping[str, Any]) -> bytes:
    with site.urlopen(Request(one["url"], headers=one.get("http_headers") or {})) as answer:
        data = answer.read(_CAPTION_BYTES + 1)
    if not 0 < len(data) <= _CAPTION_BYTES:
        raise ValueError(f"{len(data)} bytes")
    return data


def _one_file(files: Sequence[Path], folder: Path, cancelled: Callable[[], bool]) -> Path:
    """Picture and sound in one file; a single file stays as it is."""
    if len(files) == 1:
        return files[0]
    media = [(file, _has_picture(file)) for file in files]
    pictures = [file for file, has_picture in media if has_picture]
    sounds = [file for file, has_picture in media if not has_picture]
    if not pictures:
        raise SourceUnavailable("The site gave sound without a picture. Add a link to a video.")
    return join(pictures[0], sounds[0] if sounds else None, folder / "joined.mp4", cancelled)


def _has_picture(file: Path) -> bool:
    try:
        probe(file)
    except UnreadableMedia:
        return False
    return True


class _Counter:
    """Turns yt-dlp's progress into one fraction over all files; stops it when too large or cancelled."""

    def __init__(self, limit: float, report: Callable[[float], None], cancelled: Callable[[], bool]) -> None:
        self._limit, self._report, self._cancelled = limit, report, cancelled
        self._bytes: dict[str, tuple[float, float]] = {}  # file: done, total

    def on_progress(self, state: Mapping[str, Any]) -> None:
        if self._cancelled():
            raise DownloadCancelled("cancelled")
        done = state.get("downloaded_bytes") or 0
        total = max(done, state.get("total_bytes") or state.get("total_bytes_estimate") or 0)
        self._bytes[str(state.get("filename"))] = (done, total)
        if max(done, state.get("total_bytes") or 0) + self._others(state) > self._limit:
            gigabytes = self._limit / GIGABYTE
            raise SourceRefused(f"The video is larger than {gigabytes:g} GB, the most that is taken in.")
        if total:
            self._report(min(1.0, done / total) * (0.9 if len(self._bytes) == 1 else 0.1) + self._before())

    def _others(self, state: Mapping[str, Any]) -> float:
        name = str(state.get("filename"))
        return sum(done for file, (done, _) in self._bytes.items() if file != name)

    def _before(self) -> float:
        return 0.0 if len(self._bytes) == 1 else 0.9
