"""What users say of answers becomes a data set: which verdicts count, and that `evaluate` runs on it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.datasets import read
from pipeline.errors import SourceRefused
from pipeline.feedback import GONE, NO_QUESTION, NO_WORDS, OUTSIDE, WRONG, rated_answers, write
from pipeline.library.store import Library
from pipeline.types import Span
from tests.app_parts import ATTACK
from tests.asking import add

EGG = ["Good morning.", "Six minutes make a soft egg.", "Ten minutes make a hard egg.", "Enjoy."]
CLIP = Span(5.0, 9.6)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as one:
        yield one


def test_right_and_corrected_answers_are_truths_and_wrong_ones_are_counted(library: Library) -> None:
    egg = add(library, "Boil an egg", EGG, None)
    library.add_feedback("how long for a soft egg", egg, CLIP, "right")
    library.add_feedback("how long for a hard egg", egg, CLIP, "corrected", Span(10, 14.6))
    library.add_feedback("who paints the boat", egg, CLIP, "wrong")
    found = rated_answers(library)
    assert [(r["question"], r["answer_start_second"], r["answer_end_second"]) for r in found.rows] == [
        ("how long for a soft egg", 5.0, 9.6),
        ("how long for a hard egg", 10, 14.6),
    ]
    assert found.left_out == {WRONG: 1}
    assert found.summary() == "2 rated answers. Left out: 1 rated wrong without a correction."
    assert found.rows[0]["video_sub_title"][1] == {"text": EGG[1], "start": 5.0, "duration": 4.6}
    assert found.rows[0]["answer_end"] == "00:09" and found.rows[0]["video_title"] == "Boil an egg"


def test_the_last_word_on_a_clip_counts(library: Library) -> None:
    egg = add(library, "Boil an egg", EGG, None)
    for verdict in ("wrong", "right", "right"):
        library.add_feedback("soft egg", egg, CLIP, verdict)
    library.add_feedback("hard egg", egg, CLIP, "right")
    library.add_feedback("hard egg", egg, CLIP, "wrong")
    found = rated_answers(library)
    assert [row["question"] for row in found.rows] == ["soft egg"] and found.left_out == {WRONG: 1}


def test_the_same_truth_from_two_clips_is_one_row(library: Library) -> None:
    egg = add(library, "Boil an egg", EGG, None)
    library.add_feedback("soft egg", egg, CLIP, "right")
    library.add_feedback("soft egg", egg, Span(1, 3), "corrected", CLIP)
    assert len(rated_answers(library).rows) == 1


def test_what_cannot_be_measured_with_is_left_out(library: Library) -> None:
    egg, mute = add(library, "Boil an egg", EGG, None), add(library, "Mime", [], None)
    gone = add(library, "Gone", EGG, None)
    library.add_feedback("soft egg", gone, CLIP, "right")
    library.add_feedback("", egg, CLIP, "right")
    library.add_feedback("what does he show", mute, CLIP, "right")
    library.add_feedback("what comes after the end", egg, Span(500, 510), "right")
    library.add_feedback("what comes last", egg, Span(15, 400), "right")
    library.remove(gone)
    found = rated_answers(library)
    assert found.left_out == {GONE: 1, NO_QUESTION: 1, NO_WORDS: 1, OUTSIDE: 1}
    (row,) = found.rows
    assert row["answer_end_second"] == row["video_length"]  # a clip cannot end behind its video


def test_hostile_words_come_back_as_they_are(library: Library, tmp_path: Path) -> None:
    egg = add(library, f"{ATTACK}\u2028</script>", [f"{ATTACK} “x” \\ \" '", "b"], None)
    library.add_feedback(f"{ATTACK}?", egg, CLIP, "right")
    write(library, tmp_path / "my set" / "feedback.json")
    data = read("medvidqa", tmp_path / "my set", "feedback")
    (video,) = data.videos.values()
    assert (video.title, video.cues[0].text) == (library.video(egg).title, f"{ATTACK} “x” \\ \" '")
    assert data.questions[0].text == f"{ATTACK}?"


def test_nothing_to_write_is_said_and_no_file_made(library: Library, tmp_path: Path) -> None:
    egg = add(library, "Boil an egg", EGG, None)
    library.add_feedback("boat", egg, CLIP, "wrong")
    with pytest.raises(SourceRefused, match="Left out: 1 rated wrong"):
        write(library, tmp_path / "feedback.json")
    with pytest.raises(SourceRefused, match="must end with"):
        write(library, tmp_path / "feedback.txt")
    assert not (tmp_path / "feedback.json").exists()
    library.add_feedback("egg", egg, CLIP, "right")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SourceRefused, match="cannot be written"):
        write(library, tmp_path / "file" / "feedback.json")
    (tmp_path / "feedback.json").mkdir()
    with pytest.raises(SourceRefused, match="cannot be written"):
        write(library, tmp_path / "feedback.json")
    assert not list(tmp_path.rglob("*.part"))


def test_evaluate_runs_on_it_as_it_is(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    egg = add(library, "Boil an egg", EGG, None)
    add(library, "Paint the boat", ["Sand the hull.", "Paint it twice."], None)
    library.add_feedback("how long for a soft egg", egg, CLIP, "right")
    library.add_feedback("who paints the boat", egg, CLIP, "wrong")
    out, report = tmp_path / "my set" / "feedback.json", tmp_path / "report.json"
    assert main(["feedback", str(out), "--library", str(library.root)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 rated answer. Left out: 1 rated wrong without a correction.")
    command = shlex.split(said[1].removeprefix("python -m pipeline "))
    assert main([*command, "--json", str(report)]) == 0
    result = json.loads(report.read_text())
    assert (result["questions"], result["videos"]) == (1, 1)
    assert result["queries"][0]["truth"] == [5.0, 9.6] and result["queries"][0]["rank"] == 1
