"""The papers' baselines: losses against NumPy, what each can see, and what it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.localize import network_class
from pipeline.localize.acrm import BothWays, WordsOfFrames, inside_loss
from pipeline.localize.examples import example
from pipeline.localize.learned import LearnedLocalizer
from pipeline.localize.vptsl import parts
from pipeline.localize.vslnet import foreground, highlight_loss, sinusoids
from pipeline.types import Span
from tests import planted
from tests.fake_encoder import FakeEncoder
from tests.learned_parts import CONFIG, asked, tiny_network
from tests.test_localize import video

ENCODER = FakeEncoder()
VISUAL_DIM = CONFIG["encoder_dim"] * CONFIG["scales"]
SEEN = {"visual": "transcript", "visual_dim": VISUAL_DIM}
METHODS = {
    "spanbase": {},
    "vslbase": SEEN,
    "vslnet": SEEN,
    "acrm": SEEN,
    "vptsl": SEEN | {"moments": 16},
}
SMALL = {"convolutions": 1, "heads": 4}  # of the planted corpora's networks


def rows(visual, count=3):
    """Questions of different videos with answers of different lengths."""
    subjects = ["tie the knot", "boil the egg", "fix the tap", "bake bread"][:count]
    return [
        example(
            asked(f"how to {subject}", ENCODER),
            video(name, subject, range(4 + i, 8 + 2 * i), cues=12 + 2 * i),
            visual,
            Span(3.0 * (4 + i), 3.0 * (8 + 2 * i)),
        )
        for i, (name, subject) in enumerate(zip("abcd", subjects, strict=False))
    ]


def spans(network, examples):
    with torch.inference_mode():
        return network.spans(network.batch(examples))


def log_softmax(x):
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


def ends_by_hand(start, end, lengths, firsts, lasts):
    """Mean over rows of -log P(first) - log P(last), each row cut to its length."""
    values = [
        -log_softmax(s[:n])[a] - log_softmax(e[:n])[b]
        for s, e, n, a, b in zip(start, end, lengths, firsts, lasts, strict=True)
    ]
    return np.mean(values)


def highlight_by_hand(logits, lengths, firsts, lasts, extend):
    total = 0.0
    for x, n, a, b in zip(logits, lengths, firsts, lasts, strict=True):
        more = int(np.round(extend * (b - a + 1)))
        for i in range(n):
            chance = 1 / (1 + np.exp(-x[i]))
            total -= 2 * np.log(chance) if a - more <= i <= b + more else np.log(1 - chance)
    return total / sum(lengths)


def told(network, batch):
    """What the network gives, as float64 arrays."""
    return [x.detach().double().numpy() for x in network(batch)]


# Losses


def test_vslbase_is_trained_by_its_two_ends():
    network = tiny_network("vslbase")
    batch = network.batch(rows("transcript"))
    start, end = told(network, batch)
    wanted = ends_by_hand(start, end, batch.visual_mask.sum(1), batch.start_visual, batch.end_visual)
    assert float(network.loss(batch)[0].detach()) == pytest.approx(wanted, rel=1e-4)


def test_vslnet_adds_five_times_the_highlight_loss():
    network = tiny_network("vslnet")
    batch = network.batch(rows("transcript"))
    start, end, logits = told(network, batch)
    targets = batch.visual_mask.sum(1).tolist(), batch.start_visual.tolist(), batch.end_visual.tolist()
    highlight = highlight_by_hand(logits, *targets, extend=0.1)
    loss, logged = network.loss(batch)
    assert logged["highlight"] == pytest.approx(highlight, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(ends_by_hand(start, end, *targets) + 5 * highlight, rel=1e-4)


def test_acrm_adds_the_frames_inside():
    network = tiny_network("acrm")
    batch = network.batch(rows("transcript"))
    start, end, inside = told(network, batch)
    targets = batch.visual_mask.sum(1).tolist(), batch.start_visual.tolist(), batch.end_visual.tolist()
    within = np.mean(
        [-log_softmax(x[:n])[a : b + 1].mean() for x, n, a, b in zip(inside, *targets, strict=True)]
    )
    loss, logged = network.loss(batch)
    assert logged["inside"] == pytest.approx(within, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(ends_by_hand(start, end, *targets) + within, rel=1e-4)


def test_vptsl_adds_a_fifth_of_its_highlight_loss():
    network = tiny_network("vptsl", **METHODS["vptsl"])
    batch = network.batch(rows("transcript"))
    start, end = told(network, batch)
    logits = network.look(batch)[1].detach().double().numpy()
    rows_of, cues_of = batch.visual_mask.sum(1).tolist(), batch.cue_mask.sum(1).tolist()
    highlight = highlight_by_hand(
        logits, rows_of, batch.start_visual.tolist(), batch.end_visual.tolist(), extend=0.25
    )
    wanted = ends_by_hand(start, end, cues_of, batch.start, batch.end) + 0.2 * highlight
    assert float(network.loss(batch)[0].detach()) == pytest.approx(wanted, rel=1e-4)


def test_videos_without_the_answer_teach_the_ends_nothing():
    first, other = rows("transcript", 2)
    other = replace(other, start=-1, end=-1, start_visual=-1, end_visual=-1)
    for method in ("vslbase", "acrm"):
        network = tiny_network(method)
        alone, both = (network.loss(network.batch(r))[0].detach() for r in ([first], [first, other]))
        assert float(both) == pytest.approx(float(alone), rel=1e-4)


def test_the_foreground_is_the_answer_and_a_tenth_more_on_both_sides():
    mask = torch.arange(30)[None, :] < torch.tensor([[30], [18]])
    found = foreground(torch.tensor([5, 0]), torch.tensor([14, 17]), mask, 0.1)
    assert found[0].nonzero().flatten().tolist() == list(range(4, 16))
    assert found[1].nonzero().flatten().tolist() == list(range(18))  # not beyond the video
    assert foreground(torch.tensor([-1, 3]), torch.tensor([-1, 3]), mask, 0.0).sum() == 1


def test_padding_costs_no_highlight_loss():
    mask = torch.tensor([[True, True, False]])
    wanted = torch.tensor([[1.0, 0.0, 0.0]])
    for padding in (-9.0, 9.0):
        loss = highlight_loss(torch.tensor([[0.0, 0.0, padding]]), wanted, mask)
        assert float(loss) == pytest.approx(1.5 * np.log(2))


def test_inside_frames_of_no_answer_cost_nothing():
    none = torch.tensor([-1])
    assert inside_loss(torch.randn(1, 5), torch.ones(1, 5, dtype=torch.bool), none, none) == 0


# Blocks


def test_highlighting_weighs_the_rows_before_the_spans():
    network = tiny_network("vslnet")
    batch = network.batch(rows("transcript"))
    x, mask = network.features(batch), batch.visual_mask
    weight, bias = network.highlight.weight[0].detach().numpy(), network.highlight.bias.item()
    scores = 1 / (1 + np.exp(-(x.detach().numpy() @ weight + bias))) * mask.numpy()
    start, end = network.predictor(x * torch.from_numpy(scores).float().unsqueeze(-1), mask)
    found = network(batch)
    torch.testing.assert_close(found[0][mask], start[mask], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1][mask], end[mask], rtol=1e-4, atol=1e-5)


def test_frames_attend_to_the_words_that_concern_them():
    torch.manual_seed(0)
    attention = WordsOfFrames(4)
    v, h = torch.randn(1, 3, 4), torch.randn(1, 5, 4)
    mask = torch.tensor([[True, True, True, False, False]])
    w, u = (x.weight.detach().numpy() for x in (attention.word, attention.frame))
    c, b = attention.word.bias.detach().numpy(), attention.frame.bias.detach().numpy()
    for t in range(3):
        beta = [np.tanh(w @ h[0, j].numpy() + c + u @ v[0, t].numpy() + b) for j in range(3)]
        beta = np.array(beta) @ attention.weigh.weight[0].detach().numpy()
        wanted = np.exp(log_softmax(beta)) @ h[0, :3].numpy()
        np.testing.assert_allclose(attention(v, h, mask)[0, t].detach().numpy(), wanted, rtol=1e-4)


def test_both_ways_reads_no_padding():
    torch.manual_seed(0)
    layer, x = BothWays(3, 4), torch.randn(1, 6, 3)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    torch.testing.assert_close(layer(x, mask)[:, :4], layer(x[:, :4], mask[:, :4]))


def test_parts_of_a_video_share_its_rows():
    mask = torch.arange(5)[None, :] < torch.tensor([[4], [3], [5]])
    found = parts(mask, 2)
    assert found[0].tolist() == [[0.5, 0.5, 0, 0, 0], [0, 0, 0.5, 0.5, 0]]
    np.testing.assert_allclose(found[1], [[2 / 3, 1 / 3, 0, 0, 0], [0, 1 / 3, 2 / 3, 0, 0]], rtol=1e-5)
    np.testing.assert_allclose(parts(mask, 7).sum(-1), 1, rtol=1e-5)


def test_positions_are_told_apart():
    found = sinusoids(torch.zeros(1, 512, 16))
    assert torch.cdist(found, found).fill_diagonal_(1).min() > 0.1


# What each sees


@pytest.mark.parametrize("method", ["vslbase", "vslnet", "acrm"])
def test_picture_networks_hear_nothing(method):
    network = tiny_network(method)
    first = rows("transcript")[0]
    deaf = replace(
        first,
        texts=("",) * len(first.texts),
        cues=first.cues * 0,
        cosines=first.cosines * 0,
        said=first.said * 0,
    )
    torch.testing.assert_close(spans(network, [deaf]).logits, spans(network, [first]).logits)
    blind = replace(first, visual=first.visual * 0)
    assert not torch.allclose(spans(network, [blind]).logits, spans(network, [first]).logits)


@pytest.mark.parametrize("prompt", ["scores", "pooled"])
def test_prompted_spans_do_not_depend_on_padding_or_order(prompt):
    network, made = tiny_network("vptsl", **METHODS["vptsl"], prompt=prompt), rows("transcript")
    together, backwards = spans(network, made), spans(network, made[::-1])
    for i, row in enumerate(made):
        alone = spans(network, [row])
        mask, n = alone.mask[0], alone.logits.shape[1]
        for other in (together.logits[i], backwards.logits[-1 - i]):
            torch.testing.assert_close(other[:n, :n][mask], alone.logits[0][mask], rtol=1e-4, atol=1e-4)


def test_vptsl_without_rows_is_span_base():
    plain, vptsl = tiny_network("spanbase"), tiny_network("vptsl")
    assert vptsl.state_dict().keys() == plain.state_dict().keys()
    seeing = tiny_network("vptsl", seed=3, **METHODS["vptsl"])
    plain.load_state_dict({name: seeing.state_dict()[name] for name in plain.state_dict()})
    blind = [replace(row, visual=None, visual_times=None) for row in rows("transcript")]
    torch.testing.assert_close(spans(seeing, blind).logits, spans(plain, blind).logits)
    assert not torch.allclose(spans(seeing, rows("transcript")).logits, spans(plain, blind).logits)


@pytest.mark.parametrize("reading", ["cached", "joint"])
def test_vptsl_reads_a_video_without_rows_the_same_beside_others(reading, tmp_path):
    network = tiny_network("vptsl", reading=reading, tmp_path=tmp_path, **METHODS["vptsl"])
    seen, other, *_ = rows("transcript")
    blind = replace(other, visual=None, visual_times=None)
    together = spans(network, [seen, blind])
    for i, row in enumerate((seen, blind)):
        alone = spans(network, [row])
        n, mask = alone.logits.shape[1], alone.mask[0]
        torch.testing.assert_close(together.logits[i, :n, :n][mask], alone.logits[0][mask], rtol=0, atol=1e-4)


def test_every_weight_of_the_prompt_is_trained():
    for prompt in ("scores", "pooled"):
        network = tiny_network("vptsl", **METHODS["vptsl"], prompt=prompt).train()
        network.loss(network.batch(rows("transcript")))[0].backward()
        assert not [name for name, w in network.named_parameters() if w.grad is None]


def test_a_joint_prompt_stands_before_every_window(tmp_path):
    network = tiny_network("vptsl", reading="joint", tmp_path=tmp_path, **METHODS["vptsl"])
    made = rows("transcript")
    batch = network.batch(made)
    for weight in network.reader.encoder.parameters():  # as drawn, it hardly notices one token
        weight.data *= 8 if weight.dim() > 1 else 1
    assert batch.ids.shape[1] <= 63 and len(batch.ids) > len(made)
    blind = replace(made[0], visual=made[0].visual * 0)
    together = spans(network, made)
    n = len(made[0].times)
    for row, same in ((made[0], True), (blind, False)):
        alone = spans(network, [row])
        found, wanted, mask = together.logits[0, :n, :n], alone.logits[0], alone.mask[0]
        assert torch.allclose(found[mask], wanted[mask], rtol=1e-3, atol=1e-4) == same
    network.save_pretrained(tmp_path / "kept")
    again = network_class("vptsl").load(tmp_path / "kept")
    torch.testing.assert_close(spans(again, made).logits, together.logits)


@pytest.mark.parametrize("method", ["vslnet", "acrm"])
def test_picture_networks_read_the_question_by_any_encoder(method, tmp_path):
    network = tiny_network(method, reading="joint", tmp_path=tmp_path)
    made = rows("transcript")
    batch = network.batch(made)
    assert len(batch.ids) == len(made)  # the question and nothing else
    states, mask = network.reader.read_question(batch)
    alone, _ = network.reader.read_question(network.batch(made[:1]))
    assert mask.sum(1).tolist() == [len(network.reader._ids(row.asked.text)) for row in made]
    torch.testing.assert_close(states[0][mask[0]], alone[0], rtol=1e-4, atol=1e-5)
    assert network.loss(batch)[0].isfinite()


# What each learns


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_handful_of_examples_is_learned(method):
    network = tiny_network(method, **METHODS[method]).train()
    made = rows(network.config.visual, 4)
    batch = network.batch(made)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        network.loss(batch)[0].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    decoder = LearnedLocalizer(network, "argmax", "cpu")
    for row, found in zip(made, decoder.distributions_of(made), strict=True):
        times, last = (row.times, row.end) if method in ("spanbase", "vptsl") else (row.visual_times, None)
        first = row.start if last is not None else row.start_visual
        last = row.end_visual if last is None else last
        assert decoder.best(found, 1)[0][0].iou(Span(times[first, 0], times[last, 1])) == pytest.approx(1)


@pytest.fixture(scope="module")
def corpora():
    kinds = ("picture", "words", "hint")
    return {kind: (planted.corpus(kind, 400, 0), planted.corpus(kind, 40, 1)) for kind in kinds}


def learned(corpora, kind, method, steps, lr=8e-3, **config):
    train, test = corpora[kind]
    network = planted.network(method, **config)
    planted.fit(network, train, steps, lr=lr)
    return planted.mean_iou(network, test)


@pytest.mark.parametrize(
    ("method", "steps", "config"),
    [
        ("vslbase", 200, SMALL),
        ("vslnet", 200, SMALL),
        ("acrm", 250, {}),
        ("vptsl", 400, SMALL | {"visual": "i3d", "moments": 24}),  # its prompt says where
    ],
)
def test_answers_told_by_pictures_are_found_by_who_sees(corpora, method, steps, config):
    assert learned(corpora, "picture", method, steps, **config) > 0.7


def test_answers_told_by_pictures_are_not_found_by_who_only_hears(corpora):
    assert learned(corpora, "picture", "spanbase", 150) < 0.4


@pytest.mark.parametrize(("method", "config"), [("spanbase", {}), ("vptsl", SMALL | {"visual": "i3d"})])
def test_answers_told_by_words_are_found_by_who_hears(corpora, method, config):
    assert learned(corpora, "words", method, 100, **config) > 0.9


@pytest.mark.parametrize(("method", "config"), [("vslbase", SMALL), ("vslnet", SMALL), ("acrm", {})])
def test_answers_told_by_words_are_not_found_by_who_only_sees(corpora, method, config):
    assert learned(corpora, "words", method, 80, **config) < 0.4


def test_a_pooled_prompt_says_what_is_shown(corpora):
    """Of two places that the words offer, the one whose subject is shown all through."""
    config = SMALL | {"visual": "i3d", "prompt": "pooled"}
    assert learned(corpora, "hint", "vptsl", 250, **config) > 0.8 > learned(corpora, "hint", "spanbase", 150)
