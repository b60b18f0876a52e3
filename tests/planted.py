"""Planted-signal corpora: small made-up videos in which the answer can be told only in one way, so that a
model that solves a corpus must use what tells it, and one that cannot see it stays at chance.

How to use it:

    train, test = planted.corpus("words", 400, seed=0), planted.corpus("words", 60, seed=1)
    network = planted.network("spanbase")              # visual="i3d" gives the network the pictures
    planted.fit(network, train, steps=300)             # with the network's negatives, as in training
    assert planted.mean_iou(network, test) > 0.9       # spans in the given video, as LearnedLocalizer decodes
    assert planted.videos_right(network, test) > 0.9   # best span of all candidates is in the right video

Kinds (a question asks for one of eight subjects; videos have 12 cues of 2 s and a picture row every second):
words      the answer's cues speak of the subject, other cues of other subjects; pictures say nothing
picture    the answer's seconds show the subject, others show other subjects; words say nothing
both       two places speak of the subject and two show it; the answer is the one that does both, so words
           alone or pictures alone are right half of the time
hint       the question names no subject; the words offer two, one place each, and the pictures show one of
           the two all through the video: the answer is the place that speaks of what is shown
which-words    every video speaks of one subject all through, one place is marked in each: where is told
               without the question, which of the four videos only by the subject asked for
which-picture  the same, but the subject is shown and not spoken of
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.features.text import TextVectors, Windows
from pipeline.localize import Request, network_class
from pipeline.localize.base import Candidate
from pipeline.localize.examples import Asked, Example, example
from pipeline.localize.learned import LearnedLocalizer, Network
from pipeline.types import Cue, ScoredSpan, Span

DIM = 24  # of the vectors of words and of pictures
CUES, LENGTH = 12, 2.0  # of a video, and seconds of a cue
SUBJECTS = ("knot", "egg", "tap", "wheel", "splint", "lamp", "bread", "hinge")
FILLER = ("well", "then", "so", "here", "again", "today")
MARK = "watch"
VIDEOS = 4  # to choose from, where the video is asked for


@dataclass(frozen=True)
class Planted:
    """A question, the videos to look into, the right one first, and the answer in it."""

    asked: Asked
    candidates: tuple[Candidate, ...]
    answer: Span

    def request(self, *candidates: Candidate) -> Request:
        return Request(self.asked.text, self.asked.vector, candidates, 1, self.asked.states)


def corpus(kind: str, count: int, seed: int) -> list[Planted]:
    """`count` questions of this kind; the same seed gives the same."""
    chance = np.random.default_rng(seed)
    return [_KINDS[kind](chance) for _ in range(count)]


def network(method: str, seed: int = 0, **config: object) -> Network:
    """A small untrained network that fits the corpora; `visual="i3d"` where it must look at pictures."""
    torch.manual_seed(seed)
    cls = network_class(method)
    visual = {"visual": "i3d"} if cls.needs_visual else {}
    sizes = {"d": 32, "encoder_dim": DIM, "scales": 1, "layers": 1, "dropout": 0.0, "visual_dim": DIM}
    return cls(**(sizes | visual | config))


def fit(
    network: Network, planted: Sequence[Planted], steps: int, batch: int = 16, lr: float = 3e-3, seed: int = 0
) -> list[float]:
    """Trains by AdamW and gives the losses. A network with negatives sees the question's other videos beside
    the right one; where a question has one video there are none, as another might hold an answer too."""
    chance = np.random.default_rng(seed)
    visual = network.config.visual
    positives = [example(p.asked, p.candidates[0], visual, p.answer) for p in planted]
    others = [[example(p.asked, c, visual) for c in p.candidates[1:]] for p in planted]
    negatives = network.negatives if all(others) else 0
    optimiser = torch.optim.AdamW(network.parameters(), lr)
    losses = []
    network.train()
    for step in range(steps):
        rate = lr * min(1.0, (step + 1) / 20) * (1 - step / steps)
        optimiser.param_groups[0]["lr"] = rate
        rows: list[Example] = []
        for i in chance.permutation(len(planted))[:batch]:
            rows += [positives[i]]
            for _ in range(negatives):
                rows += [others[i][chance.integers(len(others[i]))]]
        loss, _ = network.loss(network.batch(rows, 1 + negatives))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    network.eval()
    return losses


def mean_iou(network: Network, planted: Sequence[Planted]) -> float:
    """Mean overlap of the best span in the right video with the answer."""
    return float(np.mean([_best(network, p, p.candidates[:1]).span.iou(p.answer) for p in planted]))


def videos_right(network: Network, planted: Sequence[Planted]) -> float:
    """Share of the questions whose best span of all candidates lies in the right video; retrieval gives all
    candidates the same score."""
    right = [_best(network, p, p.candidates).video_id == p.candidates[0].video_id for p in planted]
    return float(np.mean(right))


def _best(network: Network, planted: Planted, candidates: Sequence[Candidate]) -> ScoredSpan:
    return LearnedLocalizer(network, "argmax", "cpu").localize(planted.request(*candidates))[0]


# Words, pictures and videos


def code(name: str) -> np.ndarray:
    """(DIM,) the unit vector that stands for a word or for a picture."""
    row = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


def ask(text: str) -> Asked:
    states = np.stack([code(word) for word in text.split()])
    mean = states.mean(0)
    return Asked(text, mean / np.linalg.norm(mean), states)


def video(name: str, spoken: Sequence[str], shown: Sequence[str], chance: np.random.Generator) -> Candidate:
    """A video that says the words `spoken` and shows the pictures `shown`, one of each for each cue."""
    cues = tuple(Cue(i * LENGTH, (i + 1) * LENGTH, text) for i, text in enumerate(spoken))
    rows = np.stack([np.sum([code(word) for word in text.split()], 0) for text in spoken])
    rows += 0.05 * chance.standard_normal(rows.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    each = np.arange(len(cues), dtype=np.int32)
    seconds = np.repeat([code("picture of " + name) for name in shown], int(LENGTH), 0)
    seconds = (seconds + 0.05 * chance.standard_normal(seconds.shape)).astype(np.float32)
    vectors = TextVectors("planted", len(cues), (Windows(LENGTH, each, each, rows),))
    return Candidate(name, cues, vectors, 0.8, visual=seconds, duration=len(cues) * LENGTH)


def _some(of: Sequence[str], chance: np.random.Generator, count: int = CUES) -> list[str]:
    return [of[i] for i in chance.integers(0, len(of), count)]


def _places(chance: np.random.Generator, count: int) -> list[range]:
    """Stretches of one to three cues that do not touch, in no order."""
    room = CUES // count
    found = []
    for i in chance.permutation(count):
        length = int(chance.integers(1, min(3, room - 1) + 1))
        start = int(i) * room + int(chance.integers(0, room - length))
        found.append(range(start, start + length))
    return found


def _put(word: str, where: range, into: list[str]) -> None:
    for i in where:
        into[i] = word


def _span(where: range) -> Span:
    return Span(where.start * LENGTH, where.stop * LENGTH)


def _subjects(chance: np.random.Generator, count: int) -> tuple[list[str], list[str]]:
    """So many subjects, and all others."""
    order = [SUBJECTS[i] for i in chance.permutation(len(SUBJECTS))]
    return order[:count], order[count:]


def _words(chance: np.random.Generator) -> Planted:
    (subject,), rest = _subjects(chance, 1)
    spoken, shown = _some(rest, chance), _some(SUBJECTS, chance)
    where = _places(chance, 2)[0]
    _put(subject, where, spoken)
    return Planted(ask(f"how to {subject}"), (video("a", spoken, shown, chance),), _span(where))


def _picture(chance: np.random.Generator) -> Planted:
    (subject,), rest = _subjects(chance, 1)
    spoken, shown = _some(FILLER, chance), _some(rest, chance)
    where = _places(chance, 2)[0]
    _put(subject, where, shown)
    return Planted(ask(f"how to {subject}"), (video("a", spoken, shown, chance),), _span(where))


def _both(chance: np.random.Generator) -> Planted:
    (subject,), rest = _subjects(chance, 1)
    spoken, shown = _some(rest, chance), _some(rest, chance)
    both, said, seen = _places(chance, 3)
    for where in (both, said):
        _put(subject, where, spoken)
    for where in (both, seen):
        _put(subject, where, shown)
    return Planted(ask(f"how to {subject}"), (video("a", spoken, shown, chance),), _span(both))


def _hint(chance: np.random.Generator) -> Planted:
    (subject, other), _ = _subjects(chance, 2)
    spoken = _some(FILLER, chance)
    right, wrong = _places(chance, 2)
    _put(subject, right, spoken)
    _put(other, wrong, spoken)
    found = video("a", spoken, [subject] * CUES, chance)
    return Planted(ask("how is this done"), (found,), _span(right))


def _which(spoken_of: bool, chance: np.random.Generator) -> Planted:
    subjects, _ = _subjects(chance, VIDEOS)
    made, answers = [], []
    for name, subject in zip("abcd", subjects, strict=True):
        spoken = _some(FILLER, chance)
        where = _places(chance, 2)[0]
        _put(MARK, where, spoken)
        if spoken_of:
            spoken = [f"{word} {subject}" for word in spoken]
        shown = _some(SUBJECTS, chance) if spoken_of else [subject] * CUES
        made.append(video(name, spoken, shown, chance))
        answers.append(_span(where))
    return Planted(ask(f"how to {subjects[0]}"), tuple(made), answers[0])


_KINDS: dict[str, Callable[[np.random.Generator], Planted]] = {
    "words": _words,
    "picture": _picture,
    "both": _both,
    "hint": _hint,
    "which-words": lambda chance: _which(True, chance),
    "which-picture": lambda chance: _which(False, chance),
}
