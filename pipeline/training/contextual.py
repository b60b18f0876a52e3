"""Training of the default: whole videos with many of their questions, each time told in another way.

An example here is a video, not a question: its cues are encoded once for all the questions drawn of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.datasets import Dataset
from pipeline.datasets.halves import halves
from pipeline.features.text import SCALES, passage_vectors
from pipeline.localize.base import Candidate
from pipeline.localize.examples import Asked, Example, asking, video_rows, with_answer
from pipeline.localize.learned import LearnedLocalizer, Network
from pipeline.metrics import overlap_values
from pipeline.training import telling
from pipeline.training.batches import Row
from pipeline.training.recipe import Recipe, Training
from pipeline.training.telling import Telling
from pipeline.training.vectors import VectorCache

_DEV_AT_ONCE = 16  # questions in one pass
_NEAR = 60  # questions of others that a video is shown with


class ContextTask:
    """A network with contextual reading and its data sets."""

    measure = "miou"

    def __init__(
        self,
        cls: type[Network],
        recipe: Recipe,
        train: Sequence[tuple[Dataset, Path]],
        dev: Sequence[tuple[Dataset, Path]],
        cache: VectorCache,
    ) -> None:
        self.ways: Training = recipe.training
        self.cache = cache
        self.vectors: dict[str, np.ndarray] = {}  # of questions, by the library's encoder
        self.videos: list[Telling] = []
        self._foreign: list[list[str]] = []  # by video: questions near it that others answer
        self._cut: list[list[Telling]] = []  # by video: without half of its parts, and without the others
        self.sets: list[int] = []
        for data, _ in train:
            self.sets.append(len(self.videos))
            added = self._told(data)
            self._foreign += self._near(added) if self.ways.foreign else [[]] * len(added)
            self._cut += self._without(data, added) if self.ways.cut else [[]] * len(added)
            self.videos += added
        self._dev = [(data.name, video) for data, _ in dev for video in self._told(data)]
        if not self.videos or not self._dev:
            raise ValueError("there is no answerable question to train on, or none to choose by")
        self.lengths = np.array([len(video.cues) for video in self.videos])
        self.others = [np.zeros(0, np.int64)] * len(self.videos)
        torch.manual_seed(recipe.training.seed)
        sizes = {"encoder_dim": self.videos[0].videos[0].cue_dim // len(SCALES), "scales": len(SCALES)}
        self.module = cls(**(sizes | recipe.network))

    def batch(self, rows: Sequence[Row]) -> Any:
        """Each video told anew, with a draw of its questions."""
        drawn = int(torch.randint(2**31, (1,)))  # of torch, whose state goes on with a training
        chance = np.random.default_rng(drawn)
        videos = [self._vary(number, chance) for number, _ in rows]
        return self.module.batch([row for video in videos for row in self._examples(video, chance)])

    def dev(self) -> dict[str, float]:
        """Over all dev questions, and mIoU by data set where there are several."""
        decoder = LearnedLocalizer(self.module, device=str(next(self.module.parameters()).device))
        values: dict[str, list[dict[str, float]]] = {}
        for name, video in self._dev:
            examples = self._examples(video)
            for at in range(0, len(examples), _DEV_AT_ONCE):
                found = decoder.distributions_of(examples[at : at + _DEV_AT_ONCE])
                for (_, answer), distribution in zip(video.asked[at:], found, strict=False):
                    assert answer is not None
                    span = decoder.best(distribution, 1)[0][0]
                    values.setdefault(name, []).append(overlap_values(span.iou(answer)))
        self.module.train()
        everything = [row for rows in values.values() for row in rows]
        means = {name: float(np.mean([row[name] for row in everything])) for name in everything[0]}
        each = {f"miou_{name}": float(np.mean([r["miou"] for r in rows])) for name, rows in values.items()}
        return means | (each if len(each) > 1 else {})

    def save(self, folder: Path) -> None:
        self.module.save_pretrained(folder)

    def _told(self, data: Dataset, everything: bool = False) -> list[Telling]:
        """The videos of a set that are asked about; `everything`: with the questions that have no answer."""
        vectors = self.cache.videos(data.videos)
        asked: dict[str, list[telling.Asked]] = {}
        for q in data.questions if everything else data.answerable:
            if data.videos[q.video_id].cues:
                asked.setdefault(q.video_id, []).append((q.text, q.span))
        known = self.cache.questions([text for questions in asked.values() for text, _ in questions])
        self.vectors |= {text: np.asarray(asked.vector) for text, asked in known.items()}
        return [
            telling.told(
                Candidate(
                    name,
                    data.videos[name].cues,
                    vectors.get(name),
                    title=data.videos[name].title,
                    duration=data.videos[name].duration,
                ),
                questions,
                data.videos[name].labels,
            )
            for name, questions in asked.items()
        ]

    def _without(self, data: Dataset, videos: Sequence[Telling]) -> list[list[Telling]]:
        """For each video what is left of it without every other part, one way and the other."""
        found: dict[str, list[Telling]] = {}
        with torch.autocast("cpu", torch.bfloat16):  # three times as fast, as near as the cache keeps it
            for part in (part for half in halves(data) for part in self._told(half, everything=True)):
                found.setdefault(part.videos[0].video_id, []).append(part)
        return [found.get(video.videos[0].video_id, []) for video in videos]

    def _near(self, videos: Sequence[Telling]) -> list[list[str]]:
        """For each video the questions of the others that its best passage is nearest to."""
        texts = [text for video in videos for text, _ in video.asked]
        owner = np.repeat(np.arange(len(videos)), [len(video.asked) for video in videos])
        rows = np.array([self.vectors[text] for text in texts])
        found = []
        for number, video in enumerate(videos):
            vectors = video.videos[0].vectors
            alike = (passage_vectors(vectors) @ rows.T).max(0) if vectors else np.zeros(len(texts))
            own = {text for text, _ in video.asked}
            order = np.argsort(-alike, kind="stable")
            others = [texts[i] for i in order if owner[i] != number and texts[i] not in own]
            found.append(list(dict.fromkeys(others))[:_NEAR])
        return found

    def _know(self, texts: Sequence[str]) -> None:
        missing = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if missing:
            self.vectors |= dict(zip(missing, self.cache.vectors(missing), strict=True))

    def _vary(self, number: int, chance: np.random.Generator) -> Telling:
        """The video as this step shows it."""
        ways = self.ways
        if chance.random() < ways.join:
            pair = [number, self._neighbour(number, chance)]
            chance.shuffle(pair)
            first, second = (self._drawn(n, ways.questions // 2, chance) for n in pair)
            video = telling.joined(first, second, chance)
        else:
            video = self._drawn(number, ways.questions, chance)
            if chance.random() < ways.title:
                video = telling.titled(video, chance)
        if chance.random() < ways.recut:
            video = telling.recut(video, chance)
        if chance.random() < ways.unwritten:
            video = telling.unwritten(video)
        if ways.misheard:
            video = telling.misheard(video, ways.misheard, chance)
        if ways.uneven:
            video = telling.uneven(video, ways.uneven, chance)
        return telling.paced(video, math.exp(chance.uniform(-ways.faster, ways.slower)))

    def _neighbour(self, number: int, chance: np.random.Generator) -> int:
        """Another video of the same set; the same where there is no other."""
        which = int(np.searchsorted(self.sets, number, "right")) - 1
        begin, end = self.sets[which], [*self.sets, len(self.videos)][which + 1]
        return int(chance.integers(begin, end))

    def _drawn(self, number: int, most: int, chance: np.random.Generator) -> Telling:
        """At most so many of its questions, some in its own words, and some of its labels."""
        video, cut = self.videos[number], self._cut[number]
        if cut and chance.random() < self.ways.cut:
            video = cut[int(chance.integers(len(cut)))]
        gone = [text for text, span in video.asked if span is None]
        video = replace(video, asked=tuple((text, span) for text, span in video.asked if span))
        if chance.random() < self.ways.abridged:
            video = telling.abridged(video, chance)
        order = chance.permutation(len(video.asked))[:most]
        video = replace(video, asked=tuple(video.asked[i] for i in order))
        video = telling.quoting(video, self.ways.quoted, chance)
        video = telling.labelled(video, self.ways.labels, chance)
        asked = tuple((text, None) for text in self._unanswered(gone, self._foreign[number], chance))
        return replace(video, asked=(*video.asked, *asked))

    def _unanswered(self, gone: Sequence[str], near: Sequence[str], chance: np.random.Generator) -> list[str]:
        """Questions about parts that were left out; then such as are near the video, and others answer. Not
        those that a data set says nothing answers: they are worded otherwise than the rest, and the wording
        would be learned (docs/default.md)."""
        drawn = [texts[i] for texts in (gone, near) for i in chance.permutation(len(texts))]
        return drawn[: self.ways.foreign]

    def _examples(self, video: Telling, chance: np.random.Generator | None = None) -> list[Example]:
        """One for each question; with `chance` some of them in plain letters."""
        texts = tuple(cue.text for cue in video.cues)
        rows = Example(Asked(""), texts, video.times, video.duration, None, None, None, None, None)
        self._know([text for text, _ in video.asked])
        found = []
        for text, answer in video.asked:
            cosines, said = self._signs(text, video)
            if chance is not None and chance.random() < 0.3:
                text = telling.plain(text)
            made = replace(rows, asked=Asked(text), cosines=cosines, said=said)
            found.append(made if answer is None else with_answer(made, answer))
        return found

    def _signs(self, text: str, video: Telling) -> tuple[np.ndarray, np.ndarray]:
        """What the library's windows and words say of a question, for every cue: (cues, scales), (cues,)."""
        asked = Asked(text, self.vectors[text])
        each = [asking(asked, part, video_rows(part, with_cues=False)) for part in video.videos]
        cosines = np.array([np.asarray(each[v].cosines)[cue] for v, cue in video.source], np.float32)
        return cosines, np.array([np.asarray(each[v].said)[cue] for v, cue in video.source], np.float32)
