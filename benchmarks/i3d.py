"""Picture features: seconds of video per second, against the straightforward way.

    python -m benchmarks.i3d [--seconds 60] [--rounds 2] [--weights FILE] [--video FILE] [--pictures small]

Makes a moving 720p H.264 video. The straightforward way is the one of the authors' extraction scripts:
every picture at 16 a second is written to disk as a JPEG, then read back one by one, and the network gets
one window at a time in float32, with its layers as they are in the checkpoint. Both ways run in turns, on a
GPU where there is one. Random weights from a seed take the same time as real ones, and stand in for them
unless a file is named.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.machine import heading
from pipeline import media
from pipeline.features import frames
from pipeline.features.i3d import I3D, load_i3d
from pipeline.features.pictures import I3DPictures, extract
from pipeline.probe import Media
from tests.i3d_parts import write_weights
from tests.media_factory import ffmpeg

Times = dict[str, float]


def make_video(path: Path, seconds: int) -> None:
    """A moving 720p picture with some noise, 25 a second, 2.5 Mbit/s: about what a site serves."""
    picture = f"testsrc2=size=1280x720:rate=25:duration={seconds},noise=alls=6:allf=t"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "2500k", "-maxrate", "2500k"]
    ffmpeg("-f", "lavfi", "-i", picture, *encode, "-bufsize", "5000k", "-pix_fmt", "yuv420p", str(path))


def straightforward(
    path: Path, model: I3D, device: str, folder: Path, full: bool
) -> tuple[Times, np.ndarray]:
    """Seconds for writing the pictures, reading them, and the network; and the rows."""
    began = time.perf_counter()
    count = write_pictures(path, folder, full)
    times = {"write": time.perf_counter() - began, "read": 0.0, "network": 0.0}
    rows = []
    for first in range(0, count - frames.RATE + 1, frames.RATE):
        began = time.perf_counter()
        window = np.stack([read_picture(folder / f"{first + n:06}.jpg") for n in range(frames.RATE)])
        x = torch.from_numpy(window.transpose(3, 0, 1, 2)[None].copy()).to(device)
        read = time.perf_counter()
        with torch.no_grad():
            rows.append(model.extract_features(x).flatten().cpu().numpy())
        times["read"] += read - began
        times["network"] += time.perf_counter() - read
    return times, np.stack(rows)


def write_pictures(path: Path, folder: Path, full: bool) -> int:
    """Every picture at 16 a second as a JPEG, scaled to 224 before that unless `full`; how many."""
    count = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            while frame.time is not None and count / frames.RATE <= frame.time:
                picture = frame.to_image()
                (picture if full else scaled(picture)).save(folder / f"{count:06}.jpg", quality=95)
                count += 1
    return count


def scaled(picture: Image.Image) -> Image.Image:
    factor = frames.SIDE / min(picture.size)
    width, height = (round(side * factor) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def read_picture(path: Path) -> np.ndarray:
    """(224, 224, 3) float32 in -1..1."""
    picture = Image.open(path).convert("RGB")
    if min(picture.size) != frames.SIDE:
        picture = scaled(picture)
    left, top = ((side - frames.SIDE) // 2 for side in picture.size)
    cut = picture.crop((left, top, left + frames.SIDE, top + frames.SIDE))
    return np.asarray(cut, np.float32) / 127.5 - 1


def ours(path: Path, facts: Media, network: I3DPictures) -> np.ndarray:
    return np.concatenate(list(extract(path, facts, network)))


def network_alone(network: I3DPictures, seconds: int) -> None:
    """As many windows as the video has, from memory."""
    windows = np.random.default_rng(0).integers(0, 256, (network.batch, 16, 224, 224, 3), dtype=np.uint8)
    for first in range(0, seconds, network.batch):
        network.features(windows[: seconds - first])


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def rounds(
    path: Path, facts: Media, network: I3DPictures, plain: I3D, arguments: argparse.Namespace
) -> Iterator[tuple[Times, np.ndarray, np.ndarray]]:
    """What each part of both ways takes, in turns, and the rows of both."""
    seconds = frames.seconds_in(facts.duration)
    for _ in tqdm(range(arguments.rounds), disable=None):
        with tempfile.TemporaryDirectory() as folder:
            full = arguments.pictures == "full"
            theirs, wanted = straightforward(path, plain, network.device, Path(folder), full)
        times = {f"theirs: {name}": value for name, value in theirs.items()}
        times["theirs"] = sum(theirs.values())
        began = time.perf_counter()
        found = ours(path, facts, network)
        times["ours"] = time.perf_counter() - began
        times["ours: decoding alone"] = timed(lambda: list(frames.windows(path, facts)))
        times["ours: network alone"] = timed(lambda: network_alone(network, seconds))
        yield times, wanted, found


def report(runs: list[Times], seconds: int) -> str:
    lines = ["| part | seconds | seconds of video per second |", "|---|---|---|"]
    for name in runs[0]:
        took = median(run[name] for run in runs)
        lines.append(f"| {name} | {took:.2f} | {seconds / took:.1f} |")
    ratios = [run["theirs"] / run["ours"] for run in runs]
    lines.append(f"\nOurs is {median(ratios):.1f} times the straightforward way (from {min(ratios):.1f}).")
    return "\n".join(lines)


def difference(path: Path, facts: Media, weights: Path, network: I3DPictures) -> str:
    """How far the rows are from those of float32 on the same pictures."""
    few = min(8, frames.seconds_in(facts.duration))
    exact = I3DPictures(weights, network.device, "float32")
    wanted, found = (np.concatenate(list(extract(path, facts, each, last=few))) for each in (exact, network))
    off = np.abs(wanted - found).max() / np.abs(wanted).max()
    return (
        f"Largest difference of {network.precision} from float32, in parts of the largest value: {off:.1e}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--weights", type=Path, help="rgb_imagenet.pt; default: random ones")
    parser.add_argument("--video", type=Path, help="another video than the one that is made")
    parser.add_argument(
        "--pictures", choices=("small", "full"), default="small", help="what is written to disk"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        weights = arguments.weights or write_weights(Path(place) / "rgb_imagenet.pt")
        path = arguments.video or Path(place) / "moving.mp4"
        if not arguments.video:
            make_video(path, arguments.seconds)
        facts = media.probe(path)
        network = I3DPictures(weights)
        plain = load_i3d(weights).to(network.device)
        network_alone(network, 2 * network.batch)  # the first calls choose their kernels
        runs = [times for times, _, _ in rounds(path, facts, network, plain, arguments)]
        off = difference(path, facts, weights, network)
    print(heading("python -m benchmarks.i3d"))
    print(
        f"{facts.width}x{facts.height} {facts.video_codec}, {facts.duration:.0f} s, "
        f"{facts.fps:g} pictures a second; {network.device}, {network.precision}, "
        f"batches of {network.batch}, {torch.get_num_threads()} threads; "
        f"{'weights of ' + weights.name if arguments.weights else 'random weights'}; "
        f"pictures written {'whole' if arguments.pictures == 'full' else 'with a shorter side of 224'}.\n"
    )
    print(report(runs, frames.seconds_in(facts.duration)))
    print(off)


if __name__ == "__main__":
    main()
