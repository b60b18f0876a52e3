"""What the tests of the page share: small real videos, one of them hostile, and the page served."""

from __future__ import annotations

import os
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app import create_app
from app.keep import Keeper
from pipeline.library import jobs
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.sources import Source
from tests.fake_asker import FakeAsker
from tests.media_factory import as_srt, make_video
from tests.work_parts import work

ATTACK = '<img src=x onerror="window.hacked=1">'
TEA = [
    (0.5, 5.5, "Welcome to my kitchen, this is about tea."),
    (6.0, 11.0, "Warm the teapot with a splash of hot water and pour it away."),
    (11.5, 16.5, "Put two spoons of dry leaves into the warm teapot."),
    (17.0, 22.0, "Pour boiling water over the leaves and put the lid on."),
    (22.5, 28.5, "Let it steep for exactly four minutes, no longer, or it gets bitter."),
    (29.0, 34.0, "Take the leaves out and serve it with a slice of lemon."),
    (34.5, 39.5, "Thank you for watching and see you next week."),
]
TYRE = [
    (0.5, 6.0, "A flat bicycle tyre is quickly mended at the roadside."),
    (6.5, 13.0, "Lever the tyre off the rim and pull the inner tube out."),
    (13.5, 20.0, "Find the puncture by holding the tube under water and looking for bubbles."),
    (20.5, 28.0, "Roughen the rubber, spread the glue and press the patch on firmly."),
]
HOSTILE = [
    (0.5, 4.0, f"{ATTACK} <script>window.hacked=2</script> the burglar rings the bell."),
    (4.5, 9.5, "He wears a striped jersey & carries <b>a bag</b> of loot."),
]


def filled(folder: Path) -> Library:
    """A library with three ready videos, made by the worker as users' are."""
    library = Library.open(folder / "library")
    jobs.submit(library, [_tea(folder), _tyre(folder), _hostile(folder)])
    work(library)
    assert {video.state for video in library.videos()} == {"ready"}
    return library


def _source(folder: Path, name: str, title: str, seconds: float, cues: list, **looks: object) -> Source:
    path = make_video(folder / name, seconds=seconds, size=(640, 360), **looks)  # type: ignore[arg-type]
    given = path.with_suffix(".srt")
    given.write_text(as_srt(cues), encoding="utf-8")
    return Source(
        "file",
        path=path,
        title=title,
        subtitles=(given,),
        language="en",
        original_name=name,
        tags=("kitchen",),
    )


def _tea(folder: Path) -> Source:
    return _source(folder, "tea.mp4", "How to make a pot of tea", 40, TEA, seed=1)


def _tyre(folder: Path) -> Source:
    return replace(_source(folder, "tyre.mp4", "Mending a tyre", 28, TYRE, seed=2), tags=("bicycle",))


def _hostile(folder: Path) -> Source:
    title = f"{ATTACK}</script><script>window.hacked=3</script>"
    return replace(_source(folder, "a'b\"#%.mp4", title, 10, HOSTILE, seed=3), tags=(ATTACK,))


@dataclass(frozen=True)
class Served:
    """The running page."""

    url: str
    library: Library
    settings: Settings
    keeper: Keeper

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        request = urllib.request.Request(f"{self.url}/{path}", headers=dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return Answer(reply.status, dict(reply.headers.items()), reply.read())
        except urllib.error.HTTPError as e:
            return Answer(e.code, dict(e.headers.items()), e.read())


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower(), "")


@contextmanager
def served(library: Library, **values: object) -> Iterator[Served]:
    """The page of this library on a free port, with an asker that needs no weights."""
    settings = Settings(library_dir=library.root, **values)  # type: ignore[arg-type]
    page = create_app(library, settings, FakeAsker(library))  # type: ignore[arg-type]
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_port=free_port())
    try:
        yield Served(url.rstrip("/"), library, settings, page.keeper)  # type: ignore[attr-defined]
    finally:
        page.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def chromium() -> str:
    """The browser to test with: CHROMIUM, or one of the usual names; "" where there is none."""
    named = os.environ.get("CHROMIUM", "")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return named or next((path for name in names if (path := shutil.which(name))), "")
