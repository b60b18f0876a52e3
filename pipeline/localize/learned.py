"""The base of every trained localizer: a network that gives a distribution over spans of each video, its
checkpoint (config and safetensors), and the localizer that decodes the spans.

To add one: subclass `Network` in a file of its own (config, blocks, `forward`, `loss`, `spans`) and list it
in `NETWORKS` of this package.
"""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from torch import Tensor, nn

from pipeline.errors import CheckpointMissing
from pipeline.features.text import encoder_source
from pipeline.localize import evidence
from pipeline.localize.base import Candidate, Localizer, Request
from pipeline.localize.examples import Asked, Batch, Example, collate, example
from pipeline.localize.layers import NEVER
from pipeline.localize.reader import JointReader, ReadingConfig, reader_of
from pipeline.localize.windows import WindowsLocalizer
from pipeline.types import Contributions, ScoredSpan, Span

log = logging.getLogger(__name__)

_AT_ONCE = 32  # videos in one pass of the network
_CELLS = 1 << 22  # of the span matrices in one pass
_CONSIDERED = 256  # most probable spans between which expected overlap decides
_TOKENIZER = "tokenizer"
_WEIGHTS = "model.safetensors"
_HUB_FILES = ["config.json", _WEIGHTS, f"{_TOKENIZER}/*"]
_HUB_OPTIONS = ("revision", "cache_dir", "force_download", "token", "local_files_only")
_SHORTEST = 1.0  # seconds; an answer must be worth playing


@dataclass(frozen=True)
class Spans:
    """Logits of all spans [first, last] of each video's units (cues or seconds)."""

    logits: Tensor  # (B, n, n)
    mask: Tensor  # (B, n, n) True where the span exists
    times: Tensor  # (B, n, 2) seconds of the units
    answers: Tensor | None = None  # (B,) logit that the video answers, of networks that tell


class Network(nn.Module, PyTorchModelHubMixin):
    """One paper's network. `self.reader` reads the words, see `reader.Words`."""

    Config: ClassVar[type[ReadingConfig]] = ReadingConfig
    method: ClassVar[str] = ""
    needs_visual: ClassVar[bool] = False
    ranks_videos: ClassVar[bool] = False  # logits of different videos are comparable
    looks_into: ClassVar[int] = 16  # videos, see `Localizer`
    negatives: int = 0  # M: other videos beside the positive one in training

    def __init__(self, **config: Any) -> None:
        super().__init__()
        try:
            self.config: Any = self.Config(**config)
        except TypeError as e:
            raise ValueError(f"{type(self).__name__}: {e}") from e
        if self.needs_visual and self.config.visual == "none":
            raise ValueError(f"{type(self).__name__} works on video rows: set visual to i3d or transcript")
        self.reader = self.make_reader()
        if isinstance(self.reader, JointReader):
            described = self.reader.encoder.config.to_dict()
            self.config = replace(self.config, encoder_config=json.loads(json.dumps(described, default=str)))

    def make_reader(self) -> Any:
        """What reads the words; a network that reads less, or puts more before them, says so here."""
        return reader_of(self.config)

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The training loss of a batch with targets, and numbers for the log."""

    @abstractmethod
    def spans(self, batch: Batch) -> Spans:
        """What is decoded."""

    def batch(self, examples: Sequence[Example], group: int = 1) -> Batch:
        """Examples as this network reads them, on its device."""
        made = self.reader.prepare(collate(examples, group), examples)
        return made.to(next(self.parameters()).device)

    # Checkpoints

    @classmethod
    def load(cls, source: Path | str) -> Self:
        """The trained network of a folder or hub name. CheckpointMissing says what to do."""
        try:
            if not Path(source).is_dir() and (Path(source).parent.is_dir() or str(source).count("/") != 1):
                raise FileNotFoundError("there is no such folder")  # and no hub name: ask nobody
            return cls.from_pretrained(str(source), strict=True)
        except Exception as e:  # whatever a damaged or foreign file makes its reader raise
            raise CheckpointMissing(
                f"'{source}' holds no usable {cls.method} checkpoint ({_in_short(e)}). Train one with "
                f"`python -m pipeline train --method {cls.method} --data NAME:DIR --out {source}`."
            ) from e

    def _save_pretrained(self, save_directory: Path) -> None:
        self.write_weights(save_directory / _WEIGHTS)
        text = json.dumps({"method": self.method, **asdict(self.config)}, indent=1)
        (save_directory / "config.json").write_text(text + "\n", encoding="utf-8")
        if isinstance(self.reader, JointReader) and self.reader.tokenizer is not None:
            self.reader.tokenizer.save_pretrained(save_directory / _TOKENIZER)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """Safetensors only, every key, from a folder or the hub, with the tokenizer where there is one."""
        folder = checkpoint_folder(model_id, options)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.pop("method", cls.method) != cls.method:
            raise ValueError("it is of another method")
        network = cls(**config)
        network.read_weights(folder / _WEIGHTS)
        if isinstance(network.reader, JointReader):
            network.reader.with_tokenizer(folder / _TOKENIZER)
        return network.eval()

    def write_weights(self, path: Path) -> None:
        """The weights as one safetensors file."""
        from safetensors.torch import save_model

        save_model(self, str(path))

    def read_weights(self, path: Path) -> None:
        """Takes over what `write_weights` wrote; raises where a key or a shape is another."""
        from safetensors.torch import load_model

        load_model(self, path, strict=True)

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """See `Localizer.read`; of networks with contextual reading."""
        raise NotImplementedError(f"{self.method} reads no cues ahead")

    def with_tokenizer(self) -> Self:
        """Loads what joint reading needs beside the weights; nothing for cached reading."""
        if isinstance(self.reader, JointReader) and self.reader.tokenizer is None:
            self.reader.with_tokenizer(encoder_source(self.config.encoder))
        return self


def checkpoint_folder(model_id: str, options: Mapping[str, Any]) -> Path:
    """The folder itself, or the hub's files of that name (config, weights, tokenizer) in the cache."""
    if Path(model_id).is_dir():
        return Path(model_id)
    hub = {name: options[name] for name in _HUB_OPTIONS if name in options}
    return Path(snapshot_download(model_id, allow_patterns=_HUB_FILES, **hub))


def _in_short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


@dataclass(frozen=True)
class Distribution:
    """One video's spans: `logits` of those that exist, and their first and last unit."""

    logits: np.ndarray  # (k,)
    first: np.ndarray  # (k,)
    last: np.ndarray  # (k,)
    times: np.ndarray  # (n, 2) seconds of the units
    answers: float = 0.0  # logit that the video answers at all, of networks that tell

    @property
    def chances(self) -> np.ndarray:
        """(k,) softmax within the video."""
        chances = np.exp(self.logits - self.logits.max())
        return chances / chances.sum()

    @property
    def total(self) -> float:
        """The logarithm of the sum of the exponentials: this video's share of all videos."""
        return float(self.logits.max() + np.log(np.exp(self.logits - self.logits.max()).sum()))

    @property
    def inside(self) -> np.ndarray:
        """(n,) the chance of each unit to be in the answer."""
        steps = np.zeros(len(self.times) + 1)
        np.add.at(steps, self.first, self.chances)
        np.add.at(steps, self.last + 1, -self.chances)
        return np.clip(np.cumsum(steps[:-1]), 0.0, None)

    def seconds(self) -> np.ndarray:
        """(k, 2) start and end of each span."""
        return np.stack([self.times[self.first, 0], np.maximum.accumulate(self.times[:, 1])[self.last]], 1)


class LearnedLocalizer(Localizer):
    """Decodes a network's spans. A span's score is its probability among all spans of all candidates: within
    its video by the network, between videos by retrieval (softmax of score / temperature) or, where the
    network `ranks_videos`, by its logits with that as a prior."""

    trained = True
    needs_states = True

    def __init__(self, network: Network, decode: str = "", device: str = "") -> None:
        self.network = network.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.name = network.method
        self.needs_visual = network.needs_visual
        self.uses_pictures = network.config.visual == "i3d"
        self.ranks_videos = network.ranks_videos
        self.looks_into = network.looks_into
        self.needs_states = network.config.reading == "cached"
        reads_ahead = network.config.reading == "contextual"
        self.reading = f"{network.method}-{network.reader.digest}" if reads_ahead else ""
        self.decode = decode or network.config.decode
        self.fallback = WindowsLocalizer()

    @classmethod
    def load(cls, network: type[Network], source: Path | str, decode: str = "") -> Self:
        return cls(network.load(source), decode)

    def localize(self, request: Request) -> list[ScoredSpan]:
        found = self.distributions(request)
        if not found:
            return self.fallback.localize(request)
        priors = {c.video_id: c.retrieval / self._temperature for c in request.candidates}
        told = self.network.config.answers_weight
        weights = {
            v: priors[v] + told * d.answers + (d.total if self.ranks_videos else 0.0)
            for v, d in found.items()
        }
        whole = np.logaddexp.reduce(list(weights.values()))
        spans = [
            ScoredSpan(video, span, float(chance * np.exp(weights[video] - whole)))
            for video, distribution in found.items()
            for span, chance in self.best(distribution, request.per_video)
        ]
        return sorted(spans, key=lambda s: (-s.score, s.video_id, s.span))

    def spans(self, request: Request, candidate: Candidate) -> list[ScoredSpan]:
        return self.localize(replace(request, candidates=(candidate,), kept={}))

    def read(self, texts: Sequence[str]) -> np.ndarray:
        return self.network.read(texts)

    def curve(self, request: Request, candidate: Candidate) -> list[tuple[float, float]]:
        """The chance of every unit to be in the answer, over the highest."""
        found = self.distributions(request).get(candidate.video_id)
        if found is None:
            return self.fallback.curve(request, candidate)
        return list(evidence.curve(found.times[:, 0], found.inside / found.inside.max()))

    def contributions(self, request: Request, candidate: Candidate) -> Contributions:
        """The words: the chance of every unit to be in the answer, read without pictures. The picture: what
        it adds to that chance. Costs one more pass of the network where pictures were read."""
        found = self.distributions(request).get(candidate.video_id)
        if found is None:
            return self.fallback.contributions(request, candidate)
        if not self.uses_pictures or self._with_fitting_pictures(candidate).visual is None:
            return Contributions(tuple(self.curve(request, candidate)))
        words = self._without_pictures(request).get(candidate.video_id)
        return evidence.told_apart(found.times[:, 0], found.inside, None if words is None else words.inside)

    def span_chances(self, request: Request, candidate: Candidate) -> evidence.SpanChances | None:
        found = self.distributions(request).get(candidate.video_id)
        if found is None:
            return self.fallback.span_chances(request, candidate)
        return evidence.SpanChances(found.seconds(), found.chances)

    def _without_pictures(self, request: Request) -> dict[str, Distribution]:
        """What the network says when the picture rows are taken away, where it can be read so."""
        kept = f"{self.name} without pictures"
        if kept not in request.kept:
            bare = [replace(candidate, visual=None) for candidate in request.candidates]
            request.kept[kept] = dict(self._distributions(replace(request, candidates=bare)))
        return request.kept[kept]

    def signals(self, request: Request, span: ScoredSpan) -> dict[str, float]:
        """answers: that the video answers at all; share: the span's among all spans of all candidates."""
        found = self.distributions(request).get(span.video_id)
        return {} if found is None else {"answers": found.answers, "share": span.score}

    @property
    def _temperature(self) -> float:
        return self.network.config.retrieval_temperature

    def distributions(self, request: Request) -> dict[str, Distribution]:
        """The distribution over spans of every candidate that the network can read, by video."""
        if self.name not in request.kept:
            request.kept[self.name] = dict(self._distributions(request))
        return request.kept[self.name]

    def _distributions(self, request: Request) -> list[tuple[str, Distribution]]:
        asked = Asked(request.question, request.vector, request.states)
        seen = [self._with_fitting_pictures(c) for c in request.candidates]
        readable = [c for c in seen if self._readable(asked, c)]
        found: list[tuple[str, Distribution]] = []
        config = self.network.config
        for part in _portions(readable):
            cached = config.reading == "cached" or config.visual == "transcript"
            rows = [example(asked, c, config.visual, None, config.visual_rows, cached) for c in part]
            found += zip([c.video_id for c in part], self.distributions_of(rows), strict=True)
        return found

    def distributions_of(self, rows: Sequence[Example]) -> list[Distribution]:
        """The distribution over spans of each question and video, in one pass of the network."""
        with torch.inference_mode():
            return _unpadded(self.network.spans(self.network.batch(rows)))

    def _with_fitting_pictures(self, candidate: Candidate) -> Candidate:
        """Picture features of another width than the network's are as good as none."""
        fits = candidate.visual is None or candidate.visual.shape[1:] == (self.network.config.visual_dim,)
        return candidate if fits or not self.uses_pictures else replace(candidate, visual=None)

    def _readable(self, asked: Asked, candidate: Candidate) -> bool:
        """Whether everything is there that the network takes."""
        if not candidate.cues:
            return False
        config = self.network.config
        if self.reading and not self._is_read(asked, candidate):
            return False
        if config.reading == "cached" and (asked.states is None or candidate.vectors is None):
            return False
        if config.reading == "cached" and candidate.cue_dim != config.scales * config.encoder_dim:
            return False  # vectors of another encoder than it was trained with
        return not (self.needs_visual and config.visual == "i3d" and candidate.visual is None)

    def _is_read(self, asked: Asked, candidate: Candidate) -> bool:
        """Whether the network's own rows are there, and the library's vectors where it reads them beside."""
        if candidate.read is None or candidate.read.shape != (len(candidate.cues), self.network.reader.width):
            return False
        if not self.network.config.signs:
            return True
        beside = self.network.config.scales * self.network.config.encoder_dim
        return asked.vector is not None and candidate.cue_dim == beside

    def best(self, found: Distribution, wanted: int) -> list[tuple[Span, float]]:
        """The best spans and their values in 0..1, none overlapping another, best first."""
        chances, seconds = found.chances, found.seconds()
        values = chances.copy()
        if self.decode == "expected_iou":
            considered = min(max(_CONSIDERED, wanted), len(chances))
            top = np.argpartition(-chances, considered - 1)[:considered]
            # At least their own chances, so the others come after them, where these all overlap.
            values[top] = _expected_overlaps(seconds[top], chances[top])
        begins, ends = seconds.T
        free = np.ones(len(values), bool)
        taken: list[tuple[Span, float]] = []
        while len(taken) < wanted and free.any():
            at = int(np.where(free, values, -1.0).argmax())
            span = Span(float(begins[at]), float(max(ends[at], begins[at] + _SHORTEST)))
            taken.append((span, float(values[at])))
            free &= (begins >= span.end) | (ends <= span.start)
            free[at] = False
        return taken


def _portions(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Candidates in parts whose padded span matrices stay small, similar lengths together."""
    parts: list[list[Candidate]] = []
    for candidate in sorted(candidates, key=lambda c: len(c.cues)):
        room = min(_AT_ONCE, max(1, _CELLS // max(1, len(candidate.cues)) ** 2))
        if not parts or len(parts[-1]) >= room:
            parts.append([])
        parts[-1].append(candidate)
    return parts


def _unpadded(spans: Spans) -> list[Distribution]:
    logits = spans.logits.float().masked_fill(~spans.mask, NEVER).cpu().numpy()
    masks, times = spans.mask.cpu().numpy(), spans.times.float().cpu().numpy()
    told = [0.0] * len(logits) if spans.answers is None else spans.answers.float().tolist()
    found = []
    for logit, mask, when, answers in zip(logits, masks, times, told, strict=True):
        first, last = np.nonzero(mask)
        units = int(mask.diagonal().sum())  # the rest is padding
        of_spans = logit[first, last].astype(np.float64)
        found.append(Distribution(of_spans, first, last, when[:units], answers))
    return found


def _expected_overlaps(seconds: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """For each span (k, 2) the mean overlap over union with the others, weighted by their chances."""
    begins, ends = seconds[:, 0], np.maximum(seconds[:, 1], seconds[:, 0] + _SHORTEST)
    shared = np.minimum(ends[:, None], ends) - np.maximum(begins[:, None], begins)
    shared = np.clip(shared, 0.0, None)
    union = (ends - begins)[:, None] + (ends - begins) - shared
    return (shared / union) @ (chances / chances.sum())
