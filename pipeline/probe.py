"""What a media file is: `probe` opens it with PyAV, decodes its first picture and returns `Media`.

Files come from strangers. Only known containers are opened, nothing but the file itself is read, names
cannot be taken for options or addresses, and what cannot be read is said in plain words.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.errors import UnreadableMedia

# Containers that hold one video each. Playlists (HLS, concat, DASH) and picture sequences are not among
# them: they make ffmpeg open other files and addresses. Sound formats are, for a better message.
FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,flv,asf,ogg,rm,mxf,dv,nut,"
    "mp3,aac,flac,wav,aiff,ac3"
)
PROTOCOLS = "file,pipe"
MAX_PIXELS = 8192 * 8192
MAX_SECONDS = 200 * 3600.0

_PLAYABLE_PICTURES = {
    "h264": {"yuv420p", "yuvj420p"},
    "vp8": {"yuv420p"},
    "vp9": {"yuv420p"},
    "av1": {"yuv420p", "yuv420p10le"},
}
_PLAYABLE_SOUND = {"mp4": {"", "aac", "mp3", "opus"}, "webm": {"", "opus", "vorbis"}}
_TEXT_CODECS = {"srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "text"}
_DECODERS = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}
_DECODERS |= {"mp3float": "mp3", "libopus": "opus", "libvorbis": "vorbis"}
# Browsers play from the file's own zero; a later start would shift every cue.
_LATE_START = 0.2
_FIRST_PICTURE_PACKETS = 600
_DAMAGED_PLACES = 20


@dataclass(frozen=True)
class TextTrack:
    """A subtitle track of text inside a file; `index` is the stream's number."""

    index: int
    codec: str
    language: str = ""
    title: str = ""


@dataclass(frozen=True)
class Media:
    """What `probe` found. Sizes are as shown: after rotation, with square pixels.

    `start_time` is the file's own time of the picture that plays at 0. `playable` says that browsers
    play the file as it is; where not, `picture_fits` and `sound_fits` say which tracks can go into an
    mp4 without being encoded again. `notice` is what the user should know, in plain words.
    """

    duration: float
    width: int
    height: int
    rotation: int
    video_codec: str
    audio_codec: str
    container: str
    start_time: float
    fps: float
    has_audio: bool
    text_tracks: tuple[TextTrack, ...]
    audio_tracks: int
    playable: bool
    picture_fits: bool = False
    sound_fits: bool = False
    video_index: int = 0
    audio_index: int = -1
    notice: str = ""


def probe(path: str | os.PathLike[str]) -> Media:
    """What the file is; `UnreadableMedia` with the reason when it is no video that can be decoded."""
    path = Path(path)
    _check_file(path)
    try:
        with opened(path) as container:
            return _examine(container, path)
    except (FFmpegError, OSError, ValueError, LookupError, OverflowError) as error:
        raise UnreadableMedia(_why_unreadable(path)) from error


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """The file opened by PyAV as a hostile file is opened: known containers, no other file or address."""
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": PROTOCOLS,
    }
    with av.open(address(path), options=options, metadata_errors="replace", timeout=(60, 60)) as container:
        yield container


def address(path: str | os.PathLike[str]) -> str:
    """The path as ffmpeg takes it for nothing else: no option, no protocol, no pattern.

    >>> address("/videos/concat:a|b.mp4")
    'file:/videos/concat:a|b.mp4'
    """
    return "file:" + os.path.abspath(path)


def only(container: InputContainer, stream: Stream) -> None:
    """Make the demuxer skip every other stream, which saves reading them."""
    for other in container.streams:
        other.discard = type(other.discard)["default" if other is stream else "all"]


def video_stream(container: InputContainer) -> VideoStream:
    """The stream that holds the moving picture; covers of music files are none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise UnreadableMedia("The file has no picture, only sound. Add a video.")


def packets(container: InputContainer, *streams: Stream) -> Iterator[av.Packet]:
    """The packets of the streams (of all without), going on behind damaged places."""
    for _ in range(_DAMAGED_PLACES):
        try:
            yield from container.demux(*streams)
            return
        except (FFmpegError, ValueError, LookupError):  # the last: a stream that turns up in mid-file
            continue


def decoded(stream: VideoStream, packet: av.Packet | None) -> list[VideoFrame]:
    """The packet's pictures; none where it is damaged. `None` hands out what the decoder still holds."""
    try:
        return list(stream.codec_context.decode(packet))
    except (FFmpegError, ValueError):
        return []


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UnreadableMedia(f"“{path.name}” is not there. Check the path, or add the file again.")
    if not path.is_file():
        raise UnreadableMedia(f"“{path.name}” is not a file. Choose a video file.")
    if not os.access(path, os.R_OK):
        raise UnreadableMedia(f"“{path.name}” may not be read. Give this user the right to read it.")
    if path.stat().st_size == 0:
        raise UnreadableMedia(
            f"“{path.name}” is empty (0 bytes). The copy or download broke off: get the file again."
        )


def _examine(container: InputContainer, path: Path) -> Media:
    try:
        video = video_stream(container)
    except UnreadableMedia as error:
        raise UnreadableMedia(f"“{path.name}” has no picture, only sound. Add a video.") from error
    context = video.codec_context
    if context is None:
        raise UnreadableMedia(
            f"The picture of “{path.name}” is coded in a way that is not known here. "
            "Convert the file to MP4 (H.264) and add that."
        )
    if context.width * context.height > MAX_PIXELS:
        raise UnreadableMedia(
            f"The picture of “{path.name}” is too large ({context.width} by {context.height}). "
            "Make it smaller and add it again."
        )
    frame = _first_picture(container, video)
    if frame is None:
        raise UnreadableMedia(
            f"No picture of “{path.name}” can be decoded: the file is damaged. Get it again from its source."
        )
    picture = _codec(video)
    audio = _sound_stream(container)
    sound = _codec(audio) if audio else ""
    kind = _container(container, path)
    start = (container.start_time or 0) / av.time_base
    duration, cut_off, told = _duration(container, video, path, start)
    width, height, rotation = _shown_size(video, frame)
    plays = _plays(kind, picture, frame.format.name, sound)
    return Media(
        duration=duration,
        width=width,
        height=height,
        rotation=rotation,
        video_codec=picture,
        audio_codec=sound,
        container=kind,
        start_time=start,
        fps=_rate(video),
        has_audio=audio is not None,
        text_tracks=_text_tracks(container),
        audio_tracks=len(container.streams.audio),
        playable=plays and told and not cut_off and abs(start) < _LATE_START,
        picture_fits=_plays("mp4", picture, frame.format.name, ""),
        sound_fits=sound in _PLAYABLE_SOUND["mp4"],
        video_index=video.index,
        audio_index=audio.index if audio else -1,
        notice=_cut_off_notice(duration) if cut_off else "",
    )


def _plays(kind: str, picture: str, pixels: str, sound: str) -> bool:
    """Whether browsers play these tracks in that container."""
    if (kind, picture) in (("webm", "h264"), ("mp4", "vp8")):
        return False
    return pixels in _PLAYABLE_PICTURES.get(picture, ()) and sound in _PLAYABLE_SOUND.get(kind, ())


def _first_picture(container: InputContainer, video: VideoStream) -> VideoFrame | None:
    for number, packet in enumerate(packets(container, video)):
        for frame in decoded(video, packet if packet.size else None):
            return frame
        if number > _FIRST_PICTURE_PACKETS:
            break
    return None


def _shown_size(video: VideoStream, frame: VideoFrame) -> tuple[int, int, int]:
    """Width and height as they are shown, and the rotation (0, 90, 180, 270, counter-clockwise)."""
    shape = video.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, 8) <= shape <= 8:
        shape = Fraction(1)
    width, height = max(1, round(frame.width * shape)), frame.height
    rotation = round((frame.rotation or 0) / 90) * 90 % 360
    return (height, width, rotation) if rotation in (90, 270) else (width, height, rotation)


def _sound_stream(container: InputContainer) -> Stream | None:
    """The track that plays by itself: the one marked as default, else the first that can be decoded."""
    tracks = [stream for stream in container.streams.audio if stream.codec_context]
    marked = [stream for stream in tracks if stream.disposition & Disposition.default]
    return next(iter(marked or tracks), None)


def _codec(stream: Stream) -> str:
    name = stream.codec_context.name if stream.codec_context else ""
    return _DECODERS.get(name, name)


def _container(container: InputContainer, path: Path) -> str:
    """`mp4`, `webm`, or ffmpeg's name for what browsers do not play (`mkv` and `mov` kept apart)."""
    names = container.format.name
    if "matroska" in names:
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "mkv"
    if "mp4" in names.split(","):
        return "mov" if container.metadata.get("major_brand", "").startswith("qt") else "mp4"
    return names.split(",")[0]


def _text_tracks(container: InputContainer) -> tuple[TextTrack, ...]:
    return tuple(
        TextTrack(stream.index, _codec(stream), stream.language or "", stream.metadata.get("title", ""))
        for stream in container.streams.subtitles
        if _codec(stream) in _TEXT_CODECS
    )


def _rate(video: VideoStream) -> float:
    rate = float(video.average_rate or video.guessed_rate or 0)
    return rate if 0 < rate <= 1000 else 0.0


def _duration(
    container: InputContainer, video: VideoStream, path: Path, start: float
) -> tuple[float, bool, bool]:
    """Seconds that can be played; whether the file ends before its index does; whether it says its length.

    Browsers cannot seek in a file that does not say its length.
    """
    size = path.stat().st_size
    readable = _readable_until(video, size)
    if readable is not None:
        return max(0.04, readable - start), True, True
    claimed = (container.duration or 0) / av.time_base
    if "matroska" in container.format.name and start >= _LATE_START:
        claimed -= start  # Matroska counts from the file's zero, not from the first picture
    told = _is_believable(claimed, size)
    seconds = claimed if told else _scanned_duration(container)
    if seconds > MAX_SECONDS:
        raise UnreadableMedia(
            f"The times in “{path.name}” make no sense: the file is damaged. Get it again from its source."
        )
    return max(0.04, seconds), False, told


def _is_believable(seconds: float, size: int) -> bool:
    return 0 < seconds <= MAX_SECONDS and size * 8 / seconds > 1000


def _readable_until(video: VideoStream, size: int) -> float | None:
    """Where a cut-off file's pictures end, by its index; None where the whole index lies in the file."""
    entries = video.index_entries
    count = len(entries)
    if count < 2 or entries[count - 1].pos + entries[count - 1].size <= size:
        return None
    inside: Callable[[int], bool] = lambda n: entries[n].pos + entries[n].size > size  # noqa: E731
    last = bisect.bisect_left(range(count), True, key=inside)
    return float(entries[max(0, last - 1)].timestamp * (video.time_base or Fraction(0)))


def _scanned_duration(container: InputContainer) -> float:
    """The length by reading every packet, for files that do not say it or say nonsense."""
    with suppress(FFmpegError, ValueError):
        container.seek(0)
    first, last = None, 0.0
    for packet in packets(container):
        if packet.pts is None or packet.time_base is None:
            continue
        begin = float(packet.pts * packet.time_base)
        first = begin if first is None else min(first, begin)
        last = max(last, begin + float((packet.duration or 0) * packet.time_base))
    return last - first if first is not None else 0.0


def _cut_off_notice(duration: float) -> str:
    minutes, seconds = divmod(int(duration), 60)
    return f"The file is cut off: only its first {minutes}:{seconds:02} can be played. Get it again."


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(2048)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return (
            f"“{path.name}” is a web page, not a video. Save the video itself, "
            "or add the page's address as a link."
        )
    if text.startswith((b"#extm3u", b"ffconcat")):
        return f"“{path.name}” is a playlist, not a video. Add the videos or the page's link instead."
    if head[4:8] == b"ftyp":
        return (
            f"“{path.name}” is cut off or damaged: its index is missing. "
            "Copy or download the file again, or end the recording properly."
        )
    return (
        f"“{path.name}” is not a video that can be read. If a media player plays it, "
        "convert it to MP4 (H.264) and add that."
    )
