"""The default's reader and network: a cue is read the same ahead and in training, only what is learned is
kept, the losses are the formulas of the docstring, and a few videos are learned by heart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import CheckpointMissing
from pipeline.features.text import text_vectors
from pipeline.localize import Request
from pipeline.localize.contextspan import ContextSpan
from pipeline.localize.contextual import ContextualReader, LowRank
from pipeline.localize.examples import Example, asking, video_rows, with_answer
from pipeline.localize.learned import LearnedLocalizer
from pipeline.types import Span
from tests.fake_encoder import FakeEncoder
from tests.learned_parts import asked, tiny_bert
from tests.test_localize import video

ENCODER = FakeEncoder()
SMALL = {
    "d": 16,
    "rank": 2,
    "window": 24,
    "margin": 6,
    "heads": 2,
    "similar": 8,
    "lengths": 6,
    "parts": 3,
    "part": 4,
    "dropout": 0.0,
    "encoder_dim": 64,  # of the library's vectors
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("bert")))


@pytest.fixture
def network(bert: str) -> ContextSpan:
    torch.manual_seed(0)
    return ContextSpan(encoder=bert, **SMALL).eval()


def candidate(name: str = "a", cues: int = 20, subject: str = "tie the knot"):
    return video(name, subject, range(8, 12), cues=cues)


def rows(count: int = 2, question: str = "how to tie the knot") -> list[Example]:
    """The same question of `count` videos of different lengths, answered by 24 s to 36 s."""
    ask = asked(question, ENCODER)
    found = []
    for i in range(count):
        each = candidate("abc"[i], 20 + 6 * i)
        found.append(with_answer(asking(ask, each, video_rows(each, with_cues=False)), Span(24, 35.8)))
    return found


def changed(network: ContextSpan) -> ContextSpan:
    """With low-rank changes that do something."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(".b"):
                weight.normal_(0, 0.2)
    return network


def of_cues(heard) -> torch.Tensor:
    return torch.cat([heard.cues, heard.parts.flatten(2)], -1)


def test_cues_read_ahead_are_those_of_training(network):
    changed(network)
    examples = rows(2)
    heard = network.reader(network.batch(examples))
    for i, example in enumerate(examples):
        ahead = network.read(example.texts)
        assert ahead.shape == (len(example.texts), network.reader.width) and ahead.dtype == np.float32
        np.testing.assert_allclose(of_cues(heard)[i, : len(ahead)].detach(), ahead, rtol=1e-4, atol=1e-5)
    ready = [replace(e, read=network.read(e.texts)) for e in examples]
    with torch.inference_mode():
        for found, wanted in zip(
            network(network.batch(ready)), network(network.batch(examples)), strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_every_token_is_kept_once_and_the_margins_are_not(network):
    texts = ["tie the knot", "", "how to", *["the knot how"] * 30]
    windows = network.reader._windows(texts)
    kept = [slot for _, at in windows for slot in at if slot >= 0]
    tokens = [len(ids) for ids in network.reader._ids(texts)]
    parts = SMALL["parts"]
    assert [slot // parts for slot in kept] == [cue for cue, count in enumerate(tokens) for _ in range(count)]
    for cue, count in enumerate(tokens):  # runs of equal length, and each of its tokens where they are few
        runs = np.bincount([slot % parts for slot in kept if slot // parts == cue], minlength=parts)
        assert runs[: min(count, parts)].min(initial=count) >= count // parts
        assert runs.max() <= -(-count // parts)
    assert len(windows) > 3
    assert all(len(ids) == len(at) <= SMALL["window"] + 2 * SMALL["margin"] + 2 for ids, at in windows)
    assert sum(cue < 0 for _, at in windows[1:-1] for cue in at) == (len(windows) - 2) * (2 + 2 * 6)


def test_windows_longer_than_the_encoder_reads_are_refused(bert):
    with pytest.raises(ValueError, match="64 tokens"):
        ContextSpan(encoder=bert, **SMALL | {"window": 60})


def test_a_cue_without_words_is_a_row_of_zeros_and_an_empty_video_has_none(network):
    found = network.read(["tie", "", "knot"])
    assert not found[1].any() and found[0].any() and found[2].any()
    assert network.read([]).shape == (0, network.reader.width)


def test_a_cue_is_read_with_what_is_said_around_it(network):
    alone, among = network.read(["the knot"])[0], network.read(["tie", "the knot", "how"])[1]
    assert np.abs(alone - among).max() > 1e-3


def test_changes_begin_at_nothing_and_can_be_merged(bert):
    torch.manual_seed(0)
    reader = ContextualReader(bert, 2, 24, 6).eval()
    torch.manual_seed(0)
    other = ContextualReader(bert, 2, 24, 6).eval()
    other.merge()  # at first there is nothing to merge
    texts = ["tie the knot", "how to"]
    np.testing.assert_allclose(reader.read(texts), other.read(texts), atol=1e-6)
    for module in reader.modules():
        if isinstance(module, LowRank):
            torch.nn.init.normal_(module.b)
    moved = reader.read(texts)
    assert np.abs(moved - other.read(texts)).max() > 1e-2
    reader.merge()
    assert not any(isinstance(module, LowRank) for module in reader.modules())
    np.testing.assert_allclose(reader.read(texts), moved, atol=1e-5)


def test_only_what_is_learned_can_change_and_is_kept(network, tmp_path):
    changed(network).save_pretrained(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    assert all(name.endswith((".a", ".b")) for name in kept if name.startswith("reader.encoder."))
    assert set(kept) == {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert all(weight.dtype == torch.float16 for weight in kept.values())
    again = ContextSpan.load(tmp_path)
    assert not any(w.requires_grad for w in again.reader.parameters())
    np.testing.assert_allclose(again.read(["tie the knot"]), network.read(["tie the knot"]), atol=2e-3)


@pytest.mark.parametrize("damage", ["less", "more", "shape"])
def test_other_weights_are_refused(network, tmp_path, damage):
    network.save_pretrained(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    name = next(iter(kept))
    if damage == "less":
        del kept[name]
    elif damage == "more":
        kept["reader.encoder.embeddings.word_embeddings.weight"] = torch.zeros(1)
    else:
        kept[name] = torch.zeros(3, 3, 3)
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointMissing, match="pipeline train"):
        ContextSpan.load(tmp_path)


def test_its_reading_has_another_name_when_cues_are_read_otherwise_and_only_then(network, bert):
    name = LearnedLocalizer(network).reading
    assert name.startswith("default-")
    with torch.no_grad():
        network.norm.weight.mul_(2)
    assert LearnedLocalizer(network).reading == name
    torch.manual_seed(0)
    wider = ContextSpan(encoder=bert, **SMALL | {"window": 25})
    names = {name, LearnedLocalizer(wider).reading, LearnedLocalizer(changed(network)).reading}
    assert len(names) == 3


def test_what_was_not_read_ahead_is_not_answered_by_it(network):
    localizer = LearnedLocalizer(network)
    question, unread = asked("how to tie the knot", ENCODER), candidate()
    request = Request(question.text, question.vector, (unread,), 3)
    assert localizer.distributions(request) == {}
    for rows_of in (localizer.read(["tie"]), np.zeros((len(unread.cues), 5), np.float32)):
        other = replace(unread, read=rows_of)  # of other cues, or of another network
        assert localizer.distributions(replace(request, candidates=(other,), kept={})) == {}
    ready = replace(unread, read=localizer.read([cue.text for cue in unread.cues]))
    assert list(localizer.distributions(replace(request, candidates=(ready,), kept={}))) == ["a"]
    narrow = replace(ready, vectors=text_vectors(ready.cues, FakeEncoder(dim=32)))  # of another text encoder
    assert localizer.distributions(replace(request, candidates=(narrow,), kept={})) == {}
    without = replace(request, vector=None, candidates=(ready,), kept={})
    assert localizer.distributions(without) == {}  # it also reads the library's vectors


def test_the_losses_are_the_formulas(network):
    batch = network.batch(rows(2))
    total, terms = network.loss(batch)
    with torch.inference_mode():
        logits = network(batch)[0].double().numpy()
    places, expected = [], []
    for i, (matrix, example) in enumerate(zip(logits, rows(2), strict=True)):
        n = len(example.times)
        spans = [(y, x) for y in range(n) for x in range(y, n)]
        values = np.array([matrix[y, x] for y, x in spans])
        chances = np.exp(values - np.logaddexp.reduce(values))
        times = [Span(example.times[y, 0], example.times[x, 1]) for y, x in spans]
        overlaps = np.array([span.iou(Span(*batch.answer[i].tolist())) for span in times])
        target = np.exp((overlaps - overlaps.max()) / 0.05) * (overlaps >= 0.6 * overlaps.max())
        places.append(-(target / target.sum() * np.log(chances)).sum())
        expected.append(-np.log((chances * (overlaps + 1e-6)).sum()))
    assert terms["place"] == pytest.approx(np.mean(places), rel=1e-3)
    assert terms["expected"] == pytest.approx(np.mean(expected), rel=1e-3)
    parts = terms["place"] + terms["expected"] + terms["contrast"] + 0.5 * terms["answered"]
    assert float(total.detach()) == pytest.approx(parts, rel=1e-5)


def test_what_has_no_answer_only_says_so(network):
    with_one, without = rows(2)
    without = replace(without, start=-1, end=-1, answer=(0.0, 0.0))
    _, alone = network.loss(network.batch([with_one]))
    _, both = network.loss(network.batch([with_one, without]))
    for term in ("place", "expected", "contrast"):
        assert both[term] == pytest.approx(alone[term], rel=1e-4)
    with torch.inference_mode():
        told = network(network.batch([with_one, without]))[1]
    wanted = (np.logaddexp(0, -float(told[0])) + np.logaddexp(0, float(told[1]))) / 2
    assert both["answered"] == pytest.approx(wanted, rel=1e-4)
    total, only = network.loss(network.batch([without]))
    assert set(only) == {"answered"} and float(total.detach()) == pytest.approx(0.5 * only["answered"])


def test_the_contrast_is_among_the_different_sections_of_the_batch(network):
    first = rows(1)[0]
    again = with_answer(replace(first, asked=asked("the knot", ENCODER)), Span(24, 35.8))
    other = with_answer(replace(first, asked=asked("how to", ENCODER)), Span(0, 8.8))
    batch = network.batch([first, again, other])
    heard = network.reader(batch)
    cues = heard.cues[0].detach().numpy()
    sections = np.stack([cues[8:12].mean(0), cues[0:3].mean(0)])
    unit = [
        each / np.linalg.norm(each, axis=1, keepdims=True)
        for each in (heard.question_vector.detach(), sections)
    ]
    logits = np.asarray(unit[0]) @ unit[1].T * 15
    wanted = np.mean([np.logaddexp.reduce(row) - row[i] for row, i in zip(logits, (0, 0, 1), strict=True)])
    assert float(network._contrast(batch, heard, batch.start >= 0).detach()) == pytest.approx(
        float(wanted), rel=1e-3
    )


def test_lengths_between_two_places_are_between_their_logits(network):
    about = torch.randn(1, 16)
    network.requires_grad_(False)
    usual = network.length(about)[0]
    times = torch.tensor([[[0.0, 2.0], [2.0, 300.0]]])
    found = network._lengths(about, times)[0]
    assert float(found[0, 0]) == pytest.approx(float(usual[0]))
    assert float(found[0, 1]) == pytest.approx(float(usual[-1]))
    middle = torch.tensor([[[0.0, float(np.sqrt(2 * 300))]]])
    between = network._lengths(about, middle)[0, 0, 0]
    assert float(between) == pytest.approx(float((usual[2] + usual[3]) / 2), rel=1e-4)


def test_inside_and_outside_are_means_by_seconds(network):
    network.requires_grad_(False)
    with torch.no_grad():
        network.inside.weight.zero_()
        network.inside.weight[0, 0] = 1.0
        network.inside.bias.zero_()
    batch = replace(network.batch(rows(1)), times=torch.tensor([[[0.0, 1.0], [1.0, 4.0], [4.0, 6.0]]]))
    batch = replace(batch, cue_mask=torch.ones(1, 3, dtype=torch.bool))
    x = torch.zeros(1, 3, 16)
    x[0, :, 0] = torch.tensor([1.0, 2.0, 6.0])
    found = network._insides(x, batch)[0]
    assert float(found[0, 1]) == pytest.approx((1 + 2 * 3) / 4 - 6)
    assert float(found[1, 1]) == pytest.approx(2 - (1 + 6 * 2) / 3)


def test_a_handful_is_learned_to_the_end(bert):
    torch.manual_seed(0)
    network = ContextSpan(encoder=bert, **SMALL)
    first, second = candidate("a", 20), candidate("b", 26)
    wanted = [
        (first, "tie", Span(24, 35.8)),
        (first, "how", Span(0, 8.8)),
        (second, "knot", Span(51, 77.8)),
        (second, "to", Span(12, 23.8)),
    ]
    examples = [
        with_answer(asking(asked(text, ENCODER), each, video_rows(each, with_cues=False)), span)
        for each, text, span in wanted
    ]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(80):
        loss, _ = network.loss(network.batch(examples))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    localizer = LearnedLocalizer(network)
    for (_, _, span), found in zip(wanted, localizer.distributions_of(examples), strict=True):
        assert localizer.best(found, 1)[0][0].iou(span) > 0.99


def test_the_config_says_what_it_is(network, tmp_path: Path):
    network.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["method"] == "default" and config["reading"] == "contextual" and config["rank"] == 2


@pytest.mark.parametrize("cues", [1, 2, 40])
def test_a_video_of_few_cues_is_learned_from_too(network, cues):
    """What is the same all over a video has no spread, and a root of nothing no gradient."""
    network.train()
    ask = asked("how to tie the knot", ENCODER)
    each = video("a", "tie the knot", range(1), cues=cues)
    example = with_answer(asking(ask, each, video_rows(each, with_cues=False)), each.cues[0].span)
    loss, _ = network.loss(network.batch([example]))
    loss.backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in network.parameters())
