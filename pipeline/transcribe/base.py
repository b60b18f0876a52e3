"""What a transcriber is, and the way of a whole video through one: audio in, a timed transcript out.

Long audio is transcribed in pieces of about five minutes, each kept on disk as soon as it is done, so
that a killed worker goes on with the piece it was in.

To add one: a file beside this one with a class that fulfils `Transcriber`, and a line in `__init__.py`;
the contract suite in tests/test_transcribe.py then runs over it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.errors import AnswerClipError, Cancelled, TranscriptionFailed
from pipeline.transcribe.speech import RATE, quietest
from pipeline.types import Cue, Origin, Transcript, Word

if TYPE_CHECKING:
    from pipeline.media import Media

log = logging.getLogger(__name__)

PIECE = 300.0  # seconds; the cut is at the quietest place within SLACK around it
SLACK = 30.0
VERSION = 1  # of what a piece on disk means

Report = Callable[[float], None]
ReadAudio = Callable[[Path, float, float], np.ndarray]


def ignore(fraction: float) -> None:
    """A report that nobody reads."""


class Transcriber(Protocol):
    """Speech to timed words. `audio` is float32, mono, 16 kHz; times count from its start."""

    name: str
    origin: Origin

    @property
    def model(self) -> str:
        """Its weights, for the record and as part of the key of stored pieces."""

    @property
    def detail(self) -> str:
        """The words beside a transcript, e.g. "openai-whisper base"."""

    def available(self) -> str:
        """Empty when it can work at once, else what is missing and how to get it. Quick, no network."""

    def prepare(self, report: Report = ignore) -> None:
        """Finds or fetches the weights and loads them. Raises `WeightsMissing`."""

    def transcribe(self, audio: np.ndarray, language: str = "", report: Report = ignore) -> Transcript:
        """What is said, with the words' times; no cues for silence. `report` may raise to stop it."""


@dataclass(frozen=True)
class _Piece:
    """The transcript of one stretch; the cues' times count from the start of the video."""

    end: float
    language: str
    cues: tuple[Cue, ...]


def transcribe_media(
    path: Path,
    media: Media,
    transcriber: Transcriber,
    work: Path,
    language: str = "",
    report: Report = ignore,
    cancelled: Callable[[], bool] = lambda: False,
    read_audio: ReadAudio | None = None,
) -> Transcript:
    """The transcript of a video as the recogniser cut it; what `work` holds already is not done again."""
    cues: list[Cue] = []
    heard, start = "", 0.0
    duration = media.duration if media.has_audio else 0.0

    def heard_until(second: float) -> None:
        if cancelled():
            raise Cancelled("Transcription was stopped.")
        report(min(1.0, second / duration) if duration else 1.0)

    while start < duration - 0.05:
        stop = duration if start + PIECE + SLACK >= duration else start + PIECE + SLACK
        heard_until(start)
        store = work / f"speech-{_key(transcriber, language)}-{round(start * 1000):09d}.json"
        piece = _load(store)
        if piece is None or piece.end <= start:
            audio = (read_audio or _read_audio)(path, start, stop - start)
            last = stop == duration
            piece = _transcribed(transcriber, audio, start, stop, last, language or heard, heard_until)
            _save(store, piece)
        cues += piece.cues
        heard = heard or (piece.language if piece.cues else "")
        start = piece.end
    heard_until(duration)
    return Transcript(tuple(cues), transcriber.origin, heard or language, transcriber.detail)


def _read_audio(path: Path, start: float, duration: float) -> np.ndarray:
    from pipeline import media

    return media.audio(path, start, duration)


def _transcribed(
    transcriber: Transcriber,
    audio: np.ndarray,
    start: float,
    stop: float,
    last: bool,
    language: str,
    heard_until: Callable[[float], None],
) -> _Piece:
    """One piece, ended at a pause so that no word is cut in two."""
    end = stop if last else start + quietest(audio, PIECE - SLACK, PIECE + SLACK)
    part = audio[: round((end - start) * RATE)]
    try:
        transcript = transcriber.transcribe(
            part, language, lambda fraction: heard_until(start + fraction * (end - start))
        )
    except AnswerClipError:
        raise
    except (RuntimeError, ValueError, MemoryError, OSError) as error:
        raise TranscriptionFailed(
            f"{transcriber.detail} broke off ({type(error).__name__}: {error}). Retry, choose a smaller "
            "model (ANSWERCLIP_WHISPER_MODEL), or give a subtitle file."
        ) from error
    return _Piece(end, transcript.language, tuple(_moved(cue, start, end) for cue in transcript.cues))


def _moved(cue: Cue, by: float, end: float) -> Cue:
    words = tuple(Word(round(w.start + by, 3), round(w.end + by, 3), w.text) for w in cue.words)
    start = round(cue.start + by, 3)
    return Cue(start, round(max(start + 0.01, min(cue.end + by, end)), 3), cue.text, words)


def _key(transcriber: Transcriber, language: str) -> str:
    """Another engine, model, language or way of cutting makes other pieces."""
    facts = [VERSION, PIECE, SLACK, transcriber.name, transcriber.model, language]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _save(store: Path, piece: _Piece) -> None:
    """Under a temporary name first: a piece on disk is a whole piece."""
    rows = [
        [cue.start, cue.end, cue.text, [[w.start, w.end, w.text] for w in cue.words]] for cue in piece.cues
    ]
    store.parent.mkdir(parents=True, exist_ok=True)
    temporary = store.with_suffix(f".{os.getpid()}.part")
    temporary.write_text(json.dumps({"end": piece.end, "language": piece.language, "cues": rows}))
    temporary.replace(store)


def _load(store: Path) -> _Piece | None:
    """The stored piece; a damaged one is as good as none."""
    try:
        data: Any = json.loads(store.read_text())
        cues = tuple(
            Cue(start, end, text, tuple(Word(*word) for word in words))
            for start, end, text, words in data["cues"]
        )
        return _Piece(float(data["end"]), str(data["language"]), cues)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("a stored piece of a transcript is damaged and is made again: %s", store.name)
        return None
