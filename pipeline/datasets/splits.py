"""Parts of a data set by video: `K/N` is part K of N, `-K/N` all the others (to train on).

The part of a video is drawn from its name (CRC-32 modulo N), so it is the same in every run and every
program. `train@2/5` is part 2 of 5 of the published split `train`.
"""

from __future__ import annotations

import re
import zlib

from pipeline.datasets.base import Dataset

_PART = re.compile(r"(?:(?P<of>.*)@)?(?P<minus>-?)(?P<part>\d+)/(?P<parts>\d+)")


def without_part(split: str) -> str:
    """What is left of a split for the reader of the published files: "train@2/5" is "train", "2/5" is "".

    >>> without_part("train@-2/5"), without_part("2/5"), without_part("7")
    ('train', '', '7')
    """
    found = _PART.fullmatch(split)
    return split if found is None else found["of"] or ""


def part_of(data: Dataset, split: str) -> Dataset:
    """The videos of the part that `split` names, and the questions asked of them; all where it names none.

    ValueError for a part that cannot be, or one that holds no video.
    """
    found = _PART.fullmatch(split)
    if found is None:
        return data
    part, parts, others = int(found["part"]), int(found["parts"]), bool(found["minus"])
    if not 1 <= part <= parts:
        raise ValueError(f"no part {part} of {parts} in split '{split}': parts are 1/N to N/N")
    videos = {v: n for v, n in data.videos.items() if (_drawn(v, parts) == part) is not others}
    if not videos:
        raise ValueError(f"no video of {data.name} in split '{split}': take fewer parts")
    asked = tuple(q for q in data.questions if q.video_id in videos)
    return Dataset(data.name, split, videos, asked)


def _drawn(video: str, parts: int) -> int:
    return zlib.crc32(video.encode()) % parts + 1
