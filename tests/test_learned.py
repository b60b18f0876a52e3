"""The base of the trained localizers: what every network must hold to, and how spans are decoded."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import CheckpointMissing
from pipeline.localize import NETWORKS, Request, learned, load_localizer, network_class
from pipeline.localize.examples import Asked, example, target
from pipeline.localize.layers import masked_softmax, pool_cues, rotary
from pipeline.localize.learned import Distribution, LearnedLocalizer, _expected_overlaps
from pipeline.types import Span
from tests.fake_encoder import FakeEncoder
from tests.learned_parts import CONFIG, asked, tiny_network
from tests.test_localize import video

ENCODER = FakeEncoder()


def questions_and_videos(localizer=None):
    """Three, with what the localizer reads of the cues at ingest."""
    subjects = ["tie the knot", "boil the egg", "fix the tap"]
    found = []
    for i, (name, subject) in enumerate(zip("abc", subjects, strict=True)):
        candidate = video(name, subject, range(8, 14), cues=20 + 7 * i)
        if localizer is not None and localizer.reading:
            candidate = replace(candidate, read=localizer.read([cue.text for cue in candidate.cues]))
        found.append((asked(f"how to {subject}", ENCODER), candidate))
    return found


def examples(network):
    return [
        example(question, candidate, network.config.visual, Span(24, 42))
        for question, candidate in questions_and_videos()
    ]


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    return tiny_network(request.param)


@pytest.fixture
def localizer(network):
    return LearnedLocalizer(network)


def spans_of(network, rows):
    with torch.inference_mode():
        return network.spans(network.batch(rows))


def test_padding_and_batch_order_change_nothing(network):
    rows = examples(network)
    together = spans_of(network, rows)
    backwards = spans_of(network, rows[::-1])
    for i, row in enumerate(rows):
        alone = spans_of(network, [row])
        n = alone.logits.shape[1]
        mask = alone.mask[0]
        assert torch.equal(together.mask[i, :n, :n], mask) and not together.mask[i, n:].any()
        for other in (together.logits[i], backwards.logits[-1 - i]):
            torch.testing.assert_close(other[:n, :n][mask], alone.logits[0][mask], rtol=1e-4, atol=1e-4)


def test_spans_never_end_before_they_start(network):
    found = spans_of(network, examples(network))
    assert found.mask.any() and not torch.tril(found.mask.float(), -1).any()


def test_the_loss_is_finite_and_reaches_every_weight(network):
    network.train()
    rows = [row for row in examples(network) for _ in range(1 + network.negatives)]
    for i in range(len(rows)):
        if network.negatives and i % (1 + network.negatives):
            rows[i] = replace(rows[i], start=-1, end=-1, start_visual=-1, end_visual=-1)
    loss, logged = network.loss(network.batch(rows, 1 + network.negatives))
    loss.backward()
    assert torch.isfinite(loss) and all(np.isfinite(value) for value in logged.values())
    silent = [name for name, w in network.named_parameters() if w.requires_grad and w.grad is None]
    assert not silent


def test_a_checkpoint_round_trips(network, tmp_path):
    network.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["method"] == network.method
    again = type(network).load(tmp_path)
    rows = examples(network)
    # The default keeps its weights in half precision.
    near = {"rtol": 2e-2, "atol": 0.2} if network.method == "default" else {}
    torch.testing.assert_close(spans_of(again, rows).logits, spans_of(network, rows).logits, **near)
    assert load_localizer(network.method, tmp_path).name == network.method
    assert load_localizer(network.method, tmp_path, decode="expected_iou").decode == "expected_iou"


def test_foreign_checkpoints_are_refused_with_a_remedy(network, tmp_path):
    with pytest.raises(CheckpointMissing, match="pipeline train"):
        load_localizer(network.method, checkpoints=tmp_path)
    network.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for changed in ({"d": 32}, {"method": "other"}, {"surprise": 1}, {"reading": "aloud"}):
        (tmp_path / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(CheckpointMissing, match="pipeline train"):
            load_localizer(network.method, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04not a tensor")
    with pytest.raises(CheckpointMissing, match="pipeline train"):
        load_localizer(network.method, tmp_path)


def test_scores_are_one_distribution_over_all_candidates(localizer):
    question, first = questions_and_videos(localizer)[0]
    second = questions_and_videos(localizer)[1][1]
    request = Request(question.text, question.vector, (first, second), 200, question.states)
    found = localizer.localize(request)
    assert {s.video_id for s in found} == {"a", "b"}
    assert 0 < sum(s.score for s in found) <= 1 + 1e-6
    alone = localizer.localize(replace(request, candidates=(first,), kept={}))
    assert [s.span for s in alone] == [s.span for s in found if s.video_id == "a"]


def test_retrieval_decides_between_videos(localizer):
    question, first = questions_and_videos(localizer)[0]
    second = questions_and_videos(localizer)[1][1]

    def best(a, b):
        candidates = (first.scored(a), second.scored(b))
        return localizer.localize(Request(question.text, question.vector, candidates, 1, question.states))[0]

    assert best(1.0, 0.0).video_id == "a" and best(0.0, 1.0).video_id == "b"


def test_the_curve_has_one_value_for_each_unit(localizer):
    question, candidate = questions_and_videos(localizer)[0]
    curve = localizer.curve(
        Request(question.text, question.vector, (candidate,), 3, question.states), candidate
    )
    assert [t for t, _ in curve] == sorted(t for t, _ in curve)
    assert max(v for _, v in curve) == pytest.approx(1) and min(v for _, v in curve) >= 0


def test_a_longer_video_beside_it_does_not_lengthen_the_curve(localizer):
    (question, candidate), (_, other) = questions_and_videos(localizer)[:2]
    assert len(candidate.cues) != len(other.cues)
    request = Request(question.text, question.vector, (candidate, other), 3, question.states)
    for each in (candidate, other):
        alone = replace(request, candidates=(each,), kept={})
        assert [t for t, _ in localizer.curve(request, each)] == [t for t, _ in localizer.curve(alone, each)]


def test_without_vectors_the_untrained_one_answers(localizer):
    question, candidate = questions_and_videos()[0]
    bare = replace(candidate, vectors=None)
    found = localizer.localize(Request(question.text, None, (bare,), 3))
    assert found and found[0].span.overlap(Span(24, 42))


def test_vectors_of_another_encoder_are_not_fed_to_the_network(localizer):
    other = FakeEncoder("other", dim=32)
    from pipeline.features.text import text_vectors

    question, candidate = questions_and_videos()[0]
    foreign = replace(candidate, vectors=text_vectors(candidate.cues, other))
    assert localizer.localize(Request(question.text, other.encode(["x"])[0], (foreign,), 3, question.states))


# Decoding


def distribution(logits, times=None):
    n = len(logits)
    first, last = np.triu_indices(n)
    times = np.stack([np.arange(n), np.arange(n) + 1], 1) * 10.0 if times is None else times
    return Distribution(np.asarray(logits, float)[first, last], first, last, times)


def test_expected_overlap_takes_the_middle_of_what_is_likely():
    logits = np.full((6, 6), -20.0)
    logits[0, 1], logits[0, 2], logits[0, 3] = 2.0, 1.9, 1.9
    network = tiny_network("spanbase")
    (argmax, _), *_ = LearnedLocalizer(network, "argmax").best(distribution(logits), 1)
    (middle, _), *_ = LearnedLocalizer(network, "expected_iou").best(distribution(logits), 1)
    assert argmax == Span(0, 20) and middle == Span(0, 30)


def test_expected_overlap_is_what_brute_force_gives():
    chance = np.random.default_rng(0)
    begins = chance.integers(0, 20, 12).astype(float)
    seconds = np.stack([begins, begins + chance.integers(1, 20, 12)], 1)
    weights = chance.random(12)
    spans = [Span(a, b) for a, b in seconds]
    wanted = [sum(w * s.iou(t) for w, t in zip(weights / weights.sum(), spans, strict=True)) for s in spans]
    np.testing.assert_allclose(_expected_overlaps(seconds, weights), wanted)


def test_more_spans_than_are_likely_can_be_had():
    logits = np.full((40, 40), -9.0)
    logits[3:30, 3:30] = 5.0
    found = LearnedLocalizer(tiny_network("spanbase")).best(distribution(logits), 12)
    assert len(found) == 12 and not any(a.overlap(b) for i, (a, _) in enumerate(found) for b, _ in found[:i])


# What networks read


def test_targets_are_the_nearest_cues():
    times = np.array([[0.0, 4.0], [4.0, 9.0], [9.0, 15.0]])
    assert target(times, Span(3.0, 8.0)) == (1, 1)
    assert target(times, Span(0.0, 99.0)) == (0, 2)
    assert target(times, Span(8.9, 9.1)) == (2, 2)  # the end may not lie before the start


def test_transcript_rows_follow_the_cues_second_by_second():
    _, candidate = questions_and_videos()[0]
    rows = example(Asked("x"), candidate, "transcript").visual
    first, last = candidate.cue_vectors[[0, 19]]
    assert len(rows) == 60 and np.allclose((rows**2).mean(1), 1)  # as large as picture features are
    for row, cue in ((rows[0], first), (rows[59], last)):
        assert row @ cue == pytest.approx(np.linalg.norm(row) * np.linalg.norm(cue), rel=1e-5)


def test_picture_features_of_another_width_are_as_good_as_none():
    question, candidate = questions_and_videos()[0]
    localizer = LearnedLocalizer(tiny_network("ccgs", visual="i3d", visual_dim=1024))
    request = Request(question.text, question.vector, (candidate,), 3, question.states)
    foreign = replace(request, candidates=(replace(candidate, visual=np.ones((60, 7))),), kept={})
    assert localizer.localize(foreign) == localizer.localize(request) != []


def test_long_videos_are_averaged_down(monkeypatch):
    _, candidate = questions_and_videos()[0]
    long = replace(candidate, visual=np.arange(1300, dtype=np.float32)[:, None], duration=1300.0)
    found = example(Asked("x"), long, "i3d", Span(600, 900))
    assert found.visual.shape == (434, 1) and found.visual[0] == 1 and found.visual[-1] == 1299
    begin, end = found.visual_times[found.start_visual][0], found.visual_times[found.end_visual][1]
    assert (begin, end) == (600, 900)


def test_the_joint_reader_reads_every_token_of_a_long_transcript(tmp_path):
    network = tiny_network("spanbase", reading="joint", tmp_path=tmp_path)
    question, candidate = questions_and_videos()[0]
    row = example(question, candidate)
    batch = network.batch([row])
    assert len(batch.ids) > 1  # several windows
    seen = set(batch.token_at[batch.token_at >= 0].tolist())
    assert seen == set(range(int((batch.cue_of >= 0).sum())))
    words = network.reader(batch)
    assert words.tokens.shape[1] == batch.cue_of.shape[1] and words.question_mask.all()


@pytest.mark.parametrize("sizes", [{"overlap": 500}, {"max_tokens": 20, "overlap": 15}])
def test_no_token_is_lost_where_windows_hardly_overlap_or_are_short(tmp_path, sizes):
    network = tiny_network("spanbase", reading="joint", tmp_path=tmp_path, **sizes)
    question, candidate = questions_and_videos()[0]
    batch = network.batch([example(replace(question, text="how to " * 60), candidate)])
    assert batch.ids.shape[1] <= min(network.config.max_tokens, 64)
    assert set(batch.token_at[batch.token_at >= 0].tolist()) == set(range(int((batch.cue_of >= 0).sum())))
    assert torch.isfinite(network.spans(batch).logits).all()


@pytest.mark.parametrize(
    ("kind", "config", "limit"),
    [
        ("bert", {"max_position_embeddings": 40}, 40),
        ("roberta", {"max_position_embeddings": 42, "pad_token_id": 1}, 40),
        ("deberta-v2", {"max_position_embeddings": 40, "position_biased_input": False}, 90),
    ],
)
def test_windows_are_as_long_as_the_encoder_can_read(kind, config, limit):
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    described = {"model_type": kind, "intermediate_size": 8, "relative_attention": True} | sizes | config
    network = network_class("spanbase")(reading="joint", d=8, max_tokens=90, encoder_config=described)
    assert network.reader.max_tokens == limit
    network.reader.encoder(input_ids=torch.full((1, limit), 3))


def test_a_joint_checkpoint_needs_nothing_but_its_folder(tmp_path):
    network = tiny_network("spanbase", reading="joint", tmp_path=tmp_path / "encoder")
    network.save_pretrained(tmp_path / "kept")
    for path in (tmp_path / "encoder").iterdir():
        path.unlink()
    again = network_class("spanbase").load(tmp_path / "kept")
    question, candidate = questions_and_videos()[0]
    rows = [example(question, candidate)]
    # The default keeps its weights in half precision.
    near = {"rtol": 2e-2, "atol": 5e-2} if network.method == "default" else {}
    torch.testing.assert_close(spans_of(again, rows).logits, spans_of(network, rows).logits, **near)


@pytest.mark.parametrize("reading", ["cached", "joint"])
def test_a_hub_name_is_as_good_as_a_folder(tmp_path, monkeypatch, reading):
    network = tiny_network("ccgs", reading=reading, tmp_path=tmp_path / "encoder")
    network.save_pretrained(tmp_path / "kept")
    asked = []

    def downloaded(name, **options):
        asked.append(name)
        return str(tmp_path / "kept")

    monkeypatch.setattr(learned, "snapshot_download", downloaded)
    config = str(tmp_path / "kept" / "config.json")
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", lambda **options: config)
    again = network_class("ccgs").load("someone/ccgs")
    rows = examples(network)
    # The default keeps its weights in half precision.
    near = {"rtol": 2e-2, "atol": 5e-2} if network.method == "default" else {}
    torch.testing.assert_close(spans_of(again, rows).logits, spans_of(network, rows).logits, **near)
    assert asked == ["someone/ccgs"]


# Layers


def test_rotary_scores_depend_on_the_distance_only():
    x, y = torch.randn(2, 1, 1, 8)

    def score(i, j):
        return float((rotary(x, torch.tensor([i])) * rotary(y, torch.tensor([j]))).sum())

    assert score(3, 7) == pytest.approx(score(103, 107), abs=1e-4) and score(3, 7) != pytest.approx(
        score(7, 3)
    )


def test_cues_are_the_means_of_their_tokens():
    tokens = torch.tensor([[[1.0], [3.0], [5.0], [9.0]]])
    assert pool_cues(tokens, torch.tensor([[0, 0, 2, -1]]), 3).flatten().tolist() == [2, 0, 5]


def test_a_softmax_over_nothing_is_nothing():
    assert masked_softmax(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool)).sum() == 0


assert CONFIG["encoder_dim"] == ENCODER.dim
