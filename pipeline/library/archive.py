"""Export and import of a whole library as one .zip: rows, words, vectors, feedback and every file.

`export_library` writes it under a temporary name; `import_library` checks all of it in a folder of its
own before the first row is written, then puts everything in as one transaction. Vectors of another
encoder come along, are never mixed with this library's, and are named by `Library.needs_vectors`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from sqlalchemy import Connection, text

from pipeline.errors import BadArchive, LibraryError, VideoNotFound
from pipeline.library import archive_format as form
from pipeline.library import pictures, records, rows
from pipeline.library.archive_format import DAMAGED, Entry, Manifest
from pipeline.library.database import disk_full, plain_errors
from pipeline.library.migrations import HEAD
from pipeline.library.schema import now
from pipeline.library.store import Library
from pipeline.types import Passage, Span

_BLOCK = 1 << 20
Report = Callable[[float], None]


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    videos_added: int = 0
    already_there: int = 0
    without_their_file: int = 0
    feedback_added: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in vars(self).items())


# Export


def export_library(library: Library, out: Path, report: Report = lambda _: None) -> None:
    """Writes the whole library to `out`, a .zip. Videos whose file is missing come without it."""
    out = Path(out)
    if out.is_dir():
        raise LibraryError(f"{out} is a folder. Name the .zip file to write.")
    unfinished = out.with_name(f".{out.name[:100]}.{uuid.uuid4().hex[:8]}.part")
    with plain_errors(out.parent):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
                _Export(library, archive, report).run()
            os.replace(unfinished, out)
        finally:
            unfinished.unlink(missing_ok=True)


class _Export:
    def __init__(self, library: Library, archive: zipfile.ZipFile, report: Report) -> None:
        self.library = library
        self.archive = archive
        self.report = report
        self.files: dict[str, tuple[str, int]] = {}
        self.done, self.total = 0, 1

    def run(self) -> None:
        videos = [video for video in self.library.videos(order="title") if video.state != "processing"]
        self.total = max(1, sum(video.size for video in videos))
        try:
            for video in videos:
                self._put_video(video.id)
        except (VideoNotFound, FileNotFoundError) as error:
            raise LibraryError("The library was changed while it was exported. Export it again.") from error
        self._put(form.FEEDBACK, form.feedback_json(self.library.feedback()))
        manifest = Manifest(self.library.text_model(), self.files)
        self.archive.writestr(form.MANIFEST, form.manifest_json(manifest, HEAD, now()))
        self.report(1.0)

    def _put_video(self, video_id: str) -> None:
        video = self.library.video(video_id)
        prefix = f"videos/{video.id}"
        placed = self._put_files(prefix, video.path, self.library.folder(video.id))
        name_of = lambda path: placed.get(path, "") if path else ""  # noqa: E731
        passages, vectors = _windows(self.library, video.id)
        model, data = self.library.text_vectors([video.id]).get(video.id, ("", b""))
        entry = Entry(
            video, name_of(video.path), name_of(video.thumbnail), name_of(video.strip),
            self.library.transcripts([video.id]).get(video.id), passages, model,
        )  # fmt: skip
        self._put(f"{prefix}/{form.DESCRIPTION}", form.entry_json(entry))
        if model:
            self._put(f"{prefix}/{form.VECTORS}", vectors)
            self._put(f"{prefix}/{form.TEXT_VECTORS}", data)
        for path in pictures.files_in(self.library.folder(video.id)):
            self._copy(f"{prefix}/{path.name}", path)

    def _put_files(self, prefix: str, played: Path, folder: Path) -> dict[Path, str]:
        """Stores the video's files; returns their names in the archive."""
        found = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
        if played not in found and played.is_file():
            found.append(played)
        placed: dict[Path, str] = {}
        taken: set[str] = set()
        for path in found:
            wanted = path.name if path.parent == folder else f"source{path.suffix}"
            if name := form.safe_file_name(wanted, taken):
                self._copy(f"{prefix}/files/{name}", path)
                placed[path] = name
        return placed

    def _copy(self, name: str, path: Path) -> None:
        size, digest = 0, hashlib.sha256()
        with open(path, "rb") as source, self.archive.open(name, "w", force_zip64=True) as target:
            while block := source.read(_BLOCK):
                target.write(block)
                digest.update(block)
                size += len(block)
                self.done += len(block)
                self.report(min(0.99, self.done / self.total))
        self.files[name] = (digest.hexdigest(), size)

    def _put(self, name: str, data: bytes) -> None:
        self.archive.writestr(name, data)
        self.files[name] = (hashlib.sha256(data).hexdigest(), len(data))


def _windows(library: Library, video_id: str) -> tuple[tuple[Passage, ...], bytes]:
    query = text(
        "SELECT start, end, text, vector FROM windows WHERE video_number ="
        " (SELECT number FROM videos WHERE id = :id) ORDER BY start"
    )
    with library.snapshot() as connection:
        found = connection.execute(query, {"id": video_id}).all()
    passages = tuple(Passage(Span(row.start, row.end), row.text) for row in found)
    return passages, b"".join(row.vector for row in found)


# Import


def import_library(library: Library, archive: Path, report: Report = lambda _: None) -> Imported:
    """Puts the videos of an archive into the library; those that are there already are left as they are.

    BadArchive when anything in it is damaged or not as it should be, DiskFull when it does not fit;
    the library is then as it was before.
    """
    staged = library.root / "incoming" / f"import-{uuid.uuid4().hex[:12]}"
    try:
        with plain_errors(library.root):
            with _opened(Path(archive)) as (file, size):
                manifest = _unpacked(library, file, size, staged, report)
            return _taken_in(library, manifest, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, int]]:
    """The zip and its size; whatever is wrong with its form is BadArchive."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file, path.stat().st_size
    except FileNotFoundError:
        raise BadArchive(f"There is no file {path}. Check the name.") from None
    except IsADirectoryError:
        raise BadArchive(f"{path} is a folder. Choose an exported .zip.") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError) as error:
        raise BadArchive(f"{path.name} is damaged or no .zip ({error}). {DAMAGED}") from error
    except (RuntimeError, UnicodeError, OverflowError, ValueError) as error:
        raise BadArchive(f"{path.name} cannot be read as an archive. {DAMAGED}") from error


def _unpacked(library: Library, file: zipfile.ZipFile, size: int, staged: Path, report: Report) -> Manifest:
    """Every entry in `staged`, its hash checked, every description read once."""
    form.check_entries(file, size)
    manifest = form.read_manifest(file)
    total = sum(bytes_ for _, bytes_ in manifest.files.values())
    if total + (64 << 20) > shutil.disk_usage(library.root).free:
        raise disk_full(library.root)
    done = 0
    for name, (sha256, _) in manifest.files.items():
        target = staged / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open(name) as source, open(target, "xb") as copy:
            if _copied(source, copy) != sha256:
                raise BadArchive(f"{name} in the archive is damaged: its hash is wrong. {DAMAGED}")
        done += manifest.files[name][1]
        report(0.9 * done / max(1, total))
    for video_id in manifest.video_ids:
        _entry(staged, video_id)
    _feedback(staged)
    return manifest


def _copied(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        target.write(block)
        digest.update(block)
    return digest.hexdigest()


def _entry(staged: Path, video_id: str) -> Entry:
    folder = staged / "videos" / video_id
    if not (folder / form.DESCRIPTION).is_file():
        raise BadArchive(f"The archive does not describe its video {video_id}. {DAMAGED}")
    files = {path.name for path in (folder / "files").iterdir()} if (folder / "files").is_dir() else set()
    return form.read_entry((folder / form.DESCRIPTION).read_bytes(), video_id, files)


def _feedback(staged: Path) -> list[rows.Feedback]:
    path = staged / form.FEEDBACK
    return form.read_feedback(path.read_bytes()) if path.is_file() else []


def _taken_in(library: Library, manifest: Manifest, staged: Path) -> Imported:
    """All rows in one transaction; the files move just before it ends and move back if it fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        with library.writing() as connection:
            counts = [_take_in(library, connection, staged, each, moved) for each in manifest.video_ids]
            added = sum(records.put_feedback(connection, each) for each in _feedback(staged))
            records.touch(connection, windows=True)
    except BaseException:
        for source, target in reversed(moved):
            os.rename(target, source)
        raise
    return Imported(
        videos_added=sum(count is not None for count in counts),
        already_there=sum(count is None for count in counts),
        without_their_file=sum(count is False for count in counts),
        feedback_added=added,
    )


def _take_in(
    library: Library, connection: Connection, staged: Path, video_id: str, moved: list[tuple[Path, Path]]
) -> bool | None:
    """Whether the video came with its file; None when it is in the library already."""
    entry = _entry(staged, video_id)
    video, folder = entry.video, library.folder(video_id)
    if library.known(connection, video.sha256, video.site, video.site_id) or _taken(connection, video_id):
        return None
    if folder.exists():  # left by a crash: neither a video nor a job knows it
        shutil.rmtree(folder)
    files = staged / "videos" / video_id / "files"
    if files.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.rename(files, folder)
        moved.append((files, folder))
    placed = {name: folder / getattr(entry, name) for name in ("thumbnail", "strip") if getattr(entry, name)}
    path = folder / (entry.file or "missing.mp4")
    number = records.insert_video(connection, library.root, replace(video, path=path, owned=True, **placed))
    if entry.transcript is not None:
        records.put_transcript(connection, number, entry.transcript)
    if video.state == "ready" or entry.model:
        _put_index(connection, number, entry, staged / "videos" / video_id)
    _put_pictures(connection, staged / "videos" / video_id, folder, moved)
    return bool(entry.file)


def _put_pictures(connection: Connection, staged: Path, folder: Path, moved: list[tuple[Path, Path]]) -> None:
    """The picture features as they were made; what is damaged is left to be made again."""
    for path in pictures.files_in(staged):
        if pictures.read(path) is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        os.rename(path, folder / path.name)
        moved.append((path, folder / path.name))
        pictures.note_model(connection, pictures.model_of(path), if_unknown=True)


def _taken(connection: Connection, video_id: str) -> bool:
    """Whether the id is a video's, or of a job that may be writing into its folder."""
    query = (
        "SELECT 1 FROM videos WHERE id = :id UNION SELECT 1 FROM jobs WHERE video_id = :id AND status IN {}"
    )
    unfinished = "('queued', 'running', 'failed')"
    return connection.scalar(text(query.format(unfinished)), {"id": video_id}) is not None


def _put_index(connection: Connection, number: int, entry: Entry, folder: Path) -> None:
    """The windows and vectors as they were made; ones that do not fit are left to be made again."""
    read = lambda name: (folder / name).read_bytes() if (folder / name).is_file() else b""  # noqa: E731
    vectors = form.read_vectors(read(form.VECTORS), len(entry.passages))
    data = read(form.TEXT_VECTORS)
    if vectors is None or not records.fits_model(connection, number, entry.model, vectors.shape[1]):
        vectors = np.zeros((len(entry.passages), 0), np.float32)
    usable = vectors.shape[1] > 0 or not entry.passages
    records.put_index(connection, number, records.packed_windows(entry.passages, vectors))
    if entry.model and usable and _text_vectors_fit(data, entry):
        records.put_text_vectors(connection, number, entry.model, data)
        if not connection.scalar(text("SELECT 1 FROM meta WHERE key = 'text_model'")):
            records.set_meta(connection, "text_model", entry.model)


def _text_vectors_fit(data: bytes, entry: Entry) -> bool:
    from pipeline.features.text import TextVectors

    try:
        found = TextVectors.unpack(data)
    except (ValueError, IndexError, OverflowError):
        return False
    cues = len(entry.transcript.cues) if entry.transcript else 0
    inside = all(
        len(scale.first) == 0 or (scale.first.min() >= 0 and scale.last.max() < cues)
        for scale in found.scales
    )
    return inside and found.model == entry.model and found.cue_count == cues
