"""The order of training: which questions, with which other videos beside them, stand in which batch.

It depends on the seed and the epoch alone, so that a resumed training goes on with the batch it was at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Row = tuple[int, tuple[int, ...]]  # an example, and the other videos it is shown with

_POOL = 50  # batches among which similar lengths are put together
_SHOWN = 3  # a batch shares the negatives of so many draws, so that each video is read once for many


@dataclass(frozen=True)
class Order:
    """Examples of all sets by number: `sets[i]` is the first of set i, `weights[i]` how often it is gone
    through. `others[i]`: the videos that example i can have as negatives."""

    sets: Sequence[int]
    weights: Sequence[float]
    lengths: np.ndarray  # of the examples, for batches of similar length
    others: Sequence[np.ndarray]
    batch: int
    negatives: int
    seed: int

    @property
    def examples(self) -> int:
        """In one epoch."""
        return sum(self._counts())

    def batches(self, processes: int = 1) -> int:
        """Of one epoch, for each of so many processes."""
        return math.ceil(math.ceil(self.examples / self.batch) / processes)

    def epoch(self, number: int, process: int = 0, processes: int = 1) -> list[list[Row]]:
        """The batches of one epoch for one of several processes; all get the same number of batches."""
        chance = np.random.default_rng((self.seed, number))
        chosen = chance.permutation(np.concatenate([self._drawn(i, chance) for i in range(len(self.sets))]))
        parts: list[np.ndarray] = []
        for at in range(0, len(chosen), _POOL * self.batch):
            pool = chosen[at : at + _POOL * self.batch]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            parts += [pool[i : i + self.batch] for i in range(0, len(pool), self.batch)]
        parts = [parts[i] for i in chance.permutation(len(parts))]
        batches = [self._rows(part, chance) for part in parts]
        batches += batches[: -len(batches) % processes]
        return batches[process::processes]

    def _rows(self, part: np.ndarray, chance: np.random.Generator) -> list[Row]:
        """The examples of a batch with their negatives, drawn from a few videos that they share."""
        if not self.negatives:
            return [(int(i), ()) for i in part]
        drawn = [chance.choice(self.others[i], 2 * self.negatives) for i in chance.choice(part, _SHOWN)]
        shown = np.unique(np.concatenate(drawn))
        return [(int(i), self._negatives(self.others[i], shown, chance)) for i in part]

    def _negatives(
        self, others: np.ndarray, shown: np.ndarray, chance: np.random.Generator
    ) -> tuple[int, ...]:
        known = shown[np.isin(shown, others)]
        choice = known if len(known) >= self.negatives else others
        return tuple(chance.choice(choice, self.negatives, replace=len(choice) < self.negatives).tolist())

    def _drawn(self, which: int, chance: np.random.Generator) -> np.ndarray:
        """The examples of a set that are in this epoch."""
        begin = self.sets[which]
        end = self.sets[which + 1] if which + 1 < len(self.sets) else len(self.lengths)
        whole, rest = divmod(self._counts()[which], end - begin)
        return np.concatenate(
            [np.tile(np.arange(begin, end), whole), begin + chance.permutation(end - begin)[:rest]]
        )

    def _counts(self) -> list[int]:
        ends = [*self.sets[1:], len(self.lengths)]
        sizes = [end - begin for begin, end in zip(self.sets, ends, strict=True)]
        return [max(1, round(size * weight)) for size, weight in zip(sizes, self.weights, strict=True)]
