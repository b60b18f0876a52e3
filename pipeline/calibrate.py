"""Fits the confidence: `python -m pipeline.calibrate --data howto:DIR --out checkpoints`; of a trained method
with `--method NAME --fold 1/5=DIR … --out checkpoints/NAME`.

Goes in: a data set with questions that have an answer and close ones that have none. Libraries of 1, 8, 30
and all videos are made of it and asked three kinds of question: answered by the library, close to a video
but unanswered, and answered only by a video that is left out. Comes out: `confidence.json`, with the
cross-validated figures (folds by video) of what it promises.

A trained method has seen the questions that it would be judged by. So each part of the data set is asked
with a checkpoint that was trained without it (`--fold K/N=DIR`); what is fitted goes beside the weights that
were trained with all parts. The fit is also tried on libraries of videos without half of their parts, about
what is there and what is missing: both are worded alike, which the close ones and the others are not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ask import Asker
from pipeline.confidence import FILE, Confidence, Logistic
from pipeline.corpora import copy, fill, read_ahead
from pipeline.datasets import Dataset, Question, read
from pipeline.datasets.halves import halves
from pipeline.datasets.splits import part_of
from pipeline.features.text import load_encoder, passages
from pipeline.ingest import write_whole
from pipeline.library.store import Library
from pipeline.localize import load_localizer
from pipeline.metrics import auroc, reliability, risk_at_coverage
from pipeline.retrieve.words import stems
from pipeline.settings import Settings

log = logging.getLogger(__name__)

FULL = ("meaning", "nearest", "covered")
TRAINED = (*FULL, "answers", "share")  # of a localizer that gives these signals
WORDS = ("coverage", "covered")
ANSWERABLE = 0.75  # the share of questions assumed to have an answer in the library
WRONG_REFUSALS = 0.05  # of the answerable questions, at the threshold
FOLDS = 5
# Libraries: how many videos, how many libraries, and questions of each: answered, close, left out.
SIZES = ((1, 60, 5, 2, 5), (8, 16, 20, 16, 12), (30, 5, 60, 60, 40), (0, 1, 500, 400, 0))
_RARE = 10  # stems in fewer passages than this are as rare as can be


@dataclass(frozen=True)
class Example:
    """One question asked of one library."""

    video: str
    size: int
    kind: str  # answered | close | left out | part left out
    right: bool  # the best span is in the true video and overlaps the answer by 0.3 or more
    signals: dict[str, float]
    whole: bool = True  # the library's videos have all their parts

    @property
    def answerable(self) -> bool:
        return self.kind == "answered"


def rarity(data: Dataset) -> dict[str, float]:
    """How rare the common stems are among the passages of a data set: 0 in all, 1 in one."""
    held = [set(stems(p.text)) for video in data.videos.values() for p in passages(video.cues)]
    counts = Counter(stem for found in held for stem in found)
    most = math.log(len(held) or 1) or 1.0
    return {
        stem: round(math.log(len(held) / (count + 1)) / most, 2)
        for stem, count in sorted(counts.items())
        if count >= _RARE
    }


def examples(
    data: Dataset,
    asker: Asker,
    ids: Mapping[str, str],
    words_only: bool = False,
    share: int = 1,
    whole: bool = True,
) -> list[Example]:
    """Asks the questions of `data` of libraries of several sizes, drawn from its videos; the largest has all
    of `ids`. `share`: one in so many of the libraries, and of the questions of the largest, where the data
    are one part of so many. `whole`: the videos have all their parts; else there is no largest."""
    chance = random.Random(0)
    found: list[Example] = []
    localizer = asker.methods.untrained.localizer
    for size, repetitions, *counts in SIZES if whole else SIZES[:-1]:
        counts = counts if size else [-(-count // share) for count in counts]
        for _ in range(-(-repetitions // share)):
            videos = chance.sample(sorted(data.videos), min(size or len(data.videos), len(data.videos)))
            questions = _drawn(data, set(videos), counts, chance, "close" if whole else "part left out")
            held = [ids[video] for video in videos] if size else list(ids.values())
            with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "library") as part:
                copy(asker.library, part, held, localizer.reading)
                small = Asker(part, asker.encoder, asker.settings, localizer, confidence=asker.confidence)
                asked = [_ask(small, q, kind, ids[q.video_id], words_only) for q, kind in questions]
            found += [
                Example(q.video_id, len(held), kind, *a, whole)
                for (q, kind), a in zip(questions, asked, strict=True)
            ]
        log.info("asked %d questions of libraries of up to %d videos", len(found), len(videos))
    return found


def fit(rows: Sequence[Example], names: Sequence[str]) -> Logistic:
    """Logistic regression by Newton's method, weighted so that sizes count alike and ANSWERABLE holds."""
    x = np.array([[row.signals.get(name, 0.0) for name in names] for row in rows])
    x = np.c_[np.ones(len(x)), x]
    y = np.array([row.answerable for row in rows], float)
    weights = _weights(rows)
    ridge = np.diag([0.0] + [1e-3 * len(rows)] * len(names))
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        gradient = x.T @ (weights * (p - y)) + ridge @ beta
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x + ridge
        beta -= np.linalg.solve(curvature + 1e-9 * np.eye(len(beta)), gradient)
    fitted = Logistic(float(beta[0]), dict(zip(names, map(float, beta[1:]), strict=True)))
    threshold = _threshold([fitted(row.signals) for row in rows], rows)
    return Logistic(fitted.bias, fitted.weights, threshold)


def cross_validated(rows: Sequence[Example], names: Sequence[str]) -> list[float]:
    """The confidence of every example by weights fitted on whole videos, without the questions of its own."""
    videos = sorted({row.video for row in rows})
    random.Random(0).shuffle(videos)
    fold = {video: i % FOLDS for i, video in enumerate(videos)}
    found = [0.0] * len(rows)
    for k in range(FOLDS):
        fitted = fit([row for row in rows if row.whole and fold[row.video] != k], names)
        for i, row in enumerate(rows):
            if fold[row.video] == k:
                found[i] = fitted(row.signals)
    return found


def report(rows: Sequence[Example], confidences: Sequence[float], threshold: float) -> dict[str, Any]:
    """AUROC by kind, wrong refusals and catches at the threshold, risk at 80 % coverage, reliability."""
    values = np.array(confidences)
    kinds = np.array([row.kind for row in rows])
    held = kinds == "answered"
    right = [row.right for row in rows]
    found: dict[str, Any] = {
        "questions": len(rows),
        "auroc": round(auroc(confidences, held.tolist()), 3),
        "wrong_refusals": round(float((values[held] < threshold).mean()), 3),
        "risk_at_80": round(risk_at_coverage(values[held].tolist(), np.array(right)[held].tolist()), 3),
        "reliability": [
            [round(mean, 3), round(share, 3), count]
            for mean, share, count in reliability(confidences, held.tolist(), _weights(rows).tolist())
        ],
    }
    for kind in sorted({*kinds} - {"answered"}):
        chosen = held | (kinds == kind)
        found[f"auroc {kind}"] = round(auroc(values[chosen].tolist(), held[chosen].tolist()), 3)
        found[f"caught {kind}"] = round(float((values[kinds == kind] < threshold).mean()), 3)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.calibrate", description="Fit the confidence.")
    parser.add_argument("--data", default="howto:../shared/data/howto", metavar="NAME:DIR")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), help="folder for confidence.json")
    parser.add_argument(
        "--keep",
        type=Path,
        help="keep the library made of the data, and what each fold answered: goes on there",
    )
    parser.add_argument("--method", default="", help="a trained method, for which each part has a --fold")
    parser.add_argument(
        "--fold",
        action="append",
        default=[],
        metavar="K/N=DIR",
        help="a checkpoint that was trained without part K of N (repeatable)",
    )
    args = parser.parse_args(arguments)
    if bool(args.method) != bool(args.fold):
        parser.error("a trained method needs its --fold checkpoints, and they need --method")
    name, _, folder = args.data.partition(":")
    data = read(name, Path(folder))
    with tempfile.TemporaryDirectory() as temporary:
        place = args.keep or Path(temporary) / "library"
        if args.method:
            folds = dict(fold.split("=", 1) for fold in args.fold)
            result = calibrate_trained(data, place, args.method, folds)
        else:
            result = calibrate(data, place)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / FILE).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps({k: result[k]["report"] for k in ("full", "words")}, indent=1) + "\n")
    return 0


def calibrate_trained(data: Dataset, folder: Path, method: str, folds: Mapping[str, str]) -> dict[str, Any]:
    """What `confidence.json` beside the weights of a method holds; `folds` maps parts of the data (K/N) to
    checkpoints. Questions searched by words alone are answered untrained, so `words` is as it was shipped."""
    settings = Settings.model_validate({})
    shipped = json.loads((settings.checkpoints_dir / FILE).read_text(encoding="utf-8"))
    encoder, rows = load_encoder(), list[Example]()
    with Library.open(folder) as library:
        sets = [(each, fill(library, each, encoder), each is data) for each in (data, halves(data)[0])]
        for part, checkpoint in folds.items():
            localizer = load_localizer(method, checkpoint)
            kept = folder / f"asked-{part.replace('/', '-')}-{_digest(Path(checkpoint))}.json"
            if not kept.is_file():
                judge, share = Confidence(rarity=shipped["rarity"]), int(part.rpartition("/")[2])
                asker = Asker(library, encoder, settings, localizer, confidence=judge)
                asked = []
                for each, ids, whole in sets:
                    of = part_of(each, part)
                    if localizer.reading:
                        read_ahead(library, localizer, [ids[v] for v in (each if whole else of).videos])
                    asked += examples(of, asker, ids, share=share, whole=whole)
                write_whole(kept, json.dumps([asdict(row) for row in asked]).encode())
            rows += [Example(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    kept_as_is = {key: shipped[key] for key in ("data", "encoder", "rarity", "words")}
    return kept_as_is | {"method": method, "full": _fitted(rows, TRAINED)}


def _digest(checkpoint: Path) -> str:
    """Other weights, or another way to decode them, answer otherwise."""
    found = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        found.update((checkpoint / name).read_bytes())
    return found.hexdigest()[:12]


def calibrate(data: Dataset, folder: Path) -> dict[str, Any]:
    """Everything that `confidence.json` holds."""
    encoder = load_encoder()
    result: dict[str, Any] = {"data": data.name, "encoder": encoder.name, "rarity": rarity(data)}
    with Library.open(folder) as library:
        ids = fill(library, data, encoder)
        settings = Settings.model_validate({})
        asker = Asker(library, encoder, settings, confidence=Confidence(rarity=result["rarity"]))
        for key, names in (("full", FULL), ("words", WORDS)):
            result[key] = _fitted(examples(data, asker, ids, words_only=key == "words"), names)
    return result


def _fitted(rows: Sequence[Example], names: Sequence[str]) -> dict[str, Any]:
    """One logistic function with its report. Half videos are asked about and not fitted on: doing so changed
    no AUROC by more than 0.005, and the threshold refused less of what whole videos do not answer."""
    fitted = fit([row for row in rows if row.whole], names)
    return {
        "bias": round(fitted.bias, 4),
        "weights": {name: round(weight, 4) for name, weight in fitted.weights.items()},
        "threshold": round(fitted.threshold, 4),
        "report": _reports(rows, cross_validated(rows, names), fitted.threshold),
    }


def _drawn(
    data: Dataset, videos: set[str], counts: Sequence[int], chance: random.Random, close: str
) -> list[tuple[Question, str]]:
    """Questions by kind: at most so many answered, `close`, and left out."""
    kinds = (
        ("answered", [q for q in data.questions if q.span and q.video_id in videos]),
        (close, [q for q in data.questions if not q.span and q.video_id in videos]),
        ("left out", [q for q in data.questions if q.span and q.video_id not in videos]),
    )
    return [
        (question, kind)
        for (kind, asked), count in zip(kinds, counts, strict=True)
        for question in chance.sample(asked, min(count, len(asked)))
    ]


def _ask(
    asker: Asker, question: Question, kind: str, video: str, words_only: bool
) -> tuple[bool, dict[str, float]]:
    """Whether the best span is right, and its signals."""
    found = asker.find(question.text, None if words_only else asker.vector(question.text))
    if not found.spans:
        return False, {}
    best = found.spans[0]
    right = kind == "answered" and best.video_id == video
    overlaps = question.span is not None and best.span.iou(question.span) >= 0.3
    return right and overlaps, asker.signals(found, best)


def _weights(rows: Sequence[Example]) -> np.ndarray:
    """Every size counts alike; within it, answerable questions count ANSWERABLE together."""
    counts = Counter((row.size, row.answerable) for row in rows)
    share = {True: ANSWERABLE, False: 1 - ANSWERABLE}
    raw = np.array([share[row.answerable] / counts[row.size, row.answerable] for row in rows])
    return raw / raw.mean()


def _threshold(confidences: Sequence[float], rows: Sequence[Example]) -> float:
    """The confidence that all but WRONG_REFUSALS of the answerable questions reach, sizes counting alike."""
    held = [i for i, row in enumerate(rows) if row.answerable]
    order = sorted(held, key=confidences.__getitem__)
    weights = _weights(rows)[order]
    passed = int(np.searchsorted(np.cumsum(weights) / weights.sum(), WRONG_REFUSALS))
    return confidences[order[min(passed, len(order) - 1)]]


def _reports(rows: Sequence[Example], confidences: Sequence[float], threshold: float) -> dict[str, Any]:
    """The report of libraries of whole videos, of each size of them, and of those with half videos."""
    sizes = sorted({row.size for row in rows if row.whole})
    groups = {"all": [i for i, row in enumerate(rows) if row.whole]}
    groups |= {str(size): [i for i in groups["all"] if rows[i].size == size] for size in sizes}
    groups["half"] = [i for i, row in enumerate(rows) if not row.whole]
    return {
        name: report([rows[i] for i in chosen], [confidences[i] for i in chosen], threshold)
        for name, chosen in groups.items()
        if chosen
    }


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logging.getLogger("pipeline").setLevel(logging.INFO)
    sys.exit(main())
