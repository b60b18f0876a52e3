"""The measures against small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import (
    auroc,
    best_iou,
    intervals,
    median_rank,
    overlap_values,
    percent,
    rank_values,
    reliability,
    risk_at_coverage,
)
from pipeline.types import Span


def test_a_hit_counts_at_the_threshold_itself():
    assert overlap_values(0.7) == {"iou3": 1.0, "iou5": 1.0, "iou7": 1.0, "miou": 0.7}
    assert overlap_values(0.69999)["iou7"] == 0.0


def test_only_the_true_video_counts_and_only_within_the_depth():
    truth = Span(10, 20)
    spans = [("b", Span(10, 20)), ("a", Span(15, 25)), ("a", Span(10, 20))]
    assert best_iou(spans, "a", truth, 1) == 0.0
    assert best_iou(spans, "a", truth, 2) == pytest.approx(1 / 3)
    assert best_iou(spans, "a", truth, 3) == 1.0
    assert best_iou([], "a", truth, 10) == 0.0


def test_rank_values():
    assert rank_values(1)["r1"] == 1 and rank_values(11)["r10"] == 0 and rank_values(11)["r100"] == 1
    assert rank_values(None) == {"r1": 0, "r5": 0, "r10": 0, "r100": 0, "mrr": 0}


def test_the_median_rank_counts_what_is_not_listed_as_one_place_behind():
    assert median_rank([None, 3, 1], 101) == 3 and median_rank([None, None, 1], 101) == 101
    assert median_rank([1, 2, 3, None], 101) == 2.5


def test_percent_rounds_to_two_decimals():
    assert percent([{"a": 1.0}, {"a": 0.0}, {"a": 0.0}]) == {"a": 33.33}
    assert percent([]) == {}


def test_intervals_draw_whole_videos():
    rows = [{"a": float(i < 50)} for i in range(100)]
    by_question = intervals(rows, [str(i) for i in range(100)])["a"]
    by_video = intervals(rows, ["x"] * 50 + ["y"] * 50)["a"]
    assert by_video == (0.0, 100.0)  # two videos only: nothing is certain
    assert 35 < by_question[0] < 50 < by_question[1] < 65
    assert intervals(rows, ["x"] * 100)["a"] == (50.0, 50.0)
    assert intervals([], []) == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order(pairs):
    right = [s for s, y in pairs if y]
    wrong = [s for s, y in pairs if not y]
    wins = [1.0 if r > w else 0.5 if r == w else 0.0 for r in right for w in wrong]
    expected = np.mean(wins) if wins else 0.5
    assert auroc([s for s, _ in pairs], [y for _, y in pairs]) == pytest.approx(expected)


def test_risk_keeps_the_most_confident():
    assert risk_at_coverage([0.1, 0.9, 0.8, 0.7, 0.6], [False, True, True, True, True]) == 0.0
    assert risk_at_coverage([0.9, 0.1], [False, True], coverage=0.5) == 1.0


def test_reliability_bins():
    assert reliability([0.05, 0.95, 1.0], [False, True, False]) == [(0.05, 0.0, 1), (0.975, 0.5, 2)]
    assert reliability([0.95, 0.95], [True, False], weights=[3, 1]) == [(0.95, 0.75, 2)]
