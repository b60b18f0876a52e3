"""Understanding a question: its clean text, its language, and its vectors by the text encoder."""

from __future__ import annotations

import logging
import threading
import unicodedata
from collections.abc import Sequence

import numpy as np

from pipeline.errors import BadQuestion, WeightsMissing
from pipeline.features.text import TextEncoder, load_encoder
from pipeline.recent import Recent
from pipeline.retrieve.words import guess_language

log = logging.getLogger(__name__)

LONGEST_QUESTION = 1000  # characters; more is cut, with a notice
_KEPT = 256  # questions


class Questions:
    """Questions by one text encoder, which is loaded on first use; `source` is the setting that names it."""

    def __init__(self, encoder: TextEncoder | None, source: str) -> None:
        self._source = source
        self._encoder = encoder
        self._missing = ""  # why there is none, once loading failed
        self._loading = threading.Lock()
        self._vectors = Recent[np.ndarray](_KEPT)
        self._states = Recent[np.ndarray](_KEPT)

    @property
    def ready(self) -> bool:
        """Whether the encoder is loaded, or known to be missing."""
        return self._encoder is not None or bool(self._missing)

    @property
    def name(self) -> str:
        """The encoder's, as far as it is loaded."""
        return self._encoder.name if self._encoder else ""

    @property
    def encoder(self) -> TextEncoder | None:
        """The text encoder, loaded on first use; None when it cannot be had."""
        with self._loading:
            if self._encoder is None and not self._missing:
                try:
                    self._encoder = load_encoder(self._source)
                except WeightsMissing as e:
                    self._missing = str(e)
                    log.warning("no text encoder: %s", e)
        return self._encoder

    def compared(self, question: str, spoken: Sequence[str], notices: list[str]) -> np.ndarray | None:
        """The question's unit vector; None, with a notice, where its meaning cannot be compared with videos
        in the languages `spoken`."""
        if self.encoder is None:
            notices.append(f"Searched by words only: {self._missing}")
            return None
        if not self._source and guess_language(question) not in ("en", ""):
            notices.append(_OTHER_LANGUAGE)
            return None
        if not self._source and spoken and "en" not in spoken:
            notices.append(_OTHER_LIBRARY)
        return self.vector(question)

    def vector(self, question: str) -> np.ndarray | None:
        """The unit vector of a question, whatever its language; None without an encoder."""
        encoder = self.encoder
        if encoder is None:
            return None
        known = self._vectors.get(question)
        return known if known is not None else self._vectors.put(question, encoder.encode([question])[0])

    def states(self, question: str) -> np.ndarray | None:
        """The states of a question's tokens; None without an encoder."""
        encoder = self.encoder
        if encoder is None:
            return None
        known = self._states.get(question)
        return known if known is not None else self._states.put(question, encoder.states(question))


def clean(question: str) -> tuple[str, list[str]]:
    """The question without control characters and runs of blanks, and a notice where it was cut.

    BadQuestion for one without a letter or a digit.
    """
    text = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", question))
    text = " ".join(text.split())
    if not any(c.isalnum() for c in text):
        raise BadQuestion("Type a question first, in a few words.")
    if len(text) <= LONGEST_QUESTION:
        return text, []
    cut = text[:LONGEST_QUESTION].rsplit(" ", 1)[0]
    return cut, [f"The question was long: only its first {len(cut)} characters were used."]


_OTHER_LANGUAGE = (
    "The packaged text encoder understands English only, so this question was matched by its words alone. "
    "Set ANSWERCLIP_TEXT_ENCODER to a multilingual encoder to compare meaning in other languages."
)
_OTHER_LIBRARY = (
    "These videos are not in English, which is all that the packaged text encoder understands: ask in their "
    "own words, or set ANSWERCLIP_TEXT_ENCODER to a multilingual encoder."
)
