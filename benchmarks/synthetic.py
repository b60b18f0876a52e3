"""Makes libraries of any number of ten-minute videos: words and vectors are made up, all share one
empty file.

Half of what is said are sentences of real narrations where the shared data folder is found (otherwise
all is made up), the rest words of a Zipf vocabulary, so that word frequencies are those of speech.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.features.text import SCALES, TextVectors, Windows, passages, windows
from pipeline.library.store import Library
from pipeline.types import Cue, Origin, Transcript, Video

DIMENSION = 384
MINUTES = 10
CUE_SECONDS, CUE_WORDS = 4.0, 10
VOCABULARY, ZIPF = 150_000, 1.1
TOPICS = 500
HOWTO = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "howto"


@dataclass(frozen=True)
class Narrations:
    """Real sections, each a list of sentences, and the real questions about them."""

    sections: tuple[tuple[str, ...], ...]
    questions: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path = HOWTO) -> Narrations:
        sections: list[tuple[str, ...]] = []
        questions: list[str] = []
        for path in sorted(folder.glob("*-*.txt")):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith("?"):
                    questions.append(line.lstrip("? ").strip())
                elif line and not line.startswith("#") and not re.match(r"\w+: ", line):
                    sections.append(tuple(re.split(r"(?<=[.!?]) ", line)))
        return cls(tuple(sections), tuple(questions))


class Synthetic:
    """The videos 0, 1, 2 … of one seed; every library made of them is the same."""

    def __init__(
        self, narrations: Narrations, model: str, seed: int = 0, reading: str = "", width: int = 0
    ) -> None:
        """`reading` and `width`: also give each cue so many numbers by this name, as a trained method that
        reads ahead would; they say nothing, and take as long to compare."""
        self.narrations = narrations
        self.model = model
        self._seed = seed
        self._reading, self._width = reading, width
        random = np.random.default_rng(seed)
        weights = 1.0 / np.arange(1, VOCABULARY + 1) ** ZIPF
        self._cumulative = np.cumsum(weights / weights.sum())
        self._words = [_word(number) for number in range(VOCABULARY)]
        self._topics = _unit(random.standard_normal((TOPICS, DIMENSION), dtype=np.float32))

    def fill(self, library: Library, count: int, report: Callable[[int], None] = lambda _: None) -> None:
        """Adds videos until the library holds `count`, as the worker would."""
        for number in range(library.count(), count):
            self.add(library, number)
            report(number + 1)

    def add(self, library: Library, number: int) -> str:
        """Adds one video; returns its id."""
        random = np.random.default_rng((self._seed, number))
        sha256 = hashlib.sha256(f"{self._seed}/{number}".encode()).hexdigest()
        title = " ".join(self._drawn(random, 3)) + f" {number}"
        path = library.root / "synthetic.mp4"
        path.touch()
        library.add_video(Video(sha256[:16], sha256, title, path, MINUTES * 60.0, 1280, 720))
        cues = tuple(self._cues(random))
        library.set_transcript(sha256[:16], Transcript(cues, Origin.GIVEN, "en"))
        found = passages(cues)
        scales = self._scales(random, cues)
        vectors = next(scale.vectors for scale in scales if len(scale.vectors) == len(found))
        packed = TextVectors(self.model, len(cues), scales).pack()
        library.set_index(sha256[:16], found, vectors, self.model, packed)
        if self._reading:
            rows = random.standard_normal((len(cues), self._width), dtype=np.float32)
            library.set_cue_rows(sha256[:16], self._reading, rows, cues)
        return sha256[:16]

    def questions(self, count: int) -> list[str]:
        """Real questions where there are any, made-up ones of 4 to 9 words otherwise."""
        random = np.random.default_rng(self._seed + 1)
        if self.narrations.questions:
            return [str(q) for q in random.choice(self.narrations.questions, count)]
        return ["how do I " + " ".join(self._drawn(random, int(random.integers(4, 9)))) for _ in range(count)]

    def vectors(self, count: int) -> np.ndarray:
        """(count, D) vectors of questions, near the topics of the videos."""
        random = np.random.default_rng(self._seed + 2)
        return _near(random, self._topics[random.integers(0, TOPICS, count)])

    def _cues(self, random: np.random.Generator) -> Iterator[Cue]:
        words: list[str] = []
        for number in range(int(MINUTES * 60 / CUE_SECONDS)):
            while len(words) < CUE_WORDS:
                words += self._sentence(random)
            yield Cue(number * CUE_SECONDS, (number + 1) * CUE_SECONDS, " ".join(words[:CUE_WORDS]))
            words = words[CUE_WORDS:]

    def _sentence(self, random: np.random.Generator) -> list[str]:
        if self.narrations.sections and random.random() < 0.5:
            section = self.narrations.sections[random.integers(len(self.narrations.sections))]
            return section[random.integers(len(section))].split()
        return self._drawn(random, int(random.integers(8, 20)))

    def _drawn(self, random: np.random.Generator, count: int) -> list[str]:
        return [self._words[i] for i in np.searchsorted(self._cumulative, random.random(count))]

    def _scales(self, random: np.random.Generator, cues: tuple[Cue, ...]) -> tuple[Windows, ...]:
        topics = self._topics[random.integers(0, TOPICS, 4)]  # a video is about a few things, one by one
        made = []
        for length, stride in SCALES:
            first, last = windows(cues, length, stride)
            part = (first * len(topics) // len(cues)).astype(int)
            made.append(Windows(length, first, last, _near(random, topics[part])))
        return tuple(made)


def _word(number: int) -> str:
    """A pronounceable word; frequent ones are short, as in a language."""
    syllables = []
    number += 20
    while number:
        number, at = divmod(number, 75)
        syllables.append("bdfgklmnprstvzh"[at // 5] + "aeiou"[at % 5])
    return "".join(syllables)


def _near(random: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Unit rows whose cosine with their centres is about 0.6."""
    noise = _unit(random.standard_normal(centres.shape, dtype=np.float32))
    return _unit(0.6 * centres + 0.8 * noise)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
