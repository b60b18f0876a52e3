"""Videos without half of their parts, and what they then answer."""

from __future__ import annotations

from dataclasses import replace

from pipeline.datasets import Dataset, Narration, Question
from pipeline.datasets.halves import halves
from pipeline.types import Cue, Span

CUES = tuple(Cue(3.0 * i, 3.0 * i + 2.5, f"cue {i}") for i in range(12))
LABELS = (("first", Span(0.0, 8.5)), ("second", Span(9.0, 17.5)), ("third", Span(18.0, 29.5)))


def dataset(asked: dict[str, Span | None], labels=(), cues=CUES) -> Dataset:
    questions = tuple(Question(text, text, "a", span) for text, span in asked.items())
    return Dataset("set", "val", {"a": Narration("a", "Title", 36.0, cues, labels)}, questions)


def spans(found: Dataset) -> dict[str, Span | None]:
    return {question.text: question.span for question in found.questions}


def test_a_video_without_half_of_its_parts_does_not_answer_what_is_asked_about_them():
    asked = {
        "all of the first part?": Span(0.0, 8.5),
        "some of the second?": Span(12.0, 17.5),
        "the first two?": Span(0.0, 17.5),
        "the third?": Span(18.0, 29.5),
        "between two cues?": Span(2.6, 2.9),
        "what nothing answers?": None,
    }
    one, other = halves(dataset(asked, LABELS))
    left = other.videos["a"]
    assert [cue.text for cue in left.cues] == [f"cue {i}" for i in (0, 1, 2, 6, 7, 8, 9, 10, 11)]
    assert (left.title, left.duration) == ("Title", 2.5 + 8 * 3)
    assert left.labels == (("first", Span(0.0, 8.5)), ("third", Span(9.0, 20.5)))
    assert spans(other) == {
        "all of the first part?": Span(0.0, 8.5),
        "some of the second?": None,
        "the third?": Span(9.0, 20.5),
    }
    assert [question.text for question in one.questions if not question.span] == [
        "all of the first part?",
        "the third?",
    ]
    assert (one.name, other.name) == ("set half 1", "set half 2") and one.split == "val"


def test_overlapping_answers_are_one_part_where_nothing_is_labelled():
    asked = {"a?": Span(0.0, 8.5), "b?": Span(6.0, 14.5), "c?": Span(21.0, 29.5)}
    one, other = halves(dataset(asked))
    assert spans(one) == {"a?": None, "b?": None, "c?": Span(6.0, 14.5)}
    assert spans(other) == {"a?": Span(0.0, 8.5), "b?": Span(6.0, 14.5), "c?": None}


def test_what_hardly_anything_is_left_of_is_missing():
    one, other = halves(dataset({"the third?": Span(18.0, 29.5)}, LABELS))
    assert not one.videos and not one.questions and other.videos  # the third part is the only one asked for
    short = dataset({"the second?": Span(9.0, 17.5)}, LABELS, CUES[:6])
    assert not halves(short)[0].videos and not halves(replace(short, videos={}, questions=()))[0].videos
