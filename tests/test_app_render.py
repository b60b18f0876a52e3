"""What the page says: pure functions from replies, videos and jobs to words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import evidence, render, wording
from app.add_videos import added_words
from app.media_routes import attachment
from pipeline.library.jobs import Job
from pipeline.localize.evidence import Explanation, SpanChances
from pipeline.types import Answer, Contributions, Cue, Curve, Evidence, Origin, Reply, Span, Transcript, Video

VIDEO = Video(
    "0" * 16, "0" * 64, "Tea", Path("/secret/place/tea.mp4"), 90.0, origin=Origin.WHISPER, state="ready",
    strip=Path("/secret/strip.jpg"), strip_count=40, size=5_000_000, language="en",
)  # fmt: skip


def an_answer(start: float = 10, end: float = 25, **fields: object) -> Answer:
    values = {"title": "Tea", "path": VIDEO.path, "score": 0.5, "text": "Let it steep."} | fields
    evidence = Evidence(words=0.8, meaning=0.4)
    return Answer(VIDEO.id, span=Span(start, end), evidence=evidence, **values)  # type: ignore[arg-type]


def a_reply(answered: bool = True, confidence: float = 0.8, **fields: object) -> Reply:
    return Reply("How long?", answered, confidence, (an_answer(), an_answer(40, 50)), **fields)  # type: ignore[arg-type]


def a_job(**fields: object) -> Job:
    values = {
        "id": 7, "kind": "add", "title": "Tea", "source": "x.mp4", "status": "running", "stage": "subtitles",
        "stage_number": 4, "stage_count": 6, "fraction": 0.5, "stage_fraction": 0.4, "detail": "",
        "message": "",
        "video_id": "", "elapsed": 75.0, "remaining": 130.0, "created_at": datetime(2026, 1, 1),
    } | fields  # fmt: skip
    return Job(**values)  # type: ignore[arg-type]


def test_an_answer_says_how_sure_what_when_and_from_where() -> None:
    view = render.reply_view(a_reply(), {VIDEO.id: VIDEO})
    first = view["answers"][0]
    assert view["kind"] == "answer" and view["pick"] == 0
    assert first["verdict"] == "Very likely the answer" and first["percent"] == "80 % sure"
    assert first["facts"] == ["0:10 to 0:25", "15 s", "transcribed by Whisper"]
    assert "Tea" in view["announce"] and "0:10 to 0:25" in view["announce"]
    assert [why["name"] for why in first["evidence"]] == ["words", "meaning"]


def test_evidence_is_shown_for_the_picture_too_where_one_was_read() -> None:
    seen = replace(an_answer(), evidence=Evidence(words=0.8, meaning=0.4, picture=0.0))
    (found,) = render.reply_view(Reply("?", True, 0.9, (seen,)), {})["answers"]
    assert [(why["name"], why["percent"]) for why in found["evidence"]] == [
        ("words", "80 %"), ("meaning", "40 %"), ("picture", "0 %"),
    ]  # fmt: skip


def explained(
    words: Curve | None, picture: Curve | None = None, near: float | None = 0.62, trained: bool = True
) -> evidence.View:
    chances = SpanChances(np.array([[0, 10], [10, 20], [20, 30]]), np.array([0.2, 0.7, 0.1]), trained)
    told = Contributions(words, picture)
    found = Explanation("?", VIDEO.id, told, chances.pooled(30.0), near, notice="Cut.")
    return evidence.explanation_view(found, Span(10, 20))


def test_words_and_picture_have_a_lane_each_and_are_told_in_words() -> None:
    view = explained(((0.0, 0.2), (65.0, 1.0)), ((0.0, 0.0), (65.0, 0.0)))
    assert [lane["label"] for lane in view["lanes"]] == [
        "Words: highest at 1:05.", "Picture: nothing anywhere in this video.",
    ]  # fmt: skip
    assert view["lanes"][0]["points"] == [[0, 0.2], [65, 1]] and view["missing"] == ""
    assert view["notice"] == "Cut."


def test_a_lane_that_is_missing_is_explained() -> None:
    assert explained(((0.0, 1.0),))["missing"] == evidence.PICTURES_UNREAD
    assert explained(None)["missing"] == evidence.AS_ONE and explained(None)["lanes"] == []


def test_the_map_is_drawn_from_its_cells_and_said_in_words() -> None:
    found = explained(((0.0, 1.0),))["map"]
    assert (found["count"], found["begin"], found["end"]) == (3, 0, 30)
    assert found["cells"] == [[0, 0, 0.2], [1, 1, 0.7], [2, 2, 0.1]]
    assert found["label"].endswith("Likeliest: 0:10 to 0:20. This clip: 0:10 to 0:20.")
    assert found["said"].startswith("62 % of the chance") and "rule" not in found["how"]
    assert explained((), near=0.001)["map"]["said"].startswith("Less than 1 %")
    assert explained((), near=None)["map"]["said"] == ""


def test_weights_of_the_untrained_method_are_not_called_chances() -> None:
    found = explained((), trained=False)["map"]
    assert "weight" in found["said"] and "chance" not in found["said"] and evidence.BY_RULE in found["how"]


def test_without_a_map_the_reason_is_given() -> None:
    view = evidence.explanation_view(Explanation("?", VIDEO.id, Contributions(((0.0, 0.0),))), None)
    assert view["map"] is None and view["nothing"] == evidence.NOTHING


def test_only_the_best_answer_carries_the_confidence() -> None:
    view = render.reply_view(a_reply(), {VIDEO.id: VIDEO})
    assert [found["confidence"] for found in view["answers"]] == [0.8, None]


def test_without_pictures_the_page_says_so_and_with_them_it_does_not() -> None:
    assert "Picture stream off" in render.reply_view(a_reply(), {})["note"]
    assert "Picture" not in render.reply_view(a_reply(pictures=True), {})["note"]


def test_a_notice_of_the_search_is_shown_beside_the_answer() -> None:
    view = render.reply_view(a_reply(notice="Cut."), {})
    assert view["notice"] == "Cut." and view["announce"].endswith("Cut.")


def test_why_a_phrase_is_not_answered_is_said() -> None:
    view = render.reply_view(a_reply(answered=False, message="No video says exactly these words."), {})
    assert view["message"].startswith("No video says exactly these words.")


def test_guesses_are_called_guesses_and_nothing_plays() -> None:
    view = render.reply_view(a_reply(answered=False, confidence=0.2), {VIDEO.id: VIDEO})
    assert view["kind"] == "none" and view["pick"] == -1 and not view["play"]
    assert view["headline"] == "Not in your library" and "guesses" in view["message"]
    assert all(
        found["label"].startswith("Guess") and found["confidence"] is None for found in view["answers"]
    )


def test_guesses_are_few() -> None:
    many = tuple(an_answer(10 * n, 10 * n + 5) for n in range(8))
    view = render.reply_view(Reply("?", False, 0.1, many), {})
    assert len(view["answers"]) == render.MOST_GUESSES


def test_an_empty_library_says_what_to_do() -> None:
    view = render.reply_view(Reply("?", False, 0.0, message="The library is empty. Add a video first."), {})
    assert view["headline"] == "The library is empty." and view["message"] == "Add a video first."


def test_no_path_of_the_server_reaches_the_page() -> None:
    shown = json.dumps([render.reply_view(a_reply(), {VIDEO.id: VIDEO}), render.video_view(VIDEO)])
    assert "/secret" not in shown


def test_a_missing_file_is_named_without_its_folder() -> None:
    view = render.video_view(replace(VIDEO, missing=True))
    assert view["state"] == "missing" and "tea.mp4" in view["notice"] and "/secret" not in view["notice"]
    assert "not where it was" in render.about_view(replace(VIDEO, missing=True))["broken"]


def test_the_linked_clip_comes_first_and_is_not_shown_twice() -> None:
    linked = an_answer(12, 20)
    view = render.reply_view(a_reply(), {VIDEO.id: VIDEO}, linked)
    assert [(found["start"], found["end"]) for found in view["answers"]] == [(12, 20), (40, 50)]
    assert view["answers"][0]["verdict"] == "The clip of this link"


def test_a_linked_clip_plays_even_when_the_question_has_no_answer() -> None:
    view = render.reply_view(Reply("?", False, 0.1), {VIDEO.id: VIDEO}, an_answer())
    assert view["kind"] == "answer" and len(view["answers"]) == 1


def test_two_equal_replies_are_two_events_for_the_page() -> None:
    assert render.reply_view(a_reply(), {}) != render.reply_view(a_reply(), {})


def test_markup_stays_text_in_every_view() -> None:
    title = '<img src=x onerror="x()">'
    view = render.reply_view(Reply("?", True, 0.9, (an_answer(title=title, text=title),)), {})
    assert view["answers"][0]["title"] == title  # as it is: the page sets it as text
    assert render.transcript_view(Transcript((Cue(0, 1, title),), Origin.GIVEN))["cues"] == [[0, 1, title]]


@pytest.mark.parametrize(
    ("fields", "words", "times"),
    [
        ({}, "Writing down what is said (step 4 of 6)", "1 min 15 s so far, about 2 min 10 s left"),
        ({"remaining": None, "detail": "2 of 9"}, "Writing down what is said (step 4 of 6): 2 of 9",
         "1 min 15 s so far"),
        ({"status": "queued"}, "Waiting its turn", ""),
        ({"status": "done", "elapsed": 61.0}, "Ready to be asked", "took 1 min 1 s"),
        ({"status": "done", "kind": "pictures", "video_id": "ab", "elapsed": 0}, "Done", ""),
        ({"stage": "picture features", "stage_number": 1, "stage_count": 1, "detail": "“Tea”"},
         "Looking at the pictures: “Tea”", "1 min 15 s so far, about 2 min 10 s left"),
        ({"status": "failed", "message": "The disk is full."}, "Failed", ""),
    ],
)  # fmt: skip
def test_a_job_in_plain_words(fields: dict, words: str, times: str) -> None:
    view = render.job_view(a_job(**fields))
    assert (view["words"], view["times"]) == (words, times)
    assert view["can_cancel"] == (view["status"] in ("queued", "running"))


def test_what_became_of_new_videos() -> None:
    assert added_words([a_job(status="queued")]) == "1 video on the way."
    both = added_words([a_job(status="queued"), a_job(status="already", title="Old")])
    assert both == "1 video on the way; “Old” is in the library already."


def test_the_line_in_the_head() -> None:
    assert render.status_view(3, 0, "loading")["state"] == "busy"
    assert render.status_view(3, 2, "ready")["words"] == "Preparing 2 videos"
    assert render.status_view(0, 0, "ready")["words"] == "Library is empty"


@given(st.floats(0, 400_000))
def test_clocks_can_be_read_back(seconds: float) -> None:
    parts = [int(part) for part in wording.clock(seconds).split(":")]
    assert sum(part * 60**power for power, part in enumerate(reversed(parts))) == int(seconds)


@given(st.text(max_size=300), st.integers(5, 80))
def test_shortened_text_is_short_and_begins_the_same(text: str, limit: int) -> None:
    short = wording.short(text, limit)
    assert len(short) <= limit
    assert " ".join(text.split()).startswith(short.removesuffix("…").rstrip())


@given(st.text())
def test_any_title_makes_a_safe_file_name(title: str) -> None:
    header = attachment(title, "mp4")
    name = header.rpartition("''")[2]
    assert header.isascii() and "\n" not in header and "\r" not in header
    assert not {"/", "\\", '"', ";", " "} & set(name) and not name.startswith((".", "-"))
    assert name.endswith(".mp4") and len(name) > 4
