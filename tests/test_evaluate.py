"""The evaluation: its report on a corpus whose answers are known, and its command line."""

from __future__ import annotations

import argparse
import json

import pytest

from pipeline.ask import Asker
from pipeline.datasets.base import Dataset, Narration, Question
from pipeline.evaluate import add_arguments, evaluate, fill, main
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.types import Span
from tests.asking import SCRIPTS, cues_of
from tests.fake_encoder import FakeEncoder

ENCODER = FakeEncoder()


@pytest.fixture(scope="module")
def data():
    videos = {title: Narration(title, title, 40.0, cues_of(lines)) for title, lines in SCRIPTS.items()}
    questions = (
        Question("1", "make a small loop, the rabbit hole", "Tie a bowline", Span(10, 15)),
        Question("2", "six minutes make a soft egg", "Boil an egg", Span(0, 40)),
        Question("3", "where is the moon", "Boil an egg", None),
    )
    return Dataset("tiny", "all", videos, questions)


@pytest.fixture
def asked(tmp_path, data):
    with Library.open(tmp_path / "library") as library:
        ids = fill(library, data, ENCODER)
        assert fill(library, data, ENCODER) == ids and library.count() == 3
        yield Asker(library, ENCODER, Settings.model_validate({})), ids


def test_whole_corpus_report(asked, data):
    report = evaluate(data, *asked, task="vcval").report()
    assert report["retrieval"] == {"r1": 100, "r5": 100, "r10": 100, "r100": 100, "mrr": 100, "medr": 1}
    for group in ("rank1", "rank10", "rank100"):
        assert set(report[group]) == {"iou3", "iou5", "iou7", "miou"}
        low, high = report["intervals"][group]["miou"]
        assert low <= report[group]["miou"] <= high
    assert report["rank1"]["miou"] <= report["rank10"]["miou"] <= report["rank100"]["miou"]


def test_one_video_and_retrieval_only(asked, data):
    measured = evaluate(data, *asked, task="val")
    assert set(measured.report()) == {"val", "intervals"} and len(measured.queries) == 2
    assert measured.queries[1]["iou"] > 0 and measured.queries[1]["right_video"]
    assert set(evaluate(data, *asked, task="retrieval").report()) == {"retrieval", "intervals"}
    with pytest.raises(ValueError, match="vcval, val, retrieval"):
        evaluate(data, *asked, task="magic")


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_command_line_writes_the_json(tmp_path, capsys):
    narration = "# Knots\n## one\n" + "tie the rope to the post " * 8 + "\n? how do I tie the rope\n"
    narration += "## two\n" + "paint the boat with a brush " * 8 + "\n? what do I paint the boat with\n"
    (tmp_path / "knots-01.txt").write_text(narration)
    out = tmp_path / "deep" / "report.json"
    args = arguments("--data", f"howto:{tmp_path}", "--json", str(out), "--limit", "1")
    assert main(args, Settings.model_validate({})) == 0
    report = json.loads(out.read_text())
    assert report["retrieval"]["r1"] == 100 and report["questions"] == 1
    assert report["data"] == "howto" and len(report["queries"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--data", "howto"], 2),
        (["--data", "squad:x"], 2),
        (["--data", "medvidqa:nowhere"], 1),
        (["--data", "howto:x", "--method", "magic"], 2),
        (["--data", "howto:x", "--checkpoint", "nowhere"], 1),
    ],
)
def test_wrong_arguments_are_refused_in_words(words, code, caplog):
    assert main(arguments(*words), Settings.model_validate({})) == code
    assert caplog.text
