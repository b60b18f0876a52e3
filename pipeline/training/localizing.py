"""Training of the localizers: examples out of data sets, negatives from other videos, and the dev measure,
mIoU of the given video by the very decoder that answers in the app.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.datasets import Dataset, Narration, Question
from pipeline.errors import BadDataset
from pipeline.features.text import SCALES, TextVectors, passage_vectors
from pipeline.localize.base import Candidate
from pipeline.localize.examples import Asked, Example, asking, video_rows, with_answer
from pipeline.localize.learned import LearnedLocalizer, Network
from pipeline.metrics import overlap_values
from pipeline.training.batches import Row
from pipeline.training.recipe import Recipe
from pipeline.training.vectors import VectorCache
from pipeline.types import Span

_DEV_AT_ONCE = 32  # questions in one pass
_DEV_CELLS = 1 << 21  # of their span matrices
_SIDE_FOLDER = "i3d"  # beside a set's files: VIDEO.npy, (seconds, 1024)


class LocalizerTask:
    """A network and its data sets. The arrays of a video are shared by all its questions."""

    measure = "miou"

    def __init__(
        self,
        cls: type[Network],
        recipe: Recipe,
        train: Sequence[tuple[Dataset, Path]],
        dev: Sequence[tuple[Dataset, Path]],
        cache: VectorCache,
    ) -> None:
        self.visual = str(recipe.network.get("visual", cls.Config().visual))
        self.visual_rows = int(recipe.network.get("visual_rows", cls.Config().visual_rows))
        self.cached = recipe.network.get("reading", cls.Config().reading) == "cached"
        hard = recipe.training.hard_negatives
        self.with_vectors = self.cached or self.visual == "transcript" or hard > 0
        self.cache = cache
        self.videos: list[Candidate] = []
        self._rows: dict[int, Example] = {}  # by video: what is the same for all its questions
        self._made: dict[tuple[int, int], Example] = {}
        self.questions: list[tuple[Asked, int, Span]] = []
        self.sets: list[int] = []
        self.others: list[np.ndarray] = []
        for data, folder in train:
            self.sets.append(len(self.questions))
            self._add(data, folder, hard, with_negatives=True)
        self._dev_from = len(self.questions)
        for data, folder in dev:
            self._add(data, folder, 0, with_negatives=False)
        self.lengths = np.array([len(self.videos[v].cues) for _, v, _ in self.questions[: self._dev_from]])
        if not len(self.lengths) or self._dev_from == len(self.questions):
            raise ValueError("there is no answerable question to train on, or none to choose by")
        torch.manual_seed(recipe.training.seed)
        self.module = cls(**(self._sizes() | recipe.network)).with_tokenizer()

    def batch(self, rows: Sequence[Row]) -> Any:
        """Rows of a question with its own video, each followed by the question with its negatives."""
        shown = [self._example(q, video) for q, negatives in rows for video in (None, *negatives)]
        return self.module.batch(shown, 1 + len(rows[0][1]))

    def dev(self) -> dict[str, float]:
        decoder = LearnedLocalizer(self.module, device=str(next(self.module.parameters()).device))
        values = []
        for part in self._dev_parts():
            found = decoder.distributions_of([self._example(q, None) for q in part])
            for q, distribution in zip(part, found, strict=True):
                span = decoder.best(distribution, 1)[0][0]
                values.append(overlap_values(span.iou(self.questions[q][2])))
        self.module.train()
        return {name: float(np.mean([row[name] for row in values])) for name in values[0]}

    def save(self, folder: Path) -> None:
        self.module.save_pretrained(folder)

    def _dev_parts(self) -> list[list[int]]:
        """Dev questions in parts of similar length, since span matrices grow with its square."""
        parts: list[list[int]] = []
        numbers = range(self._dev_from, len(self.questions))
        for q in sorted(numbers, key=lambda q: len(self.videos[self.questions[q][1]].cues)):
            room = _DEV_CELLS // len(self.videos[self.questions[q][1]].cues) ** 2
            if not parts or len(parts[-1]) >= min(_DEV_AT_ONCE, max(1, room)):
                parts.append([])
            parts[-1].append(q)
        return parts

    def _add(self, data: Dataset, folder: Path, hard: int, with_negatives: bool) -> None:
        pictures = self._pictures(data, folder)
        vectors = self.cache.videos(data.videos) if self.with_vectors else {}
        spoken = [name for name, narration in data.videos.items() if narration.cues]
        number = {name: len(self.videos) + i for i, name in enumerate(spoken)}
        self.videos += [_candidate(data.videos[n], vectors.get(n), pictures.get(n)) for n in spoken]
        questions = [q for q in data.answerable if q.video_id in number]
        texts = [q.text for q in questions]
        asked = self.cache.questions(texts) if self.with_vectors else {text: Asked(text) for text in texts}
        for q in questions:
            assert q.span is not None
            self.questions.append((asked[q.text], number[q.video_id], q.span))
        if with_negatives:
            self.others += self._others(questions, asked, number, hard)

    def _pictures(self, data: Dataset, folder: Path) -> dict[str, np.ndarray]:
        """Picture features by video, where the network takes them: of every video that is asked about."""
        if self.visual != "i3d":
            return {}
        paths = {name: folder / _SIDE_FOLDER / f"{name}.npy" for name in data.videos}
        found = {name: _rows_in(path) for name, path in paths.items() if path.is_file()}
        asked = {q.video_id for q in data.answerable}
        if missing := asked - set(found):
            raise ValueError(
                f"visual is i3d, but {len(missing)} of {len(asked)} videos of {data.name} have no picture "
                f"features ({_SIDE_FOLDER}/VIDEO.npy in its folder): make them, or set visual to none or "
                "transcript"
            )
        return found

    def _others(
        self, questions: Sequence[Question], asked: Mapping[str, Asked], number: Mapping[str, int], hard: int
    ) -> Iterable[np.ndarray]:
        """For each question the videos of its set that do not answer the same words; with `hard`, the
        nearest of them by the best window's cosine. A set of one video has no negatives: its own."""
        answering: dict[str, set[int]] = {}
        for q in questions:
            answering.setdefault(q.text, set()).add(number[q.video_id])
        everything = np.array(list(number.values()))
        if self.visual == "i3d":  # a negative without pictures would be told by that alone
            everything = np.array([v for v in everything if self.videos[v].visual is not None])
        kept: dict[str, np.ndarray] = {}
        for text, right in answering.items():
            wrong = everything[~np.isin(everything, list(right))]
            if hard and len(wrong) > hard:
                wrong = wrong[np.argsort(-self._nearness(asked[text], wrong), kind="stable")[:hard]]
            kept[text] = wrong if len(wrong) else everything
        return [kept[q.text] for q in questions]

    def _nearness(self, asked: Asked, videos: np.ndarray) -> np.ndarray:
        assert asked.vector is not None
        found = [self.videos[v].vectors for v in videos]
        return np.array([(passage_vectors(f) @ asked.vector).max() if f else -1.0 for f in found])

    def _example(self, question: int, other: int | None) -> Example:
        """The question with its own video, or with another, which does not answer it."""
        asked, own, answer = self.questions[question]
        video = own if other is None else other
        if (question, video) not in self._made:
            made = asking(asked, self.videos[video], self._video_rows(video))
            self._made[question, video] = made if video != own else with_answer(made, answer)
        return self._made[question, video]

    def _video_rows(self, video: int) -> Example:
        if video not in self._rows:
            self._rows[video] = video_rows(self.videos[video], self.visual, self.visual_rows)
        return self._rows[video]

    def _sizes(self) -> dict[str, Any]:
        """What the configuration takes over from the data: widths of the vectors and of the pictures."""
        found: dict[str, Any] = {}
        widths = [v.cue_dim for v in self.videos if v.cue_dim]
        if widths:
            found = {"encoder_dim": widths[0] // len(SCALES), "scales": len(SCALES)}
        rows = self._video_rows(self.questions[0][1]).visual
        return found if rows is None else found | {"visual_dim": rows.shape[1]}


def _rows_in(path: Path) -> np.ndarray:
    """(seconds, V), mapped. BadDataset for a file that holds none."""
    try:
        rows = np.load(path, mmap_mode="c", allow_pickle=False)
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"an array of shape {rows.shape}")
    except (ValueError, EOFError, AttributeError) as error:  # the last: an archive, no array
        raise BadDataset(f"“{path.name}” holds no picture features: {error}") from error
    return rows


def _candidate(narration: Narration, vectors: TextVectors | None, pictures: np.ndarray | None) -> Candidate:
    return Candidate(
        narration.id,
        narration.cues,
        vectors,
        title=narration.title,
        visual=pictures,
        duration=narration.duration,
    )
