"""CCGS against its equations, computed again in NumPy, and what it can and cannot learn."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from pipeline.localize.ccgs import CCGS, GlobalSpanMatrix, span_loss
from pipeline.localize.examples import Example, example, with_answer
from pipeline.localize.layers import span_mask
from pipeline.localize.learned import LearnedLocalizer, Network
from pipeline.types import Span
from tests import planted
from tests.learned_parts import tiny_network
from tests.test_learned import examples

ABLATIONS = ({}, {"fusion": False}, {"contrastive": False}, {"matrix": False})


def pictured(network: Network, count: int = 3) -> list[Example]:
    """Examples with pictures and answers of different places."""
    found = planted.corpus("hint", count, seed=5)
    return [example(p.asked, p.candidates[0], network.config.visual, p.answer) for p in found]


def logits_of(network: Network, rows: list[Example]) -> torch.Tensor:
    with torch.inference_mode():
        return network.spans(network.batch(rows)).logits


# Eq. 8 to 12


def row_loss(matrices: list[np.ndarray], counts: list[int], y: int, x: int) -> float:
    """-log of the softmax of [y, x] of the first matrix among all spans of all matrices, one by one."""
    everything = [
        matrix[a, b]
        for matrix, count in zip(matrices, counts, strict=True)
        for a in range(count)
        for b in range(a, count)
    ]
    return float(np.log(np.sum(np.exp(everything))) - matrices[0][y, x])


COUNTS, R, GROUP = [5, 3, 7, 7, 2, 6], 7, 3
START, END = torch.tensor([1, -1, -1, 0, -1, -1]), torch.tensor([4, -1, -1, 6, -1, -1])


@pytest.fixture
def matrices():
    mask = torch.arange(R)[None] < torch.tensor(COUNTS)[:, None]
    return torch.randn(6, R, R, generator=torch.manual_seed(3)), span_mask(mask)


def test_loss_1_is_the_cross_entropy_of_each_matrix(matrices):
    logits, mask = matrices
    wanted = [row_loss([logits[i].numpy()], [COUNTS[i]], int(START[i]), int(END[i])) for i in (0, 3)]
    assert float(span_loss(logits, mask, START, END)) == pytest.approx(np.mean(wanted), abs=1e-5)


def test_loss_2_is_the_cross_entropy_of_the_matrices_of_a_group_together(matrices):
    logits, mask = matrices
    wanted = [
        row_loss(list(logits[i : i + 3].numpy()), COUNTS[i : i + 3], int(START[i]), int(END[i]))
        for i in (0, 3)
    ]
    assert float(span_loss(logits, mask, START, END, GROUP)) == pytest.approx(np.mean(wanted), abs=1e-5)


def test_what_is_masked_has_no_part_in_the_losses(matrices):
    logits, mask = matrices
    other = torch.where(mask, logits, torch.full_like(logits, 50.0))
    for group in (1, GROUP):
        assert float(span_loss(other, mask, START, END, group)) == pytest.approx(
            float(span_loss(logits, mask, START, END, group))
        )


def test_without_an_answer_there_is_nothing_to_learn(matrices):
    logits, mask = matrices
    logits.requires_grad_()
    loss = span_loss(logits, mask, torch.full((6,), -1), torch.full((6,), -1), GROUP)
    loss.backward()
    assert loss == 0 and not logits.grad.any()


@pytest.mark.parametrize("config", ABLATIONS)
def test_the_loss_is_the_sum_that_the_switches_leave(config):
    network = tiny_network("ccgs", **config)
    rows = [row for row in examples(network) for _ in range(2)]
    rows = [replace(row, start=-1, end=-1) if i % 2 else row for i, row in enumerate(rows)]
    batch = network.batch(rows, 2)
    with torch.inference_mode():
        loss, logged = network.loss(batch)
        alone, only = network.loss(replace(batch, group=1))
    logits, mask = logits_of(network, rows), span_mask(batch.cue_mask)
    loss2 = float(span_loss(logits, mask, batch.start, batch.end, 2))
    contrast = loss2 if config.get("contrastive", True) else 0.0
    assert float(loss) == pytest.approx(logged["loss1"] + contrast, abs=1e-4)
    assert float(alone) == pytest.approx(logged["loss1"], abs=1e-4) and set(only) == {"loss1"}
    if config.get("matrix", True):
        assert logged["loss1"] == pytest.approx(
            float(span_loss(logits, mask, batch.start, batch.end)), abs=1e-4
        )


def test_every_negative_makes_the_contrast_harder():
    network = tiny_network("ccgs", negatives=3)
    assert network.negatives == 3 and tiny_network("ccgs", contrastive=False).negatives == 0
    first, *others = examples(network)
    losses = []
    for count in range(1, 3):
        rows = [first, *(replace(row, start=-1, end=-1, asked=first.asked) for row in others[:count])]
        losses.append(network.loss(network.batch(rows, 1 + count))[1]["loss2"])
    assert losses[0] < losses[1]


# Eq. 5 to 7


def matrix_of_tokens(network: CCGS, tokens: np.ndarray, cue_of: list[int], r: int) -> np.ndarray:
    """Eq. 5-7 token by token: every pair of tokens, then the mean over the block of each pair of cues."""
    split = network.predict.split
    both = tokens @ split.weight.detach().numpy().T + split.bias.detach().numpy()
    d = tokens.shape[1]

    def rotated(row: np.ndarray, position: int) -> np.ndarray:
        pairs = row[: d // 2] + 1j * row[d // 2 :]
        turned = pairs * np.exp(1j * position * 10000.0 ** (-np.arange(d // 2) / (d // 2)))
        return np.concatenate([turned.real, turned.imag])

    x = [rotated(row[:d], i) for i, row in enumerate(both)]
    y = [rotated(row[d:], i) for i, row in enumerate(both)]
    found = np.zeros((r, r))
    for head in range(r):
        for tail in range(r):
            block = [
                y[i] @ x[j]
                for i in range(len(cue_of))
                for j in range(len(cue_of))
                if cue_of[i] == head and cue_of[j] == tail
            ]
            found[head, tail] = np.mean(block) / np.sqrt(d) if block else 0.0
    return found


@pytest.mark.parametrize("reading", ["cached", "joint"])
def test_the_matrix_is_the_mean_over_the_tokens_of_two_cues(reading, tmp_path):
    network = tiny_network("ccgs", reading=reading, tmp_path=tmp_path)
    rows = examples(network)[:2]
    rows = [
        replace(
            row,
            texts=row.texts[:6],
            times=row.times[:6],
            cues=row.cues[:6],
            cosines=row.cosines[:6],
            said=row.said[:6],
        )
        for row in rows
    ]
    batch = network.batch(rows)
    words = network.reader(batch)
    logits = logits_of(network, rows)
    for row in range(2):
        real = int(words.token_mask[row].sum())
        cue_of = words.cue_of[row, :real].tolist()
        assert reading == "cached" or len(cue_of) > 6  # several tokens of a cue
        wanted = matrix_of_tokens(network, words.tokens[row, :real].detach().numpy(), cue_of, 6)
        np.testing.assert_allclose(logits[row].numpy(), wanted, rtol=1e-3, atol=1e-4)


def test_the_matrix_is_not_taken_in_half_precision():
    torch.manual_seed(0)
    predict = GlobalSpanMatrix(64).eval()
    tokens, cue_of = 8 * torch.randn(1, 30, 64), torch.arange(30)[None]
    with torch.inference_mode():
        whole = predict(tokens, cue_of, 30)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = predict(tokens, cue_of, 30)
    assert half.dtype == torch.float32
    assert float((half - whole).abs().max()) < 0.02 * float(whole.abs().max())


# Eq. 1 to 4


def test_fusion_adds_one_vector_of_the_video_to_every_token():
    network = planted.network("ccgs", visual="i3d")
    batch = network.batch(pictured(network))
    with torch.inference_mode():
        words = network.reader(batch)
        added = network.fuse(batch, words)
        fused = network.predict(words.tokens + added, words.cue_of, batch.cue_mask.shape[1])
        torch.testing.assert_close(network(batch), fused)
    assert added.shape == (3, 1, 32) and added.abs().sum() > 0


def test_the_order_of_the_pictures_changes_nothing():
    """What CCGS as printed cannot do: see when something is shown."""
    network = planted.network("ccgs", visual="i3d")
    rows = pictured(network)
    shuffled = [replace(row, visual=row.visual[np.random.default_rng(0).permutation(24)]) for row in rows]
    other = [replace(row, visual=row.visual + 1) for row in rows]
    before = logits_of(network, rows)
    torch.testing.assert_close(logits_of(network, shuffled), before)
    assert not torch.allclose(logits_of(network, other), before, atol=1e-3)


def test_longer_videos_beside_it_do_not_change_what_a_video_shows():
    network = planted.network("ccgs", visual="i3d")
    short, *rest = pictured(network)
    short = replace(short, visual=short.visual[:9], visual_times=short.visual_times[:9])
    torch.testing.assert_close(logits_of(network, [short, *rest])[0], logits_of(network, [short])[0])


@pytest.mark.parametrize("config", [{"fusion": False, "visual": "i3d"}, {"visual": "none"}])
def test_without_pictures_or_fusion_there_are_no_weights_for_it(config):
    network = planted.network("ccgs", **config)
    assert network.fuse is None and not any("fuse" in name for name, _ in network.named_parameters())


def test_a_video_without_pictures_is_read_by_its_words_and_takes_them_from_no_other():
    network = planted.network("ccgs", visual="i3d")
    (p,) = planted.corpus("which-words", 1, seed=0)
    blind, seeing = replace(p.candidates[0], visual=None), p.candidates[1]
    localizer = LearnedLocalizer(network, device="cpu")
    together = localizer.distributions(p.request(blind, seeing))
    for candidate in (blind, seeing):
        alone = localizer.distributions(p.request(candidate))[candidate.video_id]
        np.testing.assert_allclose(together[candidate.video_id].logits, alone.logits, atol=1e-5)


# Checkpoints


@pytest.mark.parametrize("config", [*ABLATIONS, {"negatives": 4}])
def test_ablations_round_trip(config, tmp_path):
    network = planted.network("ccgs", visual="i3d", **config)
    network.save_pretrained(tmp_path)
    again = CCGS.load(tmp_path)
    assert again.config == network.config and again.negatives == network.negatives
    rows = pictured(network)
    torch.testing.assert_close(logits_of(again, rows), logits_of(network, rows))


@pytest.mark.parametrize("config", [{"negatives": -1}, {"d": 15}])
def test_sizes_that_cannot_be_are_refused(config):
    with pytest.raises(ValueError, match="negatives"):
        tiny_network("ccgs", **config)


# Learning


@pytest.mark.parametrize("visual", ["none", "transcript"])
@pytest.mark.parametrize("reading", ["cached", "joint"])
def test_a_handful_of_examples_is_learned_by_heart(reading, visual, tmp_path):
    network = tiny_network("ccgs", reading=reading, tmp_path=tmp_path, visual=visual, visual_dim=192)
    answers = [Span(24, 42), Span(6, 12), Span(30, 33)]
    rows = [with_answer(row, answer) for row, answer in zip(examples(network), answers, strict=True)]
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    batch = network.batch(rows)
    network.train()
    for _ in range(120):
        loss, _ = network.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    localizer = LearnedLocalizer(network, "argmax", "cpu")
    for row, found in zip(rows, localizer.distributions_of(rows), strict=True):
        (span, _), *_ = localizer.best(found, 1)
        units = Span(row.times[row.start, 0], row.times[row.end, 1])
        assert span.iou(units) == pytest.approx(1.0)


STEPS = {"words": 100, "picture": 150, "both": 150, "hint": 250, "which-words": 80, "which-picture": 250}


@cache
def trained(kind: str, **config: object) -> Network:
    network = planted.network("ccgs", **config)
    planted.fit(network, planted.corpus(kind, 400, seed=0), STEPS[kind])
    return network


def held_out(kind: str) -> list[planted.Planted]:
    return planted.corpus(kind, 60, seed=1)


@pytest.mark.parametrize("config", [{"visual": "none"}, {"visual": "i3d"}, {"matrix": False}])
def test_what_is_spoken_is_found(config):
    assert planted.mean_iou(trained("words", **config), held_out("words")) > 0.9


@pytest.mark.parametrize("kind", ["picture", "both"])
def test_when_something_is_shown_is_not_found(kind):
    """By construction, see above: pictures alone give chance, pictures and words what words alone give."""
    with_pictures = planted.mean_iou(trained(kind, visual="i3d"), held_out(kind))
    assert with_pictures < {"picture": 0.35, "both": 0.7}[kind]


def test_what_is_shown_tells_which_of_two_spoken_places_is_meant():
    assert planted.mean_iou(trained("hint", visual="i3d"), held_out("hint")) > 0.75
    assert planted.mean_iou(trained("hint"), held_out("hint")) < 0.65


@pytest.mark.parametrize(("kind", "visual"), [("which-words", "none"), ("which-picture", "i3d")])
def test_contrast_makes_videos_comparable(kind, visual):
    with_it, without = trained(kind, visual=visual), trained(kind, visual=visual, contrastive=False)
    for network in (with_it, without):
        assert planted.mean_iou(network, held_out(kind)) > 0.9
    assert planted.videos_right(with_it, held_out(kind)) > 0.9
    assert planted.videos_right(without, held_out(kind)) < 0.7  # the cosines alone tell some


def test_only_fusion_tells_videos_apart_by_what_they_show():
    assert planted.videos_right(trained("which-picture"), held_out("which-picture")) < 0.5


def test_the_start_and_end_predictor_ranks_videos_too():
    assert planted.videos_right(trained("which-words", matrix=False), held_out("which-words")) > 0.9
