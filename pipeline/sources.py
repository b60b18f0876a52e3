"""Where videos come from: files, folders, uploads and links become `Source`s, one for each video.

Subtitle files are paired with their videos by name. Links themselves are the work of `links.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.addresses import check_address
from pipeline.errors import SourceRefused, SourceUnavailable
from pipeline.links import Download, LinkItem, Links

__all__ = [
    "SUBTITLE_ENDINGS",
    "VIDEO_ENDINGS",
    "Download",
    "LinkItem",
    "Links",
    "Source",
    "check_address",
    "from_item",
    "from_paths",
    "from_uploads",
]

VIDEO_ENDINGS = frozenset(
    {".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".avi", ".divx", ".wmv", ".asf", ".flv", ".f4v"}
    | {".mpg", ".mpeg", ".mpe", ".m2v", ".m2ts", ".mts", ".ts", ".vob", ".ogv", ".3gp", ".3g2"}
    | {".mxf", ".dv", ".rm", ".rmvb", ".nut"}
)
SUBTITLE_ENDINGS = frozenset({".srt", ".vtt"})

_LONGEST_TITLE = 300
# NAME.en.srt, NAME.pt-BR.vtt, NAME.eng.forced.srt
_LANGUAGE_PART = re.compile(r"\.(?P<language>[A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{2,8})?(?:\.[A-Za-z]+)?$")


@dataclass(frozen=True)
class Source:
    """One video to be taken in: where it is and what is known of it beforehand.

    `path` is set for files and uploads, `url` for links. `subtitles` are given files, the best first.
    """

    kind: str  # file | upload | link
    path: Path | None = None
    url: str = ""
    title: str = ""
    subtitles: tuple[Path, ...] = ()
    tags: tuple[str, ...] = ()
    language: str = ""
    site: str = ""
    site_id: str = ""
    original_name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("file", "upload", "link"):
            raise ValueError(f"unknown kind of source: {self.kind}")
        if (self.url == "") if self.kind == "link" else (self.path is None):
            raise ValueError(f"a {self.kind} needs a {'url' if self.kind == 'link' else 'path'}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON column; `from_dict` takes them back."""
        values = asdict(self)
        values["path"] = str(self.path) if self.path else ""
        values["subtitles"] = [str(path) for path in self.subtitles]
        values["tags"] = list(self.tags)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Source:
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        known["path"] = Path(known["path"]) if known.get("path") else None
        known["subtitles"] = tuple(Path(path) for path in known.get("subtitles", ()))
        known["tags"] = tuple(known.get("tags", ()))
        return cls(**known)


def from_paths(paths: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The videos among files and folders, in the order given; folders are searched through, sorted.

    A subtitle file belongs to the video of its name (NAME.srt, NAME.vtt, NAME.en.srt), beside it or
    among the paths. Raises `SourceUnavailable` for what is not there and `SourceRefused` for what
    cannot be used, before anything is taken in.
    """
    videos: dict[Path, None] = {}
    subtitles: dict[Path, None] = {}
    for path in map(_absolute, paths):
        if path.is_dir():
            videos |= dict.fromkeys(_videos_below(path))
        elif path.suffix.lower() in SUBTITLE_ENDINGS:
            subtitles[path] = None
        else:
            videos[path] = None
    named = {video: video.name for video in videos}
    pairs = _pair(named, {path: path.name for path in subtitles})
    return [
        Source(
            "file",
            path=video,
            title=_title(video.name),
            subtitles=_unique([*pairs[video], *_beside(video)]),
            original_name=video.name,
        )
        for video in videos
    ]


def from_uploads(uploads: Sequence[tuple[str | os.PathLike[str], str]]) -> list[Source]:
    """The videos among uploaded files, given as `(path, the name on the visitor's computer)`.

    Subtitle files are paired by those names; a single subtitle file belongs to a single video
    whatever it is called.
    """
    files = {Path(path): _base_name(name) or Path(path).name for path, name in uploads}
    subtitles = {path: name for path, name in files.items() if _ending(name) in SUBTITLE_ENDINGS}
    videos = {path: name for path, name in files.items() if path not in subtitles}
    pairs = _pair(videos, subtitles)
    return [
        Source("upload", path=path, title=_title(name), subtitles=pairs[path], original_name=name)
        for path, name in videos.items()
    ]


def from_item(item: LinkItem, tags: tuple[str, ...] = (), language: str = "") -> Source:
    """A video that `Links.probe` found, as a source; `SourceRefused` with the reason when it may not be."""
    if item.refused:
        raise SourceRefused(f"“{item.title}” cannot be added. {item.refused}")
    return Source(
        "link",
        url=item.url,
        title=item.title,
        tags=tags,
        language=language,
        site=item.site,
        site_id=item.site_id,
    )


def _absolute(path: str | os.PathLike[str]) -> Path:
    found = Path(os.path.abspath(os.path.expanduser(path)))
    with suppress(OSError, ValueError):  # too long, a zero byte
        if found.exists():
            return _storable(found)
    raise SourceUnavailable(f"“{path}” is not there. Check the path.")


def _storable(path: Path) -> Path:
    """The database holds text: a name of other bytes cannot be kept."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        name = path.name.encode("utf-8", "replace").decode()
        raise SourceRefused(f"The name of “{name}” is not valid text. Rename the file and retry.") from error
    return path


def _videos_below(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        # A library inside the folder holds copies of what is taken in; hidden folders are not meant.
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not _is_library(place, name)
        )
        for name in sorted(names):
            if _ending(name) in VIDEO_ENDINGS and not name.startswith("."):
                found.append(_storable(Path(place, name)))
    if not found:
        raise SourceUnavailable(f"There is no video in “{folder}”. Choose a folder with video files.")
    return found


def _is_library(place: str, name: str) -> bool:
    return os.path.exists(os.path.join(place, name, "library.db"))


def _pair(videos: dict[Path, str], subtitles: dict[Path, str]) -> dict[Path, tuple[Path, ...]]:
    """The subtitle files of each video, by name, exact names first."""
    pairs: dict[Path, list[tuple[str, Path]]] = {video: [] for video in videos}
    for path, name in subtitles.items():
        owners = [video for video, other in videos.items() if _is_named(name, other)]
        owners = owners or [video for video, other in videos.items() if _belongs(name, other)]
        if not owners and len(videos) == len(subtitles) == 1:
            owners = list(videos)
        if not owners:
            raise SourceRefused(
                f"No video belongs to the subtitles “{name}”. Give both the same name, or add the video too."
            )
        for video in owners:
            pairs[video].append((name, path))
    return {video: tuple(path for _, path in sorted(found, key=_order)) for video, found in pairs.items()}


def _order(named: tuple[str, Path]) -> tuple:
    return len(named[0]), named[0].lower()  # NAME.srt comes before NAME.en.srt


def _is_named(subtitle: str, video: str) -> bool:
    return _stem(subtitle).casefold() in (_stem(video).casefold(), video.casefold())


def _belongs(subtitle: str, video: str) -> bool:
    """By the same name, with or without a language in it."""
    without = _LANGUAGE_PART.sub("", _stem(subtitle))
    return _is_named(subtitle, video) or without.casefold() == _stem(video).casefold()


def _beside(video: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(video.parent))
    except OSError:
        return []
    others = [name for name in names if _ending(name) in VIDEO_ENDINGS and name != video.name]
    found = [
        name
        for name in names
        if _ending(name) in SUBTITLE_ENDINGS
        and _belongs(name, video.name)
        and (_is_named(name, video.name) or not any(_is_named(name, other) for other in others))
    ]
    return [video.parent / name for name in sorted(found, key=lambda name: _order((name, video)))]


def _unique(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(paths))


def _base_name(name: str) -> str:
    """The name without the folders that a browser or another system may put before it."""
    last = re.split(r"[/\\]", name)[-1].replace("\0", "")
    return last.encode("utf-8", "replace").decode()


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _title(name: str) -> str:
    """A file's name without its ending; control characters and bytes that are no text become spaces.

    >>> _title("How to tie a knot.mp4")
    'How to tie a knot'
    """
    plain = "".join(letter if letter.isprintable() else " " for letter in _stem(name))
    return " ".join(plain.split())[:_LONGEST_TITLE] or "Untitled"
