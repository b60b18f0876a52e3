"""Subtitle files and text tracks in, cues out, and back: SubRip, WebVTT and YouTube's json3.

Reading is tolerant (any encoding, broken times, rolling captions) and gives plain text: markup is
dropped, entities are characters, nothing in a cue is ever markup again. Times are seconds.
"""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av.error

from pipeline.captions import ENTITY, Block, checked, parse_json3, parse_srt, parse_vtt
from pipeline.charsets import decode
from pipeline.errors import SubtitlesFailed
from pipeline.probe import Media, opened
from pipeline.sentences import recut, sentence_bounds
from pipeline.types import Cue, Span

__all__ = [
    "clip",
    "embedded",
    "parse_json3",
    "parse_srt",
    "parse_vtt",
    "read",
    "recut",
    "sentence_bounds",
    "to_srt",
    "to_vtt",
]

log = logging.getLogger(__name__)

_TEXT_CODECS = frozenset(("mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"))
MAX_EMBEDDED = 200_000  # cues of one track
MAX_BYTES = 50 * 1024 * 1024
REMEDY = (
    "Save it as SubRip (.srt) or WebVTT (.vtt) and add it again, "
    "or leave it out: the speech is then transcribed."
)


def read(path: Path) -> tuple[Cue, ...]:
    """The cues of a subtitle file, sorted by start. Raises `SubtitlesFailed` when there are none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SubtitlesFailed(f"“{path.name}” is too big for subtitles (over 50 MB). {REMEDY}")
        text = decode(path.read_bytes())
    except OSError as error:
        reason = error.strerror or "the file cannot be opened"
        raise SubtitlesFailed(f"“{path.name}” cannot be read: {reason}. Check the file.") from error
    cues = _parse(text)
    if not cues:
        raise SubtitlesFailed(f"“{path.name}” holds no subtitles that can be read. {REMEDY}")
    return cues


def _parse(text: str) -> tuple[Cue, ...]:
    """By what is written in it: the ending of a file's name is often wrong."""
    start = text[:100].lstrip()
    if start.startswith("{") and '"events"' in text[:100_000]:
        return parse_json3(text)
    return parse_vtt(text) if start.startswith("WEBVTT") else parse_srt(text)


def to_srt(cues: Iterable[Cue]) -> str:
    """SubRip text, lines of about 42 characters."""
    blocks = [
        f"{number}\n{_stamp(cue.start, ',')} --> {_stamp(_end(cue), ',')}\n{_lines(cue.text, _srt_escape)}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def to_vtt(cues: Iterable[Cue]) -> str:
    """WebVTT text, lines of about 42 characters."""
    blocks = [
        f"{_stamp(cue.start, '.')} --> {_stamp(_end(cue), '.')}\n{_lines(cue.text, _vtt_escape)}\n"
        for cue in cues
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _end(cue: Cue) -> float:
    return max(cue.end, cue.start + 0.001)  # a cue must not vanish by rounding


def _stamp(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def _lines(text: str, escape: Callable[[str], str]) -> str:
    return "\n".join(
        escape(line) for line in textwrap.wrap(text, 42, break_long_words=False, break_on_hyphens=False)
    )


def _vtt_escape(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("{\\", "&#123;\\")


def _srt_escape(text: str) -> str:
    """SubRip has no escaping, so only what would be read as markup or as a time is changed."""
    text = re.sub(r"&(?=[#A-Za-z])", "&amp;", text) if ENTITY.search(text) else text
    text = re.sub(r"<(?=[/!?A-Za-z\-0-9>])", "&lt;", text).replace("{\\", "&#123;\\")
    return re.sub(r"(?<=-)(\s?)>", r"\1&gt;", text)


def embedded(path: Path, media: Media) -> tuple[tuple[Cue, ...], str]:
    """The cues of the first full text track inside a video and the language it names ("" where it names
    none); no cues when there is no such track.

    A track that says much less than another only translates signs. Times count from the start of the
    picture, as everywhere. Raises `SubtitlesFailed`.
    """
    try:
        with opened(path) as container:
            streams = [stream for stream in container.streams.subtitles if stream.name in _TEXT_CODECS]
            tracks = _track_blocks(container, streams, media.start_time) if streams else []
            languages = [stream.language or "" for stream in streams]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SubtitlesFailed(
            f"The subtitles inside “{path.name}” cannot be read. Give a subtitle file beside the video, "
            "or let the speech be transcribed."
        ) from error
    read_tracks = [checked(track) for track in tracks]
    sizes = [sum(len(cue.text) for cue in cues) for cues in read_tracks]
    full = (number for number, size in enumerate(sizes) if 2 * size >= max(sizes))
    number = next(full, None)
    return ((), "") if number is None else (read_tracks[number], languages[number])


def _track_blocks(container: Any, streams: list[Any], offset: float) -> list[list[Block]]:
    """What each track says, in one pass over the file; a damaged packet costs only its own cue."""
    tracks: dict[int, list[Block]] = {stream.index: [] for stream in streams}
    for other in container.streams:
        other.discard = type(other.discard)["default" if other in streams else "all"]  # saves reading them
    for packet in container.demux(streams):
        blocks = tracks[packet.stream.index]
        if packet.pts is None or not packet.size or len(blocks) >= MAX_EMBEDDED:
            continue
        try:
            shown = packet.stream.decode2(packet)
        except (av.error.FFmpegError, ValueError):
            log.info("a subtitle packet at %s cannot be decoded", packet.pts)
            continue
        text = "\n".join(_dialogue(rect) for rect in shown or ())
        start = float(packet.pts * packet.time_base) - offset
        end = start + float((packet.duration or 0) * packet.time_base)
        blocks.append(Block(round(start, 3), round(end, 3), text.split("\n")))
    return list(tracks.values())


def _dialogue(rect: Any) -> str:
    """The words of one decoded line, which FFmpeg gives as SubStation text."""
    text = getattr(rect, "dialogue", b"").decode("utf-8", "replace")
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


def clip(cues: Iterable[Cue], span: Span) -> tuple[Cue, ...]:
    """The cues that are heard in `span`, moved so that it starts at 0.

    >>> clip([Cue(9, 12, "in"), Cue(20, 21, "out")], Span(10, 20))
    (Cue(start=0, end=2, text='in', words=()),)
    """
    inside = []
    for cue in cues:
        start, end = max(cue.start, span.start), min(cue.end, span.end)
        if end - start < 0.01:
            continue
        words = tuple(
            replace(word, start=max(0.0, _moved(word.start, span)), end=_moved(min(word.end, span.end), span))
            for word in cue.words
            if word.end > span.start and word.start < span.end
        )
        inside.append(Cue(_moved(start, span), _moved(end, span), cue.text, words))
    return tuple(inside)


def _moved(seconds: float, span: Span) -> float:
    return round(seconds - span.start, 3)
