"""OpenAI's Whisper (`openai-whisper`): the transcriber of first choice, for 99 languages.

Weights by size ("base"), taken from the ordinary cache or downloaded with a checked SHA-256, or by the
path of a `{dims, model_state_dict}` file. Audio in, punctuated cues with word times out.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import WeightsMissing
from pipeline.transcribe import weights
from pipeline.transcribe.base import Report, ignore
from pipeline.transcribe.guards import Segment, said
from pipeline.transcribe.speech import RATE, Stretch, chunks, stretches
from pipeline.types import Origin, Transcript, Word

log = logging.getLogger(__name__)

LONGEST = 28.0  # seconds given to the model at once; it looks at 30
DETECTED_ON = 3  # stretches that the language is detected on

# What works against invented text: no prompting with what came before, which carries a mistake on;
# fewer and hotter tries than usual, since each costs as much as the first; silence skipped.
DECODING: dict[str, Any] = {
    "temperature": (0.0, 0.4, 0.8),
    "condition_on_previous_text": False,
    "compression_ratio_threshold": 2.4,
    "no_speech_threshold": 0.6,
    "word_timestamps": True,
    "hallucination_silence_threshold": 2.0,
}


class Whisper:
    """See `Transcriber`. `urls` are those of openai-whisper unless a test gives its own."""

    name = "whisper"
    origin = Origin.WHISPER

    def __init__(self, model: str = "", urls: Mapping[str, str] | None = None, patience: float = 8.0) -> None:
        self._given = model
        self._urls = urls
        self._patience = patience
        self._loaded: Any = None

    @property
    def size(self) -> str:
        return self._given or ("small" if _device() == "cuda" else "base")

    @property
    def model(self) -> str:
        """The size; for a file also how big it is, so that another file is another model."""
        path = Path(self.size)
        return f"{path.stem}-{path.stat().st_size}" if path.is_file() else self.size

    @property
    def detail(self) -> str:
        return f"openai-whisper {Path(self.size).stem if Path(self.size).is_file() else self.size}"

    def available(self) -> str:
        if importlib.util.find_spec("whisper") is None:
            return "Whisper is not installed: pip install openai-whisper"
        if Path(self.size).is_file() or self._cached().is_file():
            return ""
        if self.size not in self.known():
            return (
                f"There are no Whisper weights “{self.size}”: give one of {', '.join(self.known())}, "
                "or the path of a weights file (ANSWERCLIP_WHISPER_MODEL)."
            )
        return (
            f"Whisper's weights “{self.size}” are not on this machine. They are downloaded when they are "
            f"first needed; without a network, {self._by_hand}."
        )

    @property
    def _by_hand(self) -> str:
        """How to get the weights without a download."""
        path = self._cached()
        return (
            f"put {path.name} into {weights.tidy(path.parent)} or set ANSWERCLIP_WHISPER_MODEL "
            "to a weights file"
        )

    def known(self) -> Mapping[str, str]:
        """Sizes and their addresses."""
        if self._urls is not None:
            return self._urls
        import whisper

        return whisper._MODELS

    def prepare(self, report: Report = ignore) -> None:
        if self._loaded is not None:
            return
        path = self._found(report)
        import whisper

        try:
            self._loaded = whisper.load_model(str(path), device=_device())
        except Exception as error:  # torch raises nearly everything for a file that is no weights file
            raise WeightsMissing(
                f"{weights.tidy(path)} is damaged or holds no Whisper weights ({type(error).__name__}). "
                "Delete it, or set ANSWERCLIP_WHISPER_MODEL to another file."
            ) from error
        if not Path(self.size).is_file():
            # Which attention heads follow the words: known for the published weights only.
            self._loaded.set_alignment_heads(whisper._ALIGNMENT_HEADS[self.size])

    def _cached(self) -> Path:
        url = self.known().get(self.size, self.size)
        return weights.cache_folder() / url.rsplit("/", 1)[-1]

    def _found(self, report: Report) -> Path:
        """The weights file, proven to be the published one when it was asked for by size."""
        missing = self.available()
        if Path(self.size).is_file() and not missing:
            return Path(self.size)
        if importlib.util.find_spec("whisper") is None or self.size not in self.known():
            raise WeightsMissing(missing)
        path, url = self._cached(), self.known()[self.size]
        sha256 = url.split("/")[-2]
        if not missing and weights.digest(path) == sha256:
            return path
        try:
            weights.fetch(url, sha256, path, report, self._patience)
        except WeightsMissing as error:
            had = "are not on this machine" if missing else f"are damaged ({weights.tidy(path)})"
            by_hand = self._by_hand[0].upper() + self._by_hand[1:]
            raise WeightsMissing(f"Whisper's weights “{self.size}” {had} and {error}. {by_hand}.") from error
        return path

    def transcribe(self, audio: np.ndarray, language: str = "", report: Report = ignore) -> Transcript:
        speech = stretches(audio)
        parts = chunks(audio, LONGEST) if speech else []
        if not parts:
            return Transcript((), self.origin, language, self.detail)
        self.prepare()
        language = self._language(language) or self._detected(audio, parts)
        segments: list[Segment] = []
        for start, end in parts:
            segments += self._segments(audio[round(start * RATE) : round(end * RATE)], start, language)
            report(end * RATE / len(audio))
        return Transcript(said(segments, speech), self.origin, language, self.detail)

    def _language(self, language: str) -> str:
        """The asked one as Whisper calls it; empty when it knows none of this name."""
        from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

        if not self._loaded.is_multilingual:
            return "en"
        code = language.lower().split("-")[0]
        return code if code in LANGUAGES else TO_LANGUAGE_CODE.get(code, "")

    def _detected(self, audio: np.ndarray, parts: Sequence[Stretch]) -> str:
        """The language that the longest stretches of speech sound like most, taken together."""
        import torch
        from whisper.audio import log_mel_spectrogram, pad_or_trim

        total: dict[str, float] = {}
        for start, end in sorted(parts, key=lambda part: part[0] - part[1])[:DETECTED_ON]:
            sound = pad_or_trim(audio[round(start * RATE) : round(end * RATE)])
            mel = log_mel_spectrogram(sound, self._loaded.dims.n_mels).to(self._loaded.device)
            with torch.inference_mode():
                _, probabilities = self._loaded.detect_language(mel)
            for code, probability in probabilities.items():
                total[code] = total.get(code, 0.0) + probability
        return max(total, key=lambda code: total[code])

    def _segments(self, audio: np.ndarray, offset: float, language: str) -> Iterator[Segment]:
        import torch

        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore")  # about half precision and missing kernels
            torch.manual_seed(0)  # hotter tries are drawn: the same audio gives the same words
            result = self._loaded.transcribe(
                audio, language=language, fp16=self._loaded.device.type == "cuda", **DECODING
            )
        for found in result["segments"]:
            words = tuple(
                Word(round(offset + float(w["start"]), 3), round(offset + float(w["end"]), 3), w["word"])
                for w in found.get("words", ())
            )
            yield Segment(
                round(offset + float(found["start"]), 3),
                round(offset + float(found["end"]), 3),
                found["text"],
                words,
                float(found["no_speech_prob"]),
                float(found["avg_logprob"]),
            )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
