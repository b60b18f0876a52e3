"""The reliability plot: how often questions of each confidence are answerable, by the report that calibration
left in `confidence.json`.

Run from the repository's root: `python -m benchmarks.reliability checkpoints/default checkpoints --plot
docs/reliability.svg`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.confidence import FILE

_COLOURS = ("#4338ca", "#059669", "#b45309")
_SIDE, _LEFT, _TOP = 320, 60, 20  # pixels of the square, and around it
Points = Sequence[tuple[float, float, int]]  # mean confidence, share that is answerable, questions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of confidence.json")
    parser.add_argument("--plot", type=Path, required=True, help="the .svg that is written")
    args = parser.parse_args()
    found = {_name(folder): _points(folder) for folder in args.folders}
    args.plot.write_text(plot(found), encoding="utf-8")
    for name, points in found.items():
        sys.stdout.write(f"{name}: expected calibration error {calibration_error(points):.3f}\n")
    return 0


def calibration_error(points: Points) -> float:
    """The mean distance of confidence and share, by questions (ECE, Guo et al. 2017)."""
    return sum(count * abs(said - true) for said, true, count in points) / sum(row[2] for row in points)


def plot(lines: Mapping[str, Points]) -> str:
    """An SVG: confidence across, the share up, a dot's area by its questions; the diagonal is perfect."""
    width, height = _LEFT + _SIDE + 20, _TOP + _SIDE + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{_at(0, 0)}L{_at(1, 1)}" stroke="#999" stroke-dasharray="4 4"/>',
    ]
    for tenth in range(0, 11, 2):
        share = tenth / 10
        parts += [
            f'<path d="M{_at(0, share)}L{_at(1, share)}M{_at(share, 0)}L{_at(share, 1)}" stroke="#eee"/>',
            _text(_LEFT - 8, _y(share) + 4, f"{share:g}", "end"),
            _text(_x(share), _y(0) + 18, f"{share:g}", "middle"),
        ]
    parts.append(_text(_x(0.5), height - 10, "confidence", "middle"))
    turned = f"translate(16 {_y(0.5)}) rotate(-90)"
    parts.append(f'<text transform="{turned}" font-size="12" text-anchor="middle">share answerable</text>')
    for row, ((name, points), colour) in enumerate(zip(lines.items(), _COLOURS, strict=False)):
        joined = " ".join(_at(said, true) for said, true, _ in points)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        most = max(count for _, _, count in points)
        for said, true, count in points:
            radius = 2 + 5 * (count / most) ** 0.5
            parts.append(
                f'<circle cx="{_x(said):.1f}" cy="{_y(true):.1f}" r="{radius:.1f}" fill="{colour}"/>'
            )
        parts.append(_text(_LEFT + 14, _TOP + 20 + 18 * row, name, "start", colour))
    return "\n".join([*parts, "</svg>\n"])


def _points(folder: Path) -> Points:
    report = json.loads((folder / FILE).read_text(encoding="utf-8"))["full"]["report"]["all"]
    return [(said, true, count) for said, true, count in report["reliability"]]


def _name(folder: Path) -> str:
    return {"checkpoints": "untrained"}.get(folder.name, folder.name)


def _x(share: float) -> float:
    return _LEFT + share * _SIDE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _SIDE


def _at(across: float, up: float) -> str:
    return f"{_x(across):.1f},{_y(up):.1f}"


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#111") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" fill="{colour}">{text}</text>'
    )


if __name__ == "__main__":
    sys.exit(main())
