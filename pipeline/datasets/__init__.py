"""Readers of the published data sets, one file each, by name in `READERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.datasets import howto, medvidqa, tutorialvqa, vehiclevqa
from pipeline.datasets.base import Dataset, Narration, Question

__all__ = ["READERS", "Dataset", "Narration", "Question", "read"]

READERS: dict[str, Callable[[Path, str], Dataset]] = {
    "medvidqa": medvidqa.read,
    "tutorialvqa": tutorialvqa.read,
    "vehiclevqa": vehiclevqa.read,
    "howto": howto.read,
}


def read(name: str, folder: Path, split: str = "") -> Dataset:
    """The split of a data set; an unknown name lists the known ones."""
    if name not in READERS:
        raise ValueError(f"no data set '{name}'; known: {', '.join(READERS)}")
    return READERS[name](folder, split)
