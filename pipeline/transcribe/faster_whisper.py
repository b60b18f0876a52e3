"""Whisper by way of CTranslate2 (`pip install faster-whisper`): the same models, several times faster
on a CPU. Optional; weights by size from the Hugging Face cache or hub, or by the path of a folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import WeightsMissing
from pipeline.transcribe import weights
from pipeline.transcribe.base import Report, ignore
from pipeline.transcribe.guards import Segment, said
from pipeline.transcribe.speech import RATE, chunks, stretches
from pipeline.transcribe.whisper import DECODING, LONGEST
from pipeline.types import Origin, Transcript, Word


class FasterWhisper:
    """See `Transcriber`."""

    name = "faster-whisper"
    origin = Origin.WHISPER

    def __init__(self, model: str = "", patience: float = 8.0) -> None:
        self._given = model
        self._patience = patience
        self._loaded: Any = None

    @property
    def model(self) -> str:
        return self._given or ("small" if _on_gpu() else "base")

    @property
    def detail(self) -> str:
        return f"faster-whisper {Path(self.model).name}"

    def available(self) -> str:
        if importlib.util.find_spec("faster_whisper") is None:
            return "faster-whisper is not installed: pip install faster-whisper"
        if Path(self.model).is_dir():
            return ""
        from faster_whisper.utils import download_model

        try:
            download_model(self.model, local_files_only=True)
        except (OSError, ValueError) as error:
            if "model size" in str(error):
                return f"{error} (ANSWERCLIP_WHISPER_MODEL)"
            return (
                f"The weights “{self.model}” of faster-whisper are not on this machine. They are downloaded "
                "when they are first needed; without a network, set ANSWERCLIP_WHISPER_MODEL to the folder "
                "of a converted model."
            )
        return ""

    def prepare(self, report: Report = ignore) -> None:
        if self._loaded is not None:
            return
        if missing := self.available():
            self._reach_hub(missing)
        from faster_whisper import WhisperModel

        on_gpu = _on_gpu()
        try:
            self._loaded = WhisperModel(
                self.model,
                device="cuda" if on_gpu else "cpu",
                compute_type="float16" if on_gpu else "int8",
                local_files_only=not missing,
            )
        except Exception as error:  # CTranslate2 and the hub's client raise their own kinds
            raise WeightsMissing(
                f"The weights “{self.model}” of faster-whisper cannot be loaded ({error}). "
                "Set ANSWERCLIP_WHISPER_MODEL to another size or folder."
            ) from error

    def _reach_hub(self, missing: str) -> None:
        """The hub's client tries again and again for minutes; whether it can be reached is soon known."""
        if importlib.util.find_spec("faster_whisper") is None or "expected one of" in missing:
            raise WeightsMissing(missing)
        try:
            address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
            weights.opened(address, self._patience).close()
        except (OSError, HTTPException, ValueError) as error:
            raise WeightsMissing(f"{missing} The hub cannot be reached ({error}).") from error

    def transcribe(self, audio: np.ndarray, language: str = "", report: Report = ignore) -> Transcript:
        speech = stretches(audio)
        parts = chunks(audio, LONGEST) if speech else []
        if not parts:
            return Transcript((), self.origin, language, self.detail)
        self.prepare()
        language = self._language(language) or self._detected(audio, speech)
        segments: list[Segment] = []
        for start, end in parts:
            segments += self._segments(audio[round(start * RATE) : round(end * RATE)], start, language)
            report(end * RATE / len(audio))
        return Transcript(said(segments, speech), self.origin, language, self.detail)

    def _language(self, language: str) -> str:
        if not self._loaded.model.is_multilingual:
            return "en"
        code = language.lower().split("-")[0]
        return code if code in self._loaded.supported_languages else ""

    def _detected(self, audio: np.ndarray, speech: list[tuple[float, float]]) -> str:
        heard = [audio[round(start * RATE) : round(end * RATE)] for start, end in speech]
        language, _, _ = self._loaded.detect_language(np.concatenate(heard), language_detection_segments=3)
        return language

    def _segments(self, audio: np.ndarray, offset: float, language: str) -> Iterator[Segment]:
        found, _ = self._loaded.transcribe(audio, language=language, beam_size=5, **DECODING)
        for segment in found:
            words = tuple(
                Word(round(offset + float(word.start), 3), round(offset + float(word.end), 3), word.word)
                for word in segment.words or ()
            )
            yield Segment(
                round(offset + float(segment.start), 3),
                round(offset + float(segment.end), 3),
                segment.text,
                words,
                float(segment.no_speech_prob),
                float(segment.avg_logprob),
            )


def _on_gpu() -> bool:
    if importlib.util.find_spec("ctranslate2") is None:
        return False
    return importlib.import_module("ctranslate2").get_cuda_device_count() > 0
