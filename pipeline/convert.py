"""Writing video with the packaged ffmpeg: `normalise` makes what browsers play, `cut` the clip that is
downloaded, `join` one file of a site's separate picture and sound.

Every run has a time limit, can be stopped, and ends in a finished file or in none.
"""

from __future__ import annotations

import errno
import glob
import logging
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import ffmpeg
import imageio_ffmpeg

from pipeline.errors import AnswerClipError, Cancelled, DiskFull, UnreadableMedia
from pipeline.probe import FORMATS, PROTOCOLS, Media, address, probe
from pipeline.types import Span

log = logging.getLogger(__name__)

Report = Callable[[float], None]
IsCancelled = Callable[[], bool]

_LONG_SIDE = 1920  # larger pictures cost hours on a CPU and show nothing more in a player
_MOST_PICTURES = 60  # a second
_KEYFRAME_SECONDS = 2
_SEEKABLE = {"mp4", "mov", "webm", "mkv"}
_STALL_SECONDS = 180.0
_MEMORY_BYTES = 8 << 30
_DISK_FULL = "There is no space left on the disk. Free some and choose Retry."


def normalise(
    path: Path,
    out: Path,
    media: Media,
    report: Report = lambda fraction: None,
    cancelled: IsCancelled = lambda: False,
) -> None:
    """Write `path` as an mp4 that every browser plays: H.264 and AAC, upright, from 0 on, fast to start.

    Tracks that fit already are copied, which takes seconds. Raises `Cancelled`, `DiskFull`,
    `UnreadableMedia`; `out` is there only when all went well.
    """
    for leftover in out.parent.glob(f".{glob.escape(out.name)}.*.part"):  # of a worker that was killed
        leftover.unlink(missing_ok=True)
    if media.picture_fits:
        try:
            _write_mp4(path, out, media, report, cancelled, copy_picture=True)
            return
        except UnreadableMedia as error:
            log.info("copying the tracks of %s failed, encoding them: %s", path.name, error)
    _write_mp4(path, out, media, report, cancelled, copy_picture=False)


def cut(path: Path, span: Span, out: Path, exact: bool = True) -> Path:
    """Write the stretch `span` as an mp4 of its own and return `out`.

    `exact` encodes again and is right to one picture; without it the tracks are copied, which is
    faster and starts exactly only in players that honour edit lists.
    """
    media = probe(path)
    if span.start >= media.duration:
        raise UnreadableMedia("The clip lies behind the end of the video. Choose an earlier one.")
    options = _picture_options() | _sound_options(copy=False) if exact else {"c": "copy"}
    options["t"] = f"{span.duration:.3f}"
    if media.container in _SEEKABLE:
        source = _input(path, ss=f"{span.start:.3f}")
    else:  # seeking lands between keyframes there: read from the start
        source, options["ss"] = _input(path), f"{span.start:.3f}"
    with finished(out) as part:
        stream = _output(source, media, part, filtered=exact, **options)
        _run(stream, span.duration, lambda fraction: None, lambda: False)
        _check_written(part, path)
    return out


def join(picture: Path, sound: Path | None, out: Path, cancelled: IsCancelled = lambda: False) -> Path:
    """Put a picture file and a sound file (or one file of another container) into one mp4, unchanged."""
    tracks = [_input(picture)["V:0"]]
    tracks.append(_input(sound)["a:0"] if sound else _input(picture)["a:0?"])
    with finished(out) as part:
        stream = ffmpeg.output(*tracks, address(part), c="copy", f="mp4", movflags="+faststart")
        _run(stream, 0, lambda fraction: None, cancelled)
        _check_written(part, picture)
    return out


def _write_mp4(
    path: Path, out: Path, media: Media, report: Report, cancelled: IsCancelled, copy_picture: bool
) -> None:
    options = {"c:v": "copy"} if copy_picture else _picture_options()
    options |= _sound_options(copy=copy_picture and media.sound_fits)
    with finished(out) as part:
        stream = _output(_input(path), media, part, filtered=not copy_picture, **options)
        _run(stream, media.duration, report, cancelled)
        written = _check_written(part, path)
        if copy_picture and not written.playable:
            raise UnreadableMedia(f"“{path.name}” cannot be copied into an mp4 that browsers play.")
    report(1.0)


def _input(path: Path, **options: str) -> Any:
    return ffmpeg.input(address(path), protocol_whitelist=PROTOCOLS, format_whitelist=FORMATS, **options)


def _output(source: Any, media: Media, part: Path, filtered: bool, **options: Any) -> Any:
    picture = source[str(media.video_index)]
    if filtered:
        width, height = _encoded_size(media)
        if min(media.width, media.height) > 8:  # the filter refuses tinier pictures
            picture = picture.filter("yadif", deint="interlaced")
        picture = picture.filter("scale", width, height).filter("setsar", 1).filter("format", "yuv420p")
        if media.fps > _MOST_PICTURES:
            picture = picture.filter("fps", _MOST_PICTURES)
    tracks = [picture] + ([source[str(media.audio_index)]] if media.has_audio else [])
    # Metadata of strangers is of no use to the player.
    clean = {"map_metadata": -1, "map_chapters": -1, "f": "mp4", "movflags": "+faststart"}
    return ffmpeg.output(*tracks, address(part), **clean, **options)


def _encoded_size(media: Media) -> tuple[int, int]:
    """Even, at least 4 (what the encoder takes), and no side longer than `_LONG_SIDE`."""
    factor = min(1.0, _LONG_SIDE / max(media.width, media.height))
    width, height = (max(4, round(side * factor / 2) * 2) for side in (media.width, media.height))
    return width, height


def _picture_options() -> dict[str, Any]:
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "crf": 23,
        "pix_fmt": "yuv420p",
        "fps_mode": "vfr",
        "force_key_frames": f"expr:gte(t,n_forced*{_KEYFRAME_SECONDS})",
    }


def _sound_options(copy: bool) -> dict[str, Any]:
    if copy:
        return {"c:a": "copy"}
    # Gaps and jumps of the sound's clock are filled, so that the words stay with the picture.
    return {"c:a": "aac", "b:a": "128k", "ac": 2, "ar": 48000, "af": "aresample=async=1:first_pts=0"}


@contextmanager
def finished(out: Path) -> Iterator[Path]:
    """A name of its own beside `out`, which takes `out`'s place when the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    # Unique, because a process that was left over from a killed worker may still write the last one.
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(_DISK_FULL) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _check_written(part: Path, source: Path) -> Media:
    try:
        return probe(part)
    except UnreadableMedia as error:
        raise UnreadableMedia(
            f"“{source.name}” cannot be converted: the file is damaged. Get it again from its source."
        ) from error


def _run(stream: Any, seconds: float, report: Report, cancelled: IsCancelled) -> None:
    """Run ffmpeg to its end, or kill it: cancelled, stalled, or far beyond any sensible time."""
    limit = time.monotonic() + 600 + 30 * seconds
    arguments = stream.global_args(
        "-hide_banner", "-nostdin", "-loglevel", "error", "-nostats", "-progress", "pipe:1"
    ).compile(cmd=_command(), overwrite_output=True)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        try:
            _limit_memory(process.pid)
            _follow(process, seconds, report, cancelled, limit)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        if process.returncode:
            raise failure(_tail(errors))


def _follow(
    process: subprocess.Popen[bytes], seconds: float, report: Report, cancelled: IsCancelled, limit: float
) -> None:
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True).start()
    seen: dict[bytes, bytes] = {}
    moved = time.monotonic()
    while True:
        if cancelled():
            raise Cancelled("Stopped.")
        now = time.monotonic()
        if now > limit or now - moved > _STALL_SECONDS:
            raise UnreadableMedia("The conversion got stuck: the file is damaged. Get it again.")
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if line is None:
            process.wait(timeout=60)
            return
        key, _, value = line.strip().partition(b"=")
        if key in (b"out_time_us", b"total_size") and value != seen.get(key):
            seen[key], moved = value, now
        if key == b"out_time_us" and seconds and value.isdigit():
            report(min(1.0, int(value) / 1e6 / seconds))


def _read_lines(pipe: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with suppress(ValueError, OSError):  # closed from the other side
        for line in pipe:
            lines.put(line)
    lines.put(None)


@cache
def _command() -> tuple[str, ...]:
    """ffmpeg, made to die with its worker where the system knows how."""
    executable = imageio_ffmpeg.get_ffmpeg_exe()
    guard = shutil.which("setpriv")
    return (guard, "--pdeathsig", "KILL", executable) if guard else (executable,)


def _limit_memory(pid: int) -> None:
    with suppress(ImportError, AttributeError, OSError, ValueError):  # Linux only, or it has ended
        import resource

        resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _tail(errors: IO[bytes]) -> str:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
    return errors.read().decode("utf-8", "replace")


def failure(words: str) -> AnswerClipError:
    """What ffmpeg's last words mean for the user."""
    log.warning("ffmpeg: %s", words.strip()[:2000])
    if "No space left on device" in words or "Disk quota exceeded" in words:
        return DiskFull(_DISK_FULL)
    if "Cannot allocate memory" in words:
        return UnreadableMedia("The video needs more memory than there is. Make it smaller and add it again.")
    return UnreadableMedia(
        "The video cannot be converted: the file is damaged. Get it again from its source."
    )
