"""How the library grows: searches, whole questions, memory, disk and start-up at 100 to 10,000 videos.

`python -m benchmarks.library_scale` makes one synthetic library (see `synthetic.py`), grows it from size
to size, measures each in a process of its own, prints a Markdown table and draws the growth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import heading
from benchmarks.synthetic import MINUTES, Narrations, Synthetic
from pipeline.features.text import load_encoder
from pipeline.library.search import to_match
from pipeline.library.store import Library
from pipeline.localize import NETWORKS
from pipeline.localize.learned import LearnedLocalizer
from pipeline.methods import DEFAULT, METHODS, load
from pipeline.settings import Settings

SIZES = (100, 1_000, 10_000)
QUESTIONS = 100
ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--library", type=Path, help="where it is made; default: a temporary folder")
    parser.add_argument("--plot", type=Path, help="an .svg of the growth")
    parser.add_argument("--json", type=Path, help="all numbers")
    parser.add_argument("--method", default=DEFAULT, choices=sorted(METHODS), help="what answers")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measured(given.library, given.method)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        results = grown(given.library or Path(temporary), sorted(given.sizes), given.method)
    print(heading(f"python -m benchmarks.library_scale --method {given.method}"))
    print(table(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    if given.plot:
        given.plot.write_text(plot(results))


def grown(root: Path, sizes: Iterable[int], method: str) -> list[dict[str, float]]:
    """The numbers of each size; the library stays in `root`."""
    synthetic = _synthetic(root, method)
    results = []
    for size in sizes:
        with Library.open(root) as library:
            before = library.count()
            began = time.perf_counter()
            synthetic.fill(
                library, size, lambda done: progress(f"{done} videos") if done % 100 == 0 else None
            )
            added = (time.perf_counter() - began) / max(1, size - before)
        command = [sys.executable, "-m", "benchmarks.library_scale", "--measure", "--library", str(root)]
        command += ["--method", method]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        results.append({"videos": size, "add_ms": 1000 * added, **json.loads(said.splitlines()[-1])})
        progress(f"{size} videos measured\n")
    return results


def _synthetic(root: Path, method: str) -> Synthetic:
    """Videos as they lie in a library that this method answers from."""
    reading, width = "", 0
    if METHODS[method].localizer in NETWORKS:
        with Library.open(root) as library:
            localizer, _ = load(METHODS[method], library, Settings(library_dir=root))
        assert isinstance(localizer, LearnedLocalizer)
        reading = localizer.reading
        width = localizer.network.reader.width if reading else 0
    return Synthetic(Narrations.read(), load_encoder().name, reading=reading, width=width)


def measured(root: Path, method: str) -> dict[str, Any]:
    """Everything of one library, in a fresh process."""
    from pipeline.ask import Asker

    synthetic = _synthetic(root, method)
    questions, vectors = synthetic.questions(QUESTIONS), synthetic.vectors(QUESTIONS)
    matches = [to_match(question) for question in questions]
    found: dict[str, Any] = {"open_ms": 1000 * seconds(lambda: Library.open(root).close())}
    library = Library.open(root)
    windows = _count(library)
    first = memory()
    found |= {
        "windows": windows,
        "first_dense_ms": 1000 * seconds(lambda: library.nearest_windows(vectors[0])),
    }
    library._index.settle()
    library.nearest_windows(vectors[0])
    found["index_mb"] = memory() - first
    asker = Asker(library, load_encoder(), Settings(library_dir=root))
    asker.warm()
    for name, run in {
        "transcripts": lambda i: library.search_transcripts(matches[i], 100),
        "passages": lambda i: library.search_passages(matches[i], 100),
        "dense": lambda i: library.nearest_windows(vectors[i], 200),
        "ask": lambda i: _asked(asker, questions[i], method),
        "list page": lambda i: library.videos(limit=50, offset=i),
    }.items():
        found |= percentiles(name, run)
    found["stages"] = _stages(asker, questions, method)
    found["process_mb"] = memory()
    library.close()
    library = Library.open(root)
    found["cached_first_dense_ms"] = 1000 * seconds(lambda: library.nearest_windows(vectors[0]))
    use = library.disk_use()
    found |= {"database_mb": use["database"] / 1e6, "cache_mb": use["index"] / 1e6}
    new = synthetic.add(library, 10_000_000)
    found["seen_after_add_ms"] = 1000 * seconds(lambda: library.nearest_windows(vectors[0]))
    found["remove_ms"] = 1000 * seconds(lambda: library.remove(new))
    library.close()
    return found


def _count(library: Library) -> int:
    with library.snapshot() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM windows").scalar_one()


def _asked(asker: Any, question: str, method: str) -> Any:
    reply = asker.ask(question, method=method)
    assert reply.method in (method, ""), f"{reply.method} answered: {reply.notice}"
    return reply


def _stages(asker: Any, questions: list[str], method: str) -> dict[str, float]:
    """Median milliseconds of each stage of a question that is asked for the first time."""
    timings = [_asked(asker, question + " then", method).timings for question in questions[:40]]
    return {name: float(np.median([timing[name] for timing in timings])) for name in timings[0]}


def percentiles(name: str, run: Callable[[int], object]) -> dict[str, float]:
    """p50 and p95 in milliseconds over every question, each asked once."""
    taken = [1000 * seconds(lambda i=i: run(i)) for i in range(QUESTIONS)]  # type: ignore[misc]
    return {f"{name}_p50": float(np.median(taken)), f"{name}_p95": float(np.percentile(taken, 95))}


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def memory() -> float:
    """Megabytes that this process has in memory now (Linux; 0 elsewhere)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS")), 0.0)


def progress(said: str) -> None:
    sys.stderr.write(f"\r{said}")
    sys.stderr.flush()


_ROWS = (
    ("30 s windows", "{windows:,}"),
    ("whole transcripts by words, p50 / p95 ms", "{transcripts_p50:.1f} / {transcripts_p95:.1f}"),
    ("passages by words, p50 / p95 ms", "{passages_p50:.1f} / {passages_p95:.1f}"),
    ("windows by vector, p50 / p95 ms", "{dense_p50:.1f} / {dense_p95:.1f}"),
    ("**ask, p50 / p95 ms**", "**{ask_p50:.0f} / {ask_p95:.0f}**"),
    ("50 rows of the list, p50 ms", "{list page_p50:.1f}"),
    ("opening, ms", "{open_ms:.0f}"),
    ("first search by vector: from the rows / from windows.faiss, ms",
     "{first_dense_ms:.0f} / {cached_first_dense_ms:.0f}"),
    ("adding a video's rows, ms", "{add_ms:.0f}"),
    ("search by vector after an addition, ms", "{seen_after_add_ms:.0f}"),
    ("removing a video, ms", "{remove_ms:.0f}"),
    ("memory: the index / the whole process, MB", "{index_mb:.0f} / {process_mb:.0f}"),
    ("disk: library.db / windows.faiss, MB", "{database_mb:.0f} / {cache_mb:.0f}"),
)  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """Markdown, one column per size."""
    lines = [
        f"| {MINUTES}-minute videos | " + " | ".join(f"{result['videos']:,}" for result in results) + " |",
        "|---" + "|---:" * len(results) + "|",
    ]
    for name, form in _ROWS:
        lines.append(f"| {name} | " + " | ".join(form.format(**result) for result in results) + " |")
    for result in results:
        stages = ", ".join(f"{name} {ms:.0f}" for name, ms in result["stages"].items())
        lines.append(f"\nStages of a question at {result['videos']:,} videos, median ms: {stages}.")
    return "\n".join(lines)


def plot(results: list[dict[str, Any]], width: int = 640, height: int = 360) -> str:
    """An SVG of the medians against the number of videos, both axes logarithmic."""
    lines = {"ask": "#d1495b", "passages": "#30638e", "transcripts": "#edae49", "dense": "#00798c"}
    xs = [np.log10(result["videos"]) for result in results]

    def at(videos: float, ms: float) -> tuple[float, float]:
        across = (np.log10(videos) - xs[0]) / max(1e-9, xs[-1] - xs[0])
        up = (np.log10(max(ms, 0.1)) + 1) / 4  # 0.1 ms to 1,000 ms
        return 60 + across * (width - 180), height - 40 - up * (height - 70)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    ]
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for ms in (0.1, 1, 10, 100, 1000):
        x, y = at(results[0]["videos"], ms)
        parts.append(f'<path d="M{x} {y:.1f}H{width - 120}" stroke="#ddd"/>')
        parts.append(f'<text x="52" y="{y + 4:.1f}" font-size="12" text-anchor="end">{ms:g} ms</text>')
    for result in results:
        x, _ = at(result["videos"], 1)
        label = f"{result['videos']:,}"
        parts.append(
            f'<text x="{x:.1f}" y="{height - 18}" font-size="12" text-anchor="middle">{label}</text>'
        )
    for name, colour in lines.items():
        points = [at(result["videos"], result[f"{name}_p50"]) for result in results]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" font-size="13" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main()
