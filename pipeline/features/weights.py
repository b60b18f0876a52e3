"""Where the weights of the picture network lie, and how they get there: put in the checkpoints or the
cache, or fetched from an address that the settings name together with the SHA-256 of what must come.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pipeline.errors import CheckpointMissing
from pipeline.settings import Settings
from pipeline.transcribe.base import Report, ignore
from pipeline.transcribe.weights import NotFetched, digest, fetch_on, tidy

log = logging.getLogger(__name__)

FILE = "rgb_imagenet.pt"

_digests: dict[tuple[str, int, int], str] = {}  # by path, size and time of change


def places(settings: Settings) -> list[Path]:
    """Where the file is looked for, in this order; the last is where a download goes."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return [settings.checkpoints_dir / "i3d" / FILE, Path(cache) / "answerclip" / "i3d" / FILE]


def find(settings: Settings) -> Path | None:
    """The file, of the SHA-256 that the settings name if they name one; None when it is not there, or may
    not be read."""
    return _found(settings)[0]


def _found(settings: Settings) -> tuple[Path | None, str]:
    """The file and its SHA-256."""
    for path in places(settings):
        try:
            sha256 = sha256_of(path) if path.is_file() else ""
        except OSError as error:  # the worker looks here before its first job, whatever that is
            log.warning("%s cannot be read: %s", path, error)
            continue
        if sha256 and settings.i3d_sha256.lower() in ("", sha256):
            return path, sha256
    return None, ""


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex, computed once for each state of the file."""
    found = path.stat()
    key = (str(path), found.st_size, found.st_mtime_ns)
    if key not in _digests:
        _digests[key] = digest(path)
    return _digests[key]


def name_of(path: Path) -> str:
    """The name of the rows that these weights make."""
    return _name(sha256_of(path))


def _name(sha256: str) -> str:
    return f"i3d-{sha256[:12]}"


def can_be_fetched(settings: Settings) -> bool:
    return bool(settings.i3d_url and settings.i3d_sha256)


def expected_name(settings: Settings) -> str:
    """What `name_of` gives of the file that is there or would be fetched; "" when there is none."""
    _, sha256 = _found(settings)
    if sha256:
        return _name(sha256)
    return _name(settings.i3d_sha256.lower()) if can_be_fetched(settings) else ""


def get(settings: Settings, report: Report = ignore) -> Path:
    """The file, downloaded if need be; WeightsMissing with what to do."""
    path = find(settings)
    if path is not None:
        return path
    if not can_be_fetched(settings):
        raise CheckpointMissing(f"The weights of the picture network are not there. {remedy(settings)}")
    target = places(settings)[-1]
    try:
        fetch_on(settings.i3d_url, settings.i3d_sha256.lower(), target, report)
    except NotFetched as error:
        raise CheckpointMissing(f"The weights of the picture network {error}. {remedy(settings)}") from error
    return target


def remedy(settings: Settings) -> str:
    """What to do to have picture features."""
    return f"Put {FILE} into {tidy(places(settings)[0].parent)}; docs/i3d.md says where it is to be had."
