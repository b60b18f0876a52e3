"""Readers of the published data sets, one file each, by name in `READERS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.datasets import howto, medvidqa, tutorialvqa, vehiclevqa
from pipeline.datasets.base import Dataset, Narration, Question, thinned
from pipeline.datasets.splits import part_of, without_part

__all__ = ["READERS", "Dataset", "Narration", "Question", "read", "thinned"]

READERS: dict[str, Callable[[Path, str], Dataset]] = {
    "medvidqa": medvidqa.read,
    "tutorialvqa": tutorialvqa.read,
    "vehiclevqa": vehiclevqa.read,
    "howto": howto.read,
    "narrations": partial(howto.read, name="narrations"),
}


def read(name: str, folder: Path, split: str = "") -> Dataset:
    """The split of a data set: a published one, or `K/N` and `-K/N` as in `splits.py`, for every set.

    In published splits the corpus is all videos; in parts it is the videos of the part. An unknown name
    lists the known ones (ValueError).
    """
    if name not in READERS:
        raise ValueError(f"no data set '{name}'; known: {', '.join(READERS)}")
    return part_of(READERS[name](folder, without_part(split)), split)
