"""The files of a library folder: setting a video's files aside before its rows go, and disk use.

`trash/<video id>.<random>/` holds what is being removed. After a crash `recover` moves it back when
the rows are still there, and deletes it when they are gone.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from pipeline.errors import LibraryError
from pipeline.library.rows import text_path

log = logging.getLogger(__name__)
_PARTS = ("videos", "work", "incoming")


def set_aside(root: Path, row: Any) -> Path:
    """Moves the owned files of one row of `videos` into a new trash folder, which is returned.

    LibraryError when a file is in use and cannot be moved; then everything is where it was.
    """
    aside = root / "trash" / f"{row.id}.{uuid.uuid4().hex[:8]}"
    owned = [Path("videos", row.id), Path("work", row.id)]
    owned += [text_path(name) for name in (row.thumbnail, row.strip) if name]
    owned += [text_path(row.path)] if row.owned else []
    try:
        for name in owned:
            if (root / name).exists():
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                os.rename(root / name, aside / name)
    except OSError as error:
        put_back(root, aside)
        raise LibraryError(
            "A file of this video is in use or cannot be moved. Stop the playback and try again."
        ) from error
    return aside


def put_back(root: Path, aside: Path) -> None:
    """Undoes `set_aside`; what has come into being again meanwhile is kept."""
    for place in sorted(aside.rglob("*"), key=lambda path: len(path.parts)):
        target = root / place.relative_to(aside)
        if place.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(place, target)
    delete(aside)


def delete(folder: Path) -> None:
    """Deletes a trash folder; what cannot be deleted now goes at the next start."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("%s could not be deleted and stays until the next start", folder)


def unsettled(root: Path) -> bool:
    """Whether a removal was broken off, or is under way in another process."""
    trash = root / "trash"
    return trash.is_dir() and any(trash.iterdir())


def recover(root: Path, connection: Connection) -> None:
    """Settles removals that a crash broke off. The caller holds the write lock, so none is under way."""
    trash = root / "trash"
    for aside in sorted(trash.iterdir()):
        video_id = aside.name.partition(".")[0]
        if connection.scalar(text("SELECT 1 FROM videos WHERE id = :id"), {"id": video_id}):
            put_back(root, aside)
        else:
            delete(aside)


def remove_orphans(root: Path, connection: Connection) -> None:
    """Deletes the files that a killed import had moved to their places without having written their rows.

    What such an import still holds in `incoming/` tells which they are. Other folders that no row knows
    stay: they are the only copies when an older database was put back. The caller is the worker and holds
    the write lock, so that nobody is between moving files and writing rows.
    """
    query = "SELECT id FROM videos UNION SELECT video_id FROM jobs WHERE status NOT IN ('done', 'already')"
    known = set(connection.scalars(text(query)))
    for described in sorted((root / "incoming").glob("import-*/videos/*")):
        orphan = root / "videos" / described.name
        if described.name not in known and not (described / "files").exists() and orphan.is_dir():
            log.warning("%s was left by an import that was broken off, and is deleted", orphan)
            delete(orphan)


def disk_use(root: Path) -> dict[str, int]:
    """Bytes of each part of the folder, their total, and the disk's free bytes."""
    use = {part: _size(root / part) for part in _PARTS}
    use["database"] = sum(path.stat().st_size for path in root.glob("library.db*"))
    use["index"] = sum(path.stat().st_size for path in root.glob("windows.faiss*"))
    use["total"] = _size(root)
    use["free"] = shutil.disk_usage(root).free
    return use


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # deleted meanwhile
                continue
    return total
