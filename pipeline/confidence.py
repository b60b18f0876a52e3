"""Confidence: the probability that the library holds the answer, from a few readable signals of the best
span. Goes in: what retrieval and localization found; comes out: a number in 0..1 and the threshold below
which the app says that the answer is not there.

The weights are fitted by `calibrate.py` and lie in `checkpoints/confidence.json`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.localize.base import Candidate, Request
from pipeline.retrieve.base import Hit
from pipeline.retrieve.words import stems, terms
from pipeline.types import Cue, Span

log = logging.getLogger(__name__)

FILE = "confidence.json"


@dataclass(frozen=True)
class Logistic:
    """`1 / (1 + exp(-(bias + sum of weight * signal)))`, and the threshold for saying yes."""

    bias: float
    weights: Mapping[str, float]
    threshold: float = 0.5

    def __call__(self, signals: Mapping[str, float]) -> float:
        """The probability; signals that are not there count as 0.

        >>> Logistic(0.0, {"meaning": 1.0})({"meaning": 0.0})
        0.5
        """
        total = self.bias + sum(w * signals.get(name, 0.0) for name, w in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@dataclass(frozen=True)
class Confidence:
    """`full` for questions with a vector, `words` for those searched by words alone."""

    full: Logistic = Logistic(-4.0, {"meaning": 6.0, "covered": 2.5})
    words: Logistic = Logistic(-2.0, {"coverage": 3.0, "covered": 1.5})
    rarity: Mapping[str, float] = field(default_factory=dict)  # of common stems, 0..1; others count 1

    @classmethod
    def load(cls, folder: Path) -> Confidence:
        """The fitted one of this folder; the built-in rough one, with a warning, where it is missing."""
        try:
            return cls._read(folder)
        except (OSError, ValueError, KeyError, TypeError) as e:
            log.warning("confidence is rough: %s cannot be read (%s)", folder / FILE, e)
            return cls()

    @classmethod
    def beside(cls, folder: Path) -> Confidence | None:
        """The one that was fitted to the checkpoint in this folder; None where there is none to be read."""
        try:
            return cls._read(folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as e:
            log.warning(
                "%s cannot be read (%s): the confidence of untrained answers is used", folder / FILE, e
            )
            return None

    @classmethod
    def _read(cls, folder: Path) -> Confidence:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        full, words = (
            Logistic(d["bias"], d["weights"], d["threshold"]) for d in (data["full"], data["words"])
        )
        return cls(full, words, data["rarity"])

    def function(self, with_meaning: bool) -> Logistic:
        return self.full if with_meaning else self.words

    def coverage(self, question: str, said: Iterable[str]) -> float:
        """Share of the question's words, weighted by rarity, whose stems are among `said`; 0..1."""
        asked, said = terms(question), set(said)
        total = sum(self.rarity.get(term, 1.0) for term in asked)
        return sum(self.rarity.get(term, 1.0) for term in asked if term in said) / total if total else 0.0

    def signals(
        self, request: Request, candidate: Candidate, span: Span, hits: Sequence[Hit] = ()
    ) -> dict[str, float]:
        """What speaks for one span, each about 0..1 and the same in small and large libraries.

        coverage: the question's words in the span; covered: in the whole video and its title; meaning:
        the highest cosine of a window in the span; nearest: what dense retrieval says of the best video.
        """
        found = {
            "coverage": self.coverage(request.question, stems(text_in(candidate.cues, span))),
            "covered": self.coverage(request.question, candidate.all_stems),
        }
        if request.vector is not None and candidate.vectors is not None:
            found["meaning"] = _best_cosine(candidate, span, request.vector)
            found["nearest"] = max((hit.meaning for hit in hits if hit.meaning is not None), default=0.0)
        return found


def text_in(cues: Sequence[Cue], span: Span) -> str:
    """The words of the cues whose middle lies in the span."""
    return " ".join(cue.text for cue in cues if span.start <= (cue.start + cue.end) / 2 < span.end)


def _best_cosine(candidate: Candidate, span: Span, vector: np.ndarray) -> float:
    """The highest cosine of the windows, of any scale, of which half lies in the span, or the other way."""
    starts, ends = candidate.times
    best = 0.0
    for scale in candidate.vectors.scales if candidate.vectors else ():
        begin, end = starts[scale.first], ends[scale.last]
        shared = np.minimum(end, span.end) - np.maximum(begin, span.start)
        near = shared >= 0.5 * np.minimum(end - begin, span.duration)
        if near.any():
            best = max(best, float((scale.vectors[near] @ vector).max()))
    return best
