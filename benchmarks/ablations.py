"""What each part of the default brings: short trainings that differ in one thing, asked about part 5/5 by
video of three sets, which none of them is trained on, and about MedVidQA val.

Run from the repository's root: `python -m benchmarks.ablations --data ../shared/data --tables ablations.md`.
Every training has one epoch instead of the recipe's three, so the figures are lower than those of
`benchmarks.default` and say only what a change costs; a set that is left out also leaves out its steps. About
ten minutes a training on a quiet core. Each run adds a line to `--out`; what is there is skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.default import WEIGHTS, Bench, Run, arguments, measure
from pipeline.localize import load_localizer
from pipeline.metrics import intervals, overlap_values, percent

PART, EPOCHS = "5/5", 1
WHOLE = "nothing"
_TRANSCRIPT = ("join", "title", "recut", "unwritten", "misheard", "faster", "slower", "uneven", "abridged")


@dataclass(frozen=True)
class Ablation:
    """What is left out of the training, or of the decoding."""

    what: str
    data: str = ""  # a set
    settings: tuple[str, ...] = ()
    decode: str = ""


ABLATIONS = (
    Ablation(WHOLE),
    Ablation("expected overlap to decode by (the likeliest span instead)", decode="argmax"),
    Ablation("how-to set", "howto"),
    Ablation("own narrations", "narrations"),
    Ablation("TutorialVQA", "tutorialvqa"),
    Ablation("VehicleVQA", "vehiclevqa"),
    Ablation("the encoder's changes", settings=("encoder_lr=1e-12",)),
    Ablation("cosines of the frozen windows, words nearby", settings=("signs=false",)),
    Ablation("words compared with parts of cues", settings=("parts=0",)),
    Ablation("loss: place of the answer", settings=("place=0",)),
    Ablation("loss: expected overlap", settings=("expected=0",)),
    Ablation("loss: contrast with sections", settings=("contrast=0",)),
    Ablation("loss: whether the video answers", settings=("answered=0", "foreign=0")),
    Ablation("videos without half of their parts", settings=("cut=0",)),
    Ablation("transcripts told in other ways", settings=tuple(f"{name}=0" for name in _TRANSCRIPT)),
    Ablation("labels and quotations as questions", settings=("labels=0", "quoted=0")),
)


class Ablations(Bench):
    """One after the other; those that only decode otherwise use the whole training."""

    def run(self) -> None:
        for ablation in ABLATIONS:
            run = self._run_of(ablation)
            tests = [(*test, "val") for test in run.tests]
            if missing := [w for w in tests if not self._is_done(run, ablation.what, *w)]:
                facts, folder = self._train(run), self._folder(run)
                localizer = load_localizer("default", folder, decode=ablation.decode)
                for test in missing:
                    self._measure(run, ablation.what, localizer, *test, facts)

    def _run_of(self, ablation: Ablation) -> Run:
        known = {"narrations": 1.0} | WEIGHTS["all"]
        train = tuple(
            (data, "" if data == "narrations" else f"-{PART}", weight)
            for data, weight in known.items()
            if data != ablation.data
        )
        tests = (*((data, PART) for data in WEIGHTS["all"]), ("medvidqa", "val"))
        name = WHOLE if ablation.decode else ablation.what
        return Run("without", name, train, tests, (f"epochs={EPOCHS}", *ablation.settings))


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """mIoU by set, and of each ablation how far it is from the whole, with 95 % intervals over videos of the
    same questions."""
    sets = list(dict.fromkeys(line["set"] for line in lines))
    asked = {(line["title"], line["set"]): line for line in lines}
    rows = [f"| left out | {' | '.join(sets)} | steps |", "|---" * (len(sets) + 2) + "|"]
    for title in dict.fromkeys(line["title"] for line in lines):
        of = [asked.get((title, name)) for name in sets]
        cells = [_cell(line, asked[WHOLE, line["set"]]) if line else "" for line in of]
        steps = next(line["steps"] for line in of if line)
        rows.append(f"| {title} | {' | '.join(cells)} | {steps} |")
    return "\n".join(rows)


def _cell(line: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    values = [overlap_values(iou or 0.0) for _, iou, _ in line["queries"]]
    mean = percent(values)["miou"]
    if line is whole:
        return f"{mean:.1f}"
    before = [iou or 0.0 for _, iou, _ in whole["queries"]]
    apart = [{"miou": row["miou"] - old} for row, old in zip(values, before, strict=True)]
    low, high = intervals(apart, [video for video, _, _ in line["queries"]])["miou"]
    return f"{mean:.1f} ({low:+.1f} to {high:+.1f})"


def main() -> int:
    parser = arguments(__doc__, "ablations")
    parser.set_defaults(weights="all")
    args = parser.parse_args()
    return measure(Ablations(args), f"python -m benchmarks.ablations --limit {args.limit}", table)


if __name__ == "__main__":
    sys.exit(main())
