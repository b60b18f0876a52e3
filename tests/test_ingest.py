"""The stages on real tiny files: what becomes of good and bad input, and where the words come from."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import media, stages
from pipeline.ingest import STAGES, Models, read_transcript, write_transcript
from pipeline.library import jobs
from pipeline.library.jobs import Job
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.sources import Source, from_paths
from pipeline.types import Cue, Origin, Progress, Transcript, Video, Word
from tests.media_factory import (
    make_empty,
    make_html,
    make_random_bytes,
    make_sound,
    make_truncated,
    make_video,
)
from tests.work_parts import FakeEngines, a_file, a_library, an_upload, settings_for, work


def taken_in(library: Library, source: Source, **parts: object) -> tuple[Job, Video | None]:
    """The job after it has ended, and its video where there is one."""
    [job] = jobs.submit(library, [source])
    work(library, **parts)
    job = jobs.job(library, job.id)
    videos = {video.id: video for video in library.videos()}
    return job, videos.get(job.video_id)


def test_a_file_that_browsers_play_stays_where_it_is(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, rotation=90)
    job, video = taken_in(library, replace(source, tags=("tea",), language="en"))
    assert job.status == "done" and job.fraction == 1.0 and job.elapsed > 0
    assert video.path == source.path and not video.owned
    assert (video.width, video.height, round(video.duration)) == (180, 320, 3)
    assert video.size == source.path.stat().st_size and video.tags == ("tea",) and video.language == "en"
    assert video.thumbnail.is_file() and video.strip.is_file() and video.strip_count > 1
    assert (library.folder(video.id) / "subtitles.kettle.srt").is_file()
    assert video.notice == ""


def test_what_browsers_do_not_play_is_encoded_and_the_original_left_alone(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "old.avi", codec="mpeg4", seconds=2)
    _, video = taken_in(library, source)
    assert video.owned and video.path.name == "play.mp4" and media.probe(video.path).playable
    assert source.path.is_file()


def test_an_upload_that_is_encoded_is_not_kept_twice(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    _, video = taken_in(library, an_upload(tmp_path, "old.avi", codec="mpeg4", seconds=2))
    assert [path.name for path in library.root.rglob("*.avi")] == [] and video.path.name == "play.mp4"


@pytest.mark.parametrize(
    "name", ["🍵.mp4", 'it\'s "so".mp4', "50% #1?.mp4", "-rf.mp4", f"{'ü' * 100}.mp4", "a;b&c|d.mp4"]
)
def test_names_are_only_names(tmp_path: Path, name: str) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "plain.mp4", seconds=2)
    strange = source.path.rename(tmp_path / name)
    source.subtitles[0].rename(strange.with_suffix(".srt"))
    job, video = taken_in(library, from_paths([strange])[0])
    assert job.status == "done" and video.title == strange.stem and not video.missing
    assert library.transcript(video.id).origin is Origin.GIVEN


def broken(tmp_path: Path) -> dict[str, Path]:
    good = make_video(tmp_path / "good.mp4", seconds=2)
    return {
        "empty": make_empty(tmp_path / "empty.mp4"),
        "random": make_random_bytes(tmp_path / "random.mp4"),
        "web page": make_html(tmp_path / "page.mp4"),
        "cut off": make_truncated(good, tmp_path / "cut.mp4"),
        "sound only": make_sound(tmp_path / "sound.mp4"),
    }


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty", "is empty"),
        ("random", "is not a video"),
        ("web page", "is a web page"),
        ("cut off", "cut off"),
        ("sound only", "only sound"),
    ],
)
def test_bad_files_are_refused_in_plain_words_and_nothing_is_left(
    tmp_path: Path, kind: str, said: str
) -> None:
    library = a_library(tmp_path)
    path = broken(tmp_path)[kind]
    job, video = taken_in(library, from_paths([path])[0])
    assert (job.status, job.stage, video) == ("failed", "probe", None) and said in job.message
    assert library.videos() == [] and not list((library.root / "videos").glob("*"))
    assert path.exists()


def test_words_come_from_given_then_embedded_then_spoken(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    inside = [(0.0, 1.5, "Said inside the file.")]
    looks = {"audio": "beeps", "subtitles": inside}
    path = make_video(tmp_path / "both.mp4", **looks)
    (tmp_path / "both.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nSaid beside the file.\n")
    _, given = taken_in(library, from_paths([path])[0])
    path = make_video(tmp_path / "inside.mkv", **looks, seed=1)
    _, embedded = taken_in(library, from_paths([path])[0])
    path = make_video(tmp_path / "spoken.mp4", audio="beeps", seed=2)
    _, spoken = taken_in(library, from_paths([path])[0])
    found = [library.transcript(video.id) for video in (given, embedded, spoken)]
    assert [one.origin for one in found] == [Origin.GIVEN, Origin.EMBEDDED, Origin.WHISPER]
    assert found[0].text == "Said beside the file." and found[1].text == "Said inside the file."
    assert found[2].detail == "fake 1" and found[2].language == "en"


def test_unreadable_subtitles_are_said_and_the_speech_is_used(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    job, video = taken_in(library, a_file(tmp_path, subtitles="no subtitles at all", audio="beeps"))
    assert job.status == "done" and library.transcript(video.id).origin is Origin.WHISPER
    assert "“kettle.srt” holds no subtitles" in video.notice


def test_a_recogniser_of_last_resort_is_said(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    rough = FakeEngines(notice="Transcribed roughly.")
    _, video = taken_in(library, a_file(tmp_path, subtitles="", audio="beeps"), engines=rough)
    assert video.notice == "Transcribed roughly."


@pytest.mark.parametrize(("audio", "said"), [(False, "no sound"), ("silence", "No speech was recognised")])
def test_without_words_the_title_can_still_be_found(tmp_path: Path, audio: object, said: str) -> None:
    library = a_library(tmp_path)
    job, video = taken_in(library, a_file(tmp_path, "Pruning roses.mp4", subtitles="", audio=audio))
    assert job.status == "done" and video.state == "ready" and said in video.notice
    assert library.transcript(video.id).cues == ()
    assert [found for found, _ in library.search_transcripts("roses")] == [video.id]
    if audio is False:
        assert video.origin is None  # nobody has listened


def test_cues_end_with_the_video_and_hold_no_markup(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    said = (
        "1\n00:00:00,000 --> 00:00:01,000\n<script>alert(1)</script><b>Peel it.</b>\n\n"
        "2\n00:00:02,000 --> 00:01:00,000\nCut it.\n\n"
        "3\n00:05:00,000 --> 00:05:10,000\nFrom another film.\n"
    )
    _, video = taken_in(library, a_file(tmp_path, subtitles=said))
    cues = library.transcript(video.id).cues
    assert [cue.text for cue in cues][1:] == ["Cut it."] and "<" not in cues[0].text
    assert cues[1].end == pytest.approx(video.duration)


def test_the_language_is_told_by_the_name_the_track_or_the_words(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    path = make_video(tmp_path / "talk.mp4", seconds=2)
    (tmp_path / "talk.pt-BR.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nAgora ferva.\n")
    _, named = taken_in(library, from_paths([path])[0])
    german = "1\n00:00:00,000 --> 00:00:02,000\nUnd dann wird das Wasser nicht mit der Hand in die Kanne.\n"
    _, told = taken_in(library, a_file(tmp_path, "kanne.mp4", subtitles=german, seed=1))
    assert (named.language, told.language) == ("pt", "de")


def test_a_long_transcript_reports_its_vectors_and_can_be_stopped(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    lines = "\n\n".join(
        f"{n}\n00:00:{n // 10:02},{n % 10}00 --> 00:00:{n // 10:02},{n % 10}99\nSentence number {n}."
        for n in range(30)
    )
    seen: list[float | None] = []

    def observe(job_id: int, progress: Progress) -> None:
        if progress.detail == "understanding the words":
            seen.append(progress.fraction)

    source = a_file(tmp_path, subtitles=lines)
    stages_batch, stages.ENCODE_BATCH = stages.ENCODE_BATCH, 1
    try:
        taken_in(library, source, observe=observe)
    finally:
        stages.ENCODE_BATCH = stages_batch
    assert seen == sorted(seen) and seen[0] == 0.0


def test_given_and_found_vectors_are_those_of_the_encoder(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    engines = FakeEngines()
    _, video = taken_in(library, a_file(tmp_path), engines=engines)
    question = engines.encoder().encode(["Boil the water. Add the salt."])[0]
    [(_, found, span, score)] = library.nearest_windows(question)
    assert found == video.id and score == pytest.approx(1.0, abs=1e-2) and span.start == pytest.approx(0.2)
    assert np.isfinite(score)


def test_transcripts_between_stages_come_back_as_they_were(tmp_path: Path) -> None:
    said = Transcript(
        (Cue(0.5, 2.0, "Zürich: “go”", (Word(0.5, 1.0, "Zürich:"), Word(1.0, 2.0, "“go”"))),),
        Origin.WHISPER,
        "de",
        "whisper base",
    )
    write_transcript(tmp_path / "work" / "transcript.json", said)
    assert read_transcript(tmp_path / "work" / "transcript.json") == said
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["transcript.json"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server with one video."""
    make_video(tmp_path / "site" / "knot.mp4", seconds=2, audio="beeps")
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_link_is_downloaded_into_the_library(tmp_path: Path, site: str) -> None:
    library = a_library(tmp_path)
    local = settings_for(library, allow_private_addresses=True)
    source = Source("link", url=f"{site}/knot.mp4", title="A knot")
    job, video = taken_in(library, source, settings=local)
    assert job.status == "done", job.message
    assert video.title == "A knot" and video.url == source.url and video.owned and not video.missing
    assert video.path.is_relative_to(library.folder(video.id))
    assert not list((library.root / "incoming").iterdir())
    again, _ = taken_in(library, source, settings=local)
    assert (again.status, again.video_id) == ("already", video.id)


def test_what_a_link_gave_is_called_by_its_title(tmp_path: Path, site: str) -> None:
    (tmp_path / "site" / "page.mp4").write_text("<!doctype html><html><body>Sign in</body></html>" * 50)
    library = a_library(tmp_path)
    source = Source("link", url=f"{site}/page.mp4", title="A knot")
    job, _ = taken_in(library, source, settings=settings_for(library, allow_private_addresses=True))
    assert job.status == "failed" and "“A knot” is a web page" in job.message


def test_a_link_into_the_local_network_is_refused(tmp_path: Path, site: str) -> None:
    library = a_library(tmp_path)
    job, video = taken_in(library, Source("link", url=f"{site}/knot.mp4"))
    assert (job.status, job.stage, video) == ("failed", "fetch", None)
    assert "private network" in job.message


def test_a_dead_link_says_so_and_can_be_retried(tmp_path: Path, site: str) -> None:
    library = a_library(tmp_path)
    local = settings_for(library, allow_private_addresses=True)
    job, _ = taken_in(library, Source("link", url=f"{site}/later.mp4"), settings=local)
    assert job.status == "failed" and "no video at this link" in job.message
    make_video(tmp_path / "site" / "later.mp4", seconds=2, seed=4)
    jobs.retry(library)
    work(library, settings=local)
    assert jobs.job(library, job.id).status == "done"


def test_models_are_loaded_once_and_a_second_best_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline import transcribe

    chosen = []

    def choose(settings: Settings, report: object) -> tuple[object, str]:
        chosen.append(1)
        return FakeEngines().recogniser, "Transcribed roughly." if len(chosen) < 3 else ""

    monkeypatch.setattr(transcribe, "choose", choose)
    models = Models(Settings())
    ignore = lambda fraction: None  # noqa: E731
    assert models.transcriber(ignore)[1] and models.transcriber(ignore)[1] and len(chosen) == 1
    assert models.transcriber(ignore, again=True)[1] and len(chosen) == 2
    assert not models.transcriber(ignore, again=True)[1] and len(chosen) == 3
    models.transcriber(ignore, again=True)
    assert len(chosen) == 3


def test_there_is_a_function_and_a_version_for_every_stage() -> None:
    assert tuple(stages.BY_NAME) == STAGES
