"""PocketSphinx, the last resort where Whisper has no weights: English only and rough, but its model
comes with the package and it needs a fifth of real time. Audio in, unpunctuated words with times out.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from typing import Any

import numpy as np

from pipeline.errors import TranscriptionFailed, WeightsMissing
from pipeline.transcribe.base import Report, ignore
from pipeline.transcribe.speech import RATE, chunks, pcm
from pipeline.types import Cue, Origin, Transcript, Word

FRAMES_PER_SECOND = 100
PAUSE = 0.35  # seconds between two words that end a cue
_VARIANT = re.compile(r"\(\d+\)$")  # "read(2)": the second pronunciation of "read"


class PocketSphinx:
    """See `Transcriber`. The same audio gives the same words whatever was heard before it."""

    name = "pocketsphinx"
    model = "en-us"
    origin = Origin.POCKETSPHINX

    def __init__(self) -> None:
        self._decoder: Any = None

    @property
    def detail(self) -> str:
        return f"PocketSphinx {importlib.metadata.version('pocketsphinx')}"

    def available(self) -> str:
        if importlib.util.find_spec("pocketsphinx") is None:
            return "PocketSphinx is not installed: pip install pocketsphinx"
        return ""

    def prepare(self, report: Report = ignore) -> None:
        if missing := self.available():
            raise WeightsMissing(missing)

    def transcribe(self, audio: np.ndarray, language: str = "", report: Report = ignore) -> Transcript:
        if language and not language.lower().startswith("en"):
            raise TranscriptionFailed(
                f"PocketSphinx understands English only, not “{language}”. Get Whisper's weights "
                "(`python -m pipeline doctor` says how) or give a subtitle file."
            )
        self._decoder = _decoder()  # it adapts to what it hears: a fresh one for the same result each time
        words: list[Word] = []
        for start, end in chunks(audio, longest=20.0, joined=False):
            words += self._words(audio[round(start * RATE) : round(end * RATE)], start)
            report(end * RATE / len(audio))
        return Transcript(_cues(words), self.origin, "en", self.detail)

    def _words(self, audio: np.ndarray, offset: float) -> list[Word]:
        self._decoder.start_utt()
        self._decoder.process_raw(pcm(audio), full_utt=True)
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return []
        return [
            Word(
                round(offset + segment.start_frame / FRAMES_PER_SECOND, 3),
                round(offset + (segment.end_frame + 1) / FRAMES_PER_SECOND, 3),
                _VARIANT.sub("", segment.word),
            )
            for segment in self._decoder.seg()
            if segment.word[0] not in "<["  # silence and noises
        ]


def _decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=RATE, loglevel="FATAL")


def _cues(words: list[Word]) -> tuple[Cue, ...]:
    """One cue from pause to pause."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start - groups[-1][-1].end < PAUSE:
            groups[-1].append(word)
        else:
            groups.append([word])
    return tuple(
        Cue(group[0].start, group[-1].end, " ".join(word.text for word in group), tuple(group))
        for group in groups
    )
