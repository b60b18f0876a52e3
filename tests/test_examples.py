"""The demo library as a user finds it: files play, subtitles and questions fit, the maker repeats itself."""

from __future__ import annotations

import doctest
import importlib
import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
VIDEOS = sorted(EXAMPLES.glob("*.mp4"))
VOICE_COMMANDS = {"slt": "text2wave", "rms": "flite"}


def maker(name: str) -> ModuleType:
    """A module of the script that makes the videos, which is run by path and not installed."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(f"demo.{name}")


def seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.split(":")
    return round(int(hours) * 3600 + int(minutes) * 60 + float(rest), 3)


def cues(video: Path) -> list[tuple[float, float, str]]:
    blocks = video.with_suffix(".vtt").read_text(encoding="utf-8").strip().split("\n\n")
    assert blocks[0] == "WEBVTT"
    rows = []
    for block in blocks[1:]:
        times, text = block.split("\n", 1)
        start, end = times.split(" --> ")
        rows.append((seconds(start), seconds(end), text))
    return rows


def length(video: Path) -> float:
    with av.open(str(video)) as container:
        assert container.duration
        return container.duration / 1_000_000


def questions() -> list[dict]:
    return json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))


def test_there_are_ten_videos_in_a_small_folder() -> None:
    assert len(VIDEOS) == 10
    assert sum(file.stat().st_size for file in EXAMPLES.rglob("*") if file.is_file()) < 25_000_000


def test_every_video_has_a_title() -> None:
    titles = json.loads((EXAMPLES / "demo.json").read_text(encoding="utf-8"))
    assert sorted(titles) == [video.name for video in VIDEOS]
    assert len(set(titles.values())) == len(VIDEOS)
    assert all(title.strip() == title and title for title in titles.values())


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.stem)
def test_plays_in_browsers_from_any_keyframe(video: Path) -> None:
    with av.open(str(video)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert picture.codec_context.pix_fmt == "yuv420p"
        assert picture.codec_context.width % 2 == picture.codec_context.height % 2 == 0
        keys = [
            float(p.pts * p.time_base)
            for p in container.demux(picture)
            if p.is_keyframe and p.pts is not None
        ]
    assert keys[0] == pytest.approx(0, abs=0.1)
    gaps = [b - a for a, b in zip(keys, [*keys[1:], length(video)], strict=True)]
    assert max(gaps) <= 2.1


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.stem)
def test_starts_without_reading_the_whole_file(video: Path) -> None:
    head = video.read_bytes()[: 1 << 20]
    assert 0 < head.find(b"moov") < head.find(b"mdat")


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.stem)
def test_decodes_to_the_end_with_moving_pictures_and_speech(video: Path) -> None:
    with av.open(str(video)) as container:
        stills = set()
        container.streams.video[0].codec_context.skip_frame = "NONKEY"
        for frame in container.decode(video=0):
            stills.add(hash(frame.reformat(width=64, height=36, format="gray").to_ndarray().tobytes()))
    with av.open(str(video)) as container:
        loud = [float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0)]
    assert len(stills) > 20
    assert 0.3 < max(loud) <= 1.05
    assert sum(level > 0.05 for level in loud) > len(loud) / 2


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.stem)
def test_lasts_one_to_three_minutes_with_subtitles_in_order(video: Path) -> None:
    rows = cues(video)
    assert 60 <= length(video) <= 180
    assert len(rows) >= 12
    assert all(0 <= start < end and text.strip() for start, end, text in rows)
    assert all(before[1] < after[0] for before, after in pairwise(rows))
    assert rows[-1][1] <= length(video)


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: video.stem)
def test_cues_lie_where_the_voice_is(video: Path) -> None:
    """In the middle of each pause there is silence, in each cue there is speech."""
    with av.open(str(video)) as container:
        frames = [
            (frame.time or 0.0, float(np.abs(frame.to_ndarray()).max()))
            for frame in container.decode(audio=0)
        ]
    rows = cues(video)
    for start, end, _ in rows:
        assert max(level for time, level in frames if start <= time < end) > 0.1
    for before, after in pairwise(rows):
        quiet = [level for time, level in frames if before[1] + 0.1 < time < after[0] - 0.15]
        assert max(quiet) < 0.05


def test_forty_questions_ten_of_them_without_an_answer() -> None:
    rows = questions()
    assert len(rows) == 40
    assert sum(row["video"] is None for row in rows) == 10
    assert len({row["question"] for row in rows}) == 40
    assert all(set(row) == {"question", "video", "start", "end"} for row in rows)
    assert all(row["start"] is None and row["end"] is None for row in rows if row["video"] is None)


def test_answers_lie_on_cue_boundaries_and_cover_every_video() -> None:
    answered = [row for row in questions() if row["video"]]
    assert {row["video"] for row in answered} == {video.name for video in VIDEOS}
    for row in answered:
        rows = cues(EXAMPLES / row["video"])
        assert row["start"] in {start for start, _, _ in rows}
        assert row["end"] in {end for _, end, _ in rows}
        assert 3 <= row["end"] - row["start"] <= 60


def test_questions_do_not_copy_the_narration() -> None:
    for row in questions():
        if row["video"]:
            inside = " ".join(
                text for start, _, text in cues(EXAMPLES / row["video"]) if start >= row["start"]
            ).lower()
            words = row["question"].lower().rstrip("?").split()
            runs = {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}
            assert not [run for run in runs if run in inside]


def test_subtitles_are_what_the_scripts_say() -> None:
    for film in maker("films").FILMS:
        spoken = [text for section in film.sections for text in section.lines]
        assert [text for _, _, text in cues(EXAMPLES / f"{film.file}.mp4")] == spoken
        assert 4 <= len(film.sections) <= 8


def test_cue_table_depends_on_the_durations_alone() -> None:
    narration = maker("narration")
    sections, durations = [["One.", "Two."], ["Three."]], [1.25, 2.0, 0.75]
    table = narration.cue_table(sections, durations)
    assert table == narration.cue_table(sections, list(durations))
    assert [round(line.end - line.start, 3) for line in table] == durations
    assert narration.cue_table(sections, [1.25, 2.5, 0.75])[2].start == pytest.approx(table[2].start + 0.5)


@pytest.mark.parametrize("voice", ["slt", "rms"])
def test_speaking_again_gives_the_committed_times(voice: str) -> None:
    if not shutil.which(VOICE_COMMANDS[voice]):
        pytest.skip(f"needs the Debian package of the voice {voice}")
    narration = maker("narration")
    film = next(film for film in maker("films").FILMS if film.voice == voice)
    first, second = film.sections[0].lines[:2]
    spoken = [len(narration.speak(text, voice)) / narration.RATE for text in (first, second)]
    table = narration.cue_table([[first, second]], spoken)
    committed = cues(EXAMPLES / f"{film.file}.mp4")[:2]
    assert [(line.start, line.end) for line in table] == [
        pytest.approx(row[:2], abs=0.06) for row in committed
    ]


@pytest.mark.parametrize("name", ["canvas", "narration", "stage"])
def test_the_makers_own_examples_hold(name: str) -> None:
    assert doctest.testmod(maker(name)).failed == 0
