"""Picture features as files: `videos/<id>/pictures.<model>.npy`, one float16 row for each second.

They are files because they are large and read whole: a two-hour video has 15 MB of them. The name says
which weights made them, so that rows of two networks are never mixed; a file appears when it is whole.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, select, text

from pipeline.library import records, rows
from pipeline.library.opening import LibraryFolder
from pipeline.library.schema import VideoRow

log = logging.getLogger(__name__)

FILE_NAME = re.compile(r"pictures\.([A-Za-z0-9][A-Za-z0-9_-]{0,63})\.npy")
_MODEL = "picture_model"  # a key of `meta`


class PictureFiles(LibraryFolder):
    """What a library does with picture features; part of `Library`."""

    def set_picture_features(self, video_id: str, model: str, features: np.ndarray) -> None:
        """Keep the rows (seconds, D) of a video, made by the weights named `model`; VideoNotFound.

        No rows say that the video has no picture that can be decoded, and nobody tries again.
        """
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, and is refused
            kept = features.astype(np.float16)
        if kept.ndim != 2 or not np.isfinite(kept).all():
            raise ValueError(f"picture features of shape {kept.shape}, or out of range")
        with self.writing() as connection:  # nobody removes the video meanwhile
            records.number_of(connection, video_id)
            folder = self.root / "videos" / rows.checked_id(video_id)
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / file_name(model), kept)
            for other in files_in(folder):
                if other.name != file_name(model):
                    other.unlink(missing_ok=True)
            note_model(connection, model)
            records.touch(connection)

    def picture_features(self, video_ids: Iterable[str], model: str = "") -> dict[str, np.ndarray]:
        """(seconds, D) float32 of those videos that have them: row t shows second t.

        Only rows of the weights `model` (default: `picture_model()`) are given.
        """
        name = file_name(model or self.picture_model())
        found = ((each, read(self.root / "videos" / rows.checked_id(each) / name)) for each in video_ids)
        return {each: features for each, features in found if features is not None and len(features)}

    def picture_model(self) -> str:
        """The weights that made the newest picture features; "" in a library without any."""
        return self.fact(_MODEL)

    def needs_pictures(self, model: str) -> list[str]:
        """Videos that can be searched and have no picture features of these weights, oldest first.

        Without those whose file is missing: they are not readable, and come back with it.
        """
        query = select(VideoRow.id, VideoRow.path, VideoRow.owned).where(VideoRow.state == "ready")
        with self.snapshot() as connection:
            ready = connection.execute(query.order_by(VideoRow.number)).all()
        return [
            row.id
            for row in ready
            if not (self.root / "videos" / row.id / file_name(model)).exists()
            and (self.root / rows.text_path(row.path)).exists()
        ]


def file_name(model: str) -> str:
    return f"pictures.{re.sub(r'[^A-Za-z0-9_-]', '-', model)[:64] or 'none'}.npy"


def model_of(path: Path) -> str:
    """The weights that a file's name tells of."""
    found = FILE_NAME.fullmatch(path.name)
    assert found, path.name
    return found[1]


def files_in(folder: Path) -> list[Path]:
    """The files of picture features in a video's folder."""
    return [path for path in folder.glob("pictures.*.npy") if FILE_NAME.fullmatch(path.name)]


def note_model(connection: Connection, model: str, if_unknown: bool = False) -> None:
    """Write down which weights' rows the library answers with."""
    known = connection.scalar(text("SELECT 1 FROM meta WHERE key = :key"), {"key": _MODEL})
    if not (if_unknown and known):
        records.set_meta(connection, _MODEL, model)


def read(path: Path) -> np.ndarray | None:
    """(n, D) float32; None when the file is not there, or is not what `set_picture_features` writes."""
    try:
        # Mapped: a head that claims more than the file holds is an error before any memory is taken.
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        fits = found.ndim == 2 and found.dtype == np.float16 and (not len(found) or found.shape[1] > 0)
        features = np.array(found, np.float32) if fits else None
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("damaged picture features in %s: %s", path.parent.name, error)
        return None
    return features if features is not None and np.isfinite(features).all() else None


def _write(path: Path, kept: np.ndarray) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            np.save(file, kept, allow_pickle=False)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
