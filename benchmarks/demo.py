"""The demo library's own forty questions: the right video, the span, what is refused rightly and wrongly.

    python -m benchmarks.demo

Takes the ten demo videos into a fresh library as the first start does, then asks every question of
examples/questions.json. A handful of questions: enough to see what a newcomer sees, not to compare models.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import mean

from benchmarks.machine import heading
from benchmarks.serving import ROOT
from pipeline.ask import Asker
from pipeline.library import jobs
from pipeline.library.store import Library
from pipeline.library.worker import Worker
from pipeline.settings import Settings
from pipeline.types import Reply, Span


def iou(reply: Reply, row: dict) -> float:
    """Of the best answer with the true span, 0 for another video."""
    best = reply.answers[0]
    return best.span.iou(Span(row["start"], row["end"])) if best.path.name == row["video"] else 0.0


def measure(folder: Path) -> str:
    rows = json.loads((ROOT / "examples/questions.json").read_text(encoding="utf-8"))
    with Library.open(folder) as library:
        jobs.add_demo(library)
        Worker(library, Settings()).run_until_idle()
        asker = Asker(library)
        replies = [(row, asker.ask(row["question"])) for row in rows]
    held = [(row, reply) for row, reply in replies if row["video"]]
    right = sum(reply.answers[0].path.name == row["video"] for row, reply in held)
    refused = sum(not reply.answered for _, reply in held)
    caught = sum(not reply.answered for row, reply in replies if not row["video"])
    return (
        "| right video first | mIoU, best span | wrongly refused | rightly refused |\n|---|---|---|---|\n"
        f"| {right} of {len(held)} | {100 * mean(iou(reply, row) for row, reply in held):.1f} "
        f"| {refused} of {len(held)} | {caught} of {len(rows) - len(held)} |"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        table = measure(Path(temporary) / "library")
    print(heading("python -m benchmarks.demo"))
    print(table)


if __name__ == "__main__":
    main()
