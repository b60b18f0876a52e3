"""The confidence: its function and signals, its fit, and the shipped weights."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from pipeline import calibrate
from pipeline.ask import Asker
from pipeline.calibrate import FULL, WORDS, Example, cross_validated, fit, rarity, report
from pipeline.confidence import FILE, Confidence, Logistic, text_in
from pipeline.datasets.base import Dataset, Narration
from pipeline.features.text import text_vectors
from pipeline.localize import Candidate, Request, network_class
from pipeline.retrieve import Hit
from pipeline.types import Span
from tests.asking import SCRIPTS, cues_of
from tests.fake_encoder import FakeEncoder

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
ENCODER = FakeEncoder()


def made(count: int = 600, seed: int = 0) -> list[Example]:
    """Questions whose chance of having an answer grows with `meaning` and not with `coverage`."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        signals = {"meaning": chance.random(), "coverage": chance.random()}
        answered = chance.random() < Logistic(-4.0, {"meaning": 8.0})(signals)
        kind = "answered" if answered else chance.choice(["close", "left out"])
        rows.append(Example(f"v{i % 40}", (1, 8)[i % 2], kind, answered and chance.random() < 0.7, signals))
    return rows


def test_fit_finds_the_signal_that_matters():
    fitted = fit(made(), ("meaning", "coverage"))
    assert fitted.weights["meaning"] > 5 > 1 > abs(fitted.weights["coverage"])


def test_threshold_refuses_few_answerable_questions():
    rows = made(3000)
    fitted = fit(rows, ("meaning",))
    refused = [fitted(row.signals) < fitted.threshold for row in rows if row.answerable]
    assert 0.03 < sum(refused) / len(refused) <= 0.06


def test_held_out_confidence_is_close_to_the_truth():
    rows = made(3000)
    figures = report(rows, cross_validated(rows, ("meaning",)), 0.5)
    assert figures["auroc"] > 0.85 and 0 <= figures["risk_at_80"] < 0.5
    assert {"auroc close", "auroc left out", "caught close", "wrong_refusals"} <= set(figures)
    assert sum(count for *_, count in figures["reliability"]) == 3000


def test_common_stems_are_less_rare():
    lines = ["the rope and the boat"] * 40 + ["a lonely zebra"]
    data = Dataset("x", "all", {"a": Narration("a", "", 900, cues_of(lines, 30.0))}, ())
    found = rarity(data)
    assert found["rop"] < 0.2 and "zebra" not in found


def signals(question: str, span: Span) -> dict[str, float]:
    cues = cues_of(SCRIPTS["Boil an egg"])
    candidate = Candidate("a", cues, text_vectors(cues, ENCODER), title="Boil an egg", duration=40.0)
    request = Request(question, ENCODER.encode([question])[0], [candidate])
    return Confidence().signals(request, candidate, span, [Hit("a", 0.5, meaning=0.4)])


def test_signals_speak_for_the_right_span():
    right = signals("six minutes soft egg", Span(15, 20))
    wrong = signals("six minutes soft egg", Span(30, 40))
    assert right["coverage"] == 1.0 > wrong["coverage"] and right["meaning"] > wrong["meaning"]
    assert right["covered"] == wrong["covered"] == 1.0 and right["nearest"] == 0.4
    assert signals("zebra crossing", Span(15, 20))["covered"] == 0.0


def test_text_in_takes_cues_by_their_middle():
    assert text_in(cues_of(["one", "two", "three"]), Span(4, 9)) == "two"


def test_a_missing_or_damaged_file_leaves_a_rough_confidence(tmp_path, caplog):
    assert Confidence.load(tmp_path) == Confidence() and "rough" in caplog.text
    (tmp_path / FILE).write_text('{"full": 3}')
    assert Confidence.load(tmp_path) == Confidence()


def test_extreme_signals_stay_probabilities():
    assert 0 <= Logistic(0, {"a": 1e9})({"a": -1e9}) < 1e-9
    assert 1 - 1e-9 < Logistic(0, {"a": 1e9})({"a": 1e9}) <= 1


def test_the_shipped_weights_make_sense():
    data = json.loads((CHECKPOINTS / FILE).read_text())
    assert data["data"] == "howto", "the shipped confidence must be fitted on the CC0 set only"
    assert set(data["full"]["weights"]) == set(FULL) and set(data["words"]["weights"]) == set(WORDS)
    assert all(weight > 0 for weight in data["full"]["weights"].values())
    assert data["full"]["report"]["all"]["wrong_refusals"] <= 0.06
    confidence = Confidence.load(CHECKPOINTS)
    nothing = {"meaning": 0.1, "nearest": 0.1, "covered": 0.1}
    plain = {"meaning": 0.7, "nearest": 0.8, "covered": 1.0}
    assert confidence.full(nothing) < confidence.full.threshold < confidence.full(plain)
    assert all(0 <= value <= 1 for value in confidence.rarity.values())


@pytest.mark.parametrize("name", [FILE])
def test_every_checkpoint_has_a_row(name):
    assert re.search(rf"^\| `{re.escape(name)}` \|", (CHECKPOINTS / "README.md").read_text(), re.M)


def test_a_trained_method_is_judged_by_checkpoints_that_had_not_seen_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, subject in enumerate(("knot", "egg", "tap", "wheel", "splint", "lamp")):
        said = f"now we take the {subject} and turn it twice " * 4
        parts = "".join(
            f"## {p}\n{p} {said}\n? the {p} {subject}\n? {subject} {p}\n" for p in ("first", "last")
        )
        (tmp_path / f"things-{i:02}.txt").write_text(
            f"# {subject}\nstyle: vlog\n{parts}! paint the {subject}\n"
        )
    for k in (1, 2):
        network = network_class("ccgs")(d=8, layers=1)
        network.save_pretrained(tmp_path / f"fold{k}")
    asked: dict[str, set[str]] = {"fold1": set(), "fold2": set()}
    real = calibrate.examples

    kinds: dict[bool, set[str]] = {True: set(), False: set()}

    def watched(data: Dataset, asker: Asker, ids: dict, share: int, whole: bool) -> list[Example]:
        asked[folds.pop(0)] |= {q.video_id for q in data.questions}
        found = real(data, asker, ids, share=share, whole=whole)
        kinds[whole] |= {row.kind for row in found}
        return found

    folds = ["fold1", "fold1", "fold2", "fold2"]
    monkeypatch.setattr(calibrate, "examples", watched)
    monkeypatch.setattr(calibrate, "SIZES", ((1, 4, 2, 1, 2), (0, 1, 8, 6, 0)))
    parts = [f"--fold={k}/2={tmp_path / f'fold{k}'}" for k in (1, 2)]
    data, out = f"--data=howto:{tmp_path}", tmp_path / "out"
    keep = f"--keep={tmp_path / 'kept'}"
    assert calibrate.main([data, f"--out={out}", keep, "--method=ccgs", *parts]) == 0
    assert asked["fold1"] and asked["fold2"] and not asked["fold1"] & asked["fold2"]
    assert kinds[True] == {"answered", "close", "left out"}
    assert kinds[False] == {"answered", "part left out", "left out"}
    figures = json.loads((out / FILE).read_text())["full"]["report"]
    assert set(figures) == {"all", "1", "6", "half"} and "auroc part left out" in figures["half"]
    found = Confidence.beside(out)
    assert found is not None and set(found.full.weights) == set(calibrate.TRAINED)
    assert found.words == Confidence.load(CHECKPOINTS).words
    first = (out / FILE).read_text()
    assert calibrate.main([data, f"--out={out}", keep, "--method=ccgs", *parts]) == 0  # kept: nobody is asked
    assert (out / FILE).read_text() == first
    with pytest.raises(SystemExit):
        calibrate.main([data, f"--out={out}", "--method=ccgs"])
