"""The evaluation: its report on a corpus whose answers are known, and its command line."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.ask import Asker
from pipeline.corpora import Corpora, Remembering, copy
from pipeline.datasets.base import Dataset, Narration, Question
from pipeline.datasets.splits import part_of
from pipeline.errors import BadDataset, CheckpointMissing
from pipeline.evaluate import add_arguments, evaluate, evaluate_checkpoint, fill, main, thinned
from pipeline.library.store import Library
from pipeline.localize import Localizer, load_localizer
from pipeline.retrieve import RETRIEVERS, load_retriever
from pipeline.settings import Settings
from pipeline.types import ScoredSpan, Span
from tests.asking import SCRIPTS, cues_of
from tests.fake_encoder import FakeEncoder
from tests.fake_reader import FakeReader

ENCODER = FakeEncoder()
SETTINGS = Settings.model_validate({})


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
        assert set(report[group]) == set(report["raw"][group]) == {"iou3", "iou5", "iou7", "miou"}
        low, high = report["intervals"][group]["miou"]
        assert low <= report[group]["miou"] <= high
    assert report["rank1"]["miou"] <= report["rank10"]["miou"] <= report["rank100"]["miou"]


def test_one_video_and_retrieval_only(asked, data):
    measured = evaluate(data, *asked, task="val")
    assert set(measured.report()) == {"val", "intervals", "raw"} and len(measured.queries) == 2
    assert measured.queries[1]["iou"] > 0 and measured.queries[1]["right_video"]
    assert set(evaluate(data, *asked, task="retrieval").report()) == {"retrieval", "intervals"}
    with pytest.raises(ValueError, match="vcval, val, retrieval"):
        evaluate(data, *asked, task="magic")


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def howto(tmp_path):
    narration = "# Knots\n## one\n" + "tie the rope to the post " * 8 + "\n? how do I tie the rope\n"
    narration += "## two\n" + "paint the boat with a brush " * 8 + "\n? what do I paint the boat with\n"
    (tmp_path / "knots-01.txt").write_text(narration)
    return tmp_path


def test_command_line_writes_the_json(howto, capsys):
    out = howto / "deep" / "report.json"
    args = arguments("--data", f"howto:{howto}", "--json", str(out), "--limit", "1")
    assert main(args, SETTINGS) == 0
    report = json.loads(out.read_text())
    assert report["retrieval"]["r1"] == 100 and report["questions"] == 1 and report["spans"] == "snapped"
    assert report["data"] == "howto" and len(report["queries"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--data", "howto"], 2),
        (["--data", "squad:x"], 2),
        (["--data", "medvidqa:nowhere"], 1),
        (["--data", "howto:x", "--method", "magic"], 2),
        (["--data", "howto:x", "--checkpoint", "nowhere"], 2),
        (["--data", "howto:x", "--method", "spanbase", "--checkpoint", "nowhere"], 1),
        (["--data", "{howto}", "--split", "9/2"], 2),
        (["--data", "{howto}", "--split", "nothing"], 2),
        (["--data", "{howto}", "--retriever", "dpr", "--retriever-checkpoint", "nowhere"], 1),
        (["--data", "{howto}", "--retriever", "bm25", "--retriever-checkpoint", "nowhere"], 2),
    ],
)
def test_wrong_arguments_are_refused_in_words(words, code, howto, caplog):
    words = [word.replace("{howto}", f"howto:{howto}") for word in words]
    assert main(arguments(*words), SETTINGS) == code
    assert caplog.text and "Traceback" not in caplog.text


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(howto, caplog):
    (howto / "folder").mkdir()
    (howto / "file").touch()
    for out in (howto / "folder", howto / "file" / "report.json"):
        args = arguments("--data", "squad:x", "--json", str(out))  # wrong too, and never looked at
        assert main(args, SETTINGS) == 1 and str(howto) in caplog.text
        assert "squad" not in caplog.text
        caplog.clear()


# Videos ranked by their spans


class Fixed(Localizer):
    """Answers with what it was told, for every video by its title."""

    name = "fixed"

    def __init__(self, told: dict[str, list[tuple[float, float, float]]], ranks: bool = True) -> None:
        self.told, self.ranks_videos, self.trained = told, ranks, True

    def spans(self, request, candidate):
        found = [ScoredSpan(candidate.video_id, Span(a, b), s) for a, b, s in self.told[candidate.title]]
        return found[: request.per_video]


def many(count: int) -> Dataset:
    """Videos that all say the same."""
    words = cues_of(["tie the rope", "now"])
    videos = {name: Narration(name, name, 20.0, words) for name in (f"v{i}" for i in range(count))}
    return Dataset("many", "all", videos, (Question("1", "tie the rope", "v7", Span(0, 10)),))


def asked_by(tmp_path, data: Dataset, localizer: Localizer, retriever: str = "all") -> tuple[Asker, dict]:
    library = Library.open(tmp_path / "library")
    ids = fill(library, data, ENCODER)
    return Asker(library, ENCODER, SETTINGS, localizer, load_retriever(library, retriever)), ids


@pytest.mark.parametrize("task", ["vcval", "retrieval"])
def test_spans_rank_the_videos_beyond_any_limit(tmp_path, task):
    """103 of 130 videos have a better span, and each of them several: the rank is 104 all the same."""
    data = many(130)
    told = {name: [(0, 10, 0.9), (11, 19, 0.8)] for name in data.videos}
    for i, name in enumerate(list(data.videos)[::-1]):
        told[name] = [(0, 10, 0.9), (11, 19, 0.8)] if i < 103 else [(0, 10, 0.1)]
    told["v7"] = [(0, 10, 0.2)]
    asker, ids = asked_by(tmp_path, data, Fixed(told))
    report = evaluate(data, asker, ids, task).report()
    assert report["retrieval"]["medr"] == 104 and report["retrieval"]["r100"] == 0
    assert report["retrieval"]["mrr"] == round(100 / 104, 2)
    if task == "vcval":  # 206 better spans
        assert report["rank100"]["miou"] == 0
    asker.library.close()


def test_where_retrieval_says_nothing_the_spans_rank(tmp_path):
    data = many(10)
    told = {name: [(0, 10, 0.5)] for name in data.videos} | {"v7": [(0, 9, 0.6)]}
    asker, ids = asked_by(tmp_path, data, Fixed(told, ranks=False))
    report = evaluate(data, asker, ids).report()
    assert report["retrieval"]["medr"] == 1 and report["rank1"]["miou"] == 90
    asker.library.close()


def test_otherwise_retrieval_ranks(tmp_path):
    data = many(10)
    told = {name: [(0, 10, 0.5)] for name in data.videos} | {"v7": [(0, 9, 0.6)]}
    asker, ids = asked_by(tmp_path, data, Fixed(told, ranks=False), "bm25")
    report = evaluate(data, asker, ids).report()
    assert report["retrieval"]["medr"] == sorted(ids.values()).index(ids["v7"]) + 1
    asker.library.close()


def test_trained_methods_are_measured_by_their_own_spans(tmp_path, data):
    """A span from the middle of a sentence is moved in the app, not in the paper's figures."""
    told = {title: [(11, 14, 0.9)] for title in SCRIPTS}
    asker, ids = asked_by(tmp_path, data, Fixed(told), "fused")
    own = replace_questions(data, Question("1", "make a small loop", "Tie a bowline", Span(11, 14)))
    measured = evaluate(own, asker, ids, "val")
    report = measured.report()
    assert measured.raw and report["val"]["miou"] == 100 and report["snapped"]["val"]["miou"] < 80
    assert measured.queries[0]["span"] == [11, 14]
    other = evaluate(own, asker, ids, "val", raw=False).report()
    assert other["val"] == report["snapped"]["val"] and other["raw"]["val"] == report["val"]
    asker.library.close()


def replace_questions(data: Dataset, *questions: Question) -> Dataset:
    return replace(data, questions=questions)


def test_no_question_is_said(asked, data):
    with pytest.raises(ValueError, match="no answerable question in split 'all'"):
        evaluate(replace_questions(data), *asked)


# Kept libraries


@pytest.mark.parametrize("retriever", ["dense", "bm25", "fused", "lexical"])
def test_a_part_of_a_kept_set_is_measured_as_if_it_were_alone(tmp_path, data, retriever):
    part = next(p for p in (part_of(data, f"{k}/2") for k in (1, 2)) if len(p.videos) == 2)
    windows = load_localizer()
    alone = evaluate_checkpoint(part, windows, retriever, workdir=tmp_path / "alone", encoder=ENCODER)
    with Corpora(tmp_path / "kept", SETTINGS, ENCODER) as corpora:
        evaluate_checkpoint(data, windows, retriever, workdir=corpora)
        kept = evaluate_checkpoint(part, windows, retriever, workdir=corpora)
        assert corpora.library(data)[0].count() == 3 and corpora.library(part)[0].count() == 2
        assert corpora.library(part)[0] is corpora.library(part)[0]
    assert kept == alone and kept["videos"] == 2


def test_a_library_of_more_videos_is_asked_about_the_splits_own(asked, data):
    asker, ids = asked
    only = replace(data, videos={"Boil an egg": data.videos["Boil an egg"]}, questions=data.questions[1:2])
    report = evaluate(only, asker, ids)
    assert report.report()["retrieval"]["medr"] == 1 and report.queries[0]["right_video"]
    asked_of_it = replace_questions(only, Question("1", "press the patch", "Boil an egg", Span(0, 5)))
    assert evaluate(asked_of_it, asker, ids).queries[0]["right_video"]


@pytest.mark.parametrize("retriever", sorted({*RETRIEVERS} - {"dpr"}))
@pytest.mark.parametrize("task", ["vcval", "val", "retrieval"])
def test_a_report_by_every_retriever(tmp_path, data, retriever, task):
    report = evaluate_checkpoint(data, load_localizer(), retriever, task, 1, tmp_path, SETTINGS, ENCODER)
    assert report["questions"] == 1 and report["retriever"] == retriever and report["task"] == task
    assert ("retrieval" in report) == (task != "val") and ("val" in report) == (task == "val")
    assert (tmp_path / "tiny" / "library.db").exists()


def test_a_trained_retriever_is_read_from_its_checkpoint(tmp_path, data):
    from pipeline.retrieve.dpr import DPR

    DPR(dim=ENCODER.dim, library_model=ENCODER.name).save_pretrained(tmp_path / "weights")
    report = evaluate_checkpoint(
        data, load_localizer(), "dpr", encoder=ENCODER, retriever_checkpoint=tmp_path / "weights"
    )
    assert report["retrieval"]["r1"] == 100


def test_a_kept_library_is_filled_once_and_follows_the_words(tmp_path, data):
    class Counting(FakeEncoder):
        texts = 0

        def encode(self, texts):
            self.texts += len(texts)
            return super().encode(texts)

    with Library.open(tmp_path / "library") as library:
        fill(library, data, first := Counting())
        assert first.texts > 0
        fill(library, data, again := Counting())
        assert again.texts == 0
        changed = replace(data.videos["Boil an egg"], cues=cues_of(["Fry the egg."]), title="Fry an egg")
        ids = fill(library, replace(data, videos=data.videos | {"Boil an egg": changed}), again)
        assert 0 < again.texts < first.texts and library.count() == 3
        assert library.transcript(ids["Boil an egg"]).text == "Fry the egg."
        assert library.video(ids["Boil an egg"]).title == "Fry an egg"
        fill(library, data, FakeEncoder("other"))
        assert not library.needs_vectors("other")


def test_questions_are_encoded_together_and_once():
    class Counting(FakeEncoder):
        calls = 0

        def encode(self, texts):
            self.calls += 1
            return super().encode(texts)

    encoder = Counting()
    remembering = Remembering(encoder)
    remembering.prepare(["one two", "three"], states=True)
    known = encoder.calls
    assert (remembering.encode(["three", "one two"]) == FakeEncoder().encode(["three", "one two"])).all()
    assert remembering.states("one two").shape == (2, ENCODER.dim) and encoder.calls == known
    assert (remembering.encode(["new"]) == FakeEncoder().encode(["new"])).all()


def test_thinned_keeps_videos_and_spreads_questions(data):
    few = thinned(data, 1)
    assert len(few.questions) == 1 and few.videos == data.videos
    assert thinned(data, None) is data and thinned(data, 99) is data


def test_nothing_is_left_behind_without_a_folder_to_keep(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate_checkpoint(data, load_localizer(), limit=1, encoder=ENCODER)
    assert not list(Path().iterdir())


def test_what_a_trained_method_cannot_read_is_no_figure_of_its(tmp_path, data):
    """A network for vectors of another encoder would hand every video over to the untrained method."""
    from pipeline.localize import network_class
    from pipeline.localize.learned import LearnedLocalizer

    spanbase = network_class("spanbase")
    fits = LearnedLocalizer(spanbase(d=8, encoder_dim=ENCODER.dim))
    other = LearnedLocalizer(spanbase(d=8, encoder_dim=ENCODER.dim + 1))
    report = evaluate_checkpoint(data, fits, task="val", encoder=ENCODER)
    assert report["unread"] == 0 and report["spans"] == "raw" and report["method"] == "spanbase"
    with pytest.raises(CheckpointMissing, match="another text encoder"):
        evaluate_checkpoint(data, other, task="val", encoder=ENCODER)


def test_picture_features_beside_the_set_are_seen(tmp_path, data):
    seen = {}

    class Seeing(Fixed):
        uses_pictures = True

        def spans(self, request, candidate):
            seen[candidate.title] = candidate.visual
            return super().spans(request, candidate)

    told = {title: [(0, 10, 0.9)] for title in SCRIPTS}
    pictures = tmp_path / "i3d"
    pictures.mkdir()
    rows = np.arange(40 * 1024, dtype=np.float32).reshape(40, 1024) / 1024
    np.save(pictures / "Boil an egg.npy", rows)
    part = replace(data, videos={k: v for k, v in data.videos.items() if "bicycle" not in k})
    with Corpora(tmp_path / "kept", SETTINGS, ENCODER) as corpora:
        for asked_of in (data, part):
            seen.clear()
            evaluate_checkpoint(asked_of, Seeing(told), "all", workdir=corpora, pictures=pictures)
            assert np.allclose(seen["Boil an egg"], rows, atol=0.02) and seen["Tie a bowline"] is None


@pytest.mark.parametrize("kind", ["flat", "objects", "archive", "text", "empty"])
def test_a_file_that_holds_no_picture_features_is_named(tmp_path, data, kind):
    class Seeing(Fixed):
        uses_pictures = True

    path = tmp_path / "Boil an egg.npy"
    with path.open("wb") as file:
        if kind == "flat":
            np.save(file, np.ones(5, np.float32))
        elif kind == "objects":
            np.save(file, np.array([{}], object))
        elif kind == "archive":
            np.savez(file, a=np.ones((2, 2)))
        elif kind == "text":
            file.write(b"no array")
    told = {title: [(0.0, 10.0, 0.9)] for title in SCRIPTS}
    with pytest.raises(BadDataset, match=r"Boil an egg\.npy"):
        evaluate_checkpoint(data, Seeing(told), "all", encoder=ENCODER, pictures=tmp_path)


# A localizer that reads ahead


@pytest.mark.parametrize("task", ["vcval", "val"])
def test_what_a_localizer_reads_ahead_is_read_once(tmp_path, data, task):
    part = next(p for p in (part_of(data, f"{k}/2") for k in (1, 2)) if len(p.videos) == 2)
    localizer, lines = FakeReader(), sum(len(video.cues) for video in data.videos.values())
    with Corpora(tmp_path / "kept", SETTINGS, ENCODER) as corpora:
        first = evaluate_checkpoint(part, localizer, task=task, workdir=corpora)
        read = len(localizer.texts)
        evaluate_checkpoint(data, localizer, task=task, workdir=corpora)
        assert read == sum(len(video.cues) for video in part.videos.values()) and read < lines
        assert evaluate_checkpoint(part, localizer, task=task, workdir=corpora) == first
        assert corpora.library(part)[0].count() == 2  # a library of its own, whose rows were copied
    evaluate_checkpoint(data, localizer, task=task, workdir=tmp_path / "kept", encoder=ENCODER)
    assert len(localizer.texts) == lines
    assert first["val" if task == "val" else "rank1"]["miou"] > 0 and first["unread"] == 0
    evaluate_checkpoint(data, trained_longer := FakeReader("2"), workdir=tmp_path / "kept", encoder=ENCODER)
    assert len(trained_longer.texts) == lines


def test_a_part_made_before_anything_was_read_gets_its_rows(tmp_path, data):
    part = replace(data, videos={k: v for k, v in data.videos.items() if "bicycle" not in k})
    localizer = FakeReader()
    with Corpora(tmp_path / "kept", SETTINGS, ENCODER) as corpora:
        corpora.library(data)
        alone, ids = corpora.library(part)
        assert corpora.library(part, localizer=localizer)[0] is alone
        assert set(alone.cue_rows(ids.values(), localizer.reading)) == set(ids.values())
        assert len(localizer.texts) == 16  # only what is asked of
        with Library.open(tmp_path / "copy") as copied:
            copy(corpora.library(data)[0], copied, list(ids.values()), localizer.reading)
            assert copied.needs_cue_rows(localizer.reading) == []
