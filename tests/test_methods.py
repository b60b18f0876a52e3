"""The methods one can choose: what is missing is said, what is damaged gives way, nothing is loaded twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline import methods
from pipeline.ask import Asker
from pipeline.cli import main
from pipeline.errors import BadQuestion, CheckpointMissing
from pipeline.library.store import Library
from pipeline.localize import LOCALIZERS, Candidate, Localizer, Request
from pipeline.methods import METHODS, Method, Methods, available, commands, load
from pipeline.retrieve import RETRIEVERS
from pipeline.settings import MethodName, Settings
from pipeline.types import ScoredSpan, Span
from tests.asking import fill
from tests.fake_encoder import FakeEncoder
from tests.learned_parts import tiny_bert

QUESTION = "how do I make a small loop in the rope"


class First(Localizer):
    """Takes the first five seconds of every video, or fails."""

    name = "first"
    fails = False

    def spans(self, request: Request, candidate: Candidate) -> list[ScoredSpan]:
        if self.fails:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return [ScoredSpan(candidate.video_id, Span(0, 5), candidate.retrieval)]


@dataclass
class Loads:
    """Stands in for the loaders of localizers and retrievers, and counts."""

    gives: Any = None
    count: int = 0

    def localizer(self, name: str = "windows", checkpoint: str = "", checkpoints: Path = Path()) -> Any:
        self.count += 1
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives or First()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as one:
        fill(one, FakeEncoder())
        yield one


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(checkpoints_dir=tmp_path / "checkpoints")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """From here on a trained localizer is a `First`, whatever its files hold."""
    fake = Loads()
    real = methods.load_localizer
    monkeypatch.setattr(
        methods, "load_localizer", lambda name="windows", **m: fake.localizer(name, **m) if m else real(name)
    )
    return fake


def trained(settings: Settings, *names: str, weights: bytes = b"") -> None:
    for name in names:
        folder = settings.checkpoints_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"method": name}))
        (folder / "model.safetensors").write_bytes(weights)


def test_every_method_names_parts_that_there_are() -> None:
    assert tuple(METHODS) == get_args(MethodName)
    for name, method in METHODS.items():
        assert method.name == name and method.label and method.blurb
        assert method.localizer in LOCALIZERS and method.retriever in RETRIEVERS


def test_what_is_missing_is_named_with_the_command(settings: Settings) -> None:
    assert available(METHODS["untrained"], settings) == ""
    said = available(METHODS["dpr-span"], settings)
    where = '"$ANSWERCLIP_CHECKPOINTS_DIR"/spanbase'  # outside the project, and nobody's business where
    assert f"`python -m pipeline train --method spanbase --data NAME:DIR --out {where}`" in said
    assert "--method dpr " in said and str(settings.checkpoints_dir) not in said
    trained(settings, "dpr", "spanbase")
    assert available(METHODS["dpr-span"], settings) == ""
    (settings.checkpoints_dir / "dpr" / "model.safetensors").unlink()
    said = available(METHODS["dpr-span"], settings)
    assert "--method dpr " in said and "spanbase" not in said


def test_the_command_writes_where_the_checkpoint_is_looked_for() -> None:
    relative = Settings(checkpoints_dir=Path("my nets"))
    assert commands(METHODS["ccgs"], relative)[0].endswith("--out 'my nets/ccgs'")
    inside = Settings(checkpoints_dir=Path(methods.__file__).parent.parent / "none")
    assert commands(METHODS["ccgs"], inside)[0].endswith("--out none/ccgs")


def test_a_method_that_is_not_trained_gives_way_with_a_notice(library: Library, settings: Settings) -> None:
    asker = Asker(library, FakeEncoder(), settings)
    reply, plain = asker.ask(QUESTION, method="ccgs"), asker.ask(QUESTION, method="untrained")
    assert reply.method == "untrained" and "CCGS is not trained yet" in reply.notice
    assert reply.answers == plain.answers and plain.notice == ""
    with pytest.raises(CheckpointMissing, match="train --method ccgs"):
        load(METHODS["ccgs"], library, settings)


@pytest.mark.parametrize("name", ["ccgs", "mutualsl", "bm25-span", "dpr-span"])
def test_damaged_checkpoints_never_fail_a_question(library: Library, settings: Settings, name: str) -> None:
    trained(settings, "ccgs", "mutualsl", "spanbase", "dpr", weights=b"no safetensors at all")
    reply = Asker(library, FakeEncoder(), settings).ask(QUESTION, method=name)
    assert reply.answers and reply.method == "untrained"
    assert "cannot be used" in reply.notice and str(settings.checkpoints_dir) not in reply.notice


def test_the_chosen_method_answers(library: Library, settings: Settings, loads: Loads) -> None:
    trained(settings, "ccgs")
    reply = Asker(library, FakeEncoder(), settings).ask(QUESTION, method="ccgs")
    assert reply.method == "ccgs" and reply.notice == "" and reply.answers[0].span.start == 0


def test_the_setting_says_what_answers_by_default(library: Library, settings: Settings, loads: Loads) -> None:
    trained(settings, "mutualsl")
    settings.method = "mutualsl"
    asker = Asker(library, FakeEncoder(), settings)
    assert asker.ask(QUESTION).method == "mutualsl"
    assert asker.ask(QUESTION, method="untrained").method == "untrained"
    assert Asker(library, FakeEncoder(), settings, First()).ask(QUESTION).method == "untrained"


def test_what_methods_share_is_loaded_once(library: Library, settings: Settings, loads: Loads) -> None:
    trained(settings, "spanbase")
    known = Methods(library, settings)
    one = METHODS["bm25-span"]
    other = Method("other", "Other", "spanbase", "fused", "")
    assert known.load(one)[0] is known.load(other)[0] is known.load(one)[0]
    assert loads.count == 1 and known.load(one)[1] is known.load(one)[1]
    trained(settings, "spanbase", weights=b"trained longer")
    known.load(one)
    assert loads.count == 2


def test_a_damaged_checkpoint_is_not_read_with_every_question(
    library: Library, settings: Settings, loads: Loads
) -> None:
    trained(settings, "ccgs")
    loads.gives = CheckpointMissing("damaged")
    asker = Asker(library, FakeEncoder(), settings)
    assert {asker.ask(QUESTION, method="ccgs").method for _ in range(3)} == {"untrained"} and loads.count == 1
    loads.gives = None
    trained(settings, "ccgs", weights=b"mended")
    assert asker.ask(QUESTION, method="ccgs").method == "ccgs"


def test_a_network_that_fails_while_answering_gives_way(
    library: Library, settings: Settings, loads: Loads
) -> None:
    trained(settings, "ccgs")
    loads.gives = First()
    loads.gives.fails = True
    reply = Asker(library, FakeEncoder(), settings).ask(QUESTION, method="ccgs")
    assert reply.answers and reply.method == "untrained" and "does not fit" in reply.notice
    with pytest.raises(RuntimeError):  # what goes wrong in the untrained method is no checkpoint's fault
        Asker(library, FakeEncoder(), settings, loads.gives).ask(QUESTION)


def random_networks(settings: Settings, dim: int) -> None:
    """Checkpoints of the real classes, small and untrained, for vectors of this length."""
    pytest.importorskip("torch")
    from pipeline.localize import network_class
    from pipeline.retrieve.dpr import DPR

    for name in ("ccgs", "mutualsl", "spanbase"):
        network_class(name)(d=16, encoder_dim=dim, layers=1).save_pretrained(settings.checkpoints_dir / name)
    DPR(dim=dim, library_model="fake").save_pretrained(settings.checkpoints_dir / "dpr")
    bert = str(tiny_bert(settings.checkpoints_dir / "bert"))
    network_class("default")(d=16, encoder=bert, encoder_dim=dim, window=24, margin=6).save_pretrained(
        settings.checkpoints_dir / "default"
    )


def read_ahead(library: Library, asker: Asker, name: str) -> None:
    """What ingest does for a method with a reading of its own."""
    localizer = asker.methods.parts(name)[0].localizer
    for video in library.videos() if localizer.reading else ():
        cues = library.transcript(video.id).cues
        rows = localizer.read([cue.text for cue in cues])
        library.set_cue_rows(video.id, localizer.reading, rows, cues)


@pytest.mark.parametrize("name", list(METHODS))
def test_real_checkpoints_answer(library: Library, settings: Settings, name: str) -> None:
    random_networks(settings, 64)
    asker = Asker(library, FakeEncoder(dim=64), settings)
    read_ahead(library, asker, name)
    reply = asker.ask(QUESTION, method=name)
    assert (reply.method, reply.notice) == (name, "") and reply.answers and reply.relevance
    assert asker.ask('"six minutes"', method=name).answers[0].title == "Boil an egg"


@pytest.mark.parametrize("name", ["ccgs", "dpr-span"])
def test_checkpoints_for_another_encoder_give_way(library: Library, settings: Settings, name: str) -> None:
    random_networks(settings, 32)
    asker = Asker(library, FakeEncoder(dim=64), settings)
    reply, plain = asker.ask(QUESTION, method=name), asker.ask(QUESTION)
    assert reply.method == "untrained" and "untrained method answered" in reply.notice
    assert [a.span for a in reply.answers] == [a.span for a in plain.answers]


def test_confidence_means_the_same_whatever_found_the_videos(
    library: Library, settings: Settings, loads: Loads
) -> None:
    """BM25 says nothing of meaning, which half of the confidence is made of."""
    trained(settings, "spanbase")
    loads.gives = methods.load_localizer()  # the untrained localizer behind BM25
    asker = Asker(library, FakeEncoder(), settings)
    by_words, plain = asker.ask(QUESTION, method="bm25-span"), asker.ask(QUESTION)
    assert by_words.method == "bm25-span"
    assert by_words.confidence == pytest.approx(plain.confidence, abs=0.02)


def test_quoted_words_are_found_by_every_method(library: Library, settings: Settings, loads: Loads) -> None:
    trained(settings, "spanbase", "ccgs")
    for name in ("bm25-span", "ccgs"):
        reply = Asker(library, FakeEncoder(), settings).ask('"six minutes"', method=name)
        assert reply.method == name and "Six minutes" in reply.answers[0].text


def test_a_name_that_is_none_is_refused(library: Library, settings: Settings) -> None:
    with pytest.raises(BadQuestion, match=r"no method “magic”.+bm25-span"):
        Asker(library, FakeEncoder(), settings).ask(QUESTION, method="magic")


def test_the_command_line_chooses_one(
    library: Library, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERCLIP_CHECKPOINTS_DIR", str(settings.checkpoints_dir))
    words = ["ask", QUESTION, "--library", str(library.root), "--method", "ccgs"]
    assert main([*words, "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["method"] == "untrained" and "not trained" in reply["notice"]
    assert main(words) == 0
    assert "CCGS is not trained yet" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["ask", QUESTION, "--method", "magic"])


def test_the_free_weights_lie_beside_the_others(library: Library, settings: Settings) -> None:
    random_networks(settings, 64)
    free = settings.model_copy(update={"default_weights": "cc0"})
    assert "default-cc0" in commands(METHODS["default"], free)[0]
    assert Methods(library, free).parts("default")[1]  # a notice: it is not there
    (settings.checkpoints_dir / "default").rename(settings.checkpoints_dir / "default-cc0")
    assert not commands(METHODS["default"], free) and not Methods(library, free).parts("default")[1]
    assert Methods(library, settings).parts("default")[1]


def test_a_method_is_judged_by_the_confidence_beside_its_weights(
    library: Library, settings: Settings
) -> None:
    random_networks(settings, 64)
    asker = Asker(library, FakeEncoder(dim=64), settings)
    before = asker.ask(QUESTION, method="ccgs").confidence
    sure = {"bias": 9.0, "weights": {"share": 1.0}, "threshold": 0.5}
    kept = {"full": sure, "words": sure, "rarity": {}}
    path = settings.checkpoints_dir / "ccgs" / "confidence.json"
    path.write_text(json.dumps(kept))
    assert asker.ask(QUESTION, method="ccgs").confidence > 0.99 > before
    assert asker.ask(QUESTION).confidence < 0.99  # the others keep theirs
    path.write_text("[]")
    assert asker.ask(QUESTION, method="ccgs").confidence == before


def test_what_a_network_says_of_its_spans_can_be_weighed(library: Library, settings: Settings) -> None:
    random_networks(settings, 64)
    asker = Asker(library, FakeEncoder(dim=64), settings)
    read_ahead(library, asker, "default")
    parts = asker.methods.parts("default")[0]
    found = asker.find(QUESTION, asker.vector(QUESTION), parts=parts)
    told = asker.signals(found, found.spans[0], parts)
    assert 0 < told["share"] <= 1 and told["answers"] != 0 and "meaning" in told
    assert "answers" not in asker.signals(found, found.spans[0])
