"""Measures retrieval and localization on a published data set: `python -m pipeline evaluate`.

The split's whole corpus becomes a library like any other (in a temporary folder, or kept with `--library`),
its questions are asked of it, and the published measures come out as JSON, in percent, with bootstrap 95 %
intervals over videos.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.ask import Asker
from pipeline.datasets import READERS, Dataset, Narration, Question, read
from pipeline.errors import AnswerClipError, CheckpointMissing
from pipeline.features.text import TextEncoder, load_encoder, passage_vectors, passages, text_vectors
from pipeline.library.store import Library
from pipeline.localize import LOCALIZERS, load_localizer
from pipeline.metrics import DEPTHS, best_iou, intervals, overlap_values, percent, rank_values
from pipeline.retrieve import RETRIEVERS, load_retriever
from pipeline.settings import Settings
from pipeline.types import Filters, Origin, Span, Transcript, Video

log = logging.getLogger(__name__)

TASKS = ("vcval", "val", "retrieval")
_RANKS = (1, 10, 100)
_SPANS_PER_VIDEO = 8  # so that 100 spans are there to be ranked


@dataclass
class Measured:
    """One row of values for each question, by group of the report (`retrieval`, `rank1`, …, `val`)."""

    videos: list[str] = field(default_factory=list)
    rows: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    queries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, group: str, values: dict[str, float]) -> None:
        self.rows.setdefault(group, []).append(values)

    def report(self) -> dict[str, Any]:
        """Percentages by group and their intervals."""
        means: dict[str, Any] = {group: percent(rows) for group, rows in self.rows.items()}
        if "retrieval" in means:
            means["retrieval"] |= _ranks_report([q["rank"] for q in self.queries])
        bounds = {group: intervals(rows, self.videos) for group, rows in self.rows.items()}
        return means | {"intervals": bounds}


def evaluate(data: Dataset, asker: Asker, ids: dict[str, str], task: str = "vcval") -> Measured:
    """Asks every answerable question. `ids` maps the data set's video names to the library's.

    vcval: the whole corpus, ranks of spans and of videos; val: the true video is given; retrieval: videos.
    """
    if task not in TASKS:
        raise ValueError(f"no task '{task}'; known: {', '.join(TASKS)}")
    measure = {"vcval": _in_corpus, "val": _in_video, "retrieval": _videos_only}[task]
    measured = Measured()
    for question in data.answerable:
        measured.videos.append(question.video_id)
        measure(question, asker, ids[question.video_id], measured)
    return measured


def fill(library: Library, data: Dataset, encoder: TextEncoder) -> dict[str, str]:
    """Puts the narrations of a data set into a library; the library's id of each."""
    ids = {name: _id_of(data.name, name)[:16] for name in data.videos}
    present = {video.id for video in library.videos()}
    for name, narration in data.videos.items():
        if ids[name] not in present:
            _add(library, data.name, narration, encoder)
    return ids


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `python -m pipeline evaluate`."""
    parser.add_argument("--data", required=True, metavar="NAME:DIR", help=f"one of {', '.join(READERS)}")
    parser.add_argument("--split", default="", help="split of the data set; default: the reader's own")
    parser.add_argument("--method", default="windows", help=f"localizer: {', '.join(LOCALIZERS)}")
    parser.add_argument(
        "--retriever", default="fused", choices=sorted(RETRIEVERS), help="how videos are found"
    )
    parser.add_argument("--checkpoint", type=Path, help="trained weights of the method")
    parser.add_argument(
        "--task", default="vcval", choices=TASKS, help="whole corpus, one video, or videos only"
    )
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the report here; default: standard output"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the library made of the corpus, and reuse it"
    )
    parser.add_argument("--limit", type=int, help="ask only so many questions, evenly spread")


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Runs the evaluation; 0, 1 for data or checkpoints that cannot be used, 2 for wrong arguments."""
    try:
        report = run(args, settings)
    except (OSError, AnswerClipError) as e:
        log.error("%s", e)
        return 1
    except ValueError as e:
        log.error("%s", e)
        return 2
    text = json.dumps(report, indent=1, ensure_ascii=False)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text + "\n", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    return 0


def run(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The whole report of one call."""
    name, _, folder = args.data.partition(":")
    if not folder:
        raise ValueError("--data is NAME:DIR, for example medvidqa:data/medvidqa")
    if args.checkpoint and not args.checkpoint.exists():
        raise CheckpointMissing(
            f"'{args.checkpoint}' is not there: name a trained checkpoint, or leave it out."
        )
    localizer = load_localizer(args.method)
    data = thinned(read(name, Path(folder), args.split), args.limit)
    encoder = load_encoder(settings.text_encoder)
    log.info("encoding %d videos", len(data.videos))
    with _library(args.keep) as library:
        ids = fill(library, data, encoder)
        asker = Asker(library, encoder, settings, localizer, load_retriever(library, args.retriever))
        measured = evaluate(data, asker, ids, args.task)
    head = {
        "data": data.name,
        "split": data.split,
        "method": args.method,
        "retriever": args.retriever,
        "task": args.task,
        "encoder": encoder.name,
        "videos": len(data.videos),
        "questions": len(data.answerable),
    }
    return head | measured.report() | {"queries": measured.queries}


def _in_corpus(question: Question, asker: Asker, video: str, measured: Measured) -> None:
    found = asker.find(
        question.text,
        asker.vector(question.text),
        videos=max(_RANKS),
        per_video=_SPANS_PER_VIDEO,
        top=max(_RANKS),
    )
    spans = [(s.video_id, s.span) for s in found.spans]
    rank = _rank([hit.video_id for hit in found.hits], video)
    measured.add("retrieval", rank_values(rank))
    for depth in _RANKS:
        measured.add(f"rank{depth}", overlap_values(best_iou(spans, video, _truth(question), depth)))
    measured.queries.append(_query(question, spans[:1], video) | {"rank": rank})


def _in_video(question: Question, asker: Asker, video: str, measured: Measured) -> None:
    only = Filters(video_ids=(video,))
    found = asker.find(question.text, asker.vector(question.text), only, top=1)
    spans = [(s.video_id, s.span) for s in found.spans]
    measured.add("val", overlap_values(best_iou(spans, video, _truth(question), 1)))
    measured.queries.append(_query(question, spans, video))


def _videos_only(question: Question, asker: Asker, video: str, measured: Measured) -> None:
    found = asker.find(question.text, asker.vector(question.text), videos=0)
    rank = _rank([hit.video_id for hit in found.hits], video)
    measured.add("retrieval", rank_values(rank))
    measured.queries.append({"id": question.id, "question": question.text, "rank": rank})


def _truth(question: Question) -> Span:
    assert question.span is not None  # only answerable questions are asked
    return question.span


def _rank(found: Sequence[str], video: str) -> int | None:
    return found.index(video) + 1 if video in found else None


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


def _ranks_report(ranks: Sequence[int | None]) -> dict[str, float]:
    """Median rank; what is not among the videos listed counts as one place behind them."""
    placed = sorted(rank if rank is not None else max(DEPTHS) + 1 for rank in ranks)
    middle = len(placed) // 2
    return {"medr": placed[middle] if len(placed) % 2 else (placed[middle - 1] + placed[middle]) / 2}


def _add(library: Library, data: str, narration: Narration, encoder: TextEncoder) -> None:
    content = _id_of(data, narration.id)
    video = Video(
        content[:16], content, narration.title or narration.id, Path(narration.id), narration.duration
    )
    library.add_video(video)
    library.set_transcript(video.id, Transcript(narration.cues, Origin.GIVEN, "en"))
    vectors = text_vectors(narration.cues, encoder)
    library.set_index(
        video.id, passages(narration.cues), passage_vectors(vectors), encoder.name, vectors.pack()
    )


def _id_of(data: str, name: str) -> str:
    return hashlib.sha256(f"{data}/{name}".encode()).hexdigest()


def thinned(data: Dataset, limit: int | None) -> Dataset:
    """At most so many of the answerable questions, evenly spread; every video stays."""
    if not limit or limit >= len(data.answerable):
        return data
    asked = data.answerable
    kept = tuple(asked[i * len(asked) // limit] for i in range(limit))
    return Dataset(data.name, data.split, data.videos, kept)


@contextmanager
def _library(kept: Path | None) -> Iterator[Library]:
    """The library in this folder, or one in a temporary folder that goes afterwards."""
    if kept:
        with Library.open(kept) as library:
            yield library
        return
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder) / "library") as library:
        yield library
