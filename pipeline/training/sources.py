"""Data sets to train on and to choose by: `NAME:DIR[:SPLIT][@WEIGHT]`, and the dev share drawn by video."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.datasets import Dataset, read

# What the sets' owners allow with them, and so with weights trained on them.
LICENCES = {
    "howto": "CC0",
    "narrations": "CC0",
    "tutorialvqa": "CC BY-NC 4.0: weights for non-commercial use only",
    "vehiclevqa": "no licence stated: weights for research only",
    "medvidqa": "for research, see its authors' page",
}


@dataclass(frozen=True)
class Source:
    """One data set as the command names it. `weight`: how often an epoch goes through it."""

    name: str
    folder: Path
    split: str = ""
    weight: float = 1.0

    @property
    def text(self) -> str:
        """As in the record of a training: no path of this machine."""
        of = f"{self.name}:{self.split or 'all'}"
        return of if self.weight == 1 else f"{of}@{self.weight:g}"

    def read(self) -> Dataset:
        return read(self.name, self.folder, self.split)


def parse(text: str) -> Source:
    """`NAME:DIR[:SPLIT][@WEIGHT]`; ValueError says what is wrong.

    >>> (found := parse("howto:data/howto:-1/5@0.5")).split, found.weight
    ('-1/5', 0.5)
    >>> parse("tutorialvqa:data:train@2/5").split
    'train@2/5'
    """
    name, colon, rest = text.partition(":")
    if not colon or not rest:
        raise ValueError(f"'{text}' is not NAME:DIR[:SPLIT][@WEIGHT], for example howto:data/howto:-1/5")
    found = re.fullmatch(r"(.+)@(\d+(?:\.\d+)?)", rest)
    weight = float(found[2]) if found else 1.0
    if weight <= 0:
        raise ValueError(f"the weight of '{text}' must be above 0")
    rest = found[1] if found else rest
    folder, colon, split = rest.rpartition(":")
    if not colon or Path(rest).exists():  # a drive letter has a colon too
        folder, split = rest, ""
    return Source(name, Path(folder), split, weight)


def hold_out(data: Dataset, share: float, by: str = "video") -> tuple[Dataset, Dataset]:
    """The set without, and the set of, a share of the videos that are asked about, or of the questions.

    Both are drawn by name, so the share is the same in every run. By video, training neither asks about nor
    sees a dev video (as a negative); the dev questions are asked of the whole corpus. By question, both
    keep the whole corpus.
    """
    if by == "question":
        order = [zlib.crc32(q.id.encode()) / 2**32 < share for q in data.questions]
        parts = [
            [q for q, held in zip(data.questions, order, strict=True) if held is which]
            for which in (False, True)
        ]
        return replace(data, questions=tuple(parts[0])), replace(data, questions=tuple(parts[1]))
    asked = sorted({q.video_id for q in data.answerable}, key=lambda v: (zlib.crc32(v.encode()), v))
    count = min(max(1, math.ceil(share * len(asked))), len(asked) - 1)
    if count < 1:
        raise ValueError(f"{data.name} {data.split} asks of one video only: name a dev split with --dev")
    held = set(asked[:count])
    rest = {name: video for name, video in data.videos.items() if name not in held}
    train = replace(data, videos=rest, questions=tuple(q for q in data.questions if q.video_id not in held))
    dev = replace(data, questions=tuple(q for q in data.questions if q.video_id in held))
    return train, dev


def spread(data: Dataset, most: int) -> Dataset:
    """At most so many of the answerable questions, evenly spread; 0: all."""
    asked = data.answerable
    if not most or most >= len(asked):
        return data
    return replace(data, questions=tuple(asked[i * len(asked) // most] for i in range(most)))


def licence_note(sources: Sequence[Source]) -> str:
    """What the weights may be used for."""
    names = sorted({source.name for source in sources})
    return "; ".join(f"{name}: {LICENCES.get(name, 'see its owners')}" for name in names)
