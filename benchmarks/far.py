"""Far questions: how well confidence parts a library's own questions from those of another subject.

Of a trained method, from the repository's root: `python -m benchmarks.far --fold 1/5=DIR … --confidence
checkpoints/default`. Part K of a set's questions is asked with the checkpoint that was trained without the
videos of part K of both sets (as `benchmarks.default` leaves them), of the library of all the set's videos.
Of the untrained method it is a table of `benchmarks.quality`.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.ask import Asker
from pipeline.confidence import Confidence
from pipeline.corpora import Corpora
from pipeline.datasets import Dataset, Question, read
from pipeline.datasets.splits import part_of
from pipeline.localize import load_localizer
from pipeline.metrics import auroc
from pipeline.settings import Settings

log = logging.getLogger("benchmarks.far")

# A library, and the data set whose questions it cannot answer.
FAR = (("tutorialvqa", "vehiclevqa"), ("vehiclevqa", "tutorialvqa"), ("medvidqa", "vehiclevqa"))
QUESTIONS = 500
_HEAD = ["| far questions | AUROC | wrongly refused % | caught % |", "|---|---|---|---|"]

Row = tuple[float, bool]  # a confidence, and whether the library holds the answer


def main() -> int:
    args = _arguments()
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    folds = dict(fold.split("=", 1) for fold in args.fold)
    confidence = Confidence.load(args.confidence)
    sets = {name: read(name, args.data / name) for name in {name for pair in FAR for name in pair}}
    rows: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as temporary, Corpora(args.keep or Path(temporary)) as corpora:
        for part, folder in folds.items():
            localizer = load_localizer(args.method, Path(folder))
            for own, foreign in FAR:
                library, _ = corpora.library(sets[own], localizer=localizer)
                asker = Asker(library, corpora.encoder, Settings(), localizer, confidence=confidence)
                found = asked(asker, _part(sets[own], part), _part(sets[foreign], part), len(folds))
                rows.setdefault(f"{own} asked questions of {foreign}", []).extend(found)
            log.info("asked part %s", part)
    threshold = confidence.full.threshold
    sys.stdout.write(markdown({name: report(found, threshold) for name, found in rows.items()}) + "\n")
    return 0


def asked(asker: Asker, own: Dataset, foreign: Dataset, parts: int = 1) -> list[Row]:
    """Confidences of some of the questions of either set; `parts`: how many calls are put together."""
    chance, most = random.Random(0), -(-QUESTIONS // parts)
    return [
        (_confidence(asker, question), held)
        for data, held in ((own, True), (foreign, False))
        for question in _some(data.answerable, most, chance)
    ]


def report(rows: Sequence[Row], threshold: float) -> dict[str, float]:
    """AUROC, 0..1; per cent of the own questions refused, and of the foreign ones."""
    refused = [c < threshold for c, held in rows if held]
    caught = [c < threshold for c, held in rows if not held]
    return {
        "auroc": round(auroc([c for c, _ in rows], [held for _, held in rows]), 3),
        "wrong_refusals": round(100 * sum(refused) / len(refused), 1),
        "caught": round(100 * sum(caught) / len(caught), 1),
    }


def markdown(reports: Mapping[str, Mapping[str, float]]) -> str:
    """The table as it stands in docs/benchmarks.md."""
    cells = (
        f"| {name} | {row['auroc']} | {row['wrong_refusals']} | {row['caught']} |"
        for name, row in reports.items()
    )
    return "\n".join([*_HEAD, *cells])


def _part(data: Dataset, part: str) -> Dataset:
    """What no fold was trained on is asked whole."""
    return data if data.name == "medvidqa" else part_of(data, part)


def _confidence(asker: Asker, question: Question) -> float:
    found = asker.find(question.text, asker.vector(question.text))
    return asker.confidence.full(asker.signals(found, found.spans[0])) if found.spans else 0.0


def _some(questions: Sequence[Question], most: int, chance: random.Random) -> list[Question]:
    return chance.sample(list(questions), min(most, len(questions)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--method", default="default", help="a trained method")
    parser.add_argument("--fold", action="append", required=True, metavar="K/N=DIR", help="repeatable")
    parser.add_argument("--confidence", type=Path, required=True, help="folder of its confidence.json")
    parser.add_argument("--keep", type=Path, help="keep the libraries made of the sets here, and reuse them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
