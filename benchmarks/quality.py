"""The quality table: retrieval by words, by meaning and by both, the untrained localizer on every data set,
and how well confidence tells what is in the library.

Run from the repository's root: `python -m benchmarks.quality --data ../shared/data`. About half an hour on
two cores the first time, mostly encoding; `--keep DIR` keeps the libraries, `--limit N` asks fewer questions.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import far
from pipeline.ask import Asker
from pipeline.datasets import read
from pipeline.evaluate import evaluate, fill, thinned
from pipeline.features.text import load_encoder
from pipeline.library.store import Library
from pipeline.retrieve import load_retriever
from pipeline.settings import Settings

log = logging.getLogger("benchmarks.quality")

SETS = ("medvidqa", "tutorialvqa", "vehiclevqa", "howto")
RETRIEVED = ("medvidqa", "vehiclevqa", "howto")


def main() -> int:
    args = _arguments()
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(args.data, args.keep or Path(temporary), args.limit)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(markdown(report) + "\n")
    return 0


def measure(data: Path, keep: Path, limit: int | None) -> dict[str, Any]:
    """Everything, by table, data set and method."""
    encoder = load_encoder()
    settings = Settings.model_validate({})
    report: dict[str, Any] = {"retrieval": {}, "val": {}, "vcval": {}, "far": {}}
    sets = {name: read(name, data / name) for name in SETS}
    for name, whole in sets.items():
        asked = thinned(whole, limit)
        with Library.open(keep / name) as library:
            ids = fill(library, whole, encoder)
            log.info("%s: %d videos, %d questions", name, len(whole.videos), len(asked.answerable))
            asker = Asker(library, encoder, settings)
            for method in ("lexical", "dense", "fused") if name in RETRIEVED else ():
                other = Asker(library, encoder, settings, retriever=load_retriever(library, method))
                report["retrieval"][f"{name} {method}"] = evaluate(asked, other, ids, "retrieval").report()
                log.info("retrieval %s done", method)
            report["val"][name] = evaluate(asked, asker, ids, "val").report()
            log.info("one video done")
            report["vcval"][name] = evaluate(thinned(whole, min(limit or 1000, 1000)), asker, ids).report()
            log.info("whole corpus done")
            for library_name, foreign in far.FAR:
                if library_name == name:
                    rows = far.asked(asker, whole, sets[foreign])
                    found = far.report(rows, asker.confidence.full.threshold)
                    report["far"][f"{name} asked questions of {foreign}"] = found
    return report


def markdown(report: dict[str, Any]) -> str:
    """The tables as they stand in docs/benchmarks.md."""
    lines = ["| retrieval | R@1 | R@5 | R@10 | MRR | median rank |", "|---|---|---|---|---|---|"]
    for name, found in report["retrieval"].items():
        cells = [_cell(found, "retrieval", key) for key in ("r1", "r5", "r10", "mrr")]
        lines.append(f"| {name} | {' | '.join(cells)} | {found['retrieval']['medr']:g} |")
    for task, group in (("val", "val"), ("vcval", "rank1")):
        title = "one video given" if task == "val" else "whole corpus, best span"
        lines += ["", f"| {title} | IoU 0.3 | IoU 0.5 | IoU 0.7 | mIoU |", "|---|---|---|---|---|"]
        for name, found in report[task].items():
            cells = [_cell(found, group, key) for key in ("iou3", "iou5", "iou7", "miou")]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", far.markdown(report["far"])])


def _cell(found: dict[str, Any], group: str, key: str) -> str:
    low, high = found["intervals"][group][key]
    return f"{found[group][key]:.1f} ({low:.1f}-{high:.1f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--keep", type=Path, help="keep the libraries made of the sets here, and reuse them")
    parser.add_argument("--limit", type=int, help="ask at most so many questions of each set")
    parser.add_argument("--json", type=Path, help="also write everything that was measured here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
