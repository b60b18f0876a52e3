"""Full-text search: any question is a safe query, phrases are exact, filters and limits hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.library import search
from pipeline.library.search import to_match
from pipeline.library.store import Library
from pipeline.types import Filters
from tests.library_factory import add


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with Library.open(tmp_path_factory.mktemp("search")) as opened:
        add(opened, "Tea", "boil the kettle and warm the pot", "pour the water slowly", tags=("kitchen",))
        add(opened, "Bicycle", "turn the wheel", "the trip meter has a reset button", tags=("Repair",))
        add(opened, "Car", "reset the trip meter with the left stalk", "the meter shows the trip")
        add(
            opened, "Fahrrad", "das Rad wird gedreht und der Reifen geflickt", language="de", tags=("repair",)
        )
        add(opened, "Kettle repair", "unscrew the base", tags=("kitchen", "repair"))
        yield opened


def titles(library: Library, question: str, **how: object) -> list[str]:
    found = library.search_transcripts(to_match(question), **how)  # type: ignore[arg-type]
    return [library.video(video_id).title for video_id, _ in found]


def said(library: Library, question: str, **how: object) -> list[str]:
    return [hit[3] for hit in library.search_passages(to_match(question), **how)]  # type: ignore[arg-type]


def test_words_are_found_in_any_form(library: Library) -> None:
    assert titles(library, "How do I boil water?") == ["Tea"]
    assert "reset the trip meter with the left stalk" in said(library, "resetting meters")
    assert titles(library, "KETTLES")[0] == "Kettle repair"  # a word in the title counts more


def test_scores_fall_and_are_positive(library: Library) -> None:
    scores = [score for *_, score in library.search_passages(to_match("reset trip meter kettle"))]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0


def test_a_phrase_in_quotes_must_occur(library: Library) -> None:
    assert set(titles(library, "reset trip meter")) == {"Bicycle", "Car"}
    assert titles(library, '"reset the trip meter"') == ["Car"]
    assert titles(library, "how to “reset the trip meter” on a bicycle") == ["Car"]
    assert said(library, '"trip meter" "reset button"') == ["the trip meter has a reset button"]
    assert said(library, '"meter trip"') == []


def test_stop_words_are_dropped_unless_nothing_is_left(library: Library) -> None:
    assert to_match("How do I use the kettle?") == '"kettle"'
    assert to_match("what is this and that") == '"what" OR "is" OR "this" OR "and" OR "that"'
    assert set(titles(library, "and the")) == {"Tea", "Bicycle", "Car", "Kettle repair"}


def test_apostrophes_do_not_hide_words(library: Library) -> None:
    assert to_match("the kettle's lid") == '"kettle" OR "lid"'
    assert to_match("l\u2019eau du robinet") == '"l" OR "eau" OR "du" OR "robinet"'


@pytest.mark.parametrize("question", ["", "   ", '"', '""', "?!*", "😀", "\0", "'", "-", "()", "\ud800"])
def test_questions_without_words_find_nothing(library: Library, question: str) -> None:
    assert to_match(question) == ""
    assert titles(library, question) == [] and said(library, question) == []


@pytest.mark.parametrize(
    "question",
    [
        "kettle AND NOT pot", "kettle NEAR(pot, 2)", "title:kettle", "{title} : kettle", "^kettle", "ket*",
        "kettle - pot", "'; DROP TABLE videos; --", "kettle ) OR ( 1", 'a "b', '"a "b" c"', "a + b",
        "kettle\0pot", "日本語の質問 kettle", "a" * 5000, "word " * 1000, '"' + "kettle " * 700 + '"',
        " ".join(f"w{n}" for n in range(1000)), '" " "' * 500, "कैसे करें", "العربية",
    ],
)  # fmt: skip
def test_nothing_in_a_question_is_an_operator(library: Library, question: str) -> None:
    titles(library, question)
    said(library, question)
    assert library.count() == 5


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_makes_a_valid_query(library: Library, question: str) -> None:
    titles(library, question)
    said(library, question, filters=Filters(language="en"))


@given(st.lists(st.sampled_from(['"', "AND", "NOT", "(", ")", "*", ":", "^", "NEAR", "kettle", "'", "“"])))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mix_of_operators_makes_a_valid_query(library: Library, parts: list[str]) -> None:
    titles(library, " ".join(parts))
    said(library, "".join(parts))


def test_filters_restrict_both_searches(library: Library) -> None:
    tea = library.videos(search="Tea")[0]
    for filters, expected in (
        (Filters(tags=("kitchen",)), {"Tea", "Kettle repair"}),
        (Filters(tags=("REPAIR",)), {"Kettle repair"}),
        (Filters(language="de"), set()),
        (Filters(video_ids=(tea.id,)), {"Tea"}),
        (Filters(video_ids=(tea.id, "nobody"), tags=("repair",)), set()),
        (Filters(tags=("no' such \" tag",)), set()),
    ):
        assert set(titles(library, "kettle base", filters=filters)) == expected, filters
        found = library.search_passages(to_match("kettle base"), filters=filters)
        assert {library.video(hit[1]).title for hit in found} == expected, filters
    assert said(library, "Reifen", filters=Filters(language="de", tags=("repair",)))


def test_limits_hold(library: Library) -> None:
    assert len(titles(library, "the", limit=2)) == 2
    assert len(said(library, "the", limit=3)) == 3


def test_common_words_are_left_out_when_they_cost_too_much(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for few rows the two rarest words decide; nothing but common words still finds."""
    monkeypatch.setattr(search, "MOST_ROWS", 3)
    assert {words.split()[-1] for words in said(library, "meter wheel stalk")} == {"wheel", "stalk"}
    with library.snapshot() as connection:
        kept = search._affordable(connection, "passages_fts", '"the" OR "stalk" OR "wheel" OR "meter"')
        assert sorted(kept.split(" OR ")) == ['"stalk"', '"wheel"']
        phrase = '("the trip") AND ("the trip" OR "meter")'
        assert search._affordable(connection, "passages_fts", phrase) == phrase
    assert len(said(library, "and the", limit=50)) == 7


def test_narrow_searches_agree_with_wide_ones(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = library.search_passages(to_match("reset the meter"))
    monkeypatch.setattr(search, "MOST_ROWS", 0)  # now through the best videos
    assert library.search_passages('"reset" OR "meter"') == wide


def test_accents_do_not_matter(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        add(library, "Crème brûlée", "caramelise the crème")
        assert titles(library, "creme") == titles(library, "CRÈME") == ["Crème brûlée"]
        assert len(said(library, "cre\u0300me")) == 1  # a decomposed accent
