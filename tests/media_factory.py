"""Tiny videos of every kind for the tests, made in a fraction of a second with the packaged ffmpeg.

`make_video` makes what a camera, a site or a recorder could have written; the functions below it make
what is broken, hostile or very long. Every function returns the path that it was given.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

_FAST = {"libx264": ("-preset", "ultrafast"), "libvpx-vp9": ("-deadline", "realtime", "-cpu-used", "8")}

SubtitleLines = Sequence[tuple[float, float, str]]


def ffmpeg(*arguments: str) -> None:
    """Run the packaged ffmpeg; its own words are in the error."""
    command = [_executable(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")


@cache
def _executable() -> str:
    return imageio_ffmpeg.get_ffmpeg_exe()


def make_video(
    path: Path,
    seconds: float = 3,
    audio: bool | str | Path = True,
    rotation: int = 0,
    codec: str = "libx264",
    size: tuple[int, int] = (320, 180),
    subtitles: SubtitleLines | None = None,
    start_time: float = 0,
    variable_rate: bool = False,
    audio_tracks: int = 1,
    audio_codec: str = "",
    fps: float = 25,
    keyframe_seconds: float = 2,
    pixel_format: str = "yuv420p",
    picture: str = "testsrc2",
    metadata: Mapping[str, str] | None = None,
    container: str = "",
    seed: int = 0,
) -> Path:
    """A video at `path`; the container follows from its ending unless `container` names a muxer.

    `audio`: True is a tone, "silence" is digital silence, "beeps" is one short beep at each whole
    second, a path is a sound file, False is no track. `subtitles` are `(start, end, text)` and become
    a text track inside the file. `picture` is an ffmpeg source ("testsrc2", "color=red", …). Videos of
    different `seed` differ in content. `rotation` is what the player has to turn the picture by,
    counter-clockwise, as ffmpeg says it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        inputs = _picture_input(picture, seconds, size, fps)
        tracks = audio_tracks if audio else 0
        for track in range(tracks):
            inputs += _sound_input(audio, seconds, 440 + 110 * track + 7 * seed)
        maps = [item for number in range(tracks + 1) for item in ("-map", str(number))]
        if subtitles:
            lines = Path(folder) / "lines.srt"
            lines.write_text(as_srt(subtitles), encoding="utf-8")
            inputs += ["-i", str(lines)]
            maps += ["-map", str(tracks + 1)]
        output = _encoding(path, codec, audio_codec, fps, keyframe_seconds, pixel_format, variable_rate)
        output += ["-t", str(seconds), "-metadata", f"comment=seed {seed}"]
        for key, value in (metadata or {}).items():
            output += ["-metadata", f"{key}={value}"]
        if subtitles:
            output += ["-c:s", _subtitle_codec(path)]
        if start_time:
            output += ["-output_ts_offset", str(start_time)]
        if container:
            output += ["-f", container]
        made = Path(folder) / f"made{path.suffix or '.mp4'}" if rotation else path
        ffmpeg(*inputs, *maps, *output, f"file:{made}")
        if rotation:
            turn = ["-display_rotation:v:0", str(rotation)]
            ffmpeg(*turn, "-i", f"file:{made}", "-map", "0", "-c", "copy", f"file:{path}")
    return path


def _picture_input(picture: str, seconds: float, size: tuple[int, int], fps: float) -> list[str]:
    joint = ":" if "=" in picture else "="
    width, height = size
    return ["-f", "lavfi", "-i", f"{picture}{joint}size={width}x{height}:rate={fps}:duration={seconds}"]


def _sound_input(audio: bool | str | Path, seconds: float, frequency: int) -> list[str]:
    if isinstance(audio, Path):
        return ["-i", f"file:{audio}"]
    if audio == "silence":
        return ["-f", "lavfi", "-i", f"anullsrc=r=44100:cl=mono:duration={seconds}"]
    if audio == "beeps":
        beep = f"aevalsrc=exprs=0.5*sin(2*PI*{frequency}*t)*lt(mod(t\\,1)\\,0.1):s=44100:d={seconds}"
        return ["-f", "lavfi", "-i", beep]
    return ["-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=44100:duration={seconds}"]


def _encoding(
    path: Path,
    codec: str,
    audio_codec: str,
    fps: float,
    keyframe_seconds: float,
    pixel_format: str,
    variable_rate: bool,
) -> list[str]:
    webm = path.suffix.lower() == ".webm"
    if webm and codec == "libx264":
        codec = "libvpx-vp9"
    output = ["-c:v", codec, *_FAST.get(codec, ()), "-pix_fmt", pixel_format]
    output += ["-g", str(max(1, round(fps * keyframe_seconds)))]
    output += ["-c:a", audio_codec or ("libopus" if webm else "aac")]
    if variable_rate:
        output += ["-vf", "select=lt(n\\,12)+not(mod(n\\,5))", "-fps_mode", "vfr"]
    return output


def _subtitle_codec(path: Path) -> str:
    ending = path.suffix.lower()
    return {".webm": "webvtt", ".mkv": "srt"}.get(ending, "mov_text")


def as_srt(lines: SubtitleLines) -> str:
    """The lines as the text of a .srt file."""

    def time(value: float) -> str:
        whole = round(value * 1000)
        minutes, milliseconds = divmod(whole, 60_000)
        clock = f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}"
        return f"{clock},{milliseconds % 1000:03}"

    blocks = (f"{n}\n{time(a)} --> {time(b)}\n{text}\n" for n, (a, b, text) in enumerate(lines, 1))
    return "\n".join(blocks)


def make_sound(path: Path, seconds: float = 2) -> Path:
    """A file with a tone and no picture."""
    ffmpeg(*_sound_input(True, seconds, 440), f"file:{path}")
    return path


def make_sound_with_cover(path: Path, seconds: float = 2) -> Path:
    """A sound file whose only picture is its cover, as music files have it."""
    cover = ["-f", "lavfi", "-i", "color=red:size=64x64:duration=1"]
    maps = ["-map", "0", "-map", "1", "-frames:v", "1", "-c:v", "mjpeg", "-disposition:v", "attached_pic"]
    ffmpeg(*_sound_input(True, seconds, 440), *cover, *maps, "-c:a", "aac", f"file:{path}")
    return path


def make_long_video(path: Path, hours: float = 6, audio: bool = True) -> Path:
    """Hours of video at one picture a second, a few MB, written in about a second (copied minutes)."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"fps": 1.0, "size": (64, 36), "keyframe_seconds": 10.0}
        minute = make_video(Path(folder) / f"minute{path.suffix}", 60, "beeps" if audio else False, **options)  # type: ignore[arg-type]
        loops = max(0, round(hours * 60) - 1)
        ffmpeg("-stream_loop", str(loops), "-i", f"file:{minute}", "-c", "copy", f"file:{path}")
    return path


def make_empty(path: Path) -> Path:
    """A file of zero bytes."""
    path.write_bytes(b"")
    return path


def make_random_bytes(path: Path, size: int = 100_000, seed: int = 1) -> Path:
    """Noise that is no file format."""
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def make_html(path: Path) -> Path:
    """A web page, as one gets who saves a link under a video's name."""
    page = "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
    path.write_text(page * 50, encoding="utf-8")
    return path


def make_playlist(path: Path, entry: str) -> Path:
    """An HLS playlist that points at `entry`: what a hostile upload uses to read files or addresses."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:10", "#EXTINF:10.0,", entry, "#EXT-X-ENDLIST", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def make_truncated(source: Path, path: Path, keep: float = 0.5) -> Path:
    """The first part of `source`, as after a broken copy."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def make_bit_flipped(source: Path, path: Path, flips: int = 50, seed: int = 1, skip: int = 0) -> Path:
    """`source` with single bits turned over, none within the first `skip` bytes."""
    data = bytearray(source.read_bytes())
    dice = random.Random(seed)
    for _ in range(flips):
        data[dice.randrange(skip, len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(data))
    return path


def make_faststart(source: Path, path: Path) -> Path:
    """`source` (mp4) with its index at the front, as sites serve it."""
    ffmpeg("-i", f"file:{source}", "-map", "0", "-c", "copy", "-movflags", "+faststart", f"file:{path}")
    return path


def copy_as(source: Path, path: Path) -> Path:
    """A copy under another name: emoji, quotes, `%`, a leading dash, 200 characters …"""
    shutil.copyfile(source, path)
    return path
