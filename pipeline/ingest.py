"""One video's way into the library: the stages in their order, each resumable.

A stage returns a small dict that is kept in the job's row; what is big goes to `work/<video id>/` under
a name that appears when it is whole. A stage whose result is there, of the current version, and whose
files still exist is not run again, so a killed job redoes at most the stage it was in.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import AlreadyInLibrary, Cancelled, SourceUnavailable
from pipeline.library.progress import STAGES, STAGES_OF
from pipeline.library.rows import pack_cues, unpack_cues
from pipeline.types import Origin, Transcript, Video

if TYPE_CHECKING:
    from pipeline.features.pictures import PictureNetwork
    from pipeline.features.text import TextEncoder
    from pipeline.library.store import Library
    from pipeline.localize.base import Localizer
    from pipeline.media import Media
    from pipeline.methods import Methods
    from pipeline.settings import Settings
    from pipeline.sources import Source
    from pipeline.transcribe.base import Transcriber

__all__ = ["STAGES", "STAGES_OF", "Engines", "Models", "Task", "run"]

log = logging.getLogger(__name__)

SECOND_BEST_LASTS = 600.0  # seconds until the weights of the better recogniser are looked for again

Report = Callable[[float], None]

# Raised when a stage's result changes its meaning: jobs under way then run the stage again.
PICTURES = "picture features"
READING = "reading"
VERSIONS = {stage: 1 for stage in (*STAGES, PICTURES)}


class Engines(Protocol):
    """The models that stages need; each is made when it is first asked for and then kept."""

    speech: threading.Lock  # recognisers use all cores: one recording at a time

    def encoder(self) -> TextEncoder: ...

    def encoder_name(self) -> str:
        """The name of the encoder, without loading it."""
        ...

    def transcriber(self, report: Report, again: bool = False) -> tuple[Transcriber, str]:
        """The recogniser, loaded, and what the user should know of the choice; call it under `speech`.

        `again` looks anew for weights that could not be had before.
        """
        ...

    def reader(self, library: Library) -> Localizer | None:
        """The localizer that the settings choose where it reads cues ahead (`Localizer.reading`), loaded
        again when its checkpoint has changed; None when it reads none or cannot be loaded."""
        ...

    def picture_model(self) -> str:
        """The name of the picture network's weights, without loading them; "" when there are none."""
        ...

    def pictures(self, report: Report) -> PictureNetwork:
        """The picture network; WeightsMissing when its weights can be neither found nor fetched."""
        ...

    def warm(self) -> None:
        """Begin to load the encoder while other stages run."""
        ...


class Models:
    """The engines that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._encoder: TextEncoder | None = None
        self._chosen: tuple[Transcriber, str] | None = None
        self._chosen_at = 0.0
        self._pictures: PictureNetwork | None = None
        self._methods: Methods | None = None
        self.speech = threading.Lock()

    def encoder(self) -> TextEncoder:
        from pipeline.features.text import load_encoder

        with self._lock:
            if self._encoder is None:
                self._encoder = load_encoder(self._settings.text_encoder)
            return self._encoder

    def encoder_name(self) -> str:
        from pipeline.features.text import encoder_name

        return encoder_name(self._settings.text_encoder)

    def transcriber(self, report: Report, again: bool = False) -> tuple[Transcriber, str]:
        from pipeline import transcribe

        old = time.monotonic() - self._chosen_at > SECOND_BEST_LASTS
        if self._chosen is None or (self._chosen[1] and (old or again)):
            self._chosen = transcribe.choose(self._settings, report)
            self._chosen_at = time.monotonic()
        return self._chosen

    def reader(self, library: Library) -> Localizer | None:
        from pipeline.methods import Methods

        with self._lock:
            if self._methods is None:
                self._methods = Methods(library, self._settings)
        localizer = self._methods.parts()[0].localizer
        return localizer if localizer.reading else None

    def picture_model(self) -> str:
        from pipeline.features import weights

        return weights.expected_name(self._settings)

    def pictures(self, report: Report) -> PictureNetwork:
        from pipeline.features import weights
        from pipeline.features.pictures import I3DPictures

        path = weights.get(self._settings, report)
        if self._pictures is None or self._pictures.name != weights.name_of(path):
            self._pictures = I3DPictures(path)
        return self._pictures

    def warm(self) -> None:
        if self._encoder is None:
            threading.Thread(target=self._load_quietly, name="encoder", daemon=True).start()

    def _load_quietly(self) -> None:
        try:
            self.encoder()
        except Exception as e:  # the stage that needs it fails with the same error, where it is shown
            log.info("the text encoder could not be loaded ahead: %s", e)


class Ledger(Protocol):
    """Where a running job writes how far it is and reads whether it should stop."""

    def begin(self, stage: str) -> None: ...
    def report(self, fraction: float | None, detail: str = "") -> None: ...
    def finish(self, stage: str, result: dict[str, Any]) -> None: ...
    def cancelled(self) -> bool: ...
    def save(self, **state: Any) -> None: ...

    def got_on(self) -> None:
        """The stage has got on: a worker's deaths before this no longer speak against the job."""
        ...

    def name(self, title: str) -> None: ...

    def claim(self, video_id: str) -> None:
        """Make this the one job that works on a video; an error of the ledger's when another does."""
        ...


@dataclass
class Task:
    """What the stages share while one job runs; `state` is the ledger's copy of the row's state."""

    id: int
    kind: str
    library: Library
    settings: Settings
    engines: Engines
    ledger: Ledger
    state: dict[str, Any]
    source: Source | None = None
    video_id: str = ""
    free_space: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)

    def result(self, stage: str) -> dict[str, Any]:
        """What a stage returned, in this run or an earlier one."""
        found: dict[str, Any] = self.state.get("stages", {}).get(stage, {})
        return found if found.get("version") == VERSIONS[stage] else {}

    @property
    def plan(self) -> dict[str, Any]:
        return dict(self.state.get("plan", {}))

    @property
    def incoming(self) -> Path:
        return self.library.root / "incoming" / self.state["incoming"]

    @property
    def folder(self) -> Path:
        return self.library.folder(self.video_id)

    @property
    def work(self) -> Path:
        return self.library.root / "work" / self.video_id

    @property
    def original(self) -> Path:
        """The file as it came: where it was fetched to, or where `normalise` moved it."""
        went = self.library.root / self.state.get("moved", ("", ""))[1]
        return went if went.is_file() else Path(self.result("fetch")["path"])

    @cached_property
    def video(self) -> Video:
        """The row of a video that is in the library already."""
        return self.library.video(self.video_id)

    @cached_property
    def media(self) -> Media:
        """What is in the file that speech and subtitles are taken from."""
        from pipeline import media

        return media.probe(self.heard)

    @property
    def heard(self) -> Path:
        """The file that speech and subtitles are taken from."""
        if self.kind == "add":
            return self.original
        if self.video.missing:
            raise SourceUnavailable(
                f"“{self.video.path.name}” is no longer where it was. Put it back, or add it again from "
                "its new place."
            )
        return self.video.path

    def check(self) -> None:
        """Cancelled when the job should stop."""
        if self.ledger.cancelled():
            raise Cancelled("Stopped on request.")

    def part(self, begin: float, end: float, detail: str = "") -> Report:
        """A reporter for one part of a stage: its 0..1 becomes `begin`..`end` of the stage."""

        def report(fraction: float) -> None:
            self.ledger.report(begin + (end - begin) * fraction, detail)

        return report


def run(task: Task) -> None:
    """Bring the job from wherever it is to its end. Errors leave everything for a retry."""
    from pipeline import picture_stage, reading_stage, stages

    if task.kind == "reindex":
        return _run_one(task, "text vectors", stages.reindex)
    if task.kind == READING:
        return _run_one(task, READING, reading_stage.read_all)
    if task.kind == "pictures":
        return _run_one(task, PICTURES, picture_stage.pictures)
    if task.kind == "retranscribe":
        task.ledger.claim(task.video_id)
    else:
        _take_up(task)
    task.engines.warm()
    stale = False
    for stage in STAGES_OF[task.kind]:
        stale = stale or not _is_done(task, stage)
        if stale:
            _run_one(task, stage, stages.BY_NAME[stage])
    return None


def _run_one(task: Task, stage: str, function: Callable[[Task], dict[str, Any]]) -> None:
    task.ledger.begin(stage)
    task.check()
    result = function(task)
    task.ledger.finish(stage, {**result, "version": VERSIONS[stage]})


def _take_up(task: Task) -> None:
    """Claim the content of a job that an earlier run had hashed, and see whether it got in meanwhile."""
    known_id = task.result("probe").get("video_id")
    if not known_id:
        return
    task.ledger.claim(known_id)
    task.video_id = known_id
    known = task.library.find(sha256=task.result("probe")["sha256"])
    if known and known.state == "ready" and not task.result("text vectors"):
        raise AlreadyInLibrary(f"“{known.title}” is in the library already.", known.id)


def _is_done(task: Task, stage: str) -> bool:
    """Whether an earlier run's result still stands."""
    result = task.result(stage)
    if not result:
        return False
    if stage == "fetch":
        return _is_same_file(result) or _was_moved(task)
    if stage == "normalise":
        known = task.library.find(sha256=task.result("probe").get("sha256", ""))
        return known is not None and not known.missing
    if stage == READING and not result["file"]:
        return True
    if stage in ("subtitles", "text vectors", READING):
        return (task.work / result["file"]).is_file()
    return stage != "index"


def _is_same_file(fetched: Mapping[str, Any]) -> bool:
    try:
        found = os.stat(fetched["path"])
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (fetched["size"], fetched["mtime_ns"])


def _was_moved(task: Task) -> bool:
    came, went = (task.library.root / place for place in task.state.get("moved", ("", "")))
    return went.is_file() and not came.exists()


def write_transcript(path: Path, transcript: Transcript) -> None:
    """Keep a transcript between two stages; the file appears when it is whole."""
    kept = {
        "cues": pack_cues(transcript.cues),
        "origin": str(transcript.origin),
        "language": transcript.language,
        "detail": transcript.detail,
    }
    write_whole(path, json.dumps(kept).encode())


def read_transcript(path: Path) -> Transcript:
    """The reverse of `write_transcript`."""
    kept = json.loads(path.read_bytes())
    return Transcript(unpack_cues(kept["cues"]), Origin(kept["origin"]), kept["language"], kept["detail"])


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
