"""The look-up table between the seconds of a video and its cues: there and back again, and the nearest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.localize.examples import collate, lengths_mask, pad
from pipeline.localize.lookup import LookUpTable, matching
from tests.learned_parts import tiny_network
from tests.test_learned import examples

# Halves of a second: many are equally near to two others, and exactly so.
HALVES = st.integers(0, 8).map(lambda n: n / 2)


@st.composite
def videos(draw):
    """One to three videos: cues (r, 2) at least one row long, with gaps, and rows (m, 2) of `length` s."""
    length = draw(st.integers(1, 3))
    made = []
    for _ in range(draw(st.integers(1, 3))):
        cues, now = [], draw(HALVES)
        for gap, more in draw(st.lists(st.tuples(HALVES, HALVES), min_size=1, max_size=12)):
            cues.append((now, now + length + more))
            now = cues[-1][1] + gap * draw(st.booleans())
        begins = np.arange(math.ceil(cues[-1][1] / length)) * float(length)
        ends = np.minimum(begins + length, cues[-1][1])
        made.append((np.array(cues), np.stack([begins, ends], 1)))
    return made


def table(made):
    cues, rows = [c for c, _ in made], [r for _, r in made]
    return LookUpTable(
        pad(cues), lengths_mask([len(c) for c in cues]), pad(rows), lengths_mask([len(r) for r in rows])
    )


def drawn(data, made, which):
    """A first and a last unit for every video."""
    first, last = [], []
    for video in made:
        unit = st.integers(0, len(video[which]) - 1)
        a, b = sorted((data.draw(unit), data.draw(unit)))
        first.append(a)
        last.append(b)
    return torch.tensor(first), torch.tensor(last)


@settings(max_examples=200, deadline=None)
@given(videos(), st.data())
def test_cues_of_at_least_one_row_come_back(made, data):
    q = table(made)
    first, last = drawn(data, made, 0)
    again = q.to_cues(*q.to_rows(first, last))
    assert torch.equal(again[0], first) and torch.equal(again[1], last)


@settings(max_examples=200, deadline=None)
@given(videos(), st.data())
def test_seconds_come_back_within_the_cues_they_went_to(made, data):
    q = table(made)
    cues = q.to_cues(*drawn(data, made, 1))
    rows = q.to_rows(*cues)
    for to, back in zip(cues, rows, strict=True):
        for (cue_times, row_times), cue, row in zip(made, to, back, strict=True):
            (start, end), (begin, stop) = cue_times[cue], row_times[row]
            assert min(end, stop) - max(start, begin) > 0
    assert all(torch.equal(a, b) for a, b in zip(q.to_cues(*rows), cues, strict=True))


@settings(max_examples=100, deadline=None)
@given(videos(), st.data())
def test_starts_go_to_the_nearest_start_and_ends_to_the_nearest_end(made, data):
    q = table(made)
    first, last = drawn(data, made, 1)
    to_first, to_last = q.to_cues(first, last)
    for i, (cues, rows) in enumerate(made):
        starts, ends = np.abs(cues[:, 0] - rows[first[i], 0]), np.abs(cues[:, 1] - rows[last[i], 1])
        assert starts[to_first[i]] == starts.min() and ends[to_last[i]] == ends.min()


def test_a_short_span_inside_a_long_cue_ends_before_it_starts():
    q = table([(np.array([[0.0, 20.0], [20.0, 30.0]]), np.stack([np.arange(30.0), np.arange(30.0) + 1], 1))])
    cues = q.to_cues(torch.tensor([12]), torch.tensor([13]))
    assert [int(i) for i in cues] == [1, 0]
    assert matching(q.cues, cues, (torch.tensor([0]), torch.tensor([1]))) == 0


def test_what_is_equally_near_to_two_comes_back_to_the_same():
    q = table([(np.arange(0.5, 5)[:, None] + [0.0, 1.0], np.arange(6.0)[:, None] + [0.0, 1.0])])
    for i in map(torch.tensor, ([0], [1], [4])):
        assert q.to_cues(*q.to_rows(i, i)) == (i, i)


def test_cues_that_overlap_are_no_match_backwards():
    times = torch.tensor([[[0.0, 3.0], [2.0, 5.0]]])
    first, last = torch.tensor([0]), torch.tensor([1])
    assert matching(times, (first, last), (first, last)) == 1
    assert matching(times, (last, first), (first, last)) == 0


def test_the_overlap_is_that_of_spans():
    chance = np.random.default_rng(0)
    times = np.stack([np.arange(9.0), np.arange(9.0) + 1], 1) * chance.integers(1, 5)
    picked = chance.integers(0, 9, (50, 4))
    found = matching(
        torch.tensor(times).expand(50, 9, 2),
        (torch.tensor(picked[:, 0]), torch.tensor(picked[:, 1])),
        (torch.tensor(picked[:, 2:].min(1)), torch.tensor(picked[:, 2:].max(1))),
    )
    for value, (a, b, c, d) in zip(found, picked, strict=True):
        mine, truth = set(range(a, b + 1)), set(range(min(c, d), max(c, d) + 1))
        assert float(value) == pytest.approx(len(mine & truth) / len(mine | truth))


def test_a_batch_without_rows_has_no_table():
    network = tiny_network("spanbase")
    with pytest.raises(ValueError, match="rows of the video"):
        LookUpTable.of(collate(examples(network)))
