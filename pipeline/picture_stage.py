"""The stage "picture features": one row of numbers for each second of every video that has none yet.

It has a job of its own, which runs when no other does, so that nobody waits for it: a video is found by
its words before its pictures are looked at. A minute of video is one piece on disk; a killed or
interrupted job goes on with the piece it was in.
"""

from __future__ import annotations

import contextlib
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import media
from pipeline.errors import AnswerClipError, SourceUnavailable, UnreadableMedia, VideoNotFound
from pipeline.features.frames import seconds_in
from pipeline.features.pictures import PictureNetwork, extract
from pipeline.ingest import PICTURES, VERSIONS, Report, Task, write_whole
from pipeline.types import Video

log = logging.getLogger(__name__)

PIECE = 60  # seconds of video
MOST_DEATHS = 3  # of workers in the same minute of a video, after which it is left alone
NO_PICTURES = "Its pictures cannot be looked at: it is found by its words only."


class GivesWay(AnswerClipError):
    """Something more urgent waits; the job goes on after it."""


def pictures(task: Task) -> dict[str, Any]:
    """Have picture features of the weights at hand for every video that can be searched."""
    model = task.engines.picture_model()
    wanted = _videos(task, task.library.needs_pictures(model)) if model else []
    if not wanted:
        return {"videos": 0}
    task.ledger.report(None, "loading the picture network")
    network = task.engines.pictures(_fetching(task))
    progress = _Progress(task, wanted)
    for video in wanted:
        task.ledger.claim(video.id)
        try:
            _one(task, video, network, progress)
        except VideoNotFound:  # removed meanwhile
            _clear(task, video)
    return {"videos": len(wanted)}


def _fetching(task: Task) -> Report:
    """How far a download is; the share of the whole job that it takes is not known before it."""

    def report(fraction: float) -> None:
        task.check()
        task.ledger.report(0.0, f"fetching the picture network, {fraction:.0%}")

    return report


def _videos(task: Task, ids: list[str]) -> list[Video]:
    found = []
    for video_id in ids:
        with contextlib.suppress(VideoNotFound):
            found.append(task.library.video(video_id))
    return found


class _Progress:
    """How far the job is, in seconds of video."""

    def __init__(self, task: Task, videos: list[Video]) -> None:
        self._task, self._done, self._number, self._count = task, 0.0, 0, len(videos)
        self._total = sum(video.duration for video in videos) or 1.0
        task.ledger.save(plan={"duration": self._total})

    def begin(self, video: Video) -> None:
        self._number += 1
        of_many = f" ({self._number} of {self._count})" if self._count > 1 else ""
        self._detail = f"“{video.title[:60]}”{of_many}"
        self.at(0.0)

    def at(self, seconds: float) -> None:
        """`seconds` of the present video are done."""
        self._task.ledger.report(min(1.0, (self._done + seconds) / self._total), self._detail)

    def end(self, video: Video) -> None:
        self._done += video.duration


def _one(task: Task, video: Video, network: PictureNetwork, progress: _Progress) -> None:
    progress.begin(video)
    try:
        rows = _rows(task, video, network, progress)
        notice = video.notice.replace(NO_PICTURES, "").strip()
    except SourceUnavailable as error:  # it is looked at again when it is back
        log.info("no picture features of %s for now: %s", video.id, error)
        return
    except UnreadableMedia as error:
        log.warning("no picture features of %s: %s", video.id, error)
        rows = np.zeros((0, network.dim), np.float32)
        notice = f"{video.notice} {NO_PICTURES}".strip() if NO_PICTURES not in video.notice else video.notice
    task.library.set_picture_features(video.id, network.name, rows)
    task.ledger.got_on()
    if notice != video.notice:
        task.library.update(video.id, notice=notice)
    _clear(task, video)
    progress.end(video)


def _rows(task: Task, video: Video, network: PictureNetwork, progress: _Progress) -> np.ndarray:
    """(seconds, D) rows of one video, made piece by piece; pieces that are there are not made again."""
    if not video.path.is_file():
        raise SourceUnavailable(f"“{video.path.name}” is no longer where it was.")
    seconds = seconds_in(video.duration)
    places = [_place(task, video, network, number) for number in range(math.ceil(seconds / PIECE))]
    for place in places:  # written by a worker that died in mid-word, or of another network
        if (piece := _read(place)) is not None and piece.shape != _shape(place, places, seconds, network):
            place.unlink()
    missing = [number for number, place in enumerate(places) if _read(place) is None]
    if missing:
        _make(task, video, network, places, missing[0], seconds, progress)
    return np.concatenate([np.load(place) for place in places]).astype(np.float32)


def _shape(place: Path, places: list[Path], seconds: int, network: PictureNetwork) -> tuple[int, int]:
    last = place == places[-1]
    return (seconds - PIECE * (len(places) - 1) if last else PIECE), network.dim


def _make(
    task: Task,
    video: Video,
    network: PictureNetwork,
    places: list[Path],
    first: int,
    seconds: int,
    progress: _Progress,
) -> None:
    """Make the pieces from number `first` on, in one run of the decoder."""
    _give_way(task)
    _enter(task, video, first)
    try:
        _look(task, video, network, places, first, seconds, progress)
    finally:  # whoever gets here has not died
        task.ledger.save(at=None)


def _look(
    task: Task,
    video: Video,
    network: PictureNetwork,
    places: list[Path],
    first: int,
    seconds: int,
    progress: _Progress,
) -> None:
    played = media.probe(video.path)
    begin = first * PIECE
    held = np.zeros((0, network.dim), np.float32)
    progress.at(begin)
    number = first
    made = extract(video.path, played, network, begin, seconds, task.ledger.cancelled)
    with contextlib.closing(made):
        for rows in made:
            task.check()
            held = np.concatenate([held, rows])
            while len(held) >= min(PIECE, seconds - number * PIECE) > 0:
                piece, held = held[:PIECE], held[PIECE:]
                _write(places[number], piece)
                number += 1
                task.ledger.got_on()
                if number < len(places):
                    _give_way(task)
                    _enter(task, video, number)
            progress.at(min(seconds, number * PIECE) + len(held))


def _enter(task: Task, video: Video, number: int) -> None:
    """Note which minute is looked at; VideoNotFound when the video is removed by now.

    UnreadableMedia where workers have died in it before: a file that kills the decoder must not keep all
    other videos from being looked at.
    """
    task.library.video(video.id)
    before = task.state.get("at") or {}
    here = {"video": video.id, "piece": number}
    deaths = before["deaths"] + 1 if before.items() >= here.items() else 0
    if deaths >= MOST_DEATHS:
        raise UnreadableMedia(f"The worker died {deaths} times in minute {number + 1}.")
    task.ledger.save(at=here | {"deaths": deaths})


def _give_way(task: Task) -> None:
    task.check()
    if task.library.has_urgent_jobs():
        raise GivesWay("Videos are being added; their pictures are looked at when they can be searched.")


def _place(task: Task, video: Video, network: PictureNetwork, number: int) -> Path:
    """The file of one piece; its name tells everything that it depends on."""
    name = f"pictures-{video.id}-{network.name}-v{VERSIONS[PICTURES]}-{number:04}.npy"
    return task.library.root / "work" / video.id / name


def _read(place: Path) -> np.ndarray | None:
    try:
        return np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def _write(place: Path, rows: np.ndarray) -> None:
    import io

    data = io.BytesIO()
    np.save(data, rows.astype(np.float16), allow_pickle=False)
    write_whole(place, data.getvalue())


def _clear(task: Task, video: Video) -> None:
    """Delete the pieces, of any weights; what other jobs have left in the folder stays."""
    folder = task.library.root / "work" / video.id
    for place in folder.glob("pictures-*"):
        place.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
