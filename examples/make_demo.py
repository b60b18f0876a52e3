"""Makes the demo library: speaks the narrations, draws the pictures, writes videos, subtitles and questions.

    python examples/make_demo.py [NAME …] [--sheet DIR]

Without names all videos are made. `--sheet` draws contact sheets into a folder instead of the videos.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from demo.canvas import HEIGHT, SAMPLES, WIDTH, Canvas
from demo.films import FILMS
from demo.narration import RATE, Line, cue_table, soundtrack, speak, to_vtt
from demo.questions import resolve
from demo.stage import Beat, Film, backdrop, caption, title_card
from PIL import Image

HERE = Path(__file__).resolve().parent
FPS = 12
FADE = 4  # frames of cross-fade between two sections
log = logging.getLogger("make_demo")


def narrate(film: Film) -> tuple[list[Line], np.ndarray]:
    sections = [section.lines for section in film.sections]
    voices = [speak(text, film.voice) for lines in sections for text in lines]
    lines = cue_table(sections, [len(voice) / RATE for voice in voices])
    return lines, soundtrack(lines, voices)


def section_starts(lines: list[Line]) -> list[float]:
    """When each section's picture appears: as soon as the one before has been silent."""
    starts = [0.0]
    for before, line in pairwise(lines):
        if line.section != before.section:
            starts.append(before.until - 0.5)
    return starts


def still(film: Film, lines: list[Line], seconds: float, number: int | None = None) -> Image.Image:
    """The picture at a time, at the video's size; `number` holds on to a section that has just ended."""
    starts = section_starts(lines)
    if number is None:
        number = max(i for i, start in enumerate(starts) if start <= seconds + 1e-6)
    mine = [line for line in lines if line.section == number]
    offsets = [(line.start - starts[number], line.until - starts[number]) for line in mine]
    beat = Beat(seconds - starts[number], offsets)
    canvas = Canvas(backdrop(film.mood).copy())
    film.sections[number].draw(canvas, beat)
    if number == 0:
        title_card(canvas, film.mood, film.title, min(1.0, 0.4 + seconds))
    caption(canvas, film.mood, number, len(film.sections), film.sections[number].caption)
    return canvas.image.reduce(SAMPLES)


def frames(film: Film, lines: list[Line]) -> Iterator[Image.Image]:
    starts = section_starts(lines)
    for index in range(round(lines[-1].until * FPS)):
        seconds = index / FPS
        number = max(i for i, start in enumerate(starts) if start <= seconds + 1e-6)
        picture = still(film, lines, seconds, number)
        into = (seconds - starts[number]) * FPS
        if number and into < FADE:
            older = still(film, lines, seconds, number - 1)
            picture = Image.blend(older, picture, (into + 1) / (FADE + 1))
        yield picture


def encode(film: Film, lines: list[Line], sound: np.ndarray, out: Path) -> None:
    """Pipes the frames into ffmpeg; the result is moved into place only when it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        wav, video = Path(folder) / "sound.wav", Path(folder) / "video.mp4"
        write_wav(wav, sound)
        with subprocess.Popen(ffmpeg(film.title, wav, video), stdin=subprocess.PIPE) as process:
            assert process.stdin
            for picture in frames(film, lines):
                process.stdin.write(picture.tobytes())
            process.stdin.close()
        if process.returncode:
            raise RuntimeError(f"ffmpeg failed on {film.file}")
        shutil.move(video, out)


def write_wav(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes())


def ffmpeg(title: str, wav: Path, out: Path) -> list[str]:
    """The command that takes raw frames on its input: small, seekable every two seconds, starts fast."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-"]
    command += ["-i", str(wav), "-c:v", "libx264", "-preset", "slow", "-crf", "29", "-pix_fmt", "yuv420p"]
    command += ["-g", str(2 * FPS), "-tune", "animation", "-threads", "1", "-metadata", f"title={title}"]
    return [*command, "-c:a", "aac", "-b:a", "48k", "-ac", "1", "-movflags", "+faststart", str(out)]


def make(film: Film) -> str:
    lines, sound = narrate(film)
    (HERE / f"{film.file}.vtt").write_text(to_vtt(lines), encoding="utf-8")
    encode(film, lines, sound, HERE / f"{film.file}.mp4")
    return f"{film.file}: {lines[-1].until:.1f} s, {(HERE / f'{film.file}.mp4').stat().st_size / 1e6:.2f} MB"


def sheet(film: Film, folder: Path, columns: int = 3) -> str:
    """A contact sheet with a still from late in every sentence."""
    lines, _ = narrate(film)
    shots = [still(film, lines, line.start + (line.end - line.start) * 0.75) for line in lines]
    rows = -(-len(shots) // columns)
    wide, high = WIDTH * 3 // 4, HEIGHT * 3 // 4
    page = Image.new("RGB", (columns * wide, rows * high))
    for i, shot in enumerate(shots):
        page.paste(shot.resize((wide, high)), (i % columns * wide, i // columns * high))
    page.save(folder / f"{film.file}.png")
    return f"{film.file}: {len(shots)} stills, {lines[-1].until:.1f} s"


def write_tables(films: tuple[Film, ...]) -> None:
    """The titles, and the questions with the times of the finished subtitles."""
    titles = {f"{film.file}.mp4": film.title for film in films}
    (HERE / "demo.json").write_text(json.dumps(titles, indent=1) + "\n", encoding="utf-8")
    tables = {film.file: narrate(film)[0] for film in films}
    rows = resolve(films, tables)
    text = "[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n"
    (HERE / "questions.json").write_text(text, encoding="utf-8")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="which videos; all when none is named")
    parser.add_argument("--sheet", type=Path, help="draw contact sheets into this folder instead")
    parser.add_argument("--tables", action="store_true", help="only demo.json and questions.json")
    args = parser.parse_args()
    chosen = [film for film in FILMS if not args.names or film.file in args.names]
    if args.sheet:
        for film in chosen:
            log.info(sheet(film, args.sheet))
        return
    if not args.tables:
        with ProcessPoolExecutor(2) as pool:
            for report in pool.map(make, chosen):
                log.info(report)
    write_tables(FILMS)


if __name__ == "__main__":
    main()
