"""The lines of `benchmarks.zoo` as Markdown: folds are pooled question by question, with bootstrap 95 %
intervals over videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.metrics import intervals, overlap_values, percent, rank_values

_NAMES = {
    "tutorialvqa": "TutorialVQA",
    "vehiclevqa": "VehicleVQA",
    "howto": "how-to set",
    "medvidqa": "MedVidQA val",
}
_SPAN = ("iou3", "iou5", "iou7", "miou")
_RANKED = ("r1", "r5", "r10", "mrr")


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """All tables: for each set and protocol the given video, then the whole corpus."""
    parts: list[str] = []
    for data in dict.fromkeys(line["set"] for line in lines):
        for protocol in dict.fromkeys(line["protocol"] for line in lines if line["set"] == data):
            of = [line for line in lines if (line["set"], line["protocol"]) == (data, protocol)]
            parts += [_given(of, data, protocol), _corpus(of, data, protocol)]
    return "\n\n".join(part for part in parts if part)


def _given(lines: Sequence[dict[str, Any]], data: str, protocol: str) -> str:
    rows = []
    for title, of in _by_title([line for line in lines if line["task"] == "val"]):
        cells = _cells([overlap_values(iou) for _, iou, _ in _queries(of)], _queries(of), _SPAN)
        seconds = sum(line["train_seconds"] for line in of) / len(of)
        steps = sum(line["steps"] for line in of) / len(of)
        rows.append(f"| {title} | {' | '.join(cells)} | {steps:.0f} | {seconds:.0f} |")
    if not rows:
        return ""
    head = f"{_caption(lines, data, protocol, 'val')}, one video given"
    return "\n".join(
        [
            f"| {head} | IoU 0.3 | IoU 0.5 | IoU 0.7 | mIoU | steps | s |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _corpus(lines: Sequence[dict[str, Any]], data: str, protocol: str) -> str:
    rows = []
    for title, of in _by_title([line for line in lines if line["task"] != "val"]):
        queries = _queries(of)
        cells = _cells([rank_values(rank) for _, _, rank in queries], queries, _RANKED)
        if of[0]["task"] == "vcval":
            cells += _cells([overlap_values(iou) for _, iou, _ in queries], queries, ("iou5", "miou"))
            cells += [f"{_mean(of, depth):.1f}" for depth in ("rank10", "rank100")]
        else:
            cells += ["", "", "", ""]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    if not rows:
        return ""
    head = f"{_caption(lines, data, protocol, 'vcval')}, whole corpus"
    names = "R@1 | R@5 | R@10 | MRR | Rank@1 IoU 0.5 | Rank@1 mIoU | Rank@10 mIoU | Rank@100 mIoU"
    return "\n".join([f"| {head} | {names} |", "|---|---|---|---|---|---|---|---|---|", *rows])


def _caption(lines: Sequence[dict[str, Any]], data: str, protocol: str, task: str) -> str:
    """Which folds, how many questions, and how many videos there are to choose from."""
    of = [line for line in lines if (line["task"] == "val") is (task == "val")]
    first = of[0]["title"] if of else ""
    counted = sum(line["report"]["questions"] for line in of if line["title"] == first)
    folds = ", ".join(dict.fromkeys(line["fold"] for line in of))
    sizes = [line["report"]["videos"] for line in of]
    videos = "" if task == "val" or not of else f" of {min(sizes)} to {max(sizes)} videos"
    return f"{_NAMES.get(data, data)}, {protocol} ({folds}; {counted} questions{videos})"


def _by_title(lines: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    titles = dict.fromkeys(line["title"] for line in lines)
    return [(title, [line for line in lines if line["title"] == title]) for title in titles]


def _queries(lines: Sequence[dict[str, Any]]) -> list[tuple[str, float, int | None]]:
    return [(video, iou or 0.0, rank) for line in lines for video, iou, rank in line["queries"]]


def _cells(
    values: Sequence[dict[str, float]], queries: Sequence[tuple[str, float, int | None]], names: Sequence[str]
) -> list[str]:
    means, bounds = percent(values), intervals(values, [video for video, _, _ in queries])
    return [f"{means[name]:.1f} ({bounds[name][0]:.1f}-{bounds[name][1]:.1f})" for name in names]


def _mean(lines: Sequence[dict[str, Any]], depth: str) -> float:
    counts = [line["report"]["questions"] for line in lines]
    values = [line["report"][depth]["miou"] for line in lines]
    return sum(c * v for c, v in zip(counts, values, strict=True)) / sum(counts)
