"""Training of DPR: its examples out of data sets, and its dev measure, MRR of the right video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.datasets import Dataset
from pipeline.features.text import TextVectors
from pipeline.retrieve.dpr import DPR
from pipeline.retrieve.dpr_examples import (
    DPRExample,
    WindowTable,
    dev_scores,
    make_examples,
    window_table,
)
from pipeline.training.batches import Row
from pipeline.training.recipe import Recipe
from pipeline.training.vectors import VectorCache


class Remembered:
    """A text encoder that reads questions' vectors from the cache."""

    def __init__(self, cache: VectorCache, dim: int) -> None:
        self.name, self.dim, self._cache = cache.name, dim, cache
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        missing = [text for text in texts if text not in self._known]
        if missing:
            found = self._cache.questions(missing)
            self._known |= {text: np.asarray(asked.vector) for text, asked in found.items()}
        return np.array([self._known[text] for text in texts], np.float32).reshape(-1, self.dim)

    def states(self, text: str) -> np.ndarray:
        return self._cache.encoder.states(text)


class DPRTask:
    """The towers and their data sets, a window table for each set."""

    measure = "mrr"

    def __init__(
        self,
        recipe: Recipe,
        train: Sequence[tuple[Dataset, Path]],
        dev: Sequence[tuple[Dataset, Path]],
        cache: VectorCache,
    ) -> None:
        self.examples: list[DPRExample] = []
        self.sets: list[int] = []
        hard = recipe.training.hard_negatives or 1  # the paper has one
        dim = 0
        for data, _ in train:
            table, dim = self._table(data, cache)
            self.sets.append(len(self.examples))
            self.examples += make_examples(data, Remembered(cache, dim), table, hard)
        if not self.examples:
            raise ValueError("there is no answerable question to train on")
        self.lengths = np.array([len(e.question) for e in self.examples])
        self.others: list[np.ndarray] = []  # the batch's own passages are the negatives
        self._dev = [(data, self._table(data, cache)[0]) for data, _ in dev]
        self._encoder = Remembered(cache, dim)
        torch.manual_seed(recipe.training.seed)
        self.module = DPR(**({"dim": dim, "library_model": cache.name} | recipe.network))
        self.module.train()

    def batch(self, rows: Sequence[Row]) -> Any:
        return self.module.batch([self.examples[number] for number, _ in rows])

    def dev(self) -> dict[str, float]:
        found = [dev_scores(self.module, data, self._encoder, table) for data, table in self._dev]
        weights = [len(data.answerable) for data, _ in self._dev]
        self.module.train()
        return {k: float(np.average([row[k] for row in found], weights=weights)) for k in found[0]}

    def save(self, folder: Path) -> None:
        self.module.save_pretrained(folder)

    @staticmethod
    def _table(data: Dataset, cache: VectorCache) -> tuple[WindowTable, int]:
        known: dict[str, TextVectors] = cache.videos(data.videos)
        dim = next(iter(known.values())).scales[0].vectors.shape[1]
        return window_table(data, Remembered(cache, dim), known), dim
