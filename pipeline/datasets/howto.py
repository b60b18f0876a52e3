"""The narrations of how-to videos written for this project (CC0): `FOLDER/group-number.txt`.

Two sets have this format: `howto`, and `narrations` (`recipes/narrations`), which is only trained on.
`# title`, `style: …`, then sections `## heading` with spoken words; `? question` is answered by the
section above it, `?? 3-5 question` by sections 3 to 5 together (1 = the first), `! question` by nothing
in this video, and `?: question // first words // last words` by the stretch of the section above that begins
and ends with these words. There are no recordings: times are made from the words, the same ones every time.
Split "all" (the default) or a group name.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.base import Dataset, Narration, Question, existing, span_of
from pipeline.errors import BadDataset
from pipeline.types import Cue


@dataclass
class _Section:
    heading: str = ""
    words: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    narrow: list[tuple[str, int, int]] = field(default_factory=list)  # and the words that answer, from and to


def read(folder: Path, split: str = "", plain: float = 0.7, name: str = "howto") -> Dataset:
    """The narrations with made times; `plain` is the share of videos without punctuation and capitals,
    as speech recognition often gives them. Raises `BadDataset` for a file that is not in the format."""
    split = split or "all"
    paths = sorted(existing(folder).glob("*-[0-9][0-9].txt"))
    kept = [path for path in paths if _in_split(path.stem, split)]
    if not kept:
        raise ValueError(f"no narration of split '{split}' in '{folder}'")
    videos: dict[str, Narration] = {}
    questions: list[Question] = []
    for path in kept:
        try:
            narration, asked = _read(path, plain)
        except (LookupError, ValueError) as error:  # no section yet, no such section, no UTF-8
            raise BadDataset(f"“{path.name}” is no narration in the format ({error}).") from error
        videos[narration.id] = narration
        questions += asked
    return Dataset(name, split, videos, tuple(questions))


def _in_split(name: str, split: str) -> bool:
    return split == "all" or name.rsplit("-", 1)[0] == split


def _read(path: Path, plain: float) -> tuple[Narration, list[Question]]:
    title, sections, spanning, unanswered = _parse(path.read_text(encoding="utf-8"))
    cues, times = _speak(sections, random.Random(zlib.crc32(path.stem.encode())), plain)
    video = path.stem
    asked: list[Question] = []
    for section, (start, end) in zip(sections, times, strict=True):
        for text in section.questions:
            asked.append(Question(f"{video}-q{len(asked)}", text, video, span_of(start, end)))
        second = (end - start) / max(1, len(section.words))
        for text, first, last in section.narrow:
            span = span_of(start + first * second, start + last * second)
            asked.append(Question(f"{video}-q{len(asked)}", text, video, span))
    for first, last, text in spanning:
        span = span_of(times[first - 1][0], times[last - 1][1])
        asked.append(Question(f"{video}-q{len(asked)}", text, video, span))
    for text in unanswered:
        asked.append(Question(f"{video}-q{len(asked)}", text, video, None))
    labels = [(s.heading, span_of(*time)) for s, time in zip(sections, times, strict=True)]
    return Narration(video, title, times[-1][1], tuple(cues), tuple(labels)), asked


def _parse(text: str) -> tuple[str, list[_Section], list[tuple[int, int, str]], list[str]]:
    title = ""
    sections: list[_Section] = []
    spanning: list[tuple[int, int, str]] = []
    unanswered: list[str] = []
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("## "):
            sections.append(_Section(line[3:].strip()))
        elif line.startswith("# "):
            title = line[2:]
        elif found := re.match(r"\?\?\s*(\d+)\s*-\s*(\d+)\s+(.*)", line):
            spanning.append((int(found[1]), int(found[2]), found[3]))
        elif line.startswith("?:"):
            text, first, last = line.removeprefix("?:").split(" // ")
            words = sections[-1].words
            place = _place(words, first.split())[0], _place(words, last.split())[1]
            sections[-1].narrow.append((text.strip(), *place))
        elif line.startswith("? "):
            sections[-1].questions.append(line[2:].strip())
        elif line.startswith("! "):
            unanswered.append(line[2:].strip())
        elif line and sections:
            sections[-1].words += line.split()
    return title, sections, spanning, unanswered


def _place(words: list[str], quoted: list[str]) -> tuple[int, int]:
    """Where the quoted words stand, from and to, whatever their punctuation; ValueError where they do not."""
    said, wanted = _heard(words).split(), _heard(quoted).split()
    for at in range(len(said) - len(wanted) + 1):
        if said[at : at + len(wanted)] == wanted:
            return at, at + len(wanted)
    raise ValueError(f"“{' '.join(quoted)}” is not said there")


def _speak(
    sections: list[_Section], chance: random.Random, plain: float
) -> tuple[list[Cue], list[tuple[float, float]]]:
    """Cues of 5 to 12 words at one pace, and the start and end of every section."""
    pace, bare = chance.uniform(2.6, 3.2), chance.random() < plain
    cues: list[Cue] = []
    times: list[tuple[float, float]] = []
    now = 0.0
    for section in sections:
        start, at = now, 0
        while at < len(section.words):
            words = section.words[at : at + chance.randint(5, 12)]
            end = now + len(words) / pace
            cues.append(Cue(now, end, _heard(words) if bare else " ".join(words)))
            at, now = at + len(words), end
        times.append((start, max(now, start + 0.1)))
        now += chance.uniform(0.3, 1.5)
    return cues, times


def _heard(words: list[str]) -> str:
    return " ".join(re.sub(r"[^\w']", "", word.lower()) or word for word in words)
