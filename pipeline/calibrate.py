"""Confidence: the probability that the library holds the answer and that the best span shows it, from a
few readable signals of the best span. A logistic function whose weights are fitted on held-out questions,
answerable and not (`python -m pipeline.calibrate`), kept in `checkpoints/confidence.json`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.retrieve.words import stems, terms

log = logging.getLogger(__name__)

FILE = "confidence.json"


@dataclass(frozen=True)
class Logistic:
    """`1 / (1 + exp(-(bias + sum of weight * signal)))`."""

    bias: float
    weights: Mapping[str, float]

    def __call__(self, signals: Mapping[str, float]) -> float:
        """The probability; signals that are not named count as 0."""
        total = self.bias + sum(w * signals.get(name, 0.0) for name, w in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@dataclass(frozen=True)
class Calibration:
    """One function for questions with a vector, one for words alone, and their thresholds."""

    full: Logistic = Logistic(-3.0, {"meaning": 5.0, "coverage": 2.0})
    words: Logistic = Logistic(-2.0, {"coverage": 4.0})
    threshold: float = 0.5
    words_threshold: float = 0.5
    rarity: Mapping[str, float] = field(default_factory=dict)  # of common stems, 0..1; others count 1

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """The fitted one of this folder; the built-in rough one, with a warning, where it is missing."""
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(
                Logistic(data["full"]["bias"], data["full"]["weights"]),
                Logistic(data["words"]["bias"], data["words"]["weights"]),
                data["full"]["threshold"],
                data["words"]["threshold"],
                data["rarity"],
            )
        except (OSError, ValueError, KeyError, TypeError) as e:
            log.warning("confidence is rough: %s cannot be read (%s)", folder / FILE, e)
            return cls()

    def coverage(self, question: str, texts: Iterable[str]) -> float:
        """Share of the question's words, weighted by rarity, that occur in the texts; 0..1."""
        asked = terms(question)
        said = {stem for text in texts for stem in stems(text)}
        total = sum(self.rarity.get(term, 1.0) for term in asked)
        return sum(self.rarity.get(term, 1.0) for term in asked if term in said) / total if total else 0.0
