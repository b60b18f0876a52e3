"""MutualSL: its losses against plain NumPy, what carries no gradient, and what each predictor can tell."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from pipeline.errors import CheckpointMissing
from pipeline.localize.examples import Batch, example
from pipeline.localize.learned import LearnedLocalizer
from pipeline.localize.mutualsl import MutualSL, Predicted, weighted_ends_loss
from pipeline.types import Span
from tests import planted
from tests.learned_parts import tiny_network
from tests.test_learned import questions_and_videos, spans_of

ROWS = {"visual": "transcript", "visual_dim": 192}  # of the tiny network's vectors


def mutualsl(reading="cached", tmp_path=None, **config):
    return tiny_network("mutualsl", 0, reading, tmp_path, **(ROWS | config))


def examples(network):
    answers = [Span(24, 42), Span(3, 9), Span(33, 60)]
    return [
        example(question, candidate, network.config.visual, answer)
        for (question, candidate), answer in zip(questions_and_videos(), answers, strict=True)
    ]


@pytest.fixture
def batch():
    network = mutualsl()
    return network.batch(examples(network))


# Losses, eq. 10 to 19


class Given(MutualSL):
    """Predicts what it is given."""

    said: Predicted

    def forward(self, batch: Batch) -> Predicted:
        return self.said


def given(batch, seed, **config):
    """A network that predicts at random, often near the answer."""
    chance = torch.Generator().manual_seed(seed)
    network = Given(**mutualsl().config.__dict__ | config)

    def logits(mask, target):
        drawn = torch.randn(mask.shape, generator=chance)
        near = (target + torch.randint(-1, 2, target.shape, generator=chance)).clamp(min=0)
        return drawn.scatter_add(1, near[:, None], torch.full_like(drawn, 4.0)).requires_grad_()

    network.said = Predicted(
        (logits(batch.cue_mask, batch.start), logits(batch.cue_mask, batch.end)),
        (logits(batch.visual_mask, batch.start_visual), logits(batch.visual_mask, batch.end_visual)),
    )
    return network


def cross_entropy(logits, at):
    return float(np.log(np.exp(logits).sum()) - logits[at])


def overlap(times, first, last, start, end):
    """Eq. 15 in seconds; nothing for what ends before it starts."""
    if first > last:
        return 0.0
    a, b, c, d = times[first, 0], times[last, 1], times[start, 0], times[end, 1]
    shared = max(0.0, min(b, d) - max(a, c))
    return shared / (b - a + d - c - shared)


@dataclass
class Row:
    """One row of the batch without padding, as NumPy."""

    cues: np.ndarray
    rows: np.ndarray
    textual: list[np.ndarray]
    visual: list[np.ndarray]
    cue_target: tuple[int, int]
    row_target: tuple[int, int]

    @classmethod
    def of(cls, batch, said, i):
        r, m = int(batch.cue_mask[i].sum()), int(batch.visual_mask[i].sum())
        return cls(
            batch.times[i, :r].numpy().astype(float),
            batch.visual_times[i, :m].numpy().astype(float),
            [x[i, :r].detach().numpy().astype(float) for x in said.textual],
            [x[i, :m].detach().numpy().astype(float) for x in said.visual],
            (int(batch.start[i]), int(batch.end[i])),
            (int(batch.start_visual[i]), int(batch.end_visual[i])),
        )

    def terms(self, weigh):
        """Eq. 10, 11, 16 and 17 and the weights of eq. 18."""
        said = [int(x.argmax()) for x in self.textual]
        seen = [int(x.argmax()) for x in self.visual]
        rows = [int(np.abs(self.rows[:, k] - self.cues[said[k], k]).argmin()) for k in (0, 1)]
        cues = [
            len(self.cues) - 1 - int(np.abs(self.cues[::-1, k] - self.rows[seen[k], k]).argmin())
            for k in (0, 1)
        ]
        own = weigh == "learner"
        alpha = overlap(self.rows, *(seen if own else rows), *self.row_target)
        beta = overlap(self.cues, *(said if own else cues), *self.cue_target)
        return {
            "visual": sum(map(cross_entropy, self.visual, self.row_target)),
            "textual": sum(map(cross_entropy, self.textual, self.cue_target)),
            "mutual_visual": alpha * sum(map(cross_entropy, self.visual, rows)),
            "mutual_textual": beta * sum(map(cross_entropy, self.textual, cues)),
            "alpha": alpha,
            "beta": beta,
        }


@pytest.mark.parametrize("weigh", ["label", "learner"])
def test_losses_are_the_papers_in_plain_numpy(batch, weigh):
    weights = []
    for seed in range(12):
        network = given(batch, seed, weigh=weigh)
        loss, logged = network.loss(batch)
        rows = [Row.of(batch, network.said, i).terms(weigh) for i in range(len(batch))]
        wanted = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        assert logged == pytest.approx(wanted, abs=1e-4)
        total = sum(wanted[name] for name in ("visual", "textual", "mutual_visual", "mutual_textual"))
        assert loss.item() == pytest.approx(total, abs=1e-4)  # eq. 19
        weights += [(row["alpha"], row["beta"]) for row in rows]
    for each in np.array(weights).T:  # the draw has labels that are wrong, partly right and right
        assert each.min() == 0 and each.max() == 1 and ((each > 0) & (each < 1)).any()


def test_without_transfer_only_the_answer_teaches(batch):
    network = given(batch, 1, transfer=False)
    loss, logged = network.loss(batch)
    assert set(logged) == {"visual", "textual"}
    assert loss.item() == pytest.approx(logged["visual"] + logged["textual"], abs=1e-4)
    assert given(batch, 1).loss(batch)[0] > loss  # the same predictions, with transfer


def test_rows_without_an_answer_teach_nothing(batch):
    none = replace(batch, start=batch.start.clone(), start_visual=batch.start_visual.clone())
    none.start[1], none.start_visual[1] = -1, -1
    network = given(batch, 2)
    rows = [Row.of(batch, network.said, i).terms("label") for i in (0, 2)]
    _, logged = network.loss(none)
    assert logged == pytest.approx({n: np.mean([r[n] for r in rows]) for n in rows[0]}, abs=1e-4)


# Stop gradient


@pytest.mark.parametrize("weigh", ["label", "learner"])
def test_what_teaches_a_predictor_does_not_reach_the_other(weigh):
    network = mutualsl(weigh=weigh)
    rows = network.batch(examples(network))
    said = network(rows)
    taught = network.transfer(said, rows)
    assert not taught.alpha.requires_grad and not taught.beta.requires_grad
    real, ones = rows.start >= 0, torch.ones(len(rows))
    visual = weighted_ends_loss(*said.visual, rows.visual_mask, *taught.rows, ones, real)
    textual = weighted_ends_loss(*said.textual, rows.cue_mask, *taught.cues, ones, real)
    for loss, learns, teaches in (
        (visual, network.visual, network.textual),
        (textual, network.textual, network.visual),
    ):
        network.zero_grad()
        loss.backward(retain_graph=True)
        assert all(w.grad is not None and w.grad.any() for w in learns.parameters() if w.dim() > 1)
        assert all(w.grad is None for w in teaches.parameters())


# Padding, missing pictures


@pytest.mark.parametrize("reading", ["cached", "joint"])
@pytest.mark.parametrize("output", ["textual", "visual"])
def test_padded_rows_and_their_order_change_nothing(reading, output, tmp_path):
    network = mutualsl(reading, tmp_path, output=output)
    rows = examples(network)
    together, backwards = spans_of(network, rows), spans_of(network, rows[::-1])
    for i, row in enumerate(rows):
        alone = spans_of(network, [row])
        n, mask = alone.logits.shape[1], alone.mask[0]
        assert n == (row.times if output == "textual" else row.visual_times).shape[0]
        for other in (together, backwards):
            j = i if other is together else len(rows) - 1 - i
            assert torch.equal(other.mask[j, :n, :n], mask) and not other.mask[j, n:].any()
            torch.testing.assert_close(
                other.logits[j, :n, :n][mask], alone.logits[0][mask], rtol=0, atol=1e-4
            )


def test_a_video_without_pictures_leaves_those_of_the_others_alone():
    network = mutualsl()
    rows = examples(network)
    bare = replace(rows[1], visual=None, visual_times=None, start_visual=-1, end_visual=-1)
    mixed = spans_of(network, [rows[0], bare])
    for i, row in enumerate((rows[0], bare)):
        alone = spans_of(network, [row])
        n, mask = alone.logits.shape[1], alone.mask[0]
        torch.testing.assert_close(mixed.logits[i, :n, :n][mask], alone.logits[0][mask], rtol=0, atol=1e-4)
    loss, logged = network.loss(network.batch([rows[0], bare]))
    assert torch.isfinite(loss) and {"alpha", "beta"} <= set(logged)
    loss, logged = network.loss(network.batch([bare]))
    assert set(logged) == {"textual"} and loss.item() == pytest.approx(logged["textual"])


def test_the_picture_matters_to_the_textual_predictor():
    network = mutualsl()
    row = examples(network)[0]
    other = replace(row, visual=np.ascontiguousarray(row.visual + 1))
    a, b = (torch.softmax(spans_of(network, [r]).logits.flatten(), 0) for r in (row, other))
    assert float((a - b).abs().sum()) > 1e-4


def test_without_pictures_it_says_so_and_answers_by_words(caplog):
    with caplog.at_level(logging.WARNING):
        network = tiny_network("mutualsl")
    assert "textual predictor alone" in caplog.text
    loss, logged = network.loss(network.batch(examples(network)))
    assert set(logged) == {"textual"} and loss.item() == pytest.approx(logged["textual"])
    assert not any("lstm" in name or "fusion" in name for name, _ in network.named_parameters())


# Learning


def learn(network, rows, steps, lr=5e-3):
    """The log of every step."""
    batch, logs = network.batch(rows), []
    optimiser = torch.optim.AdamW(network.train().parameters(), lr, weight_decay=0.0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        loss, logged = network.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        logs.append(logged)
    network.eval()
    return logs


@pytest.mark.parametrize("reading", ["cached", "joint"])
def test_a_handful_is_learned_by_both_predictors_and_the_weights_rise(reading, tmp_path):
    network = mutualsl(reading, tmp_path)
    rows = examples(network)
    logs = learn(network, rows, 400)
    for name in ("alpha", "beta"):  # Figure 3: both increase
        assert logs[0][name] < 0.5 and logs[-1][name] == pytest.approx(1)
    for output, times, target in (
        ("textual", "times", ("start", "end")),
        ("visual", "visual_times", ("start_visual", "end_visual")),
    ):
        found = spans_of(answering(network, output=output), rows)
        best = found.logits.masked_fill(~found.mask, -torch.inf).flatten(1).argmax(1)
        for row, at in zip(rows, best.tolist(), strict=True):
            unit, (start, end) = getattr(row, times), (getattr(row, name) for name in target)
            first, last = divmod(at, found.mask.shape[1])
            assert Span(unit[first, 0], unit[last, 1]).iou(Span(unit[start, 0], unit[end, 1])) == 1


def answering(network, **config):
    """The same weights with other settings."""
    other = type(network)(**network.config.__dict__ | config)
    other.load_state_dict(network.state_dict())
    if network.config.reading == "joint":
        other.reader.tokenizer = network.reader.tokenizer
    return other.eval()


# What each predictor can tell (planted signals)


def logged_of(network, test):
    rows = [example(p.asked, p.candidates[0], network.config.visual, p.answer) for p in test]
    with torch.inference_mode():
        return network.loss(network.batch(rows))[1]


def test_where_words_tell_the_answer_the_textual_predictor_leads_as_in_figure_3():
    train, test = planted.corpus("words", 400, seed=0), planted.corpus("words", 60, seed=1)
    network = planted.network("mutualsl", visual="i3d", weigh="learner")
    before = logged_of(network, test)
    planted.fit(network, train, steps=250)
    after = logged_of(network, test)
    assert planted.mean_iou(network, test) > 0.9
    assert planted.mean_iou(answering(network, output="visual"), test) < 0.75
    assert after["alpha"] > before["alpha"] + 0.1 and after["beta"] > before["beta"] + 0.1
    assert after["beta"] > after["alpha"] + 0.2  # as Figure 3 tells it
    printed = logged_of(answering(network, weigh="label"), test)
    assert printed["alpha"] > printed["beta"] + 0.2  # as eq. 18 prints it


def test_where_the_picture_tells_the_answer_only_the_visual_predictor_finds_it():
    train, test = planted.corpus("picture", 400, seed=0), planted.corpus("picture", 60, seed=1)
    network = planted.network("mutualsl", visual="i3d", output="visual")
    planted.fit(network, train, steps=500, lr=1e-2)
    assert planted.mean_iou(network, test) > 0.9
    assert planted.mean_iou(answering(network, output="textual"), test) < 0.5


def test_the_picture_tells_the_textual_predictor_which_place_is_meant():
    train, test = planted.corpus("hint", 400, seed=0), planted.corpus("hint", 60, seed=1)
    blind, seeing = planted.network("mutualsl"), planted.network("mutualsl", visual="i3d")
    for network in (blind, seeing):
        planted.fit(network, train, steps=500)
    assert planted.mean_iou(seeing, test) > 0.8 and planted.mean_iou(blind, test) < 0.7


# Config


def test_settings_come_back_from_a_checkpoint(tmp_path):
    network = mutualsl(transfer=False, weigh="learner", output="visual")
    network.save_pretrained(tmp_path)
    kept = json.loads((tmp_path / "config.json").read_text())
    assert (kept["transfer"], kept["weigh"], kept["output"]) == (False, "learner", "visual")
    again = MutualSL.load(tmp_path)
    assert again.config == network.config
    rows = examples(network)
    torch.testing.assert_close(spans_of(again, rows).logits, spans_of(network, rows).logits)
    assert LearnedLocalizer(again).needs_visual and not LearnedLocalizer(mutualsl()).needs_visual
    (tmp_path / "config.json").write_text(json.dumps(kept | {"weigh": "loud"}))
    with pytest.raises(CheckpointMissing, match="weigh is 'loud'"):
        MutualSL.load(tmp_path)


def test_answers_from_pictures_need_pictures():
    with pytest.raises(ValueError, match="video rows"):
        tiny_network("mutualsl", output="visual")
    network = mutualsl(output="visual")
    bare = replace(examples(network)[0], visual=None, visual_times=None)
    with pytest.raises(ValueError, match="video rows"):
        spans_of(network, [bare])
