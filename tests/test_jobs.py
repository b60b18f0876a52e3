"""Jobs as the app sees them: submitting, following, cancelling, retrying, dismissing; progress arithmetic."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline.errors import DiskFull, VideoNotFound
from pipeline.library import jobs
from pipeline.library.jobs import JobNotFound
from pipeline.library.progress import STAGES, job_fraction, remaining_seconds, stage_rest
from pipeline.library.queue import WorkerLock
from pipeline.library.schema import JobRow, now
from pipeline.library.store import Library
from pipeline.sources import Source
from pipeline.types import Origin, Progress
from tests.library_factory import a_video, add
from tests.media_factory import make_video
from tests.work_parts import FakeEngines, a_file, a_library, an_upload, work


def a_link(**known: str) -> Source:
    return Source("link", **{"url": "https://example.org/v", "title": "A talk", **known})


def test_submitting_says_at_once_what_is_queued(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    file, link = jobs.submit(library, [a_file(tmp_path), a_link()])
    assert (file.title, file.source, file.status) == ("kettle", "kettle.mp4", "queued")
    assert (link.title, link.source, link.status) == ("A talk", "https://example.org/v", "queued")
    assert file.stage_number == 0 and file.stage_count == len(STAGES) and file.fraction == 0.0
    assert file.detail == "waits for the worker to start" and file.remaining is None
    assert [job.id for job in jobs.jobs(library, active_only=True)] == [file.id, link.id]


def test_uploads_are_moved_in_with_their_subtitles(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    upload = an_upload(tmp_path, "My “talk” #1 50% ü.mp4")
    [job] = jobs.submit(library, [upload])
    assert not upload.path.exists() and not upload.subtitles[0].exists()
    assert sorted(path.name for path in (library.root / "incoming").glob("*/*")) == [
        "My “talk” #1 50% ü.mp4",
        "My “talk” #1 50% ü.srt",
    ]
    work(library)
    video = library.video(jobs.job(library, job.id).video_id)
    assert video.title == "My “talk” #1 50% ü" and video.original_name == "My “talk” #1 50% ü.mp4"
    assert video.owned and video.path.is_relative_to(library.root)
    assert library.transcript(video.id).origin is Origin.GIVEN


def test_a_refused_upload_is_called_by_its_name(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    broken = tmp_path / "kettle.mp4"
    broken.write_bytes(b"")
    jobs.submit(library, [Source("upload", path=broken, title="kettle", original_name="kettle.mp4")])
    work(library)
    [job] = jobs.jobs(library)
    assert job.status == "failed" and "“kettle.mp4” is empty" in job.message


def test_uploaded_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    upload = an_upload(tmp_path, "kettle.mp4")
    (tmp_path / "german").mkdir()
    other = tmp_path / "german" / "kettle.srt"
    other.write_text("1\n00:00:00,200 --> 00:00:01,500\nWasser kochen.\n")
    jobs.submit(library, [replace(upload, subtitles=(*upload.subtitles, other))])
    kept = {path.name: path.read_text()[-20:] for path in (library.root / "incoming").glob("*/*.srt")}
    assert set(kept) == {"kettle.srt", "2-kettle.srt"} and "Wasser" in kept["2-kettle.srt"]
    work(library)
    [video] = library.videos()
    assert "Boil the water" in library.transcript(video.id).text


def test_an_upload_that_does_not_fit_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = a_library(tmp_path)
    upload = an_upload(tmp_path)
    whole = shutil.move

    def move(source: Path, target: Path) -> Path:
        if Path(source) == upload.subtitles[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(source, target)

    monkeypatch.setattr(shutil, "move", move)
    with pytest.raises(DiskFull, match="Free some disk space"):
        jobs.submit(library, [upload])
    assert upload.path.is_file() and upload.subtitles[0].is_file()
    assert jobs.jobs(library) == [] and list((library.root / "incoming").iterdir()) == []


def test_an_upload_whose_job_cannot_be_written_is_given_back(tmp_path: Path) -> None:
    class Full(Library):
        @contextmanager
        def session(self) -> Iterator[Session]:
            raise DiskFull("The disk is full.")
            yield

    a_library(tmp_path)
    library = Full.open(tmp_path / "library")
    upload = an_upload(tmp_path)
    with pytest.raises(DiskFull):
        jobs.submit(library, [upload])
    assert upload.path.is_file() and upload.subtitles[0].is_file()
    assert list((library.root / "incoming").iterdir()) == []


def test_a_queue_that_cannot_be_written_does_not_keep_jobs_from_being_submitted(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    (library.root / "queue.db").mkdir()
    [job] = jobs.submit(library, [a_file(tmp_path)])
    assert job.status == "queued"
    (library.root / "queue.db").rmdir()
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_what_is_under_way_is_not_queued_twice(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path)
    [first], [again] = jobs.submit(library, [source]), jobs.submit(library, [source])
    assert first.id == again.id
    one, two = jobs.submit(library, [a_link(site="Tube", site_id="1"), a_link(site="Tube", site_id="1")])
    assert one.id == two.id
    [other] = jobs.submit(library, [a_link(site="Tube", site_id="2")])
    assert other.id != one.id


def test_a_link_that_is_there_already_is_said_at_once(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    known = library.add_video(a_video("Known", site="Tube", site_id="x1"))
    [job] = jobs.submit(library, [a_link(site="Tube", site_id="x1")])
    assert (job.status, job.video_id, job.fraction) == ("already", known.id, 1.0)
    assert "“Known” is in the library already" in job.message


def test_the_same_file_again_is_already_there_and_another_of_its_name_is_not(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "talk.mp4")
    jobs.submit(library, [source])
    work(library)
    (tmp_path / "b").mkdir()
    jobs.submit(library, [source, a_file(tmp_path / "b", "talk.mp4", seed=3)])
    work(library)
    assert [job.status for job in jobs.jobs(library)] == ["done", "already", "done"]
    assert [video.title for video in library.videos()] == ["talk", "talk"]


def test_adding_a_moved_file_again_finds_the_video_s_missing_file(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "here.mp4")
    jobs.submit(library, [source])
    work(library)
    [video] = library.videos()
    moved = source.path.rename(tmp_path / "there.mp4")
    assert library.video(video.id).missing
    jobs.submit(library, [replace(source, path=moved, title="there", subtitles=())])
    work(library)
    found = library.video(video.id)
    assert found.path == moved and not found.missing and found.title == "here"
    last = jobs.jobs(library)[-1]
    assert last.status == "already" and "missing file is found again" in last.message
    assert library.transcript(video.id).text == "Boil the water. Add the salt."


def test_transcribing_again_keeps_the_old_words_until_the_new_are_whole(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path, audio="beeps")])
    work(library)
    [video] = library.videos()
    job = jobs.retranscribe(library, video.id, "de")
    assert jobs.retranscribe(library, video.id).id == job.id
    assert job.kind == "retranscribe" and job.stage_count == 4 and job.video_id == video.id

    class Broken(FakeEngines):
        def encoder(self):
            raise RuntimeError("no encoder")

    work(library, engines=Broken())
    assert jobs.job(library, job.id).status == "failed"
    assert library.video(video.id).state == "ready"
    assert library.transcript(video.id).text == "Boil the water. Add the salt."
    jobs.retry(library, job.id)
    work(library)
    again = library.transcript(video.id)
    assert (again.origin, again.language, again.cues[0].text) == (Origin.WHISPER, "de", "Sound.")
    assert library.video(video.id).language == "de"
    with pytest.raises(VideoNotFound):
        jobs.retranscribe(library, "0" * 16)


def test_transcribing_silence_again_leaves_the_words_alone(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path, audio="silence")])
    work(library)
    [video] = library.videos()
    job = jobs.retranscribe(library, video.id)
    work(library)
    assert "The transcript stays as it was" in jobs.job(library, job.id).message
    assert library.transcript(video.id).text == "Boil the water. Add the salt."


def test_transcribing_again_without_the_file_says_what_to_do(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path)
    jobs.submit(library, [source])
    work(library)
    source.path.unlink()
    job = jobs.retranscribe(library, library.videos()[0].id)
    work(library)
    assert "Put it back, or add it again" in jobs.job(library, job.id).message


def test_only_what_fits_can_be_cancelled_retried_and_dismissed(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [a_file(tmp_path)])
    with pytest.raises(JobNotFound, match="no job 99"):
        jobs.cancel(library, 99)
    with pytest.raises(JobNotFound, match="did not fail"):
        jobs.retry(library, job.id)
    with pytest.raises(JobNotFound, match="still under way"):
        jobs.dismiss(library, job.id)
    work(library)
    with pytest.raises(JobNotFound, match="has ended"):
        jobs.cancel(library, job.id)
    assert jobs.retry(library) == []


def test_dismissing_forgets_the_job_and_only_then_the_upload(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    failing, cancelled = jobs.submit(
        library, [an_upload(tmp_path, "a.mp4"), an_upload(tmp_path, "b.mp4", seed=1)]
    )
    jobs.cancel(library, cancelled.id)
    work(library, free_space=lambda path: 0)
    kept = lambda: len(list((library.root / "incoming").iterdir()))  # noqa: E731
    assert jobs.job(library, failing.id).status == "failed" and kept() == 2
    assert jobs.dismiss(library) == 1  # the cancelled one; what failed is not dropped along with it
    assert [job.id for job in jobs.jobs(library)] == [failing.id] and kept() == 1
    assert jobs.dismiss(library, failing.id) == 1
    assert jobs.jobs(library) == [] and kept() == 0


def test_times_come_from_the_stage_s_own_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, moment = a_library(tmp_path), now()
    [job] = jobs.submit(library, [a_file(tmp_path)])
    state = {
        "plan": {"duration": 600.0, "speech": True},
        "begun_at": 0.5,
        "stages": {"fetch": {"seconds": 2.0}, "probe": {"seconds": 3.0}},
    }
    running = {"status": "running", "stage": "subtitles", "fraction": 0.75, "state": state}
    with library.session() as session:
        session.execute(update(JobRow).values(**running, stage_started_at=moment - timedelta(seconds=100)))
    lock = WorkerLock(library.root)
    assert lock.acquire()
    monkeypatch.setattr(jobs, "now", lambda: moment)  # a busy machine must not age the job
    job = jobs.job(library, job.id)
    assert job.elapsed == pytest.approx(105)
    # A quarter took 100 s, so does the last one; vectors, reading and index come to about 7 s.
    assert job.remaining == pytest.approx(107, abs=2)
    assert job.stage_number == 4 and 0.5 < job.fraction < 1
    lock.release()
    assert jobs.job(library, job.id).status == "queued" and jobs.job(library, job.id).remaining is None


@given(
    plan=some.fixed_dictionaries(
        {},
        optional={
            "duration": some.floats(0, 1e5),
            "link": some.booleans(),
            "encode": some.booleans(),
            "speech": some.booleans(),
        },
    ),
    elapsed=some.floats(0, 1e5),
    fractions=some.tuples(some.floats(0, 1), some.floats(0, 1)),
)
def test_progress_never_runs_backwards_or_out_of_range(
    plan: dict, elapsed: float, fractions: tuple[float, float]
) -> None:
    steps = [job_fraction(STAGES, stage, at, plan) for stage in STAGES for at in sorted(fractions)]
    assert steps == sorted(steps) and steps[0] >= 0 and steps[-1] <= 1
    begun, at = sorted(fractions)
    for stage in STAGES:
        left = remaining_seconds(STAGES, stage, elapsed=elapsed, begun_at=begun, fraction=at, plan=plan)
        assert left is not None and left >= 0
    assert remaining_seconds(STAGES, "", elapsed=0, begun_at=0, fraction=None, plan=plan) is None
    assert stage_rest(elapsed, 0.0, 1.0, 5.0) == 0


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    for name, seed in (("boil-an-egg", 1), ("tie-a-knot", 2)):
        make_video(folder / f"{name}.mp4", seconds=2, seed=seed)
        (folder / f"{name}.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.500\nThis is how you begin it.\n")
    (folder / "demo.json").write_text(json.dumps({"boil-an-egg.mp4": "How to boil an egg"}))
    return folder


def test_the_demo_fills_an_empty_library_once(tmp_path: Path, examples: Path) -> None:
    library = a_library(tmp_path)
    assert len(jobs.add_demo(library, examples)) == 2
    assert jobs.add_demo(library, examples) == []
    work(library)
    found = {video.title: video for video in library.videos()}
    assert set(found) == {"How to boil an egg", "tie-a-knot"}
    egg = found["How to boil an egg"]
    assert egg.path == examples / "boil-an-egg.mp4" and not egg.owned and egg.language == "en"
    assert library.transcript(egg.id).origin is Origin.GIVEN
    for video in found.values():
        library.remove(video.id)
    jobs.dismiss(library)
    assert jobs.add_demo(library, examples) == []  # they were deleted on purpose
    assert (examples / "boil-an-egg.mp4").is_file()


def test_the_demo_stays_out_of_a_library_that_has_videos(tmp_path: Path, examples: Path) -> None:
    library = a_library(tmp_path)
    add(library, "Mine", "Something of my own.")
    assert jobs.add_demo(library, examples) == []
    assert jobs.add_demo(a_library(tmp_path / "other"), tmp_path / "nothing here") == []


def test_two_processes_fill_the_demo_only_once(tmp_path: Path, examples: Path) -> None:
    libraries = [a_library(tmp_path), a_library(tmp_path)]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: counts.append(len(jobs.add_demo(each, examples))))
        for each in libraries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 2] and len(jobs.jobs(libraries[0])) == 2


def test_of_what_is_done_only_the_newest_are_given_on_request(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    with library.session() as session:
        for status in ("done", "failed", "done", "already", "queued"):
            session.add(JobRow(kind="add", source=a_link().as_dict(), status=status))
    assert [job.status for job in jobs.jobs(library, most_done=2)] == ["failed", "done", "already", "queued"]
    assert len(jobs.jobs(library)) == 5


def test_following_ten_thousand_finished_jobs_is_quick(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    with library.session() as session:
        rows = [JobRow(kind="add", source={}, title="x", status="done", state={}) for _ in range(10_000)]
        session.add_all(rows)
    began = time.perf_counter()
    assert jobs.jobs(library, active_only=True) == []
    assert time.perf_counter() - began < 0.5


def test_a_running_job_is_told_its_cancel_within_about_a_second(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(
        library, [a_file(tmp_path, "long.avi", "", codec="mpeg4", seconds=40, size=(640, 360))]
    )
    asked: list[float] = []

    def observe(job_id: int, progress: Progress) -> None:
        if progress.stage == "normalise" and progress.fraction and not asked:
            asked.append(time.monotonic())
            threading.Thread(target=jobs.cancel, args=(library, job_id)).start()

    work(library, observe=observe)
    assert jobs.job(library, job.id).status == "cancelled"
    assert time.monotonic() - asked[0] < 3
