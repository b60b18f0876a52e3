"""Reading, measuring, picturing and converting video files: good, odd, broken and hostile ones."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import convert, media
from pipeline.errors import Cancelled, DiskFull, UnreadableMedia
from pipeline.media import SAMPLE_RATE
from pipeline.probe import FORMATS, address
from pipeline.types import Span
from tests import media_factory as factory


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    """Three seconds of H.264 and AAC with a beep at each whole second."""
    return factory.make_video(folder / "plain.mp4", audio="beeps")


@pytest.fixture(scope="module")
def long_video(folder: Path) -> Path:
    return factory.make_long_video(folder / "long.mp4")


def normalised(path: Path, out: Path) -> media.Media:
    media.normalise(path, out, media.probe(path))
    assert [entry.name for entry in out.parent.iterdir() if entry.suffix == ".part"] == []
    return media.probe(out)


def beeps(sound: np.ndarray) -> list[float]:
    """Where a beep begins, in seconds."""
    loud = np.abs(sound) > 0.1
    edges = np.flatnonzero(loud & (np.arange(len(loud)) - 800 >= 0))
    begins: list[float] = [0.0] if len(loud) and loud[:160].any() else []
    last = -SAMPLE_RATE if not begins else 0
    for edge in map(int, edges):
        if edge - last > SAMPLE_RATE // 4:
            begins.append(edge / SAMPLE_RATE)
        last = edge
    return begins


class TestProbe:
    def test_what_a_plain_video_is(self, video: Path) -> None:
        found = media.probe(video)
        assert (found.width, found.height, found.rotation) == (320, 180, 0)
        assert (found.video_codec, found.audio_codec, found.container) == ("h264", "aac", "mp4")
        assert found.duration == pytest.approx(3, abs=0.1)
        assert found.fps == pytest.approx(25)
        assert found.has_audio and found.playable and found.audio_tracks == 1
        assert found.text_tracks == () and found.notice == ""

    @pytest.mark.parametrize(
        ("name", "options", "playable"),
        [
            ("a.webm", {}, True),
            ("a.mov", {}, False),
            ("a.mkv", {}, False),
            ("a.ts", {}, False),
            ("a.avi", {"codec": "mpeg4", "audio_codec": "mp3"}, False),
            ("ten.mp4", {"pixel_format": "yuv420p10le"}, False),
            ("422.mp4", {"pixel_format": "yuv422p"}, False),
            ("ac3.mp4", {"audio_codec": "ac3"}, False),
            ("late.mp4", {"start_time": 3600}, False),
            ("mute.mp4", {"audio": False}, True),
        ],
    )
    def test_what_browsers_play(self, tmp_path: Path, name: str, options: dict, playable: bool) -> None:
        path = factory.make_video(tmp_path / name, 1, **options)
        assert media.probe(path).playable is playable
        if not playable:
            assert normalised(path, tmp_path / "out" / "play.mp4").playable

    @pytest.mark.parametrize("rotation", [90, 180, 270])
    def test_rotation_turns_size_and_pictures(self, tmp_path: Path, rotation: int) -> None:
        path = factory.make_video(tmp_path / "turned.mp4", 1, rotation=rotation)
        found = media.probe(path)
        assert found.rotation == rotation
        assert (found.width, found.height) == ((320, 180) if rotation == 180 else (180, 320))
        media.thumbnail(path, tmp_path / "thumbnail.jpg", found)
        # ffmpeg turns pictures by itself: its picture of the same moment has to look the same.
        factory.ffmpeg("-i", str(path), "-frames:v", "1", str(tmp_path / "ffmpeg.png"))
        ours = np.asarray(Image.open(tmp_path / "thumbnail.jpg").resize((18, 32)), float)
        theirs = np.asarray(Image.open(tmp_path / "ffmpeg.png").convert("RGB").resize((18, 32)), float)
        assert np.abs(ours - theirs).mean() < 25
        assert np.abs(ours[::-1, ::-1] - theirs).mean() > 40

    def test_text_and_sound_tracks_are_listed(self, tmp_path: Path) -> None:
        lines = [(0.0, 1.0, "Wash the hands."), (1.0, 2.0, "Dry them.")]
        for name in ("a.mp4", "a.mkv"):
            path = factory.make_video(tmp_path / name, subtitles=lines, audio_tracks=2)
            found = media.probe(path)
            assert found.audio_tracks == 2
            assert [track.index for track in found.text_tracks] == [3]

    def test_variable_rate(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "vfr.mp4", variable_rate=True)
        assert media.probe(path).duration == pytest.approx(3, abs=0.2)
        assert media.strip(path, tmp_path / "strip.jpg", media.probe(path)) == 6

    def test_start_time_of_an_hour_is_not_length(self, tmp_path: Path) -> None:
        for name in ("a.mp4", "a.mkv", "a.ts"):
            found = media.probe(factory.make_video(tmp_path / name, start_time=3600))
            assert found.start_time == pytest.approx(3600, abs=2), name
            assert found.duration == pytest.approx(3, abs=0.2), name

    def test_absurd_metadata_does_no_harm(self, tmp_path: Path) -> None:
        words = {"title": "<script>alert(1)</script>" * 200, "artist": "\x1b[31m'\"; DROP TABLE videos; --"}
        path = factory.make_video(tmp_path / "a.mp4", 1, metadata=words)
        data = path.read_bytes().replace(b"DROP TABLE", b"\xff\xfe\x00\x80\xc3\x28 OO ")
        path.write_bytes(data)
        assert media.probe(path).playable

    @pytest.mark.parametrize("claim", [0, 0x7FFFFFFF])
    def test_a_claimed_length_that_cannot_be_is_measured(self, tmp_path: Path, claim: int) -> None:
        path = factory.make_video(tmp_path / "a.mp4", 2)
        data = bytearray(path.read_bytes())
        for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
            position = -1
            while (position := data.find(box, position + 1)) >= 0:
                data[position + offset : position + offset + 4] = claim.to_bytes(4, "big")
        path.write_bytes(bytes(data))
        assert media.probe(path).duration == pytest.approx(2, abs=0.2)

    def test_one_pixel(self, tmp_path: Path) -> None:
        path = tmp_path / "one.mkv"
        factory.make_video(path, size=(1, 1), codec="ffv1", pixel_format="bgr0", picture="color=red")
        found = media.probe(path)
        assert (found.width, found.height) == (1, 1)
        assert media.strip(path, tmp_path / "strip.jpg", found) == 6
        media.thumbnail(path, tmp_path / "thumbnail.jpg", found)
        assert normalised(path, tmp_path / "play.mp4").playable

    def test_six_hours_are_measured_at_once(self, long_video: Path) -> None:
        began = time.monotonic()
        assert media.probe(long_video).duration == pytest.approx(6 * 3600, rel=0.01)
        assert time.monotonic() - began < 2


class TestBrokenFiles:
    def refused(self, path: Path, *words: str) -> None:
        with pytest.raises(UnreadableMedia) as caught:
            media.probe(path)
        message = str(caught.value)
        assert path.name in message
        for word in words:
            assert word in message

    def test_zero_bytes(self, tmp_path: Path) -> None:
        self.refused(factory.make_empty(tmp_path / "a.mp4"), "empty", "again")

    @pytest.mark.parametrize("seed", range(5))
    def test_random_bytes(self, tmp_path: Path, seed: int) -> None:
        self.refused(factory.make_random_bytes(tmp_path / "a.mp4", seed=seed), "not a video", "convert")

    def test_html(self, tmp_path: Path) -> None:
        self.refused(factory.make_html(tmp_path / "a.mp4"), "web page", "link")

    @pytest.mark.parametrize("name", ["a.mp4", "a.m3u8"])
    def test_a_playlist_opens_nothing_else(self, tmp_path: Path, video: Path, name: str) -> None:
        self.refused(factory.make_playlist(tmp_path / name, f"file://{video}"), "playlist")

    def test_a_concat_list_opens_nothing_else(self, tmp_path: Path, video: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_text(f"ffconcat version 1.0\nfile {video}\n")
        self.refused(path, "playlist")

    def test_a_picture_is_no_video(self, tmp_path: Path) -> None:
        Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
        self.refused(factory.copy_as(tmp_path / "a.png", tmp_path / "a.mp4"), "not a video")

    def test_no_picture(self, tmp_path: Path) -> None:
        self.refused(factory.make_sound(tmp_path / "a.m4a"), "no picture", "Add a video")
        self.refused(factory.make_sound_with_cover(tmp_path / "b.m4a"), "no picture")

    def test_no_file(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "gone.mp4", "not there")
        self.refused(tmp_path, "not a file")

    def test_cut_off_before_the_index(self, tmp_path: Path, video: Path) -> None:
        self.refused(factory.make_truncated(video, tmp_path / "half.mp4"), "cut off", "again")

    def test_cut_off_behind_the_index_keeps_what_is_there(self, tmp_path: Path) -> None:
        whole = factory.make_video(tmp_path / "whole.mp4", 10)
        front = factory.make_faststart(whole, tmp_path / "front.mp4")
        half = factory.make_truncated(front, tmp_path / "half.mp4")
        found = media.probe(half)
        assert 2 < found.duration < 8
        assert "cut off" in found.notice and not found.playable
        repaired = normalised(half, tmp_path / "out" / "play.mp4")
        assert repaired.playable and repaired.notice == ""
        assert repaired.duration == pytest.approx(found.duration, abs=0.5)

    @pytest.mark.parametrize("seed", range(12))
    def test_flipped_bits_are_read_or_refused(self, tmp_path: Path, video: Path, seed: int) -> None:
        path = factory.make_bit_flipped(video, tmp_path / "a.mp4", flips=20 + 40 * seed, seed=seed)
        out = tmp_path / "out" / "play.mp4"
        try:
            found = media.probe(path)
            media.strip(path, tmp_path / "strip.jpg", found)
            media.thumbnail(path, tmp_path / "thumbnail.jpg", found)
            sound = media.audio(path)
            media.normalise(path, out, found)
        except UnreadableMedia as error:
            assert str(error).endswith((".", "again.")) and not out.exists()
        else:
            assert len(sound) <= (found.duration + 1) * SAMPLE_RATE
            assert np.isfinite(sound).all()

    def test_the_sample_of_a_broken_file(self, shared: Path, tmp_path: Path) -> None:
        path = shared / "media" / "decord_corrupted.mp4"
        found = media.probe(path)
        assert media.strip(path, tmp_path / "strip.jpg", found) > 0

    def test_pictures_too_large_for_the_memory_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "large.mkv"
        factory.make_video(path, 0.1, codec="mjpeg", size=(9000, 8000), picture="color=red", fps=10)
        self.refused(path, "too large", "smaller")


class TestNames:
    NAMES = (
        "-i.mp4",
        "-protocol_whitelist.mp4",
        "a b'c\"d#e%20f%03d.mp4",
        "😀 käse 東京.mp4",
        "concat:a|b.mp4",
        "http:x.mp4",
        "$(touch hacked)`;&.mp4",
        "new\nline.mp4",
        "x" * 196 + ".mp4",
        ".mp4",
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_every_name_is_only_a_name(
        self, tmp_path: Path, video: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        factory.copy_as(video, tmp_path / name)
        path = Path(name)  # relative, as it is typed at a command line
        found = media.probe(path)
        assert found.playable
        media.strip(path, tmp_path / "strip.jpg", found)
        assert len(media.audio(path)) > 0
        media.cut(path, Span(0.5, 1), tmp_path / "out" / name)
        media.normalise(path, tmp_path / "all" / name, found)
        assert media.probe(tmp_path / "all" / name).playable
        assert not (tmp_path / "hacked").exists()

    def test_the_address_names_a_file_and_no_option(self) -> None:
        assert address("-i") == f"file:{os.getcwd()}/-i"
        assert "hls" not in FORMATS.split(",") and "concat" not in FORMATS.split(",")


class TestSound:
    def test_samples_lie_on_the_picture_s_clock(self, video: Path) -> None:
        sound = media.audio(video)
        assert sound.dtype == np.float32 and sound.ndim == 1
        assert len(sound) == pytest.approx(3 * SAMPLE_RATE, abs=SAMPLE_RATE // 10)
        assert beeps(sound) == pytest.approx([0, 1, 2], abs=0.03)

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm"])
    def test_a_late_start_shifts_nothing(self, tmp_path: Path, name: str) -> None:
        path = factory.make_video(tmp_path / name, 4, audio="beeps", start_time=3600)
        assert beeps(media.audio(path)) == pytest.approx([0, 1, 2, 3], abs=0.06)
        assert beeps(media.audio(path, 1.5, 2)) == pytest.approx([0.5, 1.5], abs=0.06)
        normalised(path, tmp_path / "out" / "play.mp4")
        assert beeps(media.audio(tmp_path / "out" / "play.mp4")) == pytest.approx([0, 1, 2, 3], abs=0.06)

    def test_a_stretch_is_the_same_as_that_part_of_the_whole(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "a.mp4", 12, audio="beeps")
        whole = media.audio(path)
        for start, duration in ((0.0, 3.0), (4.25, 3.5), (9.0, 30.0)):
            part = media.audio(path, start, duration)
            expected = whole[round(start * SAMPLE_RATE) :][: round(duration * SAMPLE_RATE)]
            assert len(part) == pytest.approx(len(expected), abs=SAMPLE_RATE // 20)
            near = min(len(part), len(expected))
            assert np.abs(part[800:near] - expected[800:near]).mean() < 0.01

    def test_pieces_of_a_long_file_are_quick_and_small(self, long_video: Path) -> None:
        began = time.monotonic()
        sound = media.audio(long_video, 5 * 3600, 60)
        assert time.monotonic() - began < 3
        assert len(sound) == 60 * SAMPLE_RATE
        assert len(beeps(sound)) == pytest.approx(60, abs=1)

    def test_nothing_to_hear(self, tmp_path: Path) -> None:
        mute = factory.make_video(tmp_path / "mute.mp4", 1, audio=False)
        assert media.audio(mute).shape == (0,)
        silent = factory.make_video(tmp_path / "silent.mp4", 1, audio="silence")
        sound = media.audio(silent)
        assert len(sound) > 0.9 * SAMPLE_RATE and np.abs(sound).max() < 1e-3

    def test_nothing_behind_the_end(self, video: Path) -> None:
        assert len(media.audio(video, 100, 10)) == 0

    def test_of_two_tracks_the_first_is_taken(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "two.mp4", audio_tracks=2)
        pitch = np.abs(np.fft.rfft(media.audio(path, 0.5, 1))).argmax()
        assert pitch == pytest.approx(440, abs=2)  # the second is at 550
        assert media.probe(path).audio_tracks == 2

    def test_a_gap_stays_a_gap(self, tmp_path: Path) -> None:
        first = factory.make_video(tmp_path / "first.mkv", 1, audio="beeps")
        later = factory.make_video(tmp_path / "later.mkv", 2, audio="beeps")
        inputs = ["-i", str(first), "-itsoffset", "2", "-i", str(later)]
        path = tmp_path / "late sound.mkv"
        factory.ffmpeg(*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", str(path))
        assert beeps(media.audio(path))[0] == pytest.approx(2, abs=0.1)


class TestPictures:
    def test_the_strip_shows_the_times_it_says(self, tmp_path: Path) -> None:
        parts = []
        for number, colour in enumerate(("red", "lime", "blue", "white")):
            part = tmp_path / f"{number}.mp4"
            parts.append(factory.make_video(part, 5, audio=False, picture=f"color={colour}", fps=10))
        (tmp_path / "list.txt").write_text("".join(f"file {part}\n" for part in parts))
        path = tmp_path / "colours.mp4"
        factory.ffmpeg(
            "-f", "concat", "-safe", "0", "-i", str(tmp_path / "list.txt"), "-c", "copy", str(path)
        )
        count = media.strip(path, tmp_path / "strip.jpg", media.probe(path), count=20)
        sheet = np.asarray(Image.open(tmp_path / "strip.jpg"), int)
        assert count == 20 and sheet.shape == (54, 96 * 20, 3)
        colours = sheet[27, 48::96]
        expected = [(255, 0, 0)] * 5 + [(0, 255, 0)] * 5 + [(0, 0, 255)] * 5 + [(255, 255, 255)] * 5
        assert np.abs(colours - np.array(expected)).max() < 40

    def test_rare_keyframes_are_filled_in_where_it_is_cheap(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "a.mp4", 8, keyframe_seconds=1000, audio=False)
        count = media.strip(path, tmp_path / "strip.jpg", media.probe(path))
        sheet = np.asarray(Image.open(tmp_path / "strip.jpg"), float)
        tiles = np.split(sheet, count, axis=1)
        assert count == 16
        assert all(np.abs(one - other).mean() > 1 for one, other in pairwise(tiles))

    def test_a_long_video_costs_no_more(self, tmp_path: Path, long_video: Path) -> None:
        began = time.monotonic()
        found = media.probe(long_video)
        assert media.strip(long_video, tmp_path / "strip.jpg", found) == 40
        media.thumbnail(long_video, tmp_path / "thumbnail.jpg", found)
        assert time.monotonic() - began < 4

    def test_the_thumbnail_is_not_the_black_opening(self, tmp_path: Path) -> None:
        fade = "color=black:size=320x180:rate=25:duration=1[a];testsrc2=size=320x180:rate=25:duration=9[b]"
        path = tmp_path / "a.mp4"
        graph = f"{fade};[a][b]concat"
        factory.ffmpeg("-filter_complex", graph, "-c:v", "libx264", "-g", "10", str(path))
        media.thumbnail(path, tmp_path / "thumbnail.jpg", media.probe(path))
        picture = Image.open(tmp_path / "thumbnail.jpg")
        assert picture.size == (640, 360)
        assert np.asarray(picture).std() > 40

    def test_720p_is_read_far_faster_than_it_plays(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "hd.mp4", 10, size=(1280, 720), keyframe_seconds=10)
        factory.ffmpeg("-stream_loop", "17", "-i", str(path), "-c", "copy", str(tmp_path / "hd3.mp4"))
        path = tmp_path / "hd3.mp4"
        began = time.monotonic()
        found = media.probe(path)
        media.thumbnail(path, tmp_path / "thumbnail.jpg", found)
        media.strip(path, tmp_path / "strip.jpg", found)
        media.sha256(path)
        assert found.duration > 170
        assert time.monotonic() - began < found.duration / 60


class TestConversion:
    def test_what_must_be_encoded_again_is(self, tmp_path: Path) -> None:
        path = tmp_path / "a.avi"
        factory.make_video(path, 6, codec="mpeg4", audio="beeps", audio_codec="mp3", size=(322, 182))
        fractions: list[float] = []
        media.normalise(path, tmp_path / "play.mp4", media.probe(path), fractions.append)
        found = media.probe(tmp_path / "play.mp4")
        assert (found.video_codec, found.audio_codec, found.playable) == ("h264", "aac", True)
        assert found.duration == pytest.approx(6, abs=0.2)
        assert fractions == sorted(fractions) and fractions[-1] == 1.0
        assert beeps(media.audio(tmp_path / "play.mp4")) == pytest.approx(range(6), abs=0.06)
        data = (tmp_path / "play.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
        assert keyframes(tmp_path / "play.mp4")[:3] == pytest.approx([0, 2, 4], abs=0.1)

    def test_rotation_is_kept_or_applied(self, tmp_path: Path) -> None:
        copied = factory.make_video(tmp_path / "a.mov", 1, rotation=90)
        assert normalised(copied, tmp_path / "copied.mp4").height == 320
        encoded = factory.make_video(tmp_path / "b.mp4", 1, rotation=90, pixel_format="yuv444p")
        found = normalised(encoded, tmp_path / "encoded.mp4")
        assert (found.width, found.height, found.rotation) == (180, 320, 0)

    def test_tracks_that_fit_are_copied(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "a.mkv", 2)
        normalised(path, tmp_path / "play.mp4")
        assert (tmp_path / "play.mp4").stat().st_size == pytest.approx(path.stat().st_size, rel=0.1)

    def test_the_sample_without_a_length(self, shared: Path, tmp_path: Path) -> None:
        path = shared / "media" / "mp_no_duration.webm"
        assert media.probe(path).duration == pytest.approx(4.9, abs=0.1)
        assert not media.probe(path).playable  # browsers cannot seek in it
        assert normalised(path, tmp_path / "play.mp4").playable

    def test_large_pictures_are_made_smaller(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "a.mp4", 0.2, size=(2880, 1622), pixel_format="yuv444p")
        found = normalised(path, tmp_path / "play.mp4")
        assert found.width == 1920 and found.height % 2 == 0
        assert found.width / found.height == pytest.approx(2880 / 1622, rel=0.01)

    def test_cancelling_kills_ffmpeg_and_leaves_nothing(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "a.mkv", 20, codec="mpeg4", size=(1280, 720), fps=30)
        out = tmp_path / "out" / "play.mp4"
        stop = threading.Event()
        threading.Timer(0.5, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            media.normalise(path, out, media.probe(path), lambda fraction: None, stop.is_set)
        assert time.monotonic() - began < 5
        assert list(out.parent.iterdir()) == []
        assert not any(str(path).encode() in command for command in running_commands())

    def test_a_run_beyond_its_time_is_given_up(self) -> None:
        with subprocess.Popen(["sleep", "30"], stdout=subprocess.PIPE) as process:
            try:
                with pytest.raises(UnreadableMedia, match="stuck"):
                    convert._follow(process, 1, lambda f: None, lambda: False, time.monotonic() - 1)
            finally:
                process.kill()

    def test_what_a_killed_worker_left_is_removed(self, tmp_path: Path, video: Path) -> None:
        leftover = tmp_path / ".play.mp4.0123.part"
        leftover.write_bytes(b"half")
        normalised(video, tmp_path / "play.mp4")
        assert not leftover.exists()

    def test_a_full_disk_is_said(self, tmp_path: Path) -> None:
        words = "av_interleaved_write_frame(): No space left on device\nError writing trailer"
        assert isinstance(convert.failure(words), DiskFull)
        with pytest.raises(DiskFull, match="Free some"), convert.finished(tmp_path / "a.jpg") as part:
            part.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_ffmpeg_on_a_full_disk(self, video: Path) -> None:
        stream = convert.ffmpeg.output(convert._input(video), "file:/dev/full", f="matroska", c="copy")
        with pytest.raises(DiskFull):
            convert._run(stream, 3, lambda fraction: None, lambda: False)


class TestCut:
    @pytest.mark.parametrize(("start", "end"), [(0, 1), (1.3, 2.5), (4.5, 100)])
    def test_the_clip_is_exact(self, tmp_path: Path, start: float, end: float) -> None:
        path = factory.make_video(tmp_path / "a.mp4", 6, audio="beeps", keyframe_seconds=5)
        clip = media.cut(path, Span(start, end), tmp_path / "clip.mp4")
        assert clip == tmp_path / "clip.mp4"
        found = media.probe(clip)
        assert found.playable
        assert found.duration == pytest.approx(min(6, end) - start, abs=0.09)
        expected = [second - start for second in range(6) if start <= second < end]
        assert beeps(media.audio(clip)) == pytest.approx(expected, abs=0.06)

    def test_without_encoding(self, tmp_path: Path, video: Path) -> None:
        found = media.probe(media.cut(video, Span(1, 2), tmp_path / "clip.mp4", exact=False))
        assert found.duration == pytest.approx(1, abs=0.3)

    def test_behind_the_end(self, tmp_path: Path, video: Path) -> None:
        with pytest.raises(UnreadableMedia, match="end of the video"):
            media.cut(video, Span(10, 12), tmp_path / "clip.mp4")
        assert list(tmp_path.iterdir()) == []

    def test_late_start_and_no_index(self, tmp_path: Path) -> None:
        path = factory.make_video(tmp_path / "a.ts", 4, audio="beeps", start_time=3600)
        clip = media.cut(path, Span(1.5, 3.5), tmp_path / "clip.mp4")
        assert beeps(media.audio(clip)) == pytest.approx([0.5, 1.5], abs=0.08)


class TestHash:
    def test_it_is_the_sha256(self, video: Path) -> None:
        fractions: list[float] = []
        digest = media.sha256(video, fractions.append)
        assert digest == hashlib.sha256(video.read_bytes()).hexdigest()
        assert fractions[-1] == 1.0
        assert media.video_id(digest) == digest[:16]

    def test_cancelled(self, video: Path) -> None:
        with pytest.raises(Cancelled):
            media.sha256(video, cancelled=lambda: True)


def running_commands() -> list[bytes]:
    commands = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            commands.append(command.read_bytes())
    return commands


def keyframes(path: Path) -> list[float]:
    import av

    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        return [float(p.pts * p.time_base) for p in packets if p.is_keyframe and p.pts is not None]
