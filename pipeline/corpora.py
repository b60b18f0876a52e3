"""Data sets as libraries: their narrations put into one like any video, and kept between measurements.

`Corpora(folder)` keeps one library for each data set, opened once, and the questions' vectors.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

from pipeline.datasets import Dataset, Narration
from pipeline.errors import BadDataset
from pipeline.features.text import (
    TextEncoder,
    TextVectors,
    load_encoder,
    passage_vectors,
    passages,
    text_vectors,
)
from pipeline.library.store import Library
from pipeline.localize import Localizer
from pipeline.settings import Settings
from pipeline.types import Origin, Transcript, Video

log = logging.getLogger(__name__)

_PICTURES = "i3d"  # the name that a data set's picture features go by


class Remembering:
    """An encoder that keeps the vectors and token states of questions, encoded in batches by `prepare`."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.name, self.dim, self._encoder = encoder.name, encoder.dim, encoder
        self._vectors: dict[str, np.ndarray] = {}
        self._states: dict[str, np.ndarray] = {}

    def prepare(self, texts: Sequence[str], states: bool = False) -> None:
        """Encodes what is not known yet; with `states` also the tokens' states."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors |= dict(zip(missing, self._encoder.encode(missing), strict=True))
        missing = [text for text in dict.fromkeys(texts) if states and text not in self._states]
        together = getattr(self._encoder, "states_of", None)
        found = together(missing) if together else [self._encoder.states(text) for text in missing]
        self._states |= dict(zip(missing, found, strict=True))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if all(text in self._vectors for text in texts):
            return np.array([self._vectors[text] for text in texts], np.float32).reshape(-1, self.dim)
        return self._encoder.encode(texts)

    def states(self, text: str) -> np.ndarray:
        return self._states[text] if text in self._states else self._encoder.states(text)


class Corpora:
    """The libraries of data sets in a folder, one each, with every video that was ever asked about.

    A split of some of those videos gets a library of its own, for as long as this is open: what is rare in a
    corpus depends on the corpus. Its vectors, and what a localizer read ahead, are copied.
    """

    def __init__(
        self, folder: Path, settings: Settings | None = None, encoder: TextEncoder | None = None
    ) -> None:
        settings = settings or Settings()
        self.encoder = Remembering(encoder or load_encoder(settings.text_encoder))
        self._folder = folder
        self._open: dict[str, Library] = {}
        self._parts: dict[tuple[int, frozenset[str]], Library] = {}
        self._temporary = tempfile.TemporaryDirectory()

    def library(
        self, data: Dataset, pictures: Path | None = None, localizer: Localizer | None = None
    ) -> tuple[Library, dict[str, str]]:
        """A library of exactly the videos of this split, and its ids by video name.

        `pictures` is a folder of picture features, `VIDEO.npy` with one row (1024) for each second. A
        `localizer` that reads ahead has read all of them afterwards.
        """
        library, ids = self._exactly(data)
        if pictures is not None:
            _show(library, ids, pictures)
        if localizer is not None and localizer.reading:
            whole = self._open[data.name]
            read_ahead(whole, localizer, list(ids.values()))
            if library is not whole:
                copy_rows(whole, library, list(ids.values()), localizer.reading)
        return library, ids

    def _exactly(self, data: Dataset) -> tuple[Library, dict[str, str]]:
        if data.name not in self._open:
            self._open[data.name] = Library.open(self._folder / data.name)
        whole = self._open[data.name]
        ids = fill(whole, data, self.encoder)
        if whole.count() == len(ids):
            return whole, ids
        wanted = whole.revision(), frozenset(ids.values())
        if wanted not in self._parts:
            part = Library.open(Path(self._temporary.name) / str(len(self._parts)))
            copy(whole, part, sorted(ids.values()))
            self._parts[wanted] = part
        return self._parts[wanted], ids

    def close(self) -> None:
        for library in (*self._open.values(), *self._parts.values()):
            library.close()
        self._open, self._parts = {}, {}
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fill(library: Library, data: Dataset, encoder: TextEncoder) -> dict[str, str]:
    """Puts the narrations of a data set into a library; the library's id of each.

    What is there already stays, unless its words or its encoder are others.
    """
    ids = {name: _content(data.name, name)[:16] for name in data.videos}
    there = {video.id for video in library.videos()}
    words = library.transcripts([i for i in ids.values() if i in there], words=False)
    stale = set(library.needs_vectors(encoder.name))
    wanted = [
        name
        for name, video in ids.items()
        if video in stale or video not in words or words[video].cues != data.videos[name].cues
    ]
    for name in tqdm(wanted, desc=f"{data.name} library", leave=False, disable=None):
        _put(library, data.name, data.videos[name], encoder, ids[name] in there)
    return ids


def _show(library: Library, ids: Mapping[str, str], folder: Path) -> None:
    """Puts the picture features in that lie in the folder and are not there yet; BadDataset for a file that
    holds none."""
    known = library.picture_features(ids.values(), _PICTURES)
    for name, video in ids.items():
        path = folder / f"{name}.npy"
        if video not in known and path.is_file():
            try:
                library.set_picture_features(video, _PICTURES, np.load(path, allow_pickle=False))
            except (ValueError, EOFError, AttributeError) as error:  # the last: an archive, no array
                raise BadDataset(f"“{path.name}” holds no picture features: {error}") from error


def read_ahead(library: Library, localizer: Localizer, ids: Sequence[str]) -> None:
    """Lets a localizer with a `reading` read those of the videos that it has not read."""
    unread = set(library.needs_cue_rows(localizer.reading)) & set(ids)
    for video in tqdm(sorted(unread), desc=f"{localizer.name} reads", leave=False, disable=None):
        cues = library.transcript(video).cues
        library.set_cue_rows(video, localizer.reading, localizer.read([cue.text for cue in cues]), cues)


def copy_rows(whole: Library, part: Library, ids: Sequence[str], reading: str) -> None:
    """Puts what a localizer read in some videos of `whole` into `part`, where it is missing."""
    missing = sorted(set(part.needs_cue_rows(reading)) & set(ids))
    transcripts = part.transcripts(missing, words=False)
    for video, rows in whole.cue_rows(missing, reading).items():
        part.set_cue_rows(video, reading, rows, transcripts[video].cues)


def copy(whole: Library, part: Library, ids: Sequence[str], reading: str = "") -> None:
    """Puts some videos of `whole` into `part` with their vectors, without encoding them again, and with what
    the localizer of this `reading` has read in them."""
    transcripts, packed = whole.transcripts(ids, words=False), whole.text_vectors(ids)
    for video in ids:
        part.add_video(whole.video(video))
        part.set_transcript(video, transcripts[video])
        model, data = packed[video]
        cues = transcripts[video].cues
        part.set_index(video, passages(cues), passage_vectors(TextVectors.unpack(data)), model, data)
    if reading:
        copy_rows(whole, part, ids, reading)


def _put(library: Library, data: str, narration: Narration, encoder: TextEncoder, there: bool) -> None:
    content = _content(data, narration.id)
    title = narration.title or narration.id
    video = Video(content[:16], content, title, Path(narration.id), narration.duration)
    if there:
        library.update(video.id, title=title, duration=narration.duration)
    else:
        library.add_video(video)
    library.set_transcript(video.id, Transcript(narration.cues, Origin.GIVEN, "en"))
    vectors = text_vectors(narration.cues, encoder)
    library.set_index(
        video.id, passages(narration.cues), passage_vectors(vectors), encoder.name, vectors.pack()
    )


def _content(data: str, name: str) -> str:
    return hashlib.sha256(f"{data}/{name}".encode()).hexdigest()
