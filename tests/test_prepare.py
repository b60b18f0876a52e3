"""Fetching the captions that annotations name: what is asked for, kept, known to be gone, and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.datasets import read
from pipeline.errors import BadDataset, DiskFull, SourceGone, SourceUnavailable
from pipeline.links import Links
from pipeline.prepare import LEDGER, MOST_FAILURES, Outcome, fetch, videos_named
from pipeline.settings import Settings
from pipeline.types import Origin
from tests.test_links import FakeSiteIE, Server, server  # noqa: F401

VTT = "WEBVTT\n\n00:01.000 --> 00:03.000\npress on it\n"
JSON3 = json.dumps({"events": [{"tStartMs": 0, "dDurationMs": 2000, "segs": [{"utf8": "let go"}]}]})


class FakeCaptions:
    """Gives the captions of `has` ({link: [(ending, text, language)]}) or raises what stands there."""

    def __init__(self, has: dict[str, Any]) -> None:
        self.has = has
        self.asked: list[str] = []

    def captions(self, url: str, folder: Path, language: str) -> tuple[tuple[Path, Origin, str], ...]:
        self.asked.append(url)
        found = self.has.get(url, ())
        if isinstance(found, BaseException):
            raise found
        given = []
        for number, (ending, text, spoken) in enumerate(found):
            path = folder / f"{number}{ending}"
            path.write_text(text)
            given.append((path, Origin.SITE_HUMAN, spoken))
        return tuple(given)


def one(video: str, **more: Any) -> dict[str, Any]:
    times = {"answer_start_second": 1, "answer_end_second": 2, "video_length": 9}
    return {"sample_id": 1, "question": "how?", "video_id": video} | times | more


def folder_of(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    (tmp_path / "val.json").write_text(json.dumps(rows))
    return tmp_path


def no_pause(seconds: float) -> None:
    """Polite, but not in a test."""


def test_videos_are_those_named_without_words(tmp_path: Path) -> None:
    said = [{"text": "a", "start": 0, "duration": 1}]
    rows = [
        one("a", video_url="https://v.example/a"),
        one("a"),
        one("-b"),
        {},
        one("c", video_sub_title=said),
    ]
    found = videos_named(folder_of(tmp_path, *rows))
    assert found == {"a": "https://v.example/a", "-b": "https://www.youtube.com/watch?v=-b"}


@pytest.mark.parametrize("video", ["../x", "a/b", "", ".", "a b", 7, None])
def test_ids_that_cannot_be_file_names_are_refused(tmp_path: Path, video: Any) -> None:
    with pytest.raises(BadDataset, match="row 1"):
        videos_named(folder_of(tmp_path, one(video)))


def test_a_folder_without_annotations(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="no annotations"):
        videos_named(tmp_path)


def test_what_is_fetched_can_be_read_as_the_data_set(tmp_path: Path) -> None:
    source = FakeCaptions({"A": [(".vtt", VTT, "en")], "B": [(".json3", JSON3, "en")]})
    outcome = fetch({"a": "A", "b": "B"}, tmp_path / "subtitles", source, sleep=no_pause)
    assert outcome.got == ["a", "b"] and not outcome.not_asked
    data = read("medvidqa", folder_of(tmp_path, one("a"), one("b")))
    assert {v.id: v.cues[0].text for v in data.videos.values()} == {"a": "press on it", "b": "let go"}
    assert sorted(p.name for p in (tmp_path / "subtitles").iterdir()) == ["a.vtt", "b.json3"]


def test_only_readable_english_captions_are_kept(tmp_path: Path) -> None:
    tracks = [(".vtt", VTT, "de"), (".vtt", "WEBVTT\n\n", "en"), (".json3", JSON3, "en")]
    outcome = fetch(
        {"a": "A", "b": "B"}, tmp_path, FakeCaptions({"A": tracks, "B": tracks[:2]}), sleep=no_pause
    )
    assert outcome.got == ["a"] and list(outcome.gone) == ["b"]
    assert "1 fetched" in outcome.summary() and "1 without English captions" in outcome.summary()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json3", LEDGER]


def test_what_is_there_or_gone_is_not_asked_for_again(tmp_path: Path) -> None:
    has = {"A": [(".vtt", VTT, "en")], "B": SourceGone("private"), "C": SourceUnavailable("busy")}
    wanted = {"a": "A", "b": "B", "c": "C"}
    first = FakeCaptions(has)
    outcome = fetch(wanted, tmp_path, first, sleep=no_pause)
    assert (outcome.got, outcome.gone, outcome.failed) == (["a"], {"b": "private"}, {"c": "busy"})
    second = FakeCaptions(has)
    again = fetch(wanted, tmp_path, second, sleep=no_pause)
    assert second.asked == ["C"] and again.there == ["a"] and again.gone == {"b": "private"}
    third = FakeCaptions({"B": [(".vtt", VTT, "en")], "C": [(".vtt", VTT, "en")]})
    assert fetch(wanted, tmp_path, third, retry=True, sleep=no_pause).got == ["b", "c"]
    assert json.loads((tmp_path / LEDGER).read_text()) == {}


def test_it_waits_between_two_videos(tmp_path: Path) -> None:
    pauses: list[float] = []
    fetch({v: v for v in "abc"}, tmp_path, FakeCaptions({}), pause=3.5, sleep=pauses.append)
    assert pauses == [3.5, 3.5]


def test_a_site_that_refuses_everything_is_left_alone(tmp_path: Path) -> None:
    source = FakeCaptions({str(n): SourceUnavailable("robot") for n in range(20)})
    outcome = fetch({str(n): str(n) for n in range(20)}, tmp_path, source, sleep=no_pause)
    assert len(source.asked) == MOST_FAILURES and outcome.not_asked == 20 - MOST_FAILURES
    assert "not asked for yet" in outcome.summary()


def test_an_interruption_loses_nothing(tmp_path: Path) -> None:
    has = {"A": [(".vtt", VTT, "en")], "B": KeyboardInterrupt(), "C": [(".vtt", VTT, "en")]}
    outcome = Outcome()
    with pytest.raises(KeyboardInterrupt):
        fetch({"a": "A", "b": "B", "c": "C"}, tmp_path, FakeCaptions(has), outcome=outcome, sleep=no_pause)
    assert outcome.got == ["a"] and outcome.not_asked == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.vtt"]


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    with pytest.raises(DiskFull):
        fetch({"a": "A"}, tmp_path, FakeCaptions({"A": DiskFull("full")}), sleep=no_pause)


def test_a_damaged_ledger_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text("[")
    assert list(fetch({"a": "A"}, tmp_path, FakeCaptions({}), sleep=no_pause).gone) == ["a"]


def test_a_site_s_captions_come_without_its_video(server: Server, tmp_path: Path) -> None:  # noqa: F811
    server.pages |= {"/h.vtt": VTT.encode(), "/a.json3": JSON3.encode()}
    answer = {
        "subtitles": {
            "de": [{"ext": "vtt", "url": f"{server.url}/de.vtt"}],
            "en": [{"ext": "vtt", "url": f"{server.url}/h.vtt"}],
        },
        "automatic_captions": {"en-orig": [{"ext": "json3", "url": f"{server.url}/a.json3"}]},
        "formats": [{"format_id": "1", "url": f"{server.url}/never.mp4"}],
    }
    nothing = answer | {"formats": [], "subtitles": {}}
    site = FakeSiteIE({"1": answer, "2": nothing})
    links = Links(Settings(allow_private_addresses=True), extractors=(site,))
    wanted = {"one": f"{server.url}/made-up/1", "two": f"{server.url}/made-up/2"}
    assert fetch(wanted, tmp_path, links, sleep=no_pause).got == ["one", "two"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.vtt", "two.json3"]
    assert not any("never" in hit or "de.vtt" in hit for hit in server.hits)


def test_private_addresses_in_annotations_are_not_reached(server: Server, tmp_path: Path) -> None:  # noqa: F811
    outcome = fetch({"a": f"{server.url}/a.mp4"}, tmp_path, Links(Settings()), sleep=no_pause)
    assert "private network" in outcome.failed["a"] and server.hits == []


def test_the_command_says_what_came_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERCLIP_LINKS", "false")
    folder_of(tmp_path, one("a"), one("b"))
    (tmp_path / "subtitles").mkdir()
    (tmp_path / "subtitles" / "b.vtt").write_text(VTT)
    assert main(["prepare", "medvidqa", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "2 videos: 0 fetched, 1 already there, 0 gone, 0 without English captions, 1 failed." in said.out
    assert "failed   a: Links are switched off" in said.err
    assert main(["prepare", "medvidqa", "--data", str(tmp_path / "none")]) == 1
    assert "no annotations" in capsys.readouterr().err
