"""The ways in which training tells a video keep its words, its times and its answers together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.localize.base import Candidate
from pipeline.training import telling
from pipeline.training.telling import Telling, told
from pipeline.types import Cue, Span

TEXTS = (
    "First, lay the Bandage flat",
    "then roll it",
    "around the ankle, twice",
    "and pin it: done",
    "Goodbye!",
)


def video(name: str = "a", title: str = "Bandaging an ankle") -> Telling:
    cues = tuple(Cue(3.0 * i, 3.0 * i + 2.5, f"{text} {name}") for i, text in enumerate(TEXTS))
    asked = [("how do I roll it?", Span(3.0, 8.5)), ("where is the pin?", Span(9.0, 11.5))]
    return told(Candidate(name, cues, title=title, duration=15.0), asked)


def words(found: Telling) -> list[str]:
    return [word for cue in found.cues for word in cue.text.split()]


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(3)


def test_recut_cues_say_the_same_words_at_the_same_times(chance):
    before = video()
    for _ in range(20):
        after = telling.recut(before, chance)
        assert words(after) == words(before) and after.asked == before.asked
        assert after.cues[0].start == before.cues[0].start and after.cues[-1].end == before.cues[-1].end
        assert all(a.end <= b.start + 1e-9 for a, b in zip(after.cues, after.cues[1:], strict=False))
        for cue, (which, source) in zip(after.cues, after.source, strict=True):
            assert which == 0 and cue.span.overlap(before.cues[source].span) > 0
            assert set(cue.text.split()) & set(before.cues[source].text.split())


def test_recut_really_cuts_otherwise(chance):
    lengths = {len(telling.recut(video(), chance).cues) for _ in range(20)}
    assert len(lengths) > 1


def test_unwritten_keeps_the_words_and_their_apostrophes():
    found = telling.unwritten(video())
    assert found.cues[0].text == "first lay the bandage flat a" and found.cues[3].text == "and pin it done a"
    assert telling.plain("Don't!") == "don't"
    assert telling.plain("?!") == "?!"  # nothing would be left


def test_misheard_changes_about_as_many_words_as_asked(chance):
    long = replace(video(), cues=tuple(Cue(i, i + 0.9, "one two three four five six") for i in range(200)))
    kept = words(telling.misheard(long, 0.2, chance))
    assert 0.86 < len(kept) / 1200 < 0.94  # half of a fifth is lost
    assert words(telling.misheard(long, 0.0, chance)) == words(long)


def test_pace_moves_answers_with_the_words():
    found = telling.paced(video(), 2.0)
    assert found.cues[2].span == Span(12.0, 17.0) and found.asked[0][1] == Span(6.0, 17.0)


def test_an_uneven_pace_keeps_the_order_and_what_is_said_in_each_answer(chance):
    before = telling.paced(video(), 20.0)
    found = telling.uneven(before, 0.5, chance)
    times = found.times
    assert (np.diff(times[:, 0]) > 0).all() and (times[:, 1] > times[:, 0]).all()
    ratios = (times[:, 1] - times[:, 0]) / (before.times[:, 1] - before.times[:, 0])
    assert ratios.std() > 0.05 and math.exp(-0.51) <= ratios.min() <= ratios.max() <= math.exp(0.51)
    for (_, old), (_, new) in zip(before.asked, found.asked, strict=True):
        for cue, moved in zip(before.cues, found.cues, strict=True):
            assert (old.start <= cue.start < old.end) == (new.start <= moved.start < new.end)


def test_abridged_videos_keep_their_order_and_something_of_every_part(chance):
    before = replace(video(), labels=(("lay", Span(0.0, 3.0)), ("roll", Span(3.0, 8.5))))
    shortest = before.duration
    for _ in range(20):
        found = telling.abridged(before, chance)
        numbers = [cue for _, cue in found.source]
        assert numbers == sorted(set(numbers)) and 2 <= len(numbers) <= len(before.cues)
        assert [cue.text for cue in found.cues] == [before.cues[i].text for i in numbers]
        assert (np.diff(found.times[:, 0]) > 0).all() and found.cues[0].start == 0
        assert [label for label, _ in found.labels] == ["lay", "roll"]
        for text, span in found.asked:
            (old,) = (span for question, span in before.asked if question == text)
            said = [i for i, cue in zip(numbers, found.cues, strict=True) if span.overlap(cue.span) > 0.01]
            assert said == [i for i in numbers if old.start <= before.times[i].mean() <= old.end]
        shortest = min(shortest, found.duration)
    assert shortest < 0.8 * before.duration


def test_joined_videos_keep_what_is_said_in_each_answer(chance):
    first, second = video("a"), video("b")
    found = telling.joined(first, second, chance)

    def said(of: Telling, span: Span) -> list[str]:
        return [cue.text for cue in of.cues if span.start - 0.01 <= cue.start and cue.end <= span.end + 0.01]

    n = len(first.asked)
    assert [said(found, span) for _, span in found.asked[:n]] == [
        said(first, span) for _, span in first.asked
    ]
    assert said(found, found.asked[n][1]) == [cue.text for cue in first.cues]  # what the first title asks
    assert said(found, found.asked[-1][1]) == [cue.text for cue in second.cues]
    assert [found.videos[v].cues[c].text for v, c in found.source] == [cue.text for cue in found.cues]
    assert "andaging an ankle?" in found.asked[-1][0]


def test_joining_a_joined_one_counts_videos_on(chance):
    found = telling.joined(telling.joined(video("a"), video("b"), chance), video("c"), chance)
    assert [found.videos[v].video_id for v, _ in found.source[::5]] == ["a", "b", "c"]


def test_a_title_asks_for_nearly_the_whole(chance):
    long = replace(
        video(),
        cues=tuple(Cue(i, i + 1.0, "word") for i in range(100)),
        source=tuple((0, i) for i in range(100)),
    )
    for _ in range(20):
        span = telling.titled(long, chance).asked[-1][1]
        assert 3 <= span.start <= 15 and 84 <= span.end <= 100
    untitled = video(title="")
    assert telling.titled(untitled, chance) == untitled
    assert len(telling.joined(untitled, untitled, chance).asked) == 4


def test_labels_ask_for_their_parts_but_openings_do_not(chance):
    labels = [
        ("intro", Span(0, 2)),
        ("Pinning it", Span(9, 12)),
        ("the roll", Span(3, 8)),
        ("Outro", Span(12, 14)),
    ]
    named = replace(video(), labels=tuple(labels))
    for _ in range(20):
        added = telling.labelled(named, 1, chance).asked[2:]
        assert len(added) == 1 and added[0][1] in (Span(9, 12), Span(3, 8))
    texts = {text for text, _ in telling.labelled(named, 9, chance).asked[2:]}
    assert len(texts) == 2 and any("pinning it?" in text for text in texts)
    assert telling.labelled(named, 0, chance) == named


def test_what_is_not_answered_stays_unanswered(chance):
    before = replace(video(), asked=(("how do I stitch a cut?", None), *video().asked))
    for after in (
        telling.paced(before, 1.5),
        telling.quoting(before, 1.0, chance),
        telling.recut(before, chance),
        telling.joined(before, video("b"), chance),
    ):
        assert after.asked[0] == ("how do I stitch a cut?", None) and after.asked[1][1] is not None


def test_quotations_are_said_in_the_answer(chance):
    before = video()
    for _ in range(20):
        after = telling.quoting(before, 1.0, chance)
        assert [span for _, span in after.asked] == [span for _, span in before.asked]
        said = "then roll it a around the ankle twice a"
        run = after.asked[0][0].rstrip("?")
        for opening in ("how to ", "how do i ", "how do I ", "what is the way to "):
            run = run.removeprefix(opening)
        assert run in said and len(run.split()) >= 3
    assert telling.quoting(before, 0.0, chance) == before


@pytest.mark.parametrize(
    ("title", "asked"),
    [
        ("How to tie a knot", {"how to tie a knot?", "how do I tie a knot?"}),
        ("Tie a Knot", {f"{a}tie a Knot?" for a in ("how to ", "how do I ", "what is the way to ", "")}),
    ],
)
def test_titles_as_questions(title, asked, chance):
    assert {telling.asking(title, chance) for _ in range(60)} == asked
