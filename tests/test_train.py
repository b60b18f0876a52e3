"""Training: the same seed gives the same weights, a killed training goes on as if nothing had happened, and
what comes out can be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.cli import main as command_line
from pipeline.datasets import read
from pipeline.errors import BadDataset
from pipeline.evaluate import evaluate_checkpoint
from pipeline.localize import NETWORKS, load_localizer
from pipeline.retrieve.dpr import DPR
from pipeline.train import METHODS, config_of, train
from pipeline.training import loop
from pipeline.training.batches import Order
from pipeline.training.contextual import ContextTask
from pipeline.training.localizing import LocalizerTask
from pipeline.training.recipe import RECIPES, Recipe, Training, changed, load
from pipeline.training.recipe import read as read_recipe
from pipeline.training.sources import Source, hold_out, parse
from pipeline.training.vectors import VectorCache
from tests.fake_encoder import FakeEncoder

SUBJECTS = ("knot", "egg", "tap", "wheel", "splint", "lamp", "bread", "hinge")
TINY = {"d": 8, "layers": 1, "dropout": 0.2}
TRAINING = Training(batch=4, epochs=2, held_out=0.25, lr=1e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight narrations of three sections, one question each, in the format of the how-to set."""
    place = tmp_path_factory.mktemp("howto")
    for i, subject in enumerate(SUBJECTS):
        parts = [f"## {part}\n{_words(f'{part} {subject}')}\n? {part} {subject}\n" for part in _PARTS]
        (place / f"things-{i:02}.txt").write_text(f"# {subject}\nstyle: plain\n{''.join(parts)}")
    return place


_PARTS = ("first", "then", "last")


def _words(of: str) -> str:
    return " ".join([of, "and so we take it well in hand"] * 3)


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Callable:
    """Trains on it: `run(OUT, method="spanbase", network={...}, ...)`."""

    def train_on_it(out: str = "out", method: str = "spanbase", sources: tuple = (), **options) -> dict:
        network = options.pop("network", {} if method == "dpr" else TINY)
        training = replace(TRAINING, **options.pop("training", {}))
        chosen = sources or (Source("howto", folder),)
        recipe = Recipe(method, network, training)
        return train(
            method,
            chosen,
            tmp_path / out,
            recipe=recipe,
            encoder="fake",
            load_text_encoder=FakeEncoder,
            cache=tmp_path / "cache",
            cpu=True,
            **options,
        )

    return train_on_it


def weights(place: Path) -> dict[str, torch.Tensor]:
    return load_file(place / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_one_seed_gives_the_same_weights_and_another_does_not(run, tmp_path):
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        run(out, training={"seed": seed})
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("method", ["spanbase", "ccgs"])
@pytest.mark.parametrize("after", [2, 5, 8])
def test_a_killed_training_goes_on_to_the_same_weights(run, tmp_path, monkeypatch, method, after):
    """Five batches an epoch: killed within the first epoch, between two, and within the second."""
    options = {"method": method, "training": {"save_every": 0.0, "patience": 9}}
    whole = run("whole", **options)
    with monkeypatch.context() as killing:
        killing.setattr(loop.Trainer, "_learn", _dies_after(after))
        with pytest.raises(KeyboardInterrupt):
            run("killed", **options)
    assert not (tmp_path / "killed" / "training.json").exists()
    resumed = run("killed", **options, resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert resumed["dev_measures"] == whole["dev_measures"] and resumed["steps"] == whole["steps"]
    assert not (tmp_path / "killed" / "state").exists()


def _dies_after(count: int) -> Callable:
    learn = loop.Trainer._learn

    def dying(trainer, *words):
        if trainer.progress.step == count:
            raise KeyboardInterrupt
        learn(trainer, *words)

    return dying


def test_an_unfinished_training_is_neither_overwritten_nor_mixed(run, monkeypatch):
    with monkeypatch.context() as killing:
        killing.setattr(loop.Trainer, "_learn", _dies_after(3))
        with pytest.raises(KeyboardInterrupt):
            run(training={"save_every": 0.0})
    with pytest.raises(ValueError, match="--resume goes on"):
        run(training={"save_every": 0.0})
    with pytest.raises(ValueError, match="differs in training"):
        run(training={"save_every": 0.0, "lr": 1.0}, resume=True)


def test_a_finished_training_is_not_repeated(run):
    first = run()
    assert run(resume=True) == first
    assert run(resume=True, training={"seed": 5})["seed"] == 5


def test_the_checkpoint_of_another_method_is_not_written_over(run, tmp_path):
    run(training={"epochs": 1})
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds a checkpoint of spanbase"):
        run(method="ccgs")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file"):
        run("file")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before


def test_the_state_before_is_used_when_a_kill_hit_the_moment_of_its_replacement(run, tmp_path, monkeypatch):
    run("whole", training={"patience": 9})
    with monkeypatch.context() as killing:
        killing.setattr(loop.Trainer, "_learn", _dies_after(6))
        with pytest.raises(KeyboardInterrupt):
            run("killed", training={"patience": 9})
    (tmp_path / "killed" / "state").rename(tmp_path / "killed" / "state.old")
    run("killed", training={"patience": 9}, resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def test_it_stops_early_and_keeps_the_best(run, tmp_path, monkeypatch):
    scores, kept = iter([0.2, 0.5, 0.4, 0.5, 0.9]), []

    def measured(task):
        kept.append({k: v.clone() for k, v in task.module.state_dict().items()})
        return {"miou": next(scores)}

    monkeypatch.setattr(LocalizerTask, "dev", measured)
    found = run(training={"epochs": 9, "patience": 2})
    assert (found["epochs"], found["best_epoch"], found["dev_measures"]) == (4, 2, {"miou": 50.0})
    assert same(weights(tmp_path / "out"), kept[1]) and not same(weights(tmp_path / "out"), kept[3])


def test_a_time_limit_ends_it(run):
    found = run(training={"epochs": 500, "patience": 500, "seconds": 0.5})
    assert found["epochs"] < 500 and found["seconds"] < 10


@pytest.mark.parametrize("method", [*NETWORKS, "dpr"])
def test_every_method_trains_and_can_be_used(run, folder, tmp_path, method):
    network = {} if method == "dpr" else TINY | {"visual": "transcript", "visual_rows": 8}
    found = run(method=method, network=network, training={"epochs": 1})
    out = tmp_path / "out"
    assert json.loads((out / "training.json").read_text())["dev_measures"] == found["dev_measures"]
    if method == "dpr":
        assert DPR.load(out).config.library_model == "fake"
        return
    data = read("howto", folder, "1/2")
    report = evaluate_checkpoint(data, load_localizer(method, out), task="val", encoder=FakeEncoder())
    assert report["questions"] == len(data.answerable) and 0 <= report["val"]["miou"] <= 100


def test_the_dev_measure_is_what_evaluate_finds(run, folder, tmp_path):
    found = run(dev=[Source("howto", folder, "1/2")], sources=(Source("howto", folder, "2/2"),))
    localizer = load_localizer("spanbase", tmp_path / "out")
    report = evaluate_checkpoint(read("howto", folder, "1/2"), localizer, task="val", encoder=FakeEncoder())
    assert report["val"]["miou"] == pytest.approx(found["dev_measures"]["miou"], abs=0.2)


def test_dev_videos_are_not_trained_on(folder):
    whole = read("howto", folder)
    train_part, dev_part = hold_out(whole, 0.25)
    assert {q.video_id for q in train_part.questions}.isdisjoint(q.video_id for q in dev_part.questions)
    assert len(dev_part.answerable) == 6 and len(train_part.answerable) == 18
    assert not {q.video_id for q in dev_part.questions} & set(train_part.videos)
    with pytest.raises(ValueError, match="one video only"):
        hold_out(replace(whole, questions=whole.questions[:2]), 0.5)
    by_question = hold_out(whole, 0.4, "question")
    assert len(by_question[0].questions) + len(by_question[1].questions) == len(whole.questions)
    assert by_question[1].questions


def test_sets_are_mixed_by_weight():
    order = Order([0, 10], [1.0, 0.5], np.arange(20), [], batch=4, negatives=0, seed=1)
    drawn = [row for batch in order.epoch(0) for row, _ in batch]
    assert order.examples == 15 and sorted(drawn)[:10] == list(range(10))
    assert len(set(drawn[:])) == 15 and sum(row >= 10 for row in drawn) == 5
    twice = Order([0, 10], [2.0, 1.0], np.arange(20), [], batch=4, negatives=0, seed=1)
    drawn = [row for batch in twice.epoch(0) for row, _ in batch]
    assert all(drawn.count(i) == (2 if i < 10 else 1) for i in range(20))


def test_order_depends_on_the_epoch_and_is_shared_out_to_processes():
    others = [np.array([5, 6, 7])] * 20
    order = Order([0], [1.0], np.arange(20), others, batch=3, negatives=2, seed=1)
    assert order.epoch(0) == order.epoch(0) != order.epoch(1)
    assert all(len(set(extra)) == 2 and set(extra) <= {5, 6, 7} for b in order.epoch(0) for _, extra in b)
    parts = [order.epoch(0, process, 2) for process in (0, 1)]
    assert [len(part) for part in parts] == [order.batches(2)] * 2 == [4, 4]
    assert {row for part in parts for batch in part for row, _ in batch} == set(range(20))


def test_batches_hold_similar_lengths():
    lengths = np.random.default_rng(0).integers(5, 300, 400)
    order = Order([0], [1.0], lengths, [], batch=8, negatives=0, seed=0)
    wide = [np.ptp(lengths[[row for row, _ in batch]]) for batch in order.epoch(0)]
    assert np.mean(wide) < 20


def test_several_sets_are_trained_on_together(run, folder, tmp_path):
    halves = tuple(Source("howto", folder, f"{k}/2", weight) for k, weight in ((1, 1.0), (2, 0.5)))
    found = run(sources=halves)
    assert found["data"] == ["howto:1/2", "howto:2/2@0.5"] and found["weights"] == [1.0, 0.5]
    assert str(folder) not in (tmp_path / "out" / "training.json").read_text()


def test_negatives_are_other_videos_with_the_same_question(run, folder, tmp_path):
    cache = VectorCache(tmp_path / "cache", "fake", FakeEncoder)
    data = [(read("howto", folder), folder)]
    for hard in (0, 2):
        recipe = Recipe("ccgs", TINY, replace(TRAINING, hard_negatives=hard))
        task = LocalizerTask(_class("ccgs"), recipe, data, data, cache)
        own = [video for _, video, _ in task.questions]
        assert all(own[i] not in task.others[i] for i in range(len(task.lengths)))
        assert {len(found) for found in task.others} == {hard or 7}
    batch = task.batch([(0, (int(task.others[0][0]),)), (5, (int(task.others[5][1]),))])
    assert batch.group == 2 and len(batch) == 4
    assert (batch.start >= 0).tolist() == [True, False, True, False]
    assert torch.equal(batch.question_vector[0], batch.question_vector[1])


def _class(method: str):
    from pipeline.localize import network_class

    return network_class(method)


def test_texts_are_encoded_once(folder, tmp_path):
    data = read("howto", folder)
    first = VectorCache(tmp_path, "fake", FakeEncoder)
    videos, questions = first.videos(data.videos), first.questions([q.text for q in data.questions])

    def no_encoder():
        raise AssertionError("everything is known")

    again = VectorCache(tmp_path, "fake", no_encoder)
    assert again.videos(data.videos)["things-00"].pack() == videos["things-00"].pack()
    asked = again.questions(["first knot"])["first knot"]
    assert np.array_equal(asked.states, questions["first knot"].states) and asked.states.shape == (2, 64)
    assert asked.vector == pytest.approx(FakeEncoder().encode(["first knot"])[0], abs=1e-3)
    with pytest.raises(AssertionError):
        VectorCache(tmp_path, "another", no_encoder).videos(data.videos)


def test_the_log_tells_alpha_and_beta(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(method="mutualsl", network=TINY | {"visual": "transcript"})
    events = EventAccumulator(str(tmp_path / "out" / "log"))
    events.Reload()
    names = events.Tags()["scalars"]
    assert {"train/loss", "train/alpha", "train/beta", "train/lr", "dev/miou"} <= set(names)
    assert len(events.Scalars("dev/miou")) == 2
    assert all(0 <= e.value <= 1 for e in events.Scalars("train/alpha"))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.json")), ids=lambda p: p.stem)
def test_recipes_hold_keys_that_their_methods_know(path):
    method, _, kind = path.stem.rpartition("-")
    found = read_recipe(path, config_of(method))
    assert found.method == method and kind in ("small", "paper", "known")
    config_of(method)(**found.network)  # values that cannot be are refused


def test_every_method_has_a_small_recipe_and_a_paper_s():
    names = {path.stem for path in RECIPES.glob("*.json")}
    papers = {f"{method}-paper" for method in METHODS if method != "default"}  # which is no paper's
    assert names == papers | {f"{method}-small" for method in METHODS} | {"default-known"}


def test_values_are_set_by_their_kind():
    recipe = load("ccgs", config_of("ccgs"), "", ["lr=3e-4", "d=64", "contrastive=false", "encoder=1"])
    assert (
        recipe.training.lr == 3e-4
        and recipe.training.epochs == load("ccgs", config_of("ccgs")).training.epochs
    )
    assert recipe.network["d"] == 64 and recipe.network["contrastive"] is False
    assert recipe.network["encoder"] == "1"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("lr", "KEY=VALUE"),
        ("nosuch=1", "no key 'nosuch'.*lr.*contrastive"),
        ("lr=fast", "lr is 'fast'"),
        ("d=1.5", "whole number"),
        ("matrix=1", "matrix is '1'"),
        ("schedule=steep", "known: linear"),
        ("epochs=0", "above 0"),
        ("epochs=1e400", "whole number"),
        ("lr=NaN", "must be a number"),
        ("seed=-1", "not be below 0"),
    ],
)
def test_wrong_values_are_told(change, told):
    with pytest.raises(ValueError, match=told):
        changed(Recipe("ccgs"), config_of("ccgs"), [change])


@pytest.mark.parametrize("part", [{"training": {"lr": "fast"}}, {"network": {"d": "x"}}])
def test_recipes_of_the_wrong_kind_are_told(tmp_path, part):
    (tmp_path / "r.json").write_text(json.dumps({"method": "ccgs"} | part))
    with pytest.raises(ValueError, match="must be of the kind of"):
        load("ccgs", config_of("ccgs"), str(tmp_path / "r.json"))


def test_picture_features_lie_beside_the_set(run, folder, tmp_path):
    place = tmp_path / "data"
    shutil.copytree(folder, place)
    (place / "i3d").mkdir()
    for i in range(len(SUBJECTS)):
        np.save(place / "i3d" / f"things-{i:02}.npy", np.full((9 + i, 6), i, np.float32))
    run(method="vslbase", network=TINY | {"visual": "i3d"}, sources=(Source("howto", place),))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["visual_dim"] == 6


def test_a_file_that_holds_no_picture_features_is_named(run, folder, tmp_path):
    place = tmp_path / "data"
    shutil.copytree(folder, place)
    (place / "i3d").mkdir()
    np.save(place / "i3d" / "things-00.npy", np.ones(6, np.float32))
    with pytest.raises(BadDataset, match=r"things-00\.npy"):
        run(method="vslbase", network=TINY | {"visual": "i3d"}, sources=(Source("howto", place),))


class _Shown:
    """In a network's place: what a step shows it."""

    def __init__(self, **sizes: object) -> None:
        self.batch = list


def test_a_video_is_asked_what_others_answer_and_not_what_nothing_does(folder, tmp_path):
    """The second kind is worded otherwise than what is answered; the wording would be learned."""
    place = tmp_path / "data"
    shutil.copytree(folder, place)
    for path in place.glob("*.txt"):
        path.write_text(path.read_text() + f"! missing {path.stem}\n")
    cache = VectorCache(tmp_path / "cache", "fake", FakeEncoder)
    sources, recipe = [(read("howto", place), place)], Recipe("default", {}, Training(foreign=2))
    shown = ContextTask(_Shown, recipe, sources, sources, cache).batch([(0, ())])
    answered = {row.asked.text for row in shown if row.start >= 0}
    others = {row.asked.text for row in shown if row.start < 0}
    assert answered == {f"{part} {SUBJECTS[0]}" for part in _PARTS} and len(others) == 2
    assert others <= {f"{part} {subject}" for part in _PARTS for subject in SUBJECTS[1:]}


def test_videos_are_shown_without_parts_and_asked_about_those(folder, tmp_path):
    cache = VectorCache(tmp_path / "cache", "fake", FakeEncoder)
    sources = [(read("howto", folder), folder)]
    recipe = Recipe("default", {}, Training(foreign=1, cut=1.0))
    shown = ContextTask(_Shown, recipe, sources, sources, cache).batch([(0, ())])
    answered = [row.asked.text.split()[0] for row in shown if row.start >= 0]
    (gone,) = [row.asked.text for row in shown if row.start < 0]
    assert answered in (["then"], ["first", "last"], ["last", "first"])
    assert gone.split()[0] in _PARTS and gone.split()[0] not in answered and gone.endswith(SUBJECTS[0])
    said = " ".join(shown[0].texts)
    assert all((f"{part} {SUBJECTS[0]}" in said) is (part in answered) for part in _PARTS)
    assert all(row.cosines is not None and len(row.cosines) == len(row.texts) for row in shown)


@pytest.mark.parametrize("text", ["howto", "howto:", "howto:x@0"])
def test_wrong_sources_are_told(text):
    with pytest.raises(ValueError, match=text):
        parse(text)


def test_a_folder_may_hold_a_colon(tmp_path):
    (tmp_path / "a:b").mkdir()
    assert parse(f"howto:{tmp_path}/a:b").split == ""
    assert parse(f"howto:{tmp_path}/a:b:train@2/5@0.5") == Source("howto", tmp_path / "a:b", "train@2/5", 0.5)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--method", "nosuch", "--data", "howto:{data}"], 2, "known: default, ccgs"),
        (["--method", "spanbase", "--data", "nosuch:{data}"], 2, "no data set 'nosuch'"),
        (["--method", "spanbase", "--data", "howto:nowhere"], 1, "is not there"),
        (["--method", "spanbase", "--data", "howto:{data}:9/3"], 2, "no part 9"),
        (["--method", "spanbase", "--data", "howto:{data}", "--recipe", "big"], 2, "known: paper, small"),
        (["--method", "spanbase", "--data", "howto:{data}", "--recipe", "no.json"], 2, "is no recipe"),
        (["--method", "vslnet", "--data", "howto:{data}", "--set", "visual=i3d"], 2, "picture features"),
    ],
)
def test_wrong_arguments_are_refused_in_words(words, code, told, folder, tmp_path, capsys):
    words = [word.replace("{data}", str(folder)) for word in words]
    cache = ["--cache", str(tmp_path / "cache"), "--cpu"]
    assert command_line(["train", *words, "--out", str(tmp_path / "out"), *cache]) == code
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "model.safetensors").exists()
