"""The tables of the default: five folds by video of every set at once, what it gives on sets that it never
saw, and the published splits; beside it the untrained method.

Run from the repository's root: `python -m benchmarks.default --data ../shared/data --tables default/all.md`.
Fold K is one training on all sets without their parts K/5, asked about those parts; the training on
everything is the one that ships, and is asked about MedVidQA val. With `--weights cc0` the how-to set
alone is trained on, and the other sets are all unseen. The narrations of `recipes/narrations` are in all of
these trainings, and in no test. About half an hour a training on a quiet core.
Each run adds a line to `--out`; what is there is skipped, so a killed benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import heading
from benchmarks.zoo import Known, add_line, line_of, read_lines
from benchmarks.zoo_tables import tables
from pipeline.corpora import Corpora
from pipeline.datasets import read
from pipeline.evaluate import evaluate_checkpoint
from pipeline.features.text import encoder_name, load_encoder
from pipeline.localize import Localizer, load_localizer
from pipeline.train import config_of, train
from pipeline.training.recipe import NARRATIONS, load
from pipeline.training.sources import Source
from pipeline.training.vectors import VectorCache, default_folder

log = logging.getLogger("benchmarks.default")

SETS = ("tutorialvqa", "vehiclevqa", "howto", "medvidqa")
# What is trained on, with how often an epoch goes through each.
WEIGHTS = {"all": {"howto": 1.0, "tutorialvqa": 1.0, "vehiclevqa": 0.4}, "cc0": {"howto": 1.0}}
_OURS = ("narrations", "", 1.0)  # in every training but those of published splits, and never asked about
PROTOCOLS = ("never seen", "by video", "published")
_UNSEEN = "medvidqa"
_UNTRAINED = "untrained"


@dataclass(frozen=True)
class Run:
    """One training, and the splits that it is asked about: (set, split)."""

    protocol: str
    name: str
    train: tuple[tuple[str, str, float], ...]  # set, split, weight
    tests: tuple[tuple[str, str], ...]
    settings: tuple[str, ...] = ()  # changes of the recipe


def runs(weights: str, folds: int, published: int) -> Iterator[Run]:
    """Everything first: it is what ships. Then the folds by video, then the published splits."""
    known = WEIGHTS[weights]
    everything = (_OURS, *((data, "", weight) for data, weight in known.items()))
    unseen = tuple((data, "val" if data == _UNSEEN else "") for data in SETS if data not in known)
    yield Run("never seen", "all", everything, unseen)
    for k in range(1, folds + 1):
        part = (_OURS, *((data, f"-{k}/5", weight) for data, weight in known.items()))
        yield Run("by video", f"{k}/5", part, tuple((data, f"{k}/5") for data in known))
    if published and "tutorialvqa" in known:
        yield Run("published", "test", (("tutorialvqa", "train", 1.0),), (("tutorialvqa", "test"),))
    for k in range(1, published + 1 if "vehiclevqa" in known else 1):
        yield Run("published", f"fold {k}", (("vehiclevqa", f"-{k}", 1.0),), (("vehiclevqa", f"{k}"),))


class Bench:
    """One after the other: train, measure, write a line."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.title = f"default ({args.weights})"
        self.done = [json.loads(line) for line in read_lines(args.out)]
        encoder = Known(VectorCache(default_folder(), encoder_name(), load_encoder))
        for data in SETS:
            encoder.learn(read(data, args.data / data))
        self.corpora = Corpora(args.work / "libraries", encoder=encoder)

    def run(self) -> None:
        for run in runs(self.args.weights, self.args.folds, self.args.published):
            if run.protocol not in self.args.protocols:
                continue
            wanted = [(*test, task) for test in run.tests for task in ("val", "vcval")]
            self._ask(
                run, _UNTRAINED, [w for w in wanted if not self._is_done(run, _UNTRAINED, *w)], None, {}
            )
            missing = [w for w in wanted if not self._is_done(run, self.title, *w)]
            if missing:
                facts = self._train(run)
                self._ask(run, self.title, missing, self._folder(run), facts)

    def _folder(self, run: Run) -> Path:
        name = f"{self.args.weights}-{run.protocol}-{run.name}"
        return self.args.work / "checkpoints" / "".join(c if c.isalnum() else "-" for c in name)

    def _train(self, run: Run) -> dict[str, Any]:
        folder = self._folder(run)
        if (folder / "training.json").is_file():
            return json.loads((folder / "training.json").read_text(encoding="utf-8"))
        log.info("training %s", folder.name)
        recipe = "known" if run.protocol == "published" else "small"
        return train(
            "default",
            [
                Source(data, NARRATIONS if data == _OURS[0] else self.args.data / data, split, weight)
                for data, split, weight in run.train
            ],
            folder,
            dev=[Source(_UNSEEN, self.args.data / _UNSEEN, "val")],
            recipe=load("default", config_of("default"), recipe, [*run.settings, *self.args.set]),
            resume=True,
            cpu=True,
        )

    def _ask(
        self,
        run: Run,
        title: str,
        wanted: list[tuple[str, str, str]],
        folder: Path | None,
        facts: dict[str, Any],
    ) -> None:
        if not wanted:
            return
        localizer = load_localizer("default", folder) if folder else load_localizer()
        for data, split, task in wanted:
            self._measure(run, title, localizer, data, split, task, facts)

    def _measure(
        self,
        run: Run,
        title: str,
        localizer: Localizer,
        name: str,
        split: str,
        task: str,
        facts: dict[str, Any],
    ) -> None:
        data = read(name, self.args.data / name, split)
        limit = self.args.limit if task == "val" else self.args.corpus_limit
        report = evaluate_checkpoint(data, localizer, "fused", task, limit, self.corpora)
        where = {"set": name, "protocol": run.protocol, "fold": run.name, "title": title, "task": task}
        line = line_of(where, facts, report, data)
        self.done.append(line)
        add_line(self.args.out, line)
        log.info("%s %s %s %s: %s", name, run.name, title, task, report.get("val") or report.get("rank1"))

    def _is_done(self, run: Run, title: str, data: str, split: str, task: str) -> bool:
        wanted = (data, run.protocol, run.name, title, task)
        return any(
            wanted == tuple(d[k] for k in ("set", "protocol", "fold", "title", "task")) for d in self.done
        )


def main() -> int:
    parser = arguments(__doc__, "default")
    parser.add_argument("--weights", default="all", choices=sorted(WEIGHTS))
    parser.add_argument("--folds", type=int, default=5, help="of the five folds by video")
    parser.add_argument(
        "--published", type=int, default=10, help="published folds of VehicleVQA; 0: none at all"
    )
    parser.add_argument("--protocols", nargs="*", default=PROTOCOLS, choices=PROTOCOLS, help="all, or some")
    parser.add_argument("--corpus-limit", type=int, default=200, help="questions asked of the whole corpus")
    args = parser.parse_args()
    command = f"python -m benchmarks.default --weights {args.weights} --limit {args.limit}"
    return measure(Bench(args), f"{command} --corpus-limit {args.corpus_limit}", tables)


def arguments(doc: str | None, name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--limit", type=int, default=400, help="questions of each test with the video given")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the recipe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(name), help="libraries and checkpoints, kept")
    parser.add_argument("--out", type=Path, default=Path(name) / "lines.jsonl", help="one JSON line a run")
    parser.add_argument("--tables", type=Path, help="write the Markdown tables here too")
    return parser


def measure(bench: Bench, command: str, tables_of: Callable[[Sequence[dict[str, Any]]], str]) -> int:
    """Runs it, and gives the tables of all its lines."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(bench.args.threads)
    bench.args.out.parent.mkdir(parents=True, exist_ok=True)
    with bench.corpora:
        bench.run()
    text = heading(command) + "\n" + tables_of(bench.done)
    if bench.args.tables:
        bench.args.tables.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
