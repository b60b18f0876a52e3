"""A transcriber that hears every burst of sound as one cue, and a long recording for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.transcribe.base import Report, ignore
from pipeline.transcribe.speech import RATE, loudness
from pipeline.types import Cue, Origin, Transcript, Word

FRAME = 0.03  # seconds


class FakeTranscriber:
    """Fulfils `Transcriber`; keeps what it was asked in `lengths` (seconds) and `languages`."""

    origin = Origin.WHISPER

    def __init__(self, name: str = "fake", model: str = "1", speaks: str = "en") -> None:
        self.name = name
        self.model = model
        self._speaks = speaks
        self.lengths: list[float] = []
        self.languages: list[str] = []

    @property
    def detail(self) -> str:
        return f"{self.name} {self.model}"

    def available(self) -> str:
        return ""

    def prepare(self, report: Report = ignore) -> None:
        pass

    def transcribe(self, audio: np.ndarray, language: str = "", report: Report = ignore) -> Transcript:
        self.lengths.append(len(audio) / RATE)
        self.languages.append(language)
        loud = np.concatenate([[False], loudness(audio) > 0.01, [False]])
        borders = np.flatnonzero(loud[1:] != loud[:-1]) * FRAME
        report(0.5)
        cues = [
            Cue(start, end, "Sound.", (Word(start, end, "Sound."),))
            for start, end in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True)
        ]
        report(1.0)
        return Transcript(tuple(cues), self.origin, language or self._speaks, self.detail)


def fake_audio(path: Path, start: float, duration: float) -> np.ndarray:
    """An endless recording: every ten seconds a sound from second 2 to second 5."""
    times = start + np.arange(max(0, round(duration * RATE))) / RATE
    return (0.2 * np.sin(2 * np.pi * 300 * times) * ((times % 10 >= 2) & (times % 10 < 5))).astype(np.float32)
