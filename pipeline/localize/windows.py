"""The localizer that needs no training: every cue is scored by the windows around it at several scales,
then the contiguous run of cues with the highest expected overlap with the answer is taken.

A cue's relevance is the mean cosine of the windows that hold it, averaged over the scales, plus the
question's words that are said nearby. Every run of cues is a hypothesis: its chance grows with its mean
relevance over the video's own level (in standard deviations, so that a video that speaks of one subject
throughout still has its peak) and with how usual its length is for an answer. The chances add up to the
probability p of each cue to be in the answer; a run R is then worth
sum_R p*d / (sum_all p*d + len(R) - sum_R p*d) with cue durations d, the overlap over union to be expected.
It is the first member of this package and the baseline that every learned one must beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.localize.base import Candidate, Localizer, Request
from pipeline.localize.evidence import SpanChances
from pipeline.retrieve.dense import to_unit
from pipeline.retrieve.words import terms
from pipeline.types import ScoredSpan, Span

_MOST_USUAL = 60.0  # seconds: a two-hour lecture does not have ten-minute answers
_MOST_RUNS = 4_000_000  # a bound for subtitles of thousands of cues a minute; 6 hours of speech have 400,000


@dataclass(frozen=True)
class WindowsConfig:
    """Fixed for all data; chosen on the how-to set and TutorialVQA's training split, with MedVidQA's
    validation split and the demo library to see what carries over to long and to short answers."""

    scale_weights: tuple[tuple[float, float], ...] = ((10.0, 2.0), (30.0, 1.0), (60.0, 0.5))
    words: float = 0.6  # weight of the words said nearby beside the vectors' 1
    reach: float = 12.0  # seconds around a cue within which words count
    sharpness: float = 2.2  # how fast a run's chance grows with its relevance, per standard deviation
    usual: float = 37.0  # seconds, the most usual length of an answer in a video of `usual_video` seconds
    usual_video: float = 270.0
    usual_growth: float = 0.75  # the usual length grows with the video's to this power
    usual_spread: float = 0.5  # standard deviation of the logarithm of the length
    shortest: float = 3.0
    longest: float = 180.0
    retrieval: float = 0.6  # share of the video's retrieval score in a span's score
    later: float = 0.95  # most of a span's score that the next span of its video has


class WindowsLocalizer(Localizer):
    name = "windows"

    def __init__(self, config: WindowsConfig | None = None) -> None:
        self.config = config or WindowsConfig()

    def spans(self, request: Request, candidate: Candidate) -> list[ScoredSpan]:
        relevance = self._relevance(request, candidate)
        if not relevance.any():
            return []
        starts, ends = candidate.times
        runs = _runs(starts, ends, self.config.longest)
        usual = self._usual_length(max(candidate.duration, float(ends.max())))
        values = self._expected_overlaps(self._chances(relevance, runs, usual), runs)
        taken: list[ScoredSpan] = []
        while len(taken) < request.per_video and values.max() > 0:
            first, length = map(int, np.unravel_index(int(values.argmax()), values.shape))
            last = first + length
            score = self._score(relevance[first : last + 1], candidate.retrieval)
            if taken:  # a later run overlaps less with the answer to be expected
                score = min(score, self.config.later * taken[-1].score)
            span = self._span(float(starts[first]), float(ends[first : last + 1].max()))
            taken.append(ScoredSpan(candidate.video_id, span, score))
            _block(values, first, last)
        return taken

    def curve(self, request: Request, candidate: Candidate) -> list[tuple[float, float]]:
        relevance = self._relevance(request, candidate)
        return [(cue.start, float(value)) for cue, value in zip(candidate.cues, relevance, strict=True)]

    def span_chances(self, request: Request, candidate: Candidate) -> SpanChances | None:
        """The runs by which it decides: weights by a rule, not chances learned from answers."""
        relevance = self._relevance(request, candidate)
        if not relevance.any():
            return None
        starts, ends = candidate.times
        runs = _runs(starts, ends, self.config.longest)
        usual = self._usual_length(max(candidate.duration, float(ends.max())))
        begins = np.broadcast_to(starts[:, None], runs.lengths.shape)[runs.allowed]
        lengths = np.clip(runs.lengths[runs.allowed], self.config.shortest, self.config.longest)
        chances = self._run_chances(relevance, runs, usual)[runs.allowed]
        return SpanChances(np.stack([begins, begins + lengths], 1), chances, trained=False)

    def _relevance(self, request: Request, candidate: Candidate) -> np.ndarray:
        """One value in 0..1 for each cue."""
        said = words_nearby(request.question, candidate, self.config.reach)
        if request.vector is None or candidate.vectors is None:
            return said
        cosines = np.zeros(len(candidate.cues))
        weights = dict(self.config.scale_weights)
        total = sum(weights.get(w.length, 0.0) for w in candidate.vectors.scales)
        for scale in candidate.vectors.scales:
            weight = weights.get(scale.length, 0.0)
            cosines += weight / total * scale.per_cue(scale.vectors @ request.vector, len(candidate.cues))
        meaning = np.array([to_unit(cosine) for cosine in cosines])
        return (meaning + self.config.words * said) / (1 + self.config.words)

    def _usual_length(self, duration: float) -> float:
        """Seconds; short videos have short answers."""
        shortened = (max(duration, 30.0) / self.config.usual_video) ** self.config.usual_growth
        return min(self.config.usual * shortened, _MOST_USUAL)

    def _chances(self, relevance: np.ndarray, runs: _Runs, usual: float) -> np.ndarray:
        """The probability of every cue to be in the answer."""
        return runs.spread_over_cues(self._run_chances(relevance, runs, usual))

    def _run_chances(self, relevance: np.ndarray, runs: _Runs, usual: float) -> np.ndarray:
        """The chance of every run (n, W) to be the answer; they add up to 1."""
        level = float(np.average(relevance, weights=runs.durations))
        spread = float(np.sqrt(np.average((relevance - level) ** 2, weights=runs.durations))) or 1.0
        height = runs.sums((relevance - level) / spread * runs.durations) / runs.sums(runs.durations)
        unusual = np.log(np.maximum(runs.lengths, 1.0) / usual) / self.config.usual_spread
        evidence = np.where(runs.allowed, self.config.sharpness * height - unusual**2 / 2, -np.inf)
        chances = np.exp(evidence - evidence.max())
        return chances / chances.sum()

    def _expected_overlaps(self, chances: np.ndarray, runs: _Runs) -> np.ndarray:
        """Expected overlap over union of every run; 0 where a run is not allowed."""
        mass = chances * runs.durations
        inside = runs.sums(mass)
        return np.where(runs.allowed, inside / (mass.sum() + runs.lengths - inside), 0.0)

    def _span(self, start: float, end: float) -> Span:
        return Span(start, start + min(max(end - start, self.config.shortest), self.config.longest))

    def _score(self, relevance: np.ndarray, retrieval: float) -> float:
        share = self.config.retrieval
        return share * retrieval + (1 - share) * float(relevance.mean())


@dataclass(frozen=True)
class _Runs:
    """Every run of cues, as arrays `(n first cues, W numbers of further cues)`."""

    durations: np.ndarray  # (n,) seconds of each cue
    last: np.ndarray  # (n, W) last cue of the run
    lengths: np.ndarray  # (n, W) seconds from the start of the first cue to the end of the last
    allowed: np.ndarray  # (n, W) within the video and not too long

    def sums(self, of_cues: np.ndarray) -> np.ndarray:
        """Sum of a value of the cues over each run."""
        before = np.concatenate([[0.0], np.cumsum(of_cues)])
        return before[self.last + 1] - before[:-1, None]

    def spread_over_cues(self, of_runs: np.ndarray) -> np.ndarray:
        """For each cue the sum of a value of the runs that hold it."""
        count = len(of_runs)
        leaving = np.bincount((self.last + 1).ravel(), of_runs.ravel(), count + 1)[:count]
        return np.clip(np.cumsum(of_runs.sum(1) - leaving), 0.0, None)


def _runs(starts: np.ndarray, ends: np.ndarray, longest: float) -> _Runs:
    count = len(starts)
    most = int((np.searchsorted(starts, starts + longest) - np.arange(count)).max())
    most = max(1, min(most, _MOST_RUNS // count))
    last = np.arange(count)[:, None] + np.arange(most)[None, :]
    within = last < count
    last = np.minimum(last, count - 1)
    lengths = np.maximum.accumulate(ends)[last] - starts[:, None]
    allowed = within & (lengths <= longest)
    allowed[:, 0] = True  # one cue may be too long; its span is cut
    return _Runs(ends - starts, last, lengths, allowed)


def _block(values: np.ndarray, first: int, last: int) -> None:
    """Takes out every run that shares a cue with this one."""
    runs_from = np.arange(len(values))[:, None]
    runs_to = runs_from + np.arange(values.shape[1])[None, :]
    values[(runs_from <= last) & (runs_to >= first)] = 0.0


def words_nearby(question: str, candidate: Candidate, reach: float) -> np.ndarray:
    """Share of the question's words, weighted by rarity in this video, said within `reach` of each cue."""
    asked = terms(question)
    said = candidate.cue_stems
    middles = candidate.times.mean(0)
    near, total = np.zeros(len(said)), 0.0
    for term in asked:
        there = np.array([term in words for words in said])
        weight = float(np.log(1 + len(said) / (there.sum() + 0.5)))
        total += weight
        if there.any():
            near += weight * _nearness(middles, middles[there], reach)
    return near / total if total else near


def _nearness(middles: np.ndarray, at: np.ndarray, reach: float) -> np.ndarray:
    """1 where something happens, falling to 0 at `reach` seconds from it."""
    at = np.concatenate([[-np.inf], np.sort(at), [np.inf]])
    after = np.searchsorted(at, middles)
    distance = np.minimum(at[after] - middles, middles - at[after - 1])
    return np.clip(1 - distance / reach, 0.0, 1.0)
