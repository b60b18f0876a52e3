"""A text encoder for tests: hashed word counts, so that texts sharing words are alike."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np


class FakeEncoder:
    """Unit rows without a model; deterministic across runs."""

    def __init__(self, name: str = "fake", dim: int = 64) -> None:
        self.name = name
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.full((len(texts), self.dim), 1e-3, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[zlib.crc32(word.encode()) % self.dim] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def states(self, text: str) -> np.ndarray:
        """One row for each word."""
        return self.encode(re.findall(r"\w+", text.lower()) or [text])
