"""What the tests of ingest, jobs and the worker share: engines without models, tiny sources, a worker that
runs here, and one that runs in a process of its own and is killed where a test wants it.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.features.pictures import PictureNetwork
from pipeline.library.store import Library
from pipeline.library.worker import Worker
from pipeline.localize import Localizer
from pipeline.settings import Settings
from pipeline.sources import Source
from pipeline.transcribe.base import Report, Transcriber
from pipeline.types import Passage, Progress
from tests.fake_encoder import FakeEncoder
from tests.fake_transcriber import FakeTranscriber
from tests.media_factory import make_video

SAID = (
    "1\n00:00:00,200 --> 00:00:01,500\nBoil the water.\n\n2\n00:00:01,600 --> 00:00:02,600\nAdd the salt.\n"
)


class FakeEngines:
    """`ingest.Engines` with a counting encoder and a transcriber that hears tones."""

    def __init__(self, encoder: str = "fake", notice: str = "") -> None:
        self.speech = threading.Lock()
        self.notice = notice
        self._encoder = FakeEncoder(encoder)
        self.recogniser = FakeTranscriber()
        self.network: PictureNetwork | None = None
        self.localizer: Localizer | None = None

    def encoder(self) -> FakeEncoder:
        return self._encoder

    def encoder_name(self) -> str:
        return self._encoder.name

    def transcriber(self, report: Report, again: bool = False) -> tuple[Transcriber, str]:
        return self.recogniser, self.notice

    def reader(self, library: Library) -> Localizer | None:
        return self.localizer

    def picture_model(self) -> str:
        return self.network.name if self.network else ""

    def pictures(self, report: Report) -> PictureNetwork:
        assert self.network
        return self.network

    def warm(self) -> None:
        pass


def a_library(folder: Path) -> Library:
    return Library.open(folder / "library")


def settings_for(library: Library, **values: object) -> Settings:
    return Settings(library_dir=library.root, **values)  # type: ignore[arg-type]


def a_worker(library: Library, **parts: object) -> Worker:
    settings = parts.pop("settings", None) or settings_for(library)
    return Worker(library, settings, parts.pop("engines", None) or FakeEngines(), **parts)  # type: ignore[arg-type]


def work(library: Library, **parts: object) -> None:
    """Run every job to its end."""
    a_worker(library, **parts).run_until_idle()


def a_file(folder: Path, name: str = "kettle.mp4", subtitles: str = SAID, **looks: object) -> Source:
    """A user's own file, with subtitles beside it unless they are empty."""
    path = Path(shutil.copy(_made(Path(name).suffix, tuple(sorted(looks.items()))), folder / name))
    given: tuple[Path, ...] = ()
    if subtitles:
        path.with_suffix(".srt").write_text(subtitles)
        given = (path.with_suffix(".srt"),)
    return Source("file", path=path, title=path.stem, subtitles=given, original_name=path.name)


@cache
def _made(ending: str, looks: tuple[tuple[str, object], ...]) -> Path:
    """Each look is made once for all tests, which get copies."""
    folder = Path(tempfile.mkdtemp(prefix="answerclip-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_video(folder / f"made{ending}", **dict(looks))  # type: ignore[arg-type]


def an_upload(folder: Path, name: str = "upload.mp4", subtitles: str = SAID, **looks: object) -> Source:
    """The same as the page hands it over: it is moved away."""
    source = a_file(folder, name, subtitles, **looks)
    return Source(
        "upload",
        path=source.path,
        title=source.title,
        subtitles=source.subtitles,
        original_name=source.original_name,
    )


def wait_until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Until the condition holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class DyingLibrary(Library):
    """Dies within the stage "index", between its two transactions."""

    dies: Callable[[], None] = staticmethod(lambda: None)

    def set_index(
        self, video_id: str, passages: Sequence[Passage], vectors: np.ndarray, model: str, text_vectors: bytes
    ) -> None:
        self.dies()
        super().set_index(video_id, passages, vectors, model, text_vectors)


def work_and_die(root: str, stage: str, moment: str, log: str) -> None:
    """A worker's process: works until idle, but is killed once for each job at this moment of this stage.

    Moments are start, middle (a report from within), and end (done, but not yet noted). What begins is
    appended to `log`, which also remembers who has died already.
    """
    library = DyingLibrary.open(root)
    written = Path(log)

    def die(job_id: int) -> None:
        if f"died {job_id}\n" not in written.read_text():
            with written.open("a") as file:
                file.write(f"died {job_id}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    last = 0

    def observe(job_id: int, progress: Progress) -> None:
        nonlocal last
        last = job_id
        begins = progress.fraction == 0.0 and not progress.detail
        ends = progress.fraction == 1.0 and progress.detail == "done"
        if begins:
            with written.open("a") as file:
                file.write(f"begin {job_id} {progress.stage}\n")
        now = "start" if begins else "end" if ends else "middle"
        if (progress.stage, now) == (stage, moment):
            die(job_id)

    if (stage, moment) == ("index", "middle"):
        library.dies = lambda: die(last)  # type: ignore[method-assign]
    a_worker(library, threads=1, observe=observe).run_until_idle()
    library.close()


_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.work_parts", "pipeline.stages", "pipeline.transcribe.base"])


def in_process(function: Callable[..., None], *arguments: object) -> int:
    """Run it in a fresh process that shares nothing with this one; its exit code, negative for a signal."""
    process = _processes.Process(target=function, args=arguments)
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        raise AssertionError("the process did not end")
    return process.exitcode
