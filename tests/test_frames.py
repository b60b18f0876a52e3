"""The right pictures at the right seconds: sampled by time, upright, cut in the middle, none of them lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import Cancelled, UnreadableMedia
from pipeline.features.frames import RATE, SIDE, ahead, pictures, seconds_in, windows
from pipeline.probe import Media, probe
from tests.media_factory import make_bit_flipped, make_truncated, make_video


def grey_video(
    path: Path, times: Sequence[float], size: tuple[int, int] = (64, 64), start: float = 0.0, gop: int = 12
) -> Path:
    """Picture n is shown from `times[n]` on and tells its number by its grey; the last time is the end."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        for number, (shown, gone) in enumerate(pairwise(times)):
            frame = av.VideoFrame.from_ndarray(
                np.full((size[1], size[0], 3), grey(number), np.uint8), "rgb24"
            ).reformat(format="yuv420p")
            frame.pts, frame.time_base = round((start + shown) * 90_000), Fraction(1, 90_000)
            frame.duration = round((gone - shown) * 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def grey(number: int) -> int:
    return number % 50 * 4 + 20


def numbers(found: Sequence[np.ndarray]) -> list[int]:
    """Which pictures these are."""
    return [round((float(each.mean()) - 20) / 4) for each in found]


def shown_at(times: Sequence[float], when: float) -> int:
    """The picture that a player shows: the last that has begun, to a millisecond."""
    return max((n for n, begin in enumerate(times[:-1]) if begin <= when + 0.001), default=0) % 50


def seen(path: Path, media: Media, **how: object) -> list[np.ndarray]:
    """All pictures, 16 for each second; what is said to stand still is repeated."""
    found: list[np.ndarray] = []
    for _, window in windows(path, media, **how):  # type: ignore[arg-type]
        found += list(window) if window is not None else [found[-1]] * RATE
    return found


def steady(rate: float, seconds: float) -> list[float]:
    return [n / rate for n in range(round(seconds * rate) + 1)]


TIMES = {
    "30 a second": steady(30, 2.0),
    "25 a second": steady(25, 2.0),
    "as many as wanted": steady(16, 2.0),
    "fewer than wanted": steady(5, 2.0),
    "60 a second": steady(60, 2.0),
    "NTSC": [n * 1001 / 30000 for n in range(61)],
    "variable": [0.0, 0.04, 0.08, 0.5, 0.52, 1.3, 1.31, 1.9, 2.0],
}


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("name", TIMES)
def test_each_picture_is_the_one_that_a_player_shows(tmp_path: Path, name: str, ending: str) -> None:
    times = TIMES[name]
    path = grey_video(tmp_path / f"v.{ending}", times)
    media = probe(path)
    count = round(media.duration * RATE)
    wanted = [shown_at(times, k / RATE) for k in range(count)]
    assert numbers(seen(path, media))[:count] == wanted


def test_a_late_start_counts_from_the_first_picture(tmp_path: Path) -> None:
    times = steady(25, 2.0)
    path = grey_video(tmp_path / "v.ts", times, start=7.5)
    media = probe(path)
    assert media.start_time > 5
    assert numbers(seen(path, media))[:RATE] == [shown_at(times, k / RATE) for k in range(RATE)]


def test_the_last_part_of_a_second_is_kept_and_its_last_picture_repeated(tmp_path: Path) -> None:
    times = steady(20, 2.3)
    path = grey_video(tmp_path / "v.mp4", times)
    media = probe(path)
    found = list(windows(path, media))
    assert [second for second, _ in found] == [0, 1, 2] and seconds_in(media.duration) == 3
    last = numbers(list(found[2][1]))  # type: ignore[arg-type]
    assert last[:5] == [shown_at(times, 2 + k / RATE) for k in range(5)] and last[5:] == [45] * 11


def test_a_picture_of_one_frame_is_a_second(tmp_path: Path) -> None:
    path = grey_video(tmp_path / "v.mp4", [0.0, 0.04])
    assert [w.shape for _, w in windows(path, probe(path)) if w is not None] == [(RATE, SIDE, SIDE, 3)]


@pytest.mark.parametrize(("first", "last"), [(0, 2), (1, 3), (3, 6), (5, None), (4, 5)])
def test_a_part_is_the_same_as_in_the_whole(tmp_path: Path, first: int, last: int | None) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=6.4, size=(320, 180), keyframe_seconds=1.7)
    media = probe(path)
    whole = dict(windows(path, media))
    part = dict(windows(path, media, first, last))
    assert list(part) == list(range(first, last or 7))
    for second, window in part.items():
        assert window is not None and np.array_equal(window, whole[second])


def test_seconds_in_which_nothing_moves_are_told(tmp_path: Path) -> None:
    path = grey_video(tmp_path / "slides.mkv", [0.0, 2.0, 3.5, 6.0, 7.0])
    found = [window is None for _, window in windows(path, probe(path))]
    #        0 new, 1 like 0, 2 new, 3 changes, 4 new, 5 like 4, 6 new
    assert found == [False, True, False, False, False, True, False]


def test_what_lies_behind_the_last_picture_costs_nothing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mkv", 2, audio=False)
    media = probe(path)
    longer = Media(**{**vars(media), "duration": 500.0})
    found = list(windows(path, longer))
    assert len(found) == 500 and sum(window is not None for _, window in found) <= 4


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_upright_and_cut_in_the_middle(tmp_path: Path, rotation: int) -> None:
    """Left third red, middle third green, right third blue; the middle is what is left of a wide picture."""
    path = tmp_path / "v.mp4"
    picture = np.zeros((240, 720, 3), np.uint8)
    picture[:, :240, 0] = picture[:, 240:480, 1] = picture[:, 480:, 2] = 255
    picture[:40, 240:480] = 255  # white at the top
    write_still(path, np.ascontiguousarray(np.rot90(picture, -rotation // 90)), rotation)
    media = probe(path)
    assert (media.width, media.height, media.rotation) == (720, 240, rotation)
    [(_, window)] = list(windows(path, media))
    assert window is not None
    middle = window[0].astype(int)
    assert (middle[60:, 10:-10, 1] > 180).all() and (middle[60:, 10:-10, 0] < 90).all()
    assert (middle[:30, 10:-10] > 180).all()


def write_still(path: Path, picture: np.ndarray, rotation: int) -> None:
    from tests.media_factory import ffmpeg

    raw = path.with_suffix(".raw.mp4")
    height, width = picture.shape[:2]
    with av.open(str(raw), "w") as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    turn = ["-display_rotation:v:0", str(rotation)]
    ffmpeg(*turn, "-i", f"file:{raw}", "-map", "0", "-c", "copy", f"file:{path}")


def test_the_shorter_side_decides_and_the_scale_is_even(tmp_path: Path) -> None:
    """A circle stays a circle: what is seen is the middle square of the picture."""
    path = tmp_path / "v.mp4"
    y, x = np.mgrid[:360, :640]
    circle = ((x - 320) ** 2 + (y - 180) ** 2 < 150**2)[..., None] * np.full(3, 255, np.uint8)
    write_still(path, circle.astype(np.uint8), 0)
    [(_, window)] = list(windows(path, probe(path)))
    assert window is not None
    bright = window[0][..., 1] > 128
    wanted = 2 * 150 * SIDE / 360
    assert abs(bright[SIDE // 2].sum() - wanted) <= 2 and abs(bright[:, SIDE // 2].sum() - wanted) <= 2


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", 1, audio=False, picture="color=red", size=(64, 48))
    [(_, window)] = list(windows(path, probe(path)))
    assert window is not None and window.dtype == np.uint8
    red, green, blue = window.reshape(-1, 3).mean(0)
    assert red > 230 and green < 25 and blue < 25


@pytest.mark.parametrize("size", [(16, 16), (1920, 32), (30, 2000), (98, 54)])
def test_strange_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_video(tmp_path / "v.mp4", 1, audio=False, size=size)
    [(_, window)] = list(windows(path, probe(path)))
    assert window is not None and window.shape == (RATE, SIDE, SIDE, 3)


def test_damaged_files_give_as_many_pictures_as_sound_ones(tmp_path: Path) -> None:
    good = make_video(tmp_path / "good.ts", 4, size=(320, 180))
    for path in (
        make_truncated(good, tmp_path / "cut.ts", 0.6),
        make_bit_flipped(good, tmp_path / "flipped.ts", flips=300, skip=20_000),
    ):
        found = list(windows(path, probe(good)))
        assert len(found) == seconds_in(probe(good).duration)


def test_no_picture_at_all(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", 1)
    media = probe(path)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 40_000] = bytes(min(40_000, len(data) - begin))[: len(data[begin : begin + 40_000])]
    path.write_bytes(data)
    with pytest.raises(UnreadableMedia, match="No picture"):
        list(windows(path, media))


def test_it_can_be_stopped(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", 3)
    asked = iter([False] * 20)
    with pytest.raises(Cancelled):
        list(pictures(path, probe(path), 0, 48, lambda: next(asked, True)))


# Working ahead


def test_ahead_keeps_the_order_and_no_more_than_it_may() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for n in range(20):
            made.append(n)
            yield n

    with ahead(items(), 3) as found:
        first = next(found)
        time.sleep(0.1)
        assert first == 0 and len(made) <= 1 + 3 + 1  # one taken, three waiting, one in the hand
        assert list(found) == list(range(1, 20))


def test_ahead_hands_errors_on_and_ends_its_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise UnreadableMedia("damaged")

    with pytest.raises(UnreadableMedia), ahead(items(), 2) as found:
        list(found)
    assert "pictures" not in [thread.name for thread in threading.enumerate()]


def test_who_stops_early_closes_the_file() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    with ahead(items(), 2) as found:
        assert next(found) == 0
    assert closed.is_set() and "pictures" not in [thread.name for thread in threading.enumerate()]


def test_the_length_of_a_video_does_not_fill_the_memory(tmp_path: Path) -> None:
    """What is alive at any time is a few windows, however long the video."""
    import tracemalloc

    path = make_video(tmp_path / "v.mkv", 60, audio=False, size=(64, 64), fps=16)
    tracemalloc.start()
    for second, _ in windows(path, probe(path)):
        if second == 5:
            tracemalloc.reset_peak()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * RATE * SIDE * SIDE * 3
