"""What every localizer must hold to, and that the untrained one finds what is plainly there."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.text import TextVectors, text_vectors
from pipeline.localize import LOCALIZERS, NETWORKS, Candidate, Request, load_localizer
from pipeline.localize.learned import LearnedLocalizer
from pipeline.localize.snap import FARTHEST, LEAD_IN, snap
from pipeline.localize.windows import WindowsConfig, WindowsLocalizer
from pipeline.types import Cue, Span
from tests.fake_encoder import FakeEncoder
from tests.learned_parts import tiny_network

ENCODER = FakeEncoder()
FILLER = ["well", "then", "we", "go", "on", "with", "other", "things", "today", "as", "before", "and", "talk"]


def video(name: str, subject: str, at: range, cues: int = 60, vectors: bool = True) -> Candidate:
    """A video of 3 s cues that speaks of `subject` in the cues `at` and of nothing elsewhere."""
    chance = random.Random(name)
    lines = tuple(
        Cue(i * 3.0, i * 3.0 + 2.8, subject if i in at else " ".join(chance.sample(FILLER, 6)))
        for i in range(cues)
    )
    made: TextVectors | None = text_vectors(lines, ENCODER) if vectors else None
    return Candidate(name, lines, made, retrieval=0.8, duration=cues * 3.0)


def request(question: str, *candidates: Candidate, dense: bool = True, per_video: int = 3) -> Request:
    vector, states = (ENCODER.encode([question])[0], ENCODER.states(question)) if dense else (None, None)
    return Request(question, vector, candidates, per_video, states)


@pytest.fixture(params=sorted(LOCALIZERS))
def localizer(request):
    """The untrained one, and the trained ones with random weights."""
    return LearnedLocalizer(tiny_network(request.param)) if request.param in NETWORKS else load_localizer()


def test_spans_keep_the_contract(localizer):
    candidates = [video("a", "tie the knot", range(20, 30)), video("b", "boil the egg", range(5, 9))]
    asked = request("how to tie the knot", *candidates)
    found = localizer.localize(asked)
    assert found and [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    assert localizer.localize(asked) == found
    for candidate in candidates:
        spans = [s.span for s in found if s.video_id == candidate.video_id]
        assert len(spans) <= asked.per_video
        assert all(s.start >= 0 and s.end <= candidate.duration + 0.01 and s.duration >= 0.99 for s in spans)
        assert not any(a.overlap(b) for i, a in enumerate(spans) for b in spans[:i])


def test_nothing_to_look_into_gives_nothing(localizer):
    assert localizer.localize(request("what")) == []
    assert localizer.localize(request("what", Candidate("mute", ()))) == []


def test_the_span_is_where_the_subject_is():
    right = video("a", "tie the knot with this rope", range(20, 32))
    best = WindowsLocalizer().localize(
        request("how to tie the knot", right, video("b", "boil egg", range(9)))
    )[0]
    assert best.video_id == "a" and best.span.iou(Span(60, 96)) > 0.6


def test_a_second_place_in_the_right_video_comes_before_another_video():
    right = video("a", "tie the knot", range(20, 30))
    again = replace(
        right,
        cues=right.cues[:45]
        + tuple(replace(c, text="tie the knot") for c in right.cues[45:50])
        + right.cues[50:],
    )
    again = replace(again, vectors=text_vectors(again.cues, ENCODER))
    other = replace(video("b", "boil the egg", range(5, 9)), retrieval=0.4)
    found = WindowsLocalizer().localize(request("how to tie the knot", again, other))
    assert [s.video_id for s in found[:2]] == ["a", "a"]
    assert found[1].score < found[0].score


def test_words_alone_find_it_without_vectors():
    right = video("a", "tie the knot with this rope", range(20, 32), vectors=False)
    best = WindowsLocalizer().localize(request("how to tie the knots", right, dense=False))[0]
    assert best.span.iou(Span(60, 96)) > 0.5
    assert WindowsLocalizer().localize(request("zebra crossing", right, dense=False)) == []


def test_a_video_of_one_long_cue_is_cut_to_the_limit():
    cue = Cue(0.0, 900.0, "tie the knot")
    candidate = Candidate("a", (cue,), text_vectors([cue], ENCODER), duration=900.0)
    (best,) = WindowsLocalizer().localize(request("tie the knot", candidate))
    assert best.span == Span(0.0, 180.0)


def test_a_short_cue_gives_the_shortest_span():
    cue = Cue(5.0, 5.4, "tie the knot")
    candidate = Candidate("a", (cue,), text_vectors([cue], ENCODER), duration=60.0)
    (best,) = WindowsLocalizer().localize(request("tie the knot", candidate))
    assert best.span == Span(5.0, 8.0)


def test_thousands_of_cues_in_a_minute_are_bounded():
    cues = tuple(
        Cue(i * 0.01, i * 0.01 + 5, "tie the knot" if 3000 < i < 3100 else "hm") for i in range(6000)
    )
    candidate = Candidate("a", cues, text_vectors(cues, ENCODER), duration=65.0)
    (best, *_) = WindowsLocalizer().localize(request("tie the knot", candidate))
    assert best.span.overlap(Span(30, 36)) > 2


def test_expected_overlap_equals_a_count_over_all_runs():
    """Chances and expected overlaps against loops over every run."""
    config = WindowsConfig(longest=20.0)
    finder = WindowsLocalizer(config)
    candidate = video("a", "tie the knot", range(3, 6), cues=9)
    starts, ends = candidate.times
    relevance = np.array([0.1, 0.2, 0.1, 0.8, 0.9, 0.7, 0.2, 0.1, 0.3])
    d = ends - starts
    usual = config.usual * (30 / config.usual_video) ** config.usual_growth
    z = (relevance - np.average(relevance, weights=d)) / np.sqrt(
        np.average((relevance - np.average(relevance, weights=d)) ** 2, weights=d)
    )
    chance: dict[tuple[int, int], float] = {}
    for a in range(9):
        for b in range(a, 9):
            length = ends[b] - starts[a]
            if length <= 20 or a == b:
                unusual = np.log(length / usual) / config.usual_spread
                height = np.average(z[a : b + 1], weights=d[a : b + 1])
                chance[a, b] = np.exp(config.sharpness * height - unusual**2 / 2)
    total = sum(chance.values())
    p = np.array([sum(v for (a, b), v in chance.items() if a <= i <= b) / total for i in range(9)])

    def value(run: tuple[int, int]) -> float:
        inside = (p * d)[run[0] : run[1] + 1].sum()
        return inside / ((p * d).sum() + ends[run[1]] - starts[run[0]] - inside)

    best = max(chance, key=value)
    finder._relevance = lambda *_: relevance  # type: ignore[method-assign]
    found = finder.spans(request("x", candidate), candidate)[0]
    assert (found.span.start, found.span.end) == (starts[best[0]], ends[best[1]])


def test_curve_keeps_the_contract(localizer):
    candidate = video("a", "tie the knot with this rope", range(20, 32))
    curve = localizer.curve(request("how to tie the knot", candidate), candidate)
    assert curve and all(0 <= value <= 1 for _, value in curve)
    assert [second for second, _ in curve] == sorted(second for second, _ in curve)


def test_curve_peaks_in_the_answer():
    candidate = video("a", "tie the knot with this rope", range(20, 32))
    curve = WindowsLocalizer().curve(request("how to tie the knot", candidate), candidate)
    assert 60 <= max(curve, key=lambda point: point[1])[0] <= 96


def test_unknown_localizer_lists_the_known_ones():
    with pytest.raises(ValueError, match="windows"):
        load_localizer("magic")


SENTENCES = [(0.0, 4.5), (5.0, 9.0), (10.0, 12.0), (40.0, 44.0)]


def test_snap_takes_whole_sentences_and_a_breath():
    span = snap(Span(4, 11), SENTENCES, 50)
    assert 4.5 < span.start < 5.0 and span.start >= 5.0 - LEAD_IN - 1e-6
    assert 12.0 < span.end <= 12.3


def test_snap_leaves_ends_far_from_any_sentence():
    span = snap(Span(20, 30), SENTENCES, 50)
    assert abs(span.start - 20) < LEAD_IN + 0.01 and abs(span.end - 30) < 0.3


def test_a_span_is_snapped_to_three_minutes_at_most_or_as_long_as_it_was():
    sentences = [(10.0 * i, 10.0 * i + 9.0) for i in range(40)]
    assert snap(Span(1, 178), sentences, 400).end == pytest.approx(179, abs=0.3)
    assert snap(Span(4, 184), sentences, 400).duration <= 180
    assert snap(Span(0, 309), sentences, 400).end == pytest.approx(309, abs=0.3)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.floats(0, 300), st.floats(0.2, 40)), max_size=20),
    st.floats(0, 280),
    st.floats(3, 180),
)
def test_snapped_spans_stay_close_and_inside(pieces, start, length):
    sentences = sorted((round(s, 3), round(s + d, 3)) for s, d in pieces)
    before = Span(start, min(start + length, 300.0) if start + 3 <= 300 else start + 3)
    after = snap(before, sentences, 300.0)
    assert 0 <= after.start < after.end <= 300.01
    assert abs(after.start - before.start) <= FARTHEST + LEAD_IN + 0.01
    assert after.duration <= 180.001
