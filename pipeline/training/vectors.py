"""Text vectors of videos and questions, computed once and kept in one SQLite file, by encoder and content.

Every training of a small method after the first therefore starts without loading the encoder at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.datasets import Narration
from pipeline.features.text import SCALES, TextEncoder, TextVectors, text_vectors
from pipeline.localize.examples import Asked

log = logging.getLogger(__name__)

_AT_ONCE = 500  # keys of one query
_PART = 256  # questions encoded before they are written down


def default_folder() -> Path:
    """The user's cache folder for this."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "answerclip" / "training"


class VectorCache:
    """Vectors by content. `name` is the encoder's; `load` gives it when something is not there yet."""

    def __init__(self, folder: Path, name: str, load: Callable[[], TextEncoder]) -> None:
        self.name = name
        self._load = load
        self._encoder: TextEncoder | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "vectors.sqlite"
        with closing(self._open()) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, data BLOB NOT NULL)")

    @property
    def encoder(self) -> TextEncoder:
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    def videos(self, narrations: Mapping[str, Narration]) -> dict[str, TextVectors]:
        """The windows' vectors of every narration with words, by its name."""
        keys = {name: self._key_of(narration) for name, narration in narrations.items() if narration.cues}
        known = self._get(list(keys.values()))
        for name in _shown([n for n in keys if keys[n] not in known], "videos"):
            known[keys[name]] = text_vectors(narrations[name].cues, self.encoder).pack()
            self._put({keys[name]: known[keys[name]]})
        return {name: TextVectors.unpack(known[key]) for name, key in keys.items()}

    def questions(self, texts: Sequence[str]) -> dict[str, Asked]:
        """Vector and token states of every distinct question, by its text."""
        keys = {text: self._key("question", text) for text in dict.fromkeys(texts)}
        known = self._get(list(keys.values()))
        missing = [text for text in keys if keys[text] not in known]
        for part in _shown([missing[i : i + _PART] for i in range(0, len(missing), _PART)], "questions"):
            vectors, states = self.encoder.encode(part), _states(self.encoder, part)
            rows = [np.concatenate([v[None], s]) for v, s in zip(vectors, states, strict=True)]
            made = {keys[text]: _packed(row) for text, row in zip(part, rows, strict=True)}
            self._put(made)
            known |= made
        return {text: _asked(text, known[key]) for text, key in keys.items()}

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, D) of questions that are asked once: what is not known is encoded, and not kept."""
        found = self._get([self._key("question", text) for text in texts])
        known = {text: found[key] for text in texts if (key := self._key("question", text)) in found}
        missing = [text for text in texts if text not in known]
        made = dict(zip(missing, self.encoder.encode(missing), strict=True)) if missing else {}
        return np.array([made[t] if t in made else np.asarray(_asked(t, known[t]).vector) for t in texts])

    def _key_of(self, narration: Narration) -> str:
        words = [[cue.start, cue.end, cue.text] for cue in narration.cues]
        return self._key("video", json.dumps([SCALES, words]))

    def _key(self, kind: str, content: str) -> str:
        return hashlib.sha256(f"{self.name}\0{kind}\0{content}".encode()).hexdigest()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=60)

    def _get(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        with closing(self._open()) as database:
            for i in range(0, len(keys), _AT_ONCE):
                part = keys[i : i + _AT_ONCE]
                marks = ",".join("?" * len(part))
                found |= database.execute(f"SELECT key, data FROM vectors WHERE key IN ({marks})", part)
        return found

    def _put(self, made: Mapping[str, bytes]) -> None:
        with closing(self._open()) as database, database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", made.items())


def _shown(items: list, of: str) -> Iterator:
    """A progress bar, where there is anything to wait for."""
    return iter(tqdm(items, desc=f"encoding {of}", leave=False, disable=None)) if items else iter(())


def _states(encoder: TextEncoder, texts: Sequence[str]) -> list[np.ndarray]:
    """The token states of several texts; in batches where the encoder can."""
    batched = getattr(encoder, "states_of", None)
    return batched(texts) if batched else [encoder.states(text) for text in texts]


def _packed(rows: np.ndarray) -> bytes:
    """float16 is what the library keeps too."""
    return len(rows).to_bytes(4, "little") + rows.astype("<f2").tobytes()


def _asked(text: str, data: bytes) -> Asked:
    rows = np.frombuffer(data, "<f2", offset=4).reshape(int.from_bytes(data[:4], "little"), -1)
    rows = rows.astype(np.float32)
    return Asked(text, rows[0], rows[1:])
