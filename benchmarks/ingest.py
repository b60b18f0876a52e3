"""Adding videos: how many times faster than real time, stage by stage.

    python -m benchmarks.ingest [--minutes 10] [--rounds 3]

Makes a 720p H.264 video of ten minutes with subtitles beside it and takes it into a fresh library, as the
command line does: once with the models still on disk, then with a worker that has them in memory.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg
from tqdm import tqdm

from benchmarks.machine import heading
from pipeline.ingest import STAGES, Models
from pipeline.library import jobs
from pipeline.library.schema import JobRow
from pipeline.library.store import Library
from pipeline.library.worker import Worker
from pipeline.settings import Settings
from pipeline.sources import from_paths
from tests.media_factory import ffmpeg

SENTENCES = (
    "Now we loosen the wheel nuts a quarter turn each, while the tyre is still on the ground.",
    "Put the jack under the reinforced point of the sill and turn the handle slowly.",
    "If it feels stiff, a few drops of oil on the thread will help.",
    "Pull the old wheel straight towards you and lay it flat under the car.",
    "Hand-tighten every nut first, in the order of a star, before you lower the car.",
    "Check the pressure with the gauge: two point three bar is right for most cars.",
)


def make_video(path: Path, minutes: float) -> None:
    """A moving 720p picture at 2.5 Mbit/s with a tone; a sentence every six seconds: 170 words a minute."""
    seconds = round(minutes * 60)
    picture = f"testsrc2=size=1280x720:rate=25:duration={seconds}"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2500k", "-maxrate", "2500k"]
    encode += ["-bufsize", "5000k", "-g", "250", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
    sound = f"sine=frequency=300:duration={seconds}"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *encode, str(path))
    lines = ["WEBVTT", ""]
    for number, start in enumerate(range(0, seconds - 6, 6)):
        said = f"Step {number + 1}. {SENTENCES[number % len(SENTENCES)]}"
        lines += [f"{_stamp(start)} --> {_stamp(start + 5.5)}", said, ""]
    path.with_suffix(".vtt").write_text("\n".join(lines))


def _stamp(seconds: float) -> str:
    return f"{int(seconds // 3600):02}:{int(seconds % 3600 // 60):02}:{seconds % 60:06.3f}"


def add_once(video: Path, folder: Path, models: Models | None) -> tuple[float, dict[str, float]]:
    """Seconds until the video can be asked of, all told and by stage."""
    shutil.rmtree(folder, ignore_errors=True)
    settings = Settings(library_dir=folder)
    with Library.open(folder) as library:
        began = time.perf_counter()
        [job] = jobs.submit(library, from_paths([video]))
        Worker(library, settings, models).run_until_idle()
        took = time.perf_counter() - began
        with library.reading() as session:
            row = session.get(JobRow, job.id)
            assert row is not None and row.status == "done", row and row.message
            return took, {stage: row.state["stages"][stage]["seconds"] for stage in STAGES}


def table(rows: list[tuple[str, float, dict[str, float]]], duration: float) -> str:
    head = f"| {' | '.join(['', 'seconds', 'times real time', *STAGES])} |"
    lines = [head, f"|{'---|' * (3 + len(STAGES))}"]
    for name, took, stages in rows:
        cells = [name, f"{took:.2f}", f"{duration / took:.0f}", *(f"{stages[s]:.2f}" for s in STAGES)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        video = Path(place) / "wheel.mp4"
        make_video(video, arguments.minutes)
        library = Path(place) / "library"
        models = Models(Settings())
        rows = [("first video, models loaded meanwhile", *add_once(video, library, models))]
        for number in tqdm(range(arguments.rounds), disable=None):
            rows.append((f"further video, round {number + 1}", *add_once(video, library, models)))
        size = video.stat().st_size / 1e6
    print(heading("python -m benchmarks.ingest"))
    print(
        f"720p H.264, {arguments.minutes:g} minutes, {size:.0f} MB, subtitles beside it, "
        f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}.\n"
    )
    print(table(rows, arguments.minutes * 60))


if __name__ == "__main__":
    main()
