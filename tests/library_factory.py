"""Small libraries for tests: videos whose words and vectors are told, without media files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.library.store import Library
from pipeline.types import Cue, Origin, Passage, Span, Transcript, Video

DIMENSION = 8
MODEL = "test-encoder"


def a_video(name: str, **fields: object) -> Video:
    """A video known by its name; nothing of it is on disk."""
    sha256 = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    values = {"title": name, "path": Path(f"/nowhere/{sha256[:8]}.mp4"), "duration": 60.0}
    return Video(**{"id": sha256[:16], "sha256": sha256, **values, **fields})  # type: ignore[arg-type]


def owned_video(library: Library, name: str, **fields: object) -> Video:
    """A video whose files lie in the library."""
    video = a_video(name)
    folder = library.folder(video.id)
    folder.mkdir(parents=True)
    for file in ("play.mp4", "thumbnail.jpg", "strip.jpg"):
        (folder / file).write_bytes(f"{file} of {name}".encode())
    files = {
        "path": folder / "play.mp4",
        "thumbnail": folder / "thumbnail.jpg",
        "strip": folder / "strip.jpg",
    }
    return a_video(name, owned=True, size=10, strip_count=1, **files, **fields)


def a_transcript(*sentences: str, language: str = "en") -> Transcript:
    cues = tuple(Cue(15.0 * i, 15.0 * i + 15, text) for i, text in enumerate(sentences))
    return Transcript(cues, Origin.GIVEN, language)


def a_vector(seed: int, dimension: int = DIMENSION) -> np.ndarray:
    """A random unit row, the same for the same seed."""
    row = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return row / np.linalg.norm(row)


def index(
    library: Library,
    video_id: str,
    sentences: Sequence[str],
    vectors: Sequence[np.ndarray] | None = None,
    model: str = MODEL,
) -> None:
    """Makes a video searchable: one window per sentence, with vectors of their own or random ones."""
    rows = vectors if vectors is not None else [a_vector(hash_of(text)) for text in sentences]
    spans = [Span(15.0 * i, 15.0 * i + 30) for i in range(len(sentences))]
    passages = [Passage(span, text) for span, text in zip(spans, sentences, strict=True)]
    array = np.stack(rows) if len(rows) else np.zeros((0, DIMENSION), np.float32)
    library.set_index(video_id, passages, array, model, b"packed")


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big")


def add(library: Library, name: str, *sentences: str, language: str = "en", **fields: object) -> Video:
    """A searchable video that says these sentences, one every 15 s."""
    video = library.add_video(a_video(name, **fields))
    library.set_transcript(video.id, a_transcript(*sentences, language=language))
    index(library, video.id, sentences)
    return library.video(video.id)
