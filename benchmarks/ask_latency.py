"""How long a question takes, warm, on a small library: `python -m benchmarks.ask_latency`.

The library is made of the subtitles in `examples/` (the demo) or, with `--library DIR`, one that is there;
every question of `examples/questions.json` is asked several times, each time in other words, so that no
answer comes from memory. (`benchmarks/library_scale.py` measures large libraries.)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.machine import heading
from pipeline import subtitles
from pipeline.ask import Asker
from pipeline.corpora import read_ahead
from pipeline.features.text import TextEncoder, load_encoder, passage_vectors, passages, text_vectors
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.types import Origin, Transcript, Video

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
OPENINGS = ("", "Please tell me: ", "I would like to know, ", "Excuse me, ", "Now then: ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, help="a library that is there; default: one of examples/")
    parser.add_argument("--method", default="", help="what answers; default: the setting's")
    args = parser.parse_args()
    begin = time.perf_counter()
    encoder = load_encoder()
    loaded = time.perf_counter() - begin
    with _library(args.library, encoder) as library:
        asker = Asker(library, encoder, Settings.model_validate({}))
        localizer = asker.methods.parts(args.method)[0].localizer
        if localizer.reading:
            read_ahead(library, localizer, [video.id for video in library.videos()])
        begin = time.perf_counter()
        asker.warm()
        warmed = time.perf_counter() - begin
        replies = [asker.ask(opening + q, method=args.method) for opening in OPENINGS for q in _questions()]
        timings, by = [reply.timings for reply in replies], sorted({reply.method for reply in replies})
        videos = library.count()
    lines = [
        heading("python -m benchmarks.ask_latency").rstrip() + f"; answered by: {', '.join(by)}",
        f"Encoder loaded in {loaded:.1f} s, first question ",
    ]
    lines[-1] += f"{1000 * warmed:.0f} ms, then {len(timings)} questions of {videos} videos, all different:\n"
    lines += ["| ms | p50 | p95 | most |", "|---|---|---|---|"]
    for stage in ("encode", "retrieve", "localize", "answer", "total"):
        values = [t[stage] for t in timings]
        p50, p95, most = np.percentile(values, [50, 95, 100])
        lines.append(f"| {stage} | {p50:.1f} | {p95:.1f} | {most:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _questions() -> list[str]:
    return [row["question"] for row in json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))]


@contextmanager
def _library(folder: Path | None, encoder: TextEncoder) -> Iterator[Library]:
    if folder:
        with Library.open(folder) as library:
            yield library
        return
    with tempfile.TemporaryDirectory() as temporary, Library.open(Path(temporary) / "library") as library:
        for path in sorted(EXAMPLES.glob("*.vtt")):
            _add(library, path, encoder)
        yield library


def _add(library: Library, path: Path, encoder: TextEncoder) -> None:
    cues = subtitles.read(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    library.add_video(Video(content[:16], content, path.stem, path.with_suffix(".mp4"), cues[-1].end + 1))
    library.set_transcript(content[:16], Transcript(cues, Origin.GIVEN, "en"))
    vectors = text_vectors(cues, encoder)
    library.set_index(content[:16], passages(cues), passage_vectors(vectors), encoder.name, vectors.pack())


if __name__ == "__main__":
    sys.exit(main())
