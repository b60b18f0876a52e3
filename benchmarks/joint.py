"""What cached reading saves: the time of one question by CCGS joint (the encoder reads question and
transcript together) against cached (the transcript's vectors are there already), over one video and over all.

Run from the repository's root: `python -m benchmarks.joint --data tutorialvqa:../shared/data/tutorialvqa`.
The weights are random: only time is measured. Both have the packaged encoder and the same d.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.machine import heading
from pipeline.datasets import Dataset
from pipeline.features.text import SCALES, TextEncoder, load_encoder
from pipeline.localize import Candidate, Request, network_class
from pipeline.localize.learned import LearnedLocalizer
from pipeline.training.sources import parse
from pipeline.training.vectors import VectorCache, default_folder

log = logging.getLogger("benchmarks.joint")


def candidates_of(data: Dataset, cache: VectorCache) -> list[Candidate]:
    """Every video with its vectors, and what is computed of its words made before the clock runs."""
    vectors = cache.videos(data.videos)
    found = [
        Candidate(name, video.cues, vectors[name], title=video.title, duration=video.duration)
        for name, video in data.videos.items()
        if name in vectors
    ]
    for candidate in found:
        _ = candidate.cue_vectors, candidate.cue_stems, candidate.times
    return found


def localizer(reading: str, d: int, dim: int) -> LearnedLocalizer:
    torch.manual_seed(0)
    network = network_class("ccgs")(reading=reading, d=d, encoder_dim=dim, scales=len(SCALES))
    return LearnedLocalizer(network.with_tokenizer())


def seconds(
    of: LearnedLocalizer, encoder: TextEncoder, questions: Sequence[str], videos: Sequence[Candidate]
) -> list[float]:
    """For each question, its own encoding included."""
    taken = []
    for question in questions:
        begin = time.perf_counter()
        states = encoder.states(question) if of.needs_states else None
        request = Request(question, encoder.encode([question])[0], tuple(videos), 1, states)
        of.localize(replace(request, kept={}))
        taken.append(time.perf_counter() - begin)
    return taken


def main() -> int:
    args = _arguments()
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(args.threads)
    data, encoder = parse(args.data).read(), load_encoder()
    videos = candidates_of(data, VectorCache(default_folder(), encoder.name, lambda: encoder))
    middle = sorted(videos, key=lambda c: len(c.cues))[len(videos) // 2]
    step = max(1, len(data.answerable) // args.questions)
    asked = [q.text for q in data.answerable[::step]][: args.questions]
    rows = []
    for name, over, count in (
        ("one video", [middle], len(asked)),
        (f"{len(videos)} videos", videos, args.corpus),
    ):
        found = {}
        for reading in ("joint", "cached"):
            one = localizer(reading, args.d, encoder.dim)
            seconds(one, encoder, asked[:1], [middle])  # warm
            found[reading] = statistics.median(seconds(one, encoder, asked[:count], over))
            log.info("%s %s: %.1f ms", name, reading, 1000 * found[reading])
        rows.append(
            f"| {name} | {1000 * found['joint']:,.0f} ms | {1000 * found['cached']:,.1f} ms | "
            f"{found['joint'] / found['cached']:.0f} |"
        )
    head = f"| CCGS, d = {args.d}, {data.name} | joint | cached | ratio |\n|---|---|---|---|"
    sys.stdout.write("\n".join([heading("python -m benchmarks.joint"), head, *rows]) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", default="tutorialvqa:../shared/data/tutorialvqa", metavar="NAME:DIR[:SPLIT]"
    )
    parser.add_argument("--d", type=int, default=128)
    parser.add_argument("--questions", type=int, default=20, help="asked of one video")
    parser.add_argument("--corpus", type=int, default=2, help="of them asked of the whole corpus")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
