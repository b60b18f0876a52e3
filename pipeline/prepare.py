"""Fetches what published annotations name but may not hold: `python -m pipeline prepare medvidqa --data DIR`.

The captions of the videos go into `DIR/subtitles`, one file each. What is there is not asked for again, nor
is what the ledger in that folder knows to be gone, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from pipeline import subtitles
from pipeline.datasets.medvidqa import SUBTITLES, has_words, question_rows
from pipeline.errors import AnswerClipError, BadDataset, DiskFull, SourceGone, SubtitlesFailed
from pipeline.settings import Settings
from pipeline.types import Origin

log = logging.getLogger(__name__)

LEDGER = "gone.json"
LANGUAGE = "en"
INTERRUPTED = 130
# A site that refuses everything is left alone; the next run goes on.
MOST_FAILURES = 5
NO_CAPTIONS = "no English captions"


class CaptionSource(Protocol):
    """Where captions come from; `pipeline.links.Links` is one."""

    def captions(self, url: str, folder: Path, language: str) -> tuple[tuple[Path, Origin, str], ...]: ...


@dataclass
class Outcome:
    """What became of the videos, by id: fetched now, there before, gone for good, failed for now."""

    got: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    gone: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    not_asked: int = 0

    def summary(self) -> str:
        without = sum(reason == NO_CAPTIONS for reason in self.gone.values())
        parts = [
            f"{len(self.got)} fetched",
            f"{len(self.there)} already there",
            f"{len(self.gone) - without} gone",
            f"{without} without English captions",
            f"{len(self.failed)} failed",
        ]
        return ", ".join(parts) + (f", {self.not_asked} not asked for yet" if self.not_asked else "")


def prepare_medvidqa(
    folder: Path,
    settings: Settings,
    retry: bool,
    pause: float,
    tell: Callable[[str], None],
    complain: Callable[[str], None],
) -> int:
    """Fetch the captions and say what came of it: 0, 1 where some failed, 130 where it was stopped."""
    from pipeline.links import Links

    outcome, stopped = Outcome(), False
    wanted = videos_named(folder)
    try:
        fetch(wanted, folder / SUBTITLES, Links(settings), retry, pause, outcome)
    except KeyboardInterrupt:
        stopped = True
    for video, reason in outcome.failed.items():
        complain(f"failed   {video}: {reason}")
    tell(f"{len(wanted)} videos: {outcome.summary()}.")
    if stopped or outcome.not_asked:
        complain("Stopped. Nothing is lost: the same command goes on from here.")
    return INTERRUPTED if stopped else int(bool(outcome.failed))


def videos_named(folder: Path) -> dict[str, str]:
    """The videos that the annotations of a folder name without giving their words: id and link.

    Raises `BadDataset` where there are no annotations, or where they are not in their format.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise BadDataset(
            f"There are no annotations in “{folder}”. Put train.json, val.json and test.json there."
        )
    wanted: dict[str, str] = {}
    for where, row in (each for path in paths for each in question_rows(path)):
        video = row.get("video_id")
        if not isinstance(video, str) or not re.fullmatch(r"[\w-]{1,100}", video, re.ASCII):
            raise BadDataset(f"video_id is missing or cannot be a file's name in {where}.")
        if not has_words(row):
            wanted.setdefault(video, _link(row, video))
    return wanted


def _link(row: Mapping[str, object], video: str) -> str:
    link = row.get("video_url") or row.get("video_link")
    return str(link) if link else f"https://www.youtube.com/watch?v={video}"


def fetch(
    wanted: Mapping[str, str],
    folder: Path,
    source: CaptionSource,
    retry: bool = False,
    pause: float = 2.0,
    outcome: Outcome | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Fetch the captions of `wanted` (id: link) into `folder`, one video at a time.

    `outcome` is filled as it goes, so it holds what was done when this is interrupted.
    """
    outcome = Outcome() if outcome is None else outcome
    folder.mkdir(parents=True, exist_ok=True)
    ledger = _Ledger(folder / LEDGER)
    there = {
        path.name.partition(".")[0] for path in folder.iterdir() if path.suffix in (".vtt", ".srt", ".json3")
    }
    outcome.there += [video for video in wanted if video in there]
    if not retry:
        outcome.gone |= {v: ledger.gone[v] for v in wanted if v in ledger.gone and v not in there}
    asked = [video for video in wanted if video not in there and video not in outcome.gone]
    outcome.not_asked = len(asked)
    in_a_row = 0
    for number, video in enumerate(tqdm(asked, "captions", disable=None, leave=False, unit="video")):
        if number:
            sleep(pause)
        failed = not _fetch_one(video, wanted[video], folder, source, ledger, outcome)
        outcome.not_asked -= 1
        in_a_row = in_a_row + 1 if failed else 0
        if in_a_row == MOST_FAILURES:
            break
    return outcome


def _fetch_one(
    video: str, url: str, folder: Path, source: CaptionSource, ledger: _Ledger, outcome: Outcome
) -> bool:
    """Whether it is settled: fetched, or gone. What may be had later is noted as failed."""
    try:
        found = _captions(video, url, folder, source)
    except SourceGone as error:
        outcome.gone[video] = ledger.note(video, str(error))
    except DiskFull:
        raise
    except AnswerClipError as error:
        log.info("captions of %s: %s", video, error)
        outcome.failed[video] = str(error)
        return False
    else:
        if found:
            ledger.forget(video)
            outcome.got.append(video)
        else:
            outcome.gone[video] = ledger.note(video, NO_CAPTIONS)
    return True


def _captions(video: str, url: str, folder: Path, source: CaptionSource) -> bool:
    """Puts the best readable captions in place, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
        for path, _, language in source.captions(url, Path(work), LANGUAGE):
            if language != LANGUAGE:
                continue
            try:
                subtitles.read(path)
            except SubtitlesFailed as error:
                log.info("%s", error)
                continue
            os.replace(path, folder / f"{video}{path.suffix}")
            return True
    return False


class _Ledger:
    """The videos that are known to be gone, and why, as JSON beside the captions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.gone: dict[str, str] = {}
        if path.exists():
            try:
                self.gone = {str(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
            except (ValueError, AttributeError) as error:
                log.warning("“%s” is damaged and begun anew: %s", path.name, error)

    def note(self, video: str, reason: str) -> str:
        self.gone[video] = reason
        self._write()
        return reason

    def forget(self, video: str) -> None:
        if self.gone.pop(video, None) is not None:
            self._write()

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self.gone, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(part, self._path)
