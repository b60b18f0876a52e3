"""The pictures that I3D looks at: 16 a second, 224 by 224, in windows of one second, straight from the
decoder. No picture file is written, and nothing longer than a few windows is held in memory.
"""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from pipeline.errors import Cancelled, UnreadableMedia
from pipeline.probe import Media, decoded, only, opened, packets

Item = TypeVar("Item")
Window = tuple[int, np.ndarray | None]  # second, pictures or None where nothing has changed since

RATE = 16  # pictures a second, and pictures in a window: windows do not overlap
SIDE = 224

_LATE = 0.001  # seconds: containers round times to milliseconds
_LONGEST_SIDE = 4096  # of a scaled picture; a tape of pixels would not fit into memory
# Bilinear, over all pixels that a new one covers. Without the two flags every colour is darker by 2 of 255.
_SCALING = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
_SEEK_FROM = 2.0  # seconds into the video from which seeking is worth it


def seconds_in(duration: float) -> int:
    """How many windows a video of `duration` seconds has: its last part of a second is one, too.

    What is shorter than half a picture is no part: containers end a little after their last picture.

    >>> seconds_in(10.0), seconds_in(10.02), seconds_in(10.1), seconds_in(0.04)
    (10, 10, 11, 1)
    """
    return max(1, math.ceil(round(duration * RATE) / RATE))


def windows(
    path: str | os.PathLike[str],
    media: Media,
    first: int = 0,
    last: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Window]:
    """Seconds `first` to `last` (exclusive; None: all) as (second, (16, 224, 224, 3) uint8 RGB).

    Picture k of a second is the one that a player shows k/16 into it, whatever the frame rate of the file;
    the last one is repeated to the end. A window that would equal the one before is None: nothing moves
    in slides, nor after the pictures have ended. UnreadableMedia when there is no picture at all.
    """
    until = seconds_in(media.duration) if last is None else last
    held: list[np.ndarray] = []
    before: np.ndarray | None = None
    for number, picture in enumerate(pictures(path, media, first * RATE, until * RATE, cancelled)):
        held.append(picture)
        if len(held) == RATE:
            still = all(each is before for each in held)
            yield first + number // RATE, None if still else np.stack(held)
            before = held[0] if all(each is held[0] for each in held) else None
            held = []


def pictures(
    path: str | os.PathLike[str],
    media: Media,
    first: int,
    last: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[np.ndarray]:
    """Pictures number `first` to `last` (exclusive) at 16 a second, (224, 224, 3) uint8 RGB.

    A picture that is shown for longer is the same array again.
    """
    small = _Small(media)
    wanted = first
    shown: VideoFrame | None = None
    for time, frame in _timed(path, media, first / RATE, cancelled):
        while shown is not None and wanted < last and wanted / RATE < time - _LATE:
            yield small.of(shown)
            wanted += 1
        if wanted >= last:
            return
        shown = frame
    if shown is None:
        raise UnreadableMedia("No picture of the video can be decoded here: the file is damaged.")
    for _ in range(wanted, last):
        yield small.of(shown)


def _timed(
    path: str | os.PathLike[str], media: Media, start: float, cancelled: Callable[[], bool]
) -> Iterator[tuple[float, VideoFrame]]:
    """Frames with the second at which a player shows them, from `start` or before."""
    for seek in (start > _SEEK_FROM, False):
        with opened(path) as container:
            frames = _frames(container, media, start if seek else 0.0, cancelled)
            found = next(frames, None)
            if seek and (found is None or found[0] > start + _LATE):
                continue  # the file's index is wrong: read from the beginning
            if found is not None:
                yield found
                yield from frames
            return


def _frames(
    container: InputContainer, media: Media, start: float, cancelled: Callable[[], bool]
) -> Iterator[tuple[float, VideoFrame]]:
    stream = container.streams[media.video_index]
    assert isinstance(stream, VideoStream)
    only(container, stream)
    stream.thread_type = "AUTO"
    if start:
        with suppress(FFmpegError, ValueError, OverflowError):
            container.seek(round((start + media.start_time) * av.time_base))
    # The stream's: pictures that the decoder still holds at the end come without a time base of their own.
    base = stream.time_base or Fraction(1, av.time_base)
    time, step = start, 1 / (media.fps or 25.0)
    for packet in packets(container, stream):
        if cancelled():
            raise Cancelled("Stopped on request.")
        for frame in decoded(stream, packet if packet.size else None):
            time = time + step if frame.pts is None else float(frame.pts * base) - media.start_time
            yield time, frame


class _Small:
    """Scales frames so that the shorter side has 224 pixels, upright, and cuts out the middle."""

    def __init__(self, media: Media) -> None:
        factor = SIDE / max(1, min(media.width, media.height))
        size = [min(_LONGEST_SIDE, max(SIDE, round(side * factor))) for side in (media.width, media.height)]
        self._size = size[::-1] if media.rotation in (90, 270) else size
        self._turns = media.rotation // 90
        self._reformatter = VideoReformatter()
        self._frame: VideoFrame | None = None
        self._picture = np.zeros((SIDE, SIDE, 3), np.uint8)

    def of(self, frame: VideoFrame) -> np.ndarray:
        """(224, 224, 3) uint8; the same array for the same frame."""
        if frame is not self._frame:
            try:
                self._picture = self._scaled(frame)
            except (FFmpegError, ValueError):  # a damaged frame: the one before stands
                self._picture = self._picture.copy()
            self._frame = frame
        return self._picture

    def _scaled(self, frame: VideoFrame) -> np.ndarray:
        width, height = self._size
        scaled = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=_SCALING)
        assert scaled is not None
        picture = scaled.to_ndarray()
        left, top = (width - SIDE) // 2, (height - SIDE) // 2
        middle = picture[top : top + SIDE, left : left + SIDE]
        return np.ascontiguousarray(np.rot90(middle, self._turns))


@contextmanager
def ahead(items: Iterator[Item], most: int) -> Iterator[Iterator[Item]]:
    """The same items, made in a thread of its own, at most `most` of them before they are asked for.

    Errors come out where the items do. The thread has ended when the block ends.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(most)
    stop = threading.Event()

    def put(item: Item | None, error: BaseException | None = None) -> bool:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            if all(put(item) for item in items):
                put(None, StopIteration())
        except BaseException as error:
            put(None, error)
        finally:
            if close := getattr(items, "close", None):
                close()

    def handed_out() -> Iterator[Item]:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]

    thread = threading.Thread(target=work, name="pictures", daemon=True)
    thread.start()
    try:
        yield handed_out()
    finally:
        stop.set()
        thread.join()
