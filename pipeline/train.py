"""Trains an answer model or a retriever: `python -m pipeline train --method NAME --data NAME:DIR --out DIR`.

The best checkpoint by the dev split lies in DIR, with `training.json` beside it that says how it came about.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.datasets import Dataset
from pipeline.features.text import TextEncoder, encoder_name, load_encoder
from pipeline.localize import NETWORKS
from pipeline.settings import Settings
from pipeline.training.recipe import Recipe, load
from pipeline.training.sources import Source, hold_out, licence_note, parse, spread

if TYPE_CHECKING:
    from pipeline.training.task import Task

log = logging.getLogger(__name__)

RETRIEVER = "dpr"
METHODS = (*NETWORKS, RETRIEVER)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `python -m pipeline train`."""
    sets = "NAME:DIR[:SPLIT]"
    parser.add_argument("--method", required=True, metavar="NAME", help=f"one of {', '.join(METHODS)}")
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        metavar=f"{sets}[@WEIGHT]",
        help="a data set to train on; several are mixed, WEIGHT says how often an epoch goes through one",
    )
    parser.add_argument(
        "--dev",
        action="append",
        default=[],
        metavar=sets,
        help="questions to stop and to choose by; default: a share of the training videos",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the checkpoint")
    parser.add_argument(
        "--recipe", default="", metavar="NAME|FILE", help="small (default), paper, or a .json of your own"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe, for example lr=0.0005 or d=64 (repeatable)",
    )
    parser.add_argument("--resume", action="store_true", help="go on where a killed training was")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder of encoded texts (the user's cache)"
    )
    parser.add_argument("--cpu", action="store_true", help="use no GPU")


def run(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Trains as the arguments say; the facts that `training.json` holds."""
    return train(
        args.method,
        [parse(text) for text in args.data],
        args.out,
        dev=[parse(text) for text in args.dev],
        recipe=load(args.method, config_of(args.method), args.recipe, args.set),
        encoder=settings.text_encoder,
        cache=args.cache,
        resume=args.resume,
        cpu=args.cpu,
    )


def train(
    method: str,
    data: Sequence[Source],
    out: Path,
    *,
    dev: Sequence[Source] = (),
    recipe: Recipe | None = None,
    encoder: str = "",
    load_text_encoder: Callable[[], TextEncoder] | None = None,
    cache: Path | None = None,
    resume: bool = False,
    cpu: bool = False,
) -> dict[str, Any]:
    """Trains one method and returns the facts of its record.

    `encoder`: the name of the text encoder, loaded only where the cache lacks something. ValueError for a
    method, recipe or split that cannot be or a folder of another method, OSError for data or a folder that
    is not there.
    """
    from pipeline.training.loop import Trainer, state_of
    from pipeline.training.record import known, record, write
    from pipeline.training.vectors import VectorCache, default_folder

    recipe = recipe or load(method, config_of(method))
    _refuse_to_lose(out, method)
    sets = _read(data, dev, recipe)
    vectors = VectorCache(
        cache or default_folder(), encoder_name(encoder), load_text_encoder or (lambda: load_encoder(encoder))
    )
    task = _task(recipe, *sets, vectors)
    facts = _facts(recipe, data, dev, task, encoder, sets)
    before = known(out)
    if resume and state_of(out) is None and all(before.get(k) == v for k, v in facts.items()):
        log.warning("the training in '%s' is finished", out)
        return before
    trainer = Trainer(task, recipe.training, out, facts, cpu)
    ended = trainer.fit(resume)
    outcome = {
        "dev_measures": {name: round(100 * value, 2) for name, value in ended.dev.items()},
        "best_epoch": ended.best_epoch,
        "epochs": ended.epoch,
        "steps": ended.step,
        "seconds": round(ended.seconds, 1),
        "parameters": sum(p.numel() for p in task.module.parameters() if p.requires_grad),
        "device": str(trainer.accelerator.device.type),
        "precision": trainer.accelerator.mixed_precision,
        "processes": trainer.processes,
    }
    found = record(facts, outcome)
    if trainer.accelerator.is_main_process:
        write(out, found)
    return found


def _refuse_to_lose(out: Path, method: str) -> None:
    """NotADirectoryError or ValueError, before anything is read, where `out` is a file or holds the
    checkpoint of another method: the first epoch would write over it."""
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"'{out}' is a file: name a folder for the checkpoint")
    try:
        there = json.loads((out / "config.json").read_text(encoding="utf-8"))["method"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if there != method:
        raise ValueError(f"'{out}' holds a checkpoint of {there}: name another folder, or delete it")


def config_of(method: str) -> type:
    """The configuration class of a method; an unknown one lists the known ones."""
    if method == RETRIEVER:
        from pipeline.retrieve.dpr import DPRConfig

        return DPRConfig
    if method not in NETWORKS:
        raise ValueError(f"no method '{method}' to train; known: {', '.join(METHODS)}")
    from pipeline.localize import network_class

    return network_class(method).Config


_Sets = list[tuple[Dataset, Path]]


def _read(data: Sequence[Source], dev: Sequence[Source], recipe: Recipe) -> tuple[_Sets, _Sets]:
    """Training and dev sets; without dev sources, a share of each training set's videos."""
    train = [(source.read(), source.folder) for source in data]
    if dev:
        chosen = [(source.read(), source.folder) for source in dev]
    else:
        parts = [
            (hold_out(found, recipe.training.held_out, recipe.training.held_out_by), folder)
            for found, folder in train
        ]
        train = [(rest, folder) for (rest, _), folder in parts]
        chosen = [(held, folder) for (_, held), folder in parts]
    most = recipe.training.dev_questions
    each = -(-most // len(chosen))
    return train, [(spread(found, each), folder) for found, folder in chosen]


def _task(recipe: Recipe, train: _Sets, dev: _Sets, vectors: Any) -> Task:
    if recipe.method == RETRIEVER:
        from pipeline.training.retrieving import DPRTask

        return DPRTask(recipe, train, dev, vectors)
    from pipeline.localize import network_class

    network = network_class(recipe.method)
    if network.Config().reading == "contextual":
        from pipeline.training.contextual import ContextTask

        return ContextTask(network, recipe, train, dev, vectors)
    from pipeline.training.localizing import LocalizerTask

    return LocalizerTask(network, recipe, train, dev, vectors)


def _facts(
    recipe: Recipe,
    data: Sequence[Source],
    dev: Sequence[Source],
    task: Task,
    encoder: str,
    sets: tuple[_Sets, _Sets],
) -> dict[str, Any]:
    """What a training is: another one cannot go on with its state."""
    wanted = recipe.training.negatives
    found = getattr(task.module, "negatives", 0) if wanted < 0 else wanted
    return {
        "method": recipe.method,
        "recipe": Path(recipe.source).name,
        "data": [source.text for source in data],
        "dev": [source.text for source in dev]
        or f"{recipe.training.held_out:g} of the training {recipe.training.held_out_by}s",
        "questions": sum(len(found.answerable) for found, _ in sets[0]),
        "dev_questions": sum(len(found.answerable) for found, _ in sets[1]),
        "weights": [source.weight for source in data],
        "negatives": found if recipe.method != RETRIEVER else 0,
        "text_encoder": encoder_name(encoder),
        "licence": licence_note(data),
        "seed": recipe.training.seed,
        "network": recipe.network,
        "training": asdict(recipe.training),
    }
