"""Everything the stages need from a video file: what it is, its sound as samples, its pictures, its hash.

`probe` and the conversions have files of their own and are handed on from here.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from PIL import Image

from pipeline.convert import cut, finished, join, normalise
from pipeline.errors import Cancelled, UnreadableMedia
from pipeline.probe import Media, TextTrack, decoded, only, opened, packets, probe

__all__ = [
    "SAMPLE_RATE",
    "Media",
    "TextTrack",
    "audio",
    "cut",
    "join",
    "normalise",
    "picture",
    "probe",
    "sha256",
    "strip",
    "thumbnail",
    "video_id",
]

SAMPLE_RATE = 16_000

_PREROLL = 0.5  # seconds a sound decoder needs to settle after a seek
_LARGEST_JUMP = 0.1  # seconds the sound's clock may be off before it is believed
_KEYFRAME_PACKETS = 1000
_THUMBNAIL_WIDTH = 640
_THUMBNAIL_TRIES = 5
_SECONDS_A_PICTURE = 0.5
# Pictures are taken from keyframes. Where these are rare, so many pixels may be decoded to come closer:
# 300 pictures of 720p, about half a second.
_EXTRA_PIXELS = 300 * 1280 * 720


def audio(path: str | os.PathLike[str], start: float = 0.0, duration: float | None = None) -> np.ndarray:
    """The sound from `start` on as float32 mono samples at 16 kHz, shape `(n,)`, silence where it has gaps.

    Second t of the picture is sample `(t - start) * 16000`, whatever the file's own clock says. Empty
    where there is no sound (track). Reads and holds no more than the stretch asked for.
    """
    media = probe(path)
    end = media.duration if duration is None else min(media.duration, start + duration)
    if not media.has_audio or end <= start:
        return np.zeros(0, np.float32)
    samples, filled = np.zeros(0, np.float32), 0
    with opened(path) as container:
        for time, piece in _sound(container, media, start):
            if time >= end:
                break
            first = round((time - start) * SAMPLE_RATE)
            piece = piece[max(0, -first) : round((end - start) * SAMPLE_RATE) - first]
            if len(piece):
                first = max(0, first)
                filled = max(filled, first + len(piece))
                samples = _grown(samples, filled)
                samples[first : first + len(piece)] = piece
    return samples[:filled]


def _grown(samples: np.ndarray, size: int) -> np.ndarray:
    """Room for `size` samples; as much as there is sound, not as much as the file claims."""
    if size <= len(samples):
        return samples
    return np.concatenate([samples, np.zeros(max(size - len(samples), len(samples) // 2), np.float32)])


def _sound(container: InputContainer, media: Media, start: float) -> Iterator[tuple[float, np.ndarray]]:
    """Pieces of mono sound with their time in the picture's clock, from a little before `start` on."""
    stream = container.streams[media.audio_index]
    assert isinstance(stream, AudioStream)
    only(container, stream)
    if start > _PREROLL:
        with suppress(FFmpegError):
            container.seek(round((start - _PREROLL + media.start_time) * av.time_base))
    resampler, time = _resampler(), None
    for packet in packets(container, stream):
        for frame in _sound_frames(stream, packet):
            told = frame.time - media.start_time if frame.time is not None else time
            if told is None:
                continue
            if time is None or abs(told - time) > _LARGEST_JUMP:
                resampler, time = _resampler(), told
            for piece in _resampled(resampler, frame):
                yield time, piece
                time += len(piece) / SAMPLE_RATE
    if time is not None:
        for piece in _resampled(resampler, None):
            yield time, piece
            time += len(piece) / SAMPLE_RATE


def _sound_frames(stream: AudioStream, packet: av.Packet) -> list[AudioFrame]:
    try:
        return list(stream.codec_context.decode(packet if packet.size else None))
    except (FFmpegError, ValueError):
        return []  # a damaged packet: silence


def _resampler() -> AudioResampler:
    return AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)


def _resampled(resampler: AudioResampler, frame: AudioFrame | None) -> list[np.ndarray]:
    try:
        return [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
    except (FFmpegError, ValueError):
        return []  # the format changes in mid-track; the next jump of the clock starts anew


def thumbnail(path: str | os.PathLike[str], out: Path, media: Media) -> None:
    """Write the picture that stands for the video as a JPEG: the most detailed of a few early ones."""
    width, height = _fit(media, _THUMBNAIL_WIDTH, 720)
    best, most = None, -1.0
    with opened(path) as container:
        pictures = _Pictures(container, media, width, height)
        for number in range(_THUMBNAIL_TRIES):
            picture = pictures.at(media.duration * (0.04 + 0.08 * number))
            if picture is not None and (detail := float(picture[::4, ::4].std())) > most * 1.2:
                best, most = picture, detail
    if best is None:
        raise UnreadableMedia("No picture of the video can be decoded: the file is damaged. Get it again.")
    _save(Image.fromarray(best), out)


def strip(path: str | os.PathLike[str], out: Path, media: Media, count: int = 40, height: int = 54) -> int:
    """Write one JPEG of small pictures side by side, evenly spaced in time, and return how many.

    Picture n of N shows second `(n + 0.5) * duration / N`, or a keyframe shortly before it.
    """
    count = max(1, min(count, math.floor(media.duration / _SECONDS_A_PICTURE)))
    width, height = _fit(media, 4 * height, height)
    step = media.duration / count
    sheet = np.zeros((height, width * count, 3), np.uint8)
    with opened(path) as container:
        pictures = _Pictures(container, media, width, height)
        for number in range(count):
            picture = pictures.at((number + 0.5) * step, near=step / 2)
            if picture is not None:
                sheet[:, number * width : (number + 1) * width] = picture
    _save(Image.fromarray(sheet), out)
    return count


def picture(path: str | os.PathLike[str], time: float, media: Media, width: int = 480) -> Image.Image:
    """The picture at `time` seconds, or one shortly before it, at most `width` wide.

    UnreadableMedia when there is none.
    """
    with opened(path) as container:
        found = _Pictures(container, media, *_fit(media, width, width)).at(time, near=1.0)
    if found is None:
        raise UnreadableMedia("No picture of the video can be decoded here: the file is damaged.")
    return Image.fromarray(found)


def _fit(media: Media, width: int, height: int) -> tuple[int, int]:
    factor = min(width / media.width, height / media.height)
    return max(1, round(media.width * factor)), max(1, round(media.height * factor))


class _Pictures:
    """Small upright pictures of one video at given times, shape `(height, width, 3)`, RGB."""

    def __init__(self, container: InputContainer, media: Media, width: int, height: int) -> None:
        stream = container.streams[media.video_index]
        assert isinstance(stream, VideoStream)
        only(container, stream)
        self._container, self._stream, self._media = container, stream, media
        self._size = (height, width) if media.rotation in (90, 270) else (width, height)
        self._turns = media.rotation // 90
        self._shown: int | None = None  # the keyframe that `_last` shows
        self._last: np.ndarray | None = None
        self._extra = _EXTRA_PIXELS // (media.width * media.height)

    def at(self, time: float, near: float = math.inf) -> np.ndarray | None:
        """The keyframe before `time`; a later picture when it is further off than `near` and cheap.

        The last picture where this one is damaged, None where there was none yet.
        """
        clock = time + self._media.start_time
        with suppress(FFmpegError, ValueError, OverflowError):
            self._container.seek(round(clock * av.time_base))
        following = packets(self._container, self._stream)
        # A damaged file may have no keyframe any more: do not look for one through the whole of it.
        near_by = itertools.islice(following, _KEYFRAME_PACKETS)
        packet = next((packet for packet in near_by if packet.is_keyframe and packet.size), None)
        if packet is not None:
            self._show(packet, following, clock, near)
        return self._last

    def _show(self, packet: av.Packet, following: Iterator[av.Packet], clock: float, near: float) -> None:
        base = packet.time_base or Fraction(0)
        begins = float((packet.pts if packet.pts is not None else packet.dts or 0) * base)
        closer = clock - begins > near and self._extra > 0
        if not closer and packet.pts is not None and packet.pts == self._shown:
            return
        frame = self._forward(packet, following, clock) if closer else self._one(packet)
        if frame is not None:
            self._last = self._small(frame)
            self._shown = None if closer else packet.pts

    def _one(self, packet: av.Packet) -> VideoFrame | None:
        frames = decoded(self._stream, packet) or decoded(self._stream, None)
        self._stream.codec_context.flush_buffers()
        return frames[0] if frames else None

    def _forward(self, packet: av.Packet, following: Iterator[av.Packet], clock: float) -> VideoFrame | None:
        """The last picture up to `clock`, as far as the budget of extra pictures goes."""
        best = None
        for fed in itertools.chain([packet], following):
            for frame in decoded(self._stream, fed if fed.size else None):
                if best is not None and frame.time is not None and frame.time > clock:
                    return best
                best = frame
            self._extra -= 1
            if self._extra <= 0:
                break
        return best

    def _small(self, frame: VideoFrame) -> np.ndarray:
        width, height = self._size
        small = frame.reformat(width, height, "rgb24", interpolation=Interpolation.AREA)
        return np.rot90(small.to_ndarray(), self._turns)


def _save(image: Image.Image, out: Path) -> None:
    with finished(out) as part:
        image.save(part, "JPEG", quality=80, optimize=True)


def sha256(
    path: str | os.PathLike[str],
    report: Callable[[float], None] = lambda fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """The file's SHA-256 in hex."""
    digest = hashlib.sha256()
    size, done = max(1, os.stat(path).st_size), 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(4 << 20):
            if cancelled():
                raise Cancelled("Stopped.")
            digest.update(block)
            done += len(block)
            report(min(1.0, done / size))
    return digest.hexdigest()


def video_id(sha256: str) -> str:
    """The id by which the library knows a video.

    >>> video_id("0123456789abcdef" * 4)
    '0123456789abcdef'
    """
    return sha256[:16]
