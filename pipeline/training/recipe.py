"""Recipes: what a method is built with and how it is trained, as small JSON files and `--set KEY=VALUE`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes"
NARRATIONS = RECIPES / "narrations"  # written to train on, see its README
_CHOICES = {
    "schedule": ("linear", "cosine", "constant"),
    "precision": ("auto", "no", "bf16", "fp16"),
    "held_out_by": ("video", "question"),
    "keep": ("best", "last"),
}


@dataclass(frozen=True)
class Training:
    """How a network is trained. An epoch goes once through every question (times its set's weight)."""

    lr: float = 1e-3
    encoder_lr: float = 0.0  # of a joint reader's encoder; 0: the same
    weight_decay: float = 0.01
    batch: int = 32  # questions, with `1 + negatives` rows for each; of the default method: videos
    accumulate: int = 1  # batches for one step
    epochs: int = 12
    seconds: float = 0.0  # at most so long, and the schedule ends then; 0: no limit
    patience: int = 4  # epochs without a better dev score before it stops
    warmup: float = 0.05  # share of the steps
    schedule: str = "cosine"
    clip: float = 1.0  # norm of the gradient
    precision: str = "auto"  # auto: bf16 on a GPU that has it, else fp16 there, none on a CPU
    seed: int = 0
    held_out: float = 0.15  # share of the training videos that are dev without --dev
    held_out_by: str = "video"  # question: of the questions, as where a published test asks of known videos
    dev_questions: int = 400  # most questions of the dev measure, evenly spread; 0: all
    negatives: int = -1  # other videos beside the right one; -1: what the network asks for
    # Localizers draw negatives among so many nearest wrong videos, 0: among all. DPR has so many hard
    # negative passages for each question, 0: one, as its paper.
    hard_negatives: int = 0
    save_every: float = 120.0  # seconds between states within an epoch
    keep: str = "best"  # best: by the dev questions; last: they are only looked at
    # Of the default method: how its videos are told, see `telling`; shares of the videos where not said
    questions: int = 16  # drawn of each video
    join: float = 0.0  # joined with another video
    title: float = 0.0  # asked by its title too
    labels: int = 0  # most of its parts that are asked for by their labels
    foreign: int = 0  # questions with each video that it does not answer
    quoted: float = 0.0  # share of the questions that are asked in words of their answers
    cut: float = 0.0  # without half of its parts, and asked about those too
    abridged: float = 0.0  # each part in fewer words
    recut: float = 0.0  # cut into other cues
    unwritten: float = 0.0  # without punctuation and capitals
    misheard: float = 0.0  # share of the words in another's place or lost
    faster: float = 0.0  # the pace is changed by at most exp of this
    slower: float = 0.0
    uneven: float = 0.0  # the same of each stretch by itself

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is '{getattr(self, name)}'; known: {', '.join(known)}")
        for name in ("lr", "batch", "accumulate", "epochs", "patience", "clip", "questions"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is {self.held_out}; it must lie between 0 and 1")
        for name in (
            "seed",
            "weight_decay",
            "encoder_lr",
            "seconds",
            "warmup",
            "dev_questions",
            "labels",
            "foreign",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be below 0")
        for name in (
            "join",
            "title",
            "quoted",
            "cut",
            "abridged",
            "recut",
            "unwritten",
            "misheard",
            "faster",
            "slower",
            "uneven",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")


@dataclass(frozen=True)
class Recipe:
    """A method, the fields of its configuration that differ from the defaults, and its training."""

    method: str
    network: dict[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    source: str = ""


def load(method: str, config: type, name: str = "", changes: Sequence[str] = ()) -> Recipe:
    """The recipe `name` (a .json, or `small` or `paper` of `recipes/METHOD-NAME.json`) with `--set` changes.

    `config` is the method's configuration class. ValueError for a wrong method, key or value.
    """
    path = _path(method, name or "small")
    found = read(path, config) if path else Recipe(method)
    if found.method != method:
        raise ValueError(f"'{path}' is a recipe of {found.method}, not of {method}")
    return changed(found, config, changes)


def read(path: Path, config: type) -> Recipe:
    """One recipe file; every key must be known."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: dict(found.get(name, {})) for name in ("network", "training")}
    except (OSError, ValueError, AttributeError, TypeError) as e:
        raise ValueError(f"'{path}' is no recipe: {e}") from e
    if unknown := set(found) - {"method", "what", "network", "training"}:
        raise ValueError(f"'{path}' has unknown parts: {', '.join(sorted(unknown))}")
    _only_known(parts["network"], config, str(path))
    _only_known(parts["training"], Training, str(path))
    for part, kinds in ((parts["network"], config), (parts["training"], Training)):
        part |= {key: _of_kind(key, value, kinds) for key, value in part.items()}
    return Recipe(found.get("method", ""), parts["network"], Training(**parts["training"]), str(path))


def changed(recipe: Recipe, config: type, changes: Sequence[str]) -> Recipe:
    """The recipe with `KEY=VALUE` changes, of the training or of the network."""
    network, training = (
        dict(recipe.network),
        {f.name: getattr(recipe.training, f.name) for f in fields(Training)},
    )
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ValueError(f"--set takes KEY=VALUE, not '{change}'")
        if key in training:
            training[key] = _value(key, text, Training)
        elif key in _names(config):
            network[key] = _value(key, text, config)
        else:
            known = ", ".join([*training, *_names(config)])
            raise ValueError(f"no key '{key}' of {recipe.method}; known: {known}")
    return Recipe(recipe.method, network, Training(**training), recipe.source)


def _path(method: str, name: str) -> Path | None:
    if Path(name).suffix == ".json":
        return Path(name)
    path = RECIPES / f"{method}-{name}.json"
    if path.is_file():
        return path
    if name == "small":
        return None  # the defaults
    known = sorted(p.stem.removeprefix(f"{method}-") for p in RECIPES.glob(f"{method}-*.json"))
    raise ValueError(f"no recipe '{name}' of {method}; known: {', '.join(known) or 'none'}, or a .json file")


def _names(config: type) -> list[str]:
    return [f.name for f in fields(config)]


def _only_known(given: Mapping[str, Any], config: type, where: str) -> None:
    if unknown := set(given) - set(_names(config)):
        raise ValueError(
            f"'{where}': no key {', '.join(sorted(unknown))}; known: {', '.join(_names(config))}"
        )


def _value(key: str, text: str, config: type) -> Any:
    """`text` as the type of the field's default; a word that is no JSON is a string."""
    try:
        value = text if isinstance(_default(key, config), str) else json.loads(text)
    except ValueError:
        value = text
    return _of_kind(key, value, config)


def _default(key: str, config: type) -> Any:
    return next(f.default for f in fields(config) if f.name == key)


def _of_kind(key: str, value: Any, config: type) -> Any:
    """`value` as the type of the field's default; ValueError where it is of another kind, or no number."""
    default = _default(key, config)
    if default is None or (isinstance(default, str) and isinstance(value, str)):
        return value
    if isinstance(default, bool) != isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is '{value}'; it must be of the kind of {default!r}")
    if not math.isfinite(value) or (isinstance(default, int) and value != int(value)):
        raise ValueError(f"{key} is '{value}'; it must be a {'whole ' * isinstance(default, int)}number")
    return type(default)(value)
