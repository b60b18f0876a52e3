"""Measures retrieval and localization on a published data set: `python -m pipeline evaluate`.

The split's whole corpus is asked as a library like any other; the published measures come out as JSON, in
percent, with bootstrap 95 % intervals over videos. Trained methods are measured by their spans as they are,
as in the papers; the app moves spans to sentence bounds, and those figures stand beside ("snapped").
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.ask import Asker, Found, distinct
from pipeline.corpora import Corpora, fill
from pipeline.datasets import READERS, Dataset, Question, read, thinned
from pipeline.errors import AnswerClipError, CheckpointMissing
from pipeline.features.text import TextEncoder
from pipeline.localize import LOCALIZERS, NETWORKS, Localizer, load_localizer
from pipeline.metrics import (
    DEPTHS,
    best_iou,
    intervals,
    median_rank,
    overlap_values,
    percent,
    rank_values,
)
from pipeline.retrieve import RETRIEVERS, load_retriever
from pipeline.retrieve.bm25 import AllRetriever
from pipeline.settings import Settings
from pipeline.types import Filters, Span

__all__ = ["TASKS", "Measured", "evaluate", "evaluate_checkpoint", "fill", "main", "run", "thinned"]

log = logging.getLogger(__name__)

TASKS = ("vcval", "val", "retrieval")
_RANKS = (1, 10, 100)
_SPANS_PER_VIDEO = 8
_MOST_SPANS = 200  # of all videos together, so that 100 are there to be ranked in a small corpus too
_PICTURES = "i3d"  # folder of picture features beside a data set's files
_Spans = list[tuple[str, Span]]


@dataclass
class Measured:
    """One row of values for each question, by group of the report (`retrieval`, `rank1`, …, `val`).

    `others` are the same groups for the other kind of spans: snapped where `raw`, else raw.
    """

    raw: bool = False
    behind: int = max(DEPTHS) + 1  # the place of a video that is not listed
    unread: int = 0  # questions whose videos a trained method could not read: the untrained one answered
    videos: list[str] = field(default_factory=list)
    rows: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    others: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    queries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, group: str, values: dict[str, float], other: dict[str, float] | None = None) -> None:
        self.rows.setdefault(group, []).append(values)
        if other is not None:
            self.others.setdefault(group, []).append(other)

    def report(self) -> dict[str, Any]:
        """Percentages by group and their intervals."""
        means: dict[str, Any] = {group: percent(rows) for group, rows in self.rows.items()}
        if "retrieval" in means:
            means["retrieval"] |= {"medr": median_rank([q["rank"] for q in self.queries], self.behind)}
        bounds = {group: intervals(rows, self.videos) for group, rows in self.rows.items()}
        if self.others:
            means["snapped" if self.raw else "raw"] = {g: percent(rows) for g, rows in self.others.items()}
        return means | {"intervals": bounds}


class _Exam:
    """A data set asked of a library, question by question."""

    def __init__(self, data: Dataset, asker: Asker, ids: dict[str, str], raw: bool | None) -> None:
        localizer, retriever = asker.methods.untrained.localizer, asker.methods.untrained.retriever
        self.asker, self.ids = asker, ids
        self.measured = Measured(localizer.trained if raw is None else raw)
        # Where retrieval does not rank the videos, or the localizer does, their best spans do: then every
        # video has to be looked into, and no limit on spans may cut the ranking off.
        self.by_spans = localizer.ranks_videos or getattr(retriever, "unordered", False)
        self.listed = len(data.videos) if self.by_spans else max(_RANKS)
        self.per_video = max(_SPANS_PER_VIDEO, -(-_MOST_SPANS // max(1, len(data.videos))))
        self.measured.behind = min(len(data.videos), max(self.listed, max(DEPTHS))) + 1
        whole = asker.library.count() <= len(data.videos)  # else a library of more than this split
        self.corpus = Filters() if whole else Filters(tuple(ids[name] for name in data.videos))

    def vcval(self, question: Question) -> None:
        """The whole corpus: ranks of spans and of videos."""
        video, truth = self.ids[question.video_id], _truth(question)
        found = self._find(question, self.corpus, self.listed, self.per_video)
        main, other = self._both(found, max(_RANKS))
        rank = self._rank(found, video)
        self.measured.add("retrieval", rank_values(rank))
        for depth in _RANKS:
            values = [overlap_values(best_iou(spans, video, truth, depth)) for spans in (main, other)]
            self.measured.add(f"rank{depth}", *values)
        self.measured.queries.append(_query(question, main[:1], video) | {"rank": rank})

    def val(self, question: Question) -> None:
        """The true video is given."""
        video, truth = self.ids[question.video_id], _truth(question)
        main, other = self._both(self._find(question, Filters((video,)), 1, 1), 1)
        values = [overlap_values(best_iou(spans, video, truth, 1)) for spans in (main, other)]
        self.measured.add("val", *values)
        self.measured.queries.append(_query(question, main, video))

    def retrieval(self, question: Question) -> None:
        """Videos only."""
        found = self._find(question, self.corpus, self.listed if self.by_spans else 0, 1)
        rank = self._rank(found, self.ids[question.video_id])
        self.measured.add("retrieval", rank_values(rank))
        self.measured.queries.append({"id": question.id, "question": question.text, "rank": rank})

    def _find(self, question: Question, filters: Filters, videos: int, per_video: int) -> Found:
        vector = self.asker.vector(question.text)
        found = self.asker.find(question.text, vector, filters, videos=videos, per_video=per_video, top=0)
        localizer = self.asker.methods.untrained.localizer
        if localizer.trained and found.raw and found.request.kept.get(localizer.name) == {}:
            self.measured.unread += 1
        return found

    def _both(self, found: Found, depth: int) -> tuple[_Spans, _Spans]:
        """The best spans of the kind that is reported, and of the other."""
        raw = [(s.video_id, s.span) for s in found.raw[:depth]]
        snapped = [(s.video_id, s.span) for s in distinct(found.raw, found.request, depth)]
        return (raw, snapped) if self.measured.raw else (snapped, raw)

    def _rank(self, found: Found, video: str) -> int | None:
        if self.by_spans:
            order = list(dict.fromkeys(span.video_id for span in found.raw))
        else:
            order = [hit.video_id for hit in found.hits]
        return order.index(video) + 1 if video in order else None


def evaluate(
    data: Dataset, asker: Asker, ids: dict[str, str], task: str = "vcval", raw: bool | None = None
) -> Measured:
    """Asks every answerable question. `ids` maps the data set's video names to the library's, which may hold
    more videos than those.

    vcval: the whole corpus, ranks of spans and of videos; val: the true video is given; retrieval: videos.
    `raw` spans, not moved to sentence bounds, make the main figures; default: for trained methods.
    """
    if task not in TASKS:
        raise ValueError(f"no task '{task}'; known: {', '.join(TASKS)}")
    if not data.answerable:
        raise ValueError(f"{data.name} has no answerable question in split '{data.split}'")
    if task == "val":  # the video is given: nothing is searched
        asker = _given(asker)
    exam = _Exam(data, asker, ids, raw)
    ask = {"vcval": exam.vcval, "val": exam.val, "retrieval": exam.retrieval}[task]
    for question in tqdm(data.answerable, desc=f"{data.name} {task}", leave=False, disable=None):
        exam.measured.videos.append(question.video_id)
        ask(question)
    if exam.measured.unread == len(data.answerable):
        raise CheckpointMissing(
            "The checkpoint can read none of these videos, so there is nothing to measure: it was trained "
            "with another text encoder (see ANSWERCLIP_TEXT_ENCODER), or it needs picture features "
            f"({_PICTURES}/VIDEO.npy)."
        )
    return exam.measured


def evaluate_checkpoint(
    data: Dataset,
    localizer: Localizer,
    retriever: str = "fused",
    task: str = "vcval",
    limit: int | None = None,
    workdir: Path | Corpora | None = None,
    settings: Settings | None = None,
    encoder: TextEncoder | None = None,
    retriever_checkpoint: Path | str = "",
    raw: bool | None = None,
    pictures: Path | None = None,
) -> dict[str, Any]:
    """The report of one method on one split, for programs that measure many.

    The library of the whole data set is kept in `workdir/NAME` and grows with every split that needs other
    videos; a `Corpora` in its place also keeps libraries open and questions encoded between calls.
    `pictures` is a folder with the videos' picture features (`VIDEO.npy`), for methods that use them.
    """
    settings = settings or Settings()
    with _corpora(workdir, settings, encoder) as corpora:
        asked = thinned(data, limit)
        library, ids = corpora.library(data, pictures if localizer.uses_pictures else None, localizer)
        corpora.encoder.prepare([q.text for q in asked.answerable], localizer.needs_states)
        chosen = load_retriever(library, retriever, retriever_checkpoint, settings.checkpoints_dir)
        asker = Asker(library, corpora.encoder, settings, localizer, chosen)
        measured = evaluate(asked, asker, ids, task, raw)
    head = {
        "data": data.name,
        "split": data.split,
        "method": localizer.name,
        "retriever": retriever,
        "task": task,
        "spans": "raw" if measured.raw else "snapped",
        "encoder": corpora.encoder.name,
        "videos": len(data.videos),
        "questions": len(asked.answerable),
        "unread": measured.unread,
    }
    return head | measured.report() | {"queries": measured.queries}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `python -m pipeline evaluate`."""
    parser.add_argument("--data", required=True, metavar="NAME:DIR", help=f"one of {', '.join(READERS)}")
    parser.add_argument(
        "--split",
        default="",
        help="a published split, or K/N: part K of N by video (default: all)",
    )
    parser.add_argument("--method", default="windows", help=f"localizer: {', '.join(LOCALIZERS)}")
    parser.add_argument(
        "--retriever", default="fused", choices=sorted(RETRIEVERS), help="how videos are found"
    )
    parser.add_argument("--checkpoint", default="", help="trained weights of the method: folder or hub name")
    rules, how = ("argmax", "expected_iou"), "how a trained method takes its spans; default: its own"
    parser.add_argument("--decode", default="", choices=rules, help=how)
    parser.add_argument("--retriever-checkpoint", default="", help="trained weights of the retriever")
    parser.add_argument(
        "--task", default="vcval", choices=TASKS, help="whole corpus, one video, or videos only"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--raw", action="store_true", default=None, help="spans as the method gives them (default if trained)"
    )
    kind.add_argument(
        "--snapped", dest="raw", action="store_false", help="spans moved to sentence bounds, as in the app"
    )
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the report here; default: standard output"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep the corpus as a library in DIR/NAME, and reuse it",
    )
    parser.add_argument("--limit", type=int, help="ask only so many questions, evenly spread")


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Runs the evaluation; 0, 1 for data, checkpoints or files that cannot be used, 2 for wrong arguments."""
    try:
        if args.json:  # before anything is measured: an hour's report must not end in a file that cannot be
            args.json.parent.mkdir(parents=True, exist_ok=True)
            args.json.open("a", encoding="utf-8").close()
        report = run(args, settings)
    except (OSError, AnswerClipError) as e:
        log.error("%s", e)
        return 1
    except ValueError as e:
        log.error("%s", e)
        return 2
    text = json.dumps(report, indent=1, ensure_ascii=False)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    return 0


def run(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The whole report of one call."""
    name, _, folder = args.data.partition(":")
    if not folder:
        raise ValueError("--data is NAME:DIR, for example medvidqa:data/medvidqa")
    if args.checkpoint and args.method in LOCALIZERS and args.method not in NETWORKS:
        raise ValueError(f"the method '{args.method}' is not trained and takes no checkpoint")
    localizer = load_localizer(args.method, args.checkpoint, settings.checkpoints_dir, args.decode)
    data = read(name, Path(folder), args.split)
    return evaluate_checkpoint(
        data,
        localizer,
        args.retriever,
        args.task,
        args.limit,
        args.keep,
        settings,
        retriever_checkpoint=args.retriever_checkpoint,
        raw=args.raw,
        pictures=Path(folder) / _PICTURES,
    )


def _given(asker: Asker) -> Asker:
    """The same method without a search: the filter names the one video."""
    return Asker(
        asker.library,
        asker.encoder,
        asker.settings,
        asker.methods.untrained.localizer,
        AllRetriever(asker.library),
        asker.confidence,
    )


@contextmanager
def _corpora(
    place: Path | Corpora | None, settings: Settings, encoder: TextEncoder | None
) -> Iterator[Corpora]:
    """What was given, or libraries in this folder, or in a temporary one that goes afterwards."""
    if isinstance(place, Corpora):
        yield place
    elif place:
        with Corpora(place, settings, encoder) as corpora:
            yield corpora
    else:
        with tempfile.TemporaryDirectory() as folder, Corpora(Path(folder), settings, encoder) as corpora:
            yield corpora


def _truth(question: Question) -> Span:
    assert question.span is not None  # only answerable questions are asked
    return question.span


def _query(question: Question, spans: Sequence[tuple[str, Span]], video: str) -> dict[str, Any]:
    truth = _truth(question)
    best = spans[0][1] if spans else None
    return {
        "id": question.id,
        "question": question.text,
        "video": question.video_id,
        "truth": [truth.start, truth.end],
        "right_video": bool(spans) and spans[0][0] == video,
        "span": [best.start, best.end] if best else None,
        "iou": round(best_iou(spans, video, truth, 1), 4),
    }
