"""The tables of the trained methods: every method and ablation on published splits and on five folds by
video, and whole pipelines of retrieval and localization.

Run from the repository's root: `python -m benchmarks.zoo --data ../shared/data --tables zoo/zoo.md`. About an
hour on two quiet cores. Each run adds a line to `--out`; what is there is skipped, so a killed benchmark goes
on. All methods see their training questions equally often (`--epochs`): few times on folds by video, where
more was not better on the dev videos, more often on published splits, whose tests ask of the training videos.
`--only` and `--sets` choose some of the runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import heading
from benchmarks.zoo_tables import tables
from pipeline.corpora import Corpora
from pipeline.datasets import Dataset, read
from pipeline.evaluate import evaluate_checkpoint
from pipeline.features.text import encoder_name, load_encoder
from pipeline.localize import load_localizer
from pipeline.train import RETRIEVER, config_of, train
from pipeline.training.recipe import load
from pipeline.training.sources import Source
from pipeline.training.vectors import VectorCache, default_folder

log = logging.getLogger("benchmarks.zoo")

_STREAM = "visual=transcript"  # the transcript's vectors, once a second, in place of pictures
# name in the tables, method, changes of the recipe
VARIANTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("windows (untrained)", "windows", ()),
    ("DPR", RETRIEVER, ()),
    ("Span-Base", "spanbase", ()),
    ("CCGS", "ccgs", ()),
    ("CCGS without contrastive learning", "ccgs", ("contrastive=false",)),
    ("CCGS without the matrix", "ccgs", ("matrix=false",)),
    ("CCGS + transcript stream", "ccgs", (_STREAM, "visual_rows=128")),
    ("MutualSL, textual predictor alone", "mutualsl", ()),
    ("MutualSL + transcript stream", "mutualsl", (_STREAM,)),
    ("MutualSL + transcript stream, without transfer", "mutualsl", (_STREAM, "transfer=false")),
    ("VPTSL + transcript stream", "vptsl", ()),
    ("VSLBase on the transcript stream", "vslbase", ()),
    ("VSLNet on the transcript stream", "vslnet", ()),
    ("ACRM on the transcript stream", "acrm", ()),
)
# Localizers that stand behind both trained and untrained retrieval of videos.
_PIPELINES = (
    "Span-Base",
    "VPTSL + transcript stream",
    "VSLNet on the transcript stream",
    "ACRM on the transcript stream",
)
_DPR_FOLDER = "DPR"


@dataclass(frozen=True)
class Fold:
    """What is trained on and what is asked."""

    data: str
    protocol: str  # published | by video
    name: str
    train: str
    test: str
    dev: str = ""
    changes: tuple[str, ...] = ()


def folds_of(data: str, published: int, parts: int) -> Iterator[Fold]:
    """TutorialVQA has one published split, VehicleVQA ten folds; their tests ask of videos that are in
    training too, so there the dev questions are held out by question where no dev split is published."""
    if data == "tutorialvqa" and published:
        yield Fold(data, "published", "test", "train", "test", "dev")
    if data == "vehiclevqa":
        for k in range(1, published + 1):
            yield Fold(data, "published", f"fold {k}", f"-{k}", f"{k}", changes=("held_out_by=question",))
    for k in range(1, parts + 1):
        yield Fold(data, "by video", f"{k}/5", f"-{k}/5", f"{k}/5")


class Known:
    """The text encoder, with what training has encoded already: nothing is encoded for the library again."""

    def __init__(self, cache: VectorCache) -> None:
        self._cache = cache
        self.name, self.dim = cache.name, 0
        self._vectors: dict[str, np.ndarray] = {}

    def learn(self, data: Dataset) -> None:
        """Takes over the windows of a data set."""
        for name, found in self._cache.videos(data.videos).items():
            cues = data.videos[name].cues
            for scale in found.scales:
                for a, b, vector in zip(scale.first, scale.last, scale.vectors, strict=True):
                    self._vectors[" ".join(cue.text for cue in cues[a : b + 1])] = vector
                    self.dim = len(vector)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        missing = [text for text in texts if text not in self._vectors]
        asked = self._cache.questions(missing) if missing else {}
        self._vectors |= {text: np.asarray(found.vector) for text, found in asked.items()}
        return np.array([self._vectors[text] for text in texts], np.float32).reshape(-1, self.dim)

    def states(self, text: str) -> np.ndarray:
        return self.states_of([text])[0]

    def states_of(self, texts: Sequence[str]) -> list[np.ndarray]:
        found = self._cache.questions(texts)
        return [np.asarray(found[text].states) for text in texts]


class Bench:
    """One after the other: train, measure, write a line."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.done = [json.loads(line) for line in read_lines(args.out)]
        encoder = Known(VectorCache(default_folder(), encoder_name(), load_encoder))
        for data in args.sets:
            log.info("reading %s", data)
            encoder.learn(read(data, args.data / data))
        self.corpora = Corpora(args.work / "libraries", encoder=encoder)

    def run(self) -> None:
        for data in self.args.sets:
            for fold in folds_of(data, self.args.published, self.args.folds):
                for name, method, changes in VARIANTS:
                    if self.args.only and method not in self.args.only:
                        continue
                    self._variant(fold, name, method, changes)

    def _variant(self, fold: Fold, name: str, method: str, changes: Sequence[str]) -> None:
        """Trains when one of its lines is missing, and measures what is missing."""
        missing = [line for line in self._wanted(fold, name, method) if not self._is_done(*line)]
        if not missing:
            return
        facts: dict[str, Any] = {}
        folder = self._folder(fold, name)
        if method != "windows":
            facts = self._train(fold, method, changes, folder)
        for _, title, task, retriever in missing:
            self._measure(fold, title, method, folder, task, retriever, facts)

    def _wanted(self, fold: Fold, name: str, method: str) -> list[tuple[Fold, str, str, str]]:
        """(fold, title, task, retriever) of every line of a variant."""
        if method == RETRIEVER:
            return [(fold, "DPR, videos only", "retrieval", "dpr")]
        lines = [(fold, name, "val", "fused")]
        if fold.protocol == "by video":
            if method == "windows":
                lines.append((fold, "fused + windows (untrained)", "vcval", "fused"))
                lines.append((fold, "BM25, videos only", "retrieval", "bm25"))
            elif name in ("CCGS", "CCGS without contrastive learning"):
                lines.append((fold, f"{name}, all videos ranked by it", "vcval", "all"))
            elif name in _PIPELINES:
                lines.append((fold, f"BM25 + {name}", "vcval", "bm25"))
                if not self.args.only or RETRIEVER in self.args.only:
                    lines.append((fold, f"DPR + {name}", "vcval", "dpr"))
        return lines

    def _is_done(self, fold: Fold, title: str, task: str, _: str) -> bool:
        wanted = (fold.data, fold.protocol, fold.name, title, task)
        return any(
            wanted == tuple(d[k] for k in ("set", "protocol", "fold", "title", "task")) for d in self.done
        )

    def _folder(self, fold: Fold, name: str) -> Path:
        place = f"{fold.data}-{fold.protocol}-{fold.name}-{name}"
        return self.args.work / "checkpoints" / "".join(c if c.isalnum() else "-" for c in place)

    def _train(self, fold: Fold, method: str, changes: Sequence[str], folder: Path) -> dict[str, Any]:
        if (folder / "training.json").is_file() and not self.args.again:
            return json.loads((folder / "training.json").read_text(encoding="utf-8"))
        if self.args.again:  # else a finished training with the same settings would be taken as it is
            shutil.rmtree(folder, ignore_errors=True)
        place = self.args.data / fold.data
        epochs = self.args.published_epochs if fold.protocol == "published" else self.args.epochs
        limits = [f"epochs={epochs}", "dev_questions=300", "precision=bf16"]
        log.info("training %s on %s %s", folder.name, fold.data, fold.train)
        return train(
            method,
            [Source(fold.data, place, fold.train)],
            folder,
            dev=[Source(fold.data, place, fold.dev)] if fold.dev else [],
            recipe=load(method, config_of(method), "", [*changes, *fold.changes, *limits]),
            resume=True,
            cpu=True,
        )

    def _measure(
        self,
        fold: Fold,
        title: str,
        method: str,
        folder: Path,
        task: str,
        retriever: str,
        facts: dict[str, Any],
    ) -> None:
        begin = time.monotonic()
        untrained = method in ("windows", RETRIEVER)
        data = read(fold.data, self.args.data / fold.data, fold.test)
        report = evaluate_checkpoint(
            data,
            load_localizer() if untrained else load_localizer(method, folder),
            retriever,
            task,
            self.args.limit if task == "val" else self.args.corpus_limit,
            self.corpora,
            retriever_checkpoint=self._folder(fold, _DPR_FOLDER) if retriever == "dpr" else "",
        )
        where = {"set": fold.data, "protocol": fold.protocol, "fold": fold.name, "title": title, "task": task}
        line = line_of(where, facts, report, data) | {"test_seconds": round(time.monotonic() - begin, 1)}
        self.done.append(line)
        add_line(self.args.out, line)
        log.info("%s %s %s: %s", fold.data, fold.name, title, report.get("val") or report.get("retrieval"))


def line_of(
    where: dict[str, str], facts: dict[str, Any], report: dict[str, Any], data: Dataset
) -> dict[str, Any]:
    """A line of the benchmark, as `zoo_tables` reads it: set, protocol, fold, title and task, what training
    took, the report, and (video, IoU of the best span, rank of the video) of each question."""
    video_of = {q.id: q.video_id for q in data.questions}
    queries = [[video_of[q["id"]], q.get("iou"), q.get("rank")] for q in report.pop("queries")]
    took = {name: facts.get(name, 0) for name in ("epochs", "steps", "parameters")}
    took["train_seconds"] = facts.get("seconds", 0.0)
    return where | took | {"report": report, "queries": queries}


def add_line(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[str]:
    """Whole lines only: a kill may leave half of one."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return whole.splitlines()


def main() -> int:
    args = _arguments()
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(args.threads)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    with bench.corpora:
        bench.run()
    command = f"python -m benchmarks.zoo --published {args.published} --limit {args.limit}"
    text = heading(f"{command} --corpus-limit {args.corpus_limit}") + "\n" + tables(bench.done)
    if args.tables:
        args.tables.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--sets", nargs="+", default=["tutorialvqa", "vehiclevqa"])
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="some methods only")
    parser.add_argument(
        "--published", type=int, default=1, help="published folds of VehicleVQA (10); 0: none"
    )
    parser.add_argument("--folds", type=int, default=5, help="of the five folds by video")
    parser.add_argument("--epochs", type=int, default=1, help="of each training on folds by video")
    parser.add_argument("--published-epochs", type=int, default=3, help="the same on published splits")
    parser.add_argument("--limit", type=int, default=300, help="questions of each test with the video given")
    parser.add_argument("--corpus-limit", type=int, default=100, help="questions asked of the whole corpus")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("zoo"), help="libraries and checkpoints, kept")
    parser.add_argument("--again", action="store_true", help="train also where a checkpoint is there")
    parser.add_argument("--out", type=Path, default=Path("zoo/zoo.jsonl"), help="one JSON line for each run")
    parser.add_argument("--tables", type=Path, help="write the Markdown tables here too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
