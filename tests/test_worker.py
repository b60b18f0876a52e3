"""The worker under everything that can happen to it: kills, cancels, twins, full disks, a dead parent."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from pipeline.errors import DiskFull
from pipeline.library import archive, jobs
from pipeline.library.jobs import Job
from pipeline.library.progress import STAGES
from pipeline.library.queue import JobQueue, WorkerLock
from pipeline.library.schema import JobRow, VideoRow, WindowRow
from pipeline.library.store import Library
from pipeline.library.supervise import WorkerProcess, end_with_parent, start_worker
from pipeline.library.worker import MOST_DEATHS, WorkerBusy
from pipeline.types import Origin, Progress
from tests.work_parts import (
    FakeEngines,
    a_file,
    a_library,
    a_worker,
    an_upload,
    in_process,
    settings_for,
    wait_until,
    work,
    work_and_die,
)

MOMENTS = [
    *((stage, "start") for stage in STAGES),
    *((stage, "middle") for stage in ("probe", "normalise", "subtitles", "text vectors", "index")),
    *((stage, "end") for stage in STAGES),
]


def left_over(library: Library) -> list[Path]:
    """Files that no finished library should hold."""
    places = [library.root / name for name in ("incoming", "work", "trash")]
    found = [path for place in places if place.exists() for path in place.rglob("*")]
    return found + list(library.root.rglob("*.part"))


@pytest.mark.parametrize(("stage", "moment"), MOMENTS, ids=lambda value: value.replace(" ", "-"))
def test_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path, stage: str, moment: str) -> None:
    library = a_library(tmp_path)
    own = a_file(tmp_path, "own.avi", "", codec="mpeg4", seconds=2, audio="beeps")
    before = hashlib.sha256(own.path.read_bytes()).digest()
    jobs.submit(library, [own, an_upload(tmp_path, seconds=2, seed=1)])
    log = tmp_path / "log"
    log.touch()
    deaths = 0
    while (code := in_process(work_and_die, str(library.root), stage, moment, str(log))) != 0:
        assert code == -signal.SIGKILL
        deaths += 1
    assert deaths >= 1
    assert [job.status for job in jobs.jobs(library)] == ["done", "done"]
    assert_whole(library)
    assert hashlib.sha256(own.path.read_bytes()).digest() == before
    assert left_over(library) == []
    begun = [line for line in log.read_text().splitlines() if line.startswith("begin")]
    for job_id in (1, 2):
        again = [each for each in STAGES if begun.count(f"begin {job_id} {each}") > 1]
        # At most the stage it was in, or the next one's beginning, is done again.
        assert again in ([], [stage])


def assert_whole(library: Library) -> None:
    """One upload with its subtitles and one file that was encoded and listened to, each exactly once."""
    encoded, uploaded = sorted(library.videos(), key=lambda video: video.title)
    assert (encoded.title, uploaded.title) == ("own", "upload")
    assert (encoded.state, uploaded.state) == ("ready", "ready")
    assert encoded.path == library.folder(encoded.id) / "play.mp4"
    assert uploaded.path == library.folder(uploaded.id) / "source.mp4"
    assert not encoded.missing and not uploaded.missing
    assert encoded.thumbnail.is_file() and encoded.strip.is_file()
    assert library.transcript(uploaded.id).text == "Boil the water. Add the salt."
    assert encoded.origin is Origin.WHISPER and "Sound." in library.transcript(encoded.id).text
    with library.reading() as session:
        assert session.scalar(select(func.count(WindowRow.id))) == 2
    assert [found for found, _ in library.search_transcripts("salt")] == [uploaded.id]


def test_two_files_of_one_content_at_the_same_time_are_one_video(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    first = a_file(tmp_path, "one.mp4")
    shutil.copy(first.path, tmp_path / "two.mp4")
    second = an_upload(tmp_path, "three.mp4")
    shutil.copy(first.path, second.path)
    both_probe = threading.Barrier(2, timeout=5)

    def observe(job_id: int, progress: Progress) -> None:
        if progress == Progress("probe", 0.0) and not both_probe.broken:
            try:
                both_probe.wait()
            except threading.BrokenBarrierError:
                return
            finally:
                both_probe.abort()

    jobs.submit(library, [first, second])
    work(library, observe=observe)
    assert sorted(job.status for job in jobs.jobs(library)) == ["already", "done"]
    assert len(library.videos()) == 1
    assert len({job.video_id for job in jobs.jobs(library)}) == 1
    assert left_over(library) == []


def test_the_twin_goes_on_when_the_first_fails(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    first = a_file(tmp_path, "one.mp4", subtitles="", seconds=2)
    twin = an_upload(tmp_path, "two.mp4", seconds=2)
    shutil.copy(first.path, twin.path)

    class Broken(FakeEngines):
        def transcriber(self, report, again=False):
            raise DiskFull("The disk is full. Free some space, then retry.")

    jobs.submit(library, [first, twin])
    work(library, engines=Broken(), threads=1)
    states = {job.title: job for job in jobs.jobs(library)}
    assert states["one"].status == "failed" and states["two"].status == "done"
    [video] = library.videos()
    assert video.state == "ready" and library.transcript(video.id).origin is Origin.GIVEN
    jobs.retry(library)
    work(library)
    assert jobs.job(library, states["one"].id).status == "already"
    assert library.transcript(video.id).text == "Boil the water. Add the salt."


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["file", "upload"])
def test_cancelled_in_any_stage_leaves_nothing_behind_and_can_be_retried(
    tmp_path: Path, stage: str, kind: str
) -> None:
    library = a_library(tmp_path)
    make = a_file if kind == "file" else an_upload
    [job] = jobs.submit(library, [make(tmp_path, seconds=2)])

    def observe(job_id: int, progress: Progress) -> None:
        if progress == Progress(stage, 0.0):
            jobs.cancel(library, job_id)

    work(library, observe=observe)
    job = jobs.job(library, job.id)
    assert (job.status, job.message) == ("cancelled", "Stopped on request.")
    assert library.videos() == [] and list((library.root / "videos").glob("*")) == []
    assert not (library.root / "work").exists() or list((library.root / "work").iterdir()) == []
    jobs.retry(library, job.id)
    work(library)
    assert jobs.job(library, job.id).status == "done"
    [video] = library.videos()
    assert video.state == "ready" and not video.missing


def test_cancelled_in_the_middle_of_an_encode(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "long.avi", "", codec="mpeg4", seconds=60, size=(640, 360))
    [job] = jobs.submit(library, [source])

    def observe(job_id: int, progress: Progress) -> None:
        if progress.stage == "normalise" and (progress.fraction or 0) > 0.05:
            jobs.cancel(library, job_id)

    work(library, observe=observe)
    assert jobs.job(library, job.id).status == "cancelled"
    assert library.videos() == [] and list(library.root.rglob("*.part")) == []
    assert source.path.is_file()


def test_a_cancel_while_no_worker_lives_is_done_at_once(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    queued, running = jobs.submit(library, [a_file(tmp_path, "a.mp4"), an_upload(tmp_path, "b.mp4", seed=1)])
    with library.session() as session:
        session.execute(update(JobRow).where(JobRow.id == running.id).values(status="running"))
    assert jobs.job(library, running.id).status == "queued"  # nobody runs it
    assert jobs.cancel(library, queued.id).status == "cancelled"
    assert jobs.cancel(library, running.id).status == "cancelled"


def test_a_video_removed_while_it_is_worked_on_ends_its_job(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [a_file(tmp_path)])

    def observe(job_id: int, progress: Progress) -> None:
        if progress == Progress("text vectors", 0.0):
            library.remove(library.videos()[0].id)

    work(library, observe=observe)
    assert jobs.job(library, job.id).message == "The video was removed while it was worked on."
    assert library.videos() == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DiskFull("The disk is full. Free some."), "The disk is full. Free some."),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (MemoryError(), "memory"),
        (PermissionError(errno.EACCES, "denied", "/x/secret.srt"), "“secret.srt” may not be read"),
        (RuntimeError("boom"), "Something unexpected went wrong (RuntimeError: boom)"),
    ],
)
def test_a_failure_is_said_plainly_and_retry_goes_on_from_its_stage(
    tmp_path: Path, error: Exception, said: str
) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [an_upload(tmp_path, subtitles="", seconds=2)])

    class Broken(FakeEngines):
        def transcriber(self, report, again=False):
            raise error

    work(library, engines=Broken())
    job = jobs.job(library, job.id)
    assert job.status == "failed" and job.stage == "subtitles" and said in job.message
    [video] = library.videos()
    assert video.state == "failed" and video.notice == job.message and not video.missing

    begun: list[str] = []
    jobs.retry(library)
    work(library, observe=lambda _, progress: begun.append(progress.stage))
    assert jobs.job(library, job.id).status == "done"
    assert {"fetch", "probe", "normalise"}.isdisjoint(begun)
    assert library.video(video.id).state == "ready" and library.video(video.id).notice == ""


def test_a_disk_that_is_full_before_the_work(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [an_upload(tmp_path)])
    work(library, free_space=lambda path: 1_000_000)
    job = jobs.job(library, job.id)
    assert job.status == "failed" and "1 MB left" in job.message and "Free some space" in job.message
    jobs.retry(library)
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_a_disk_that_fills_up_during_the_work(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "old.avi", codec="mpeg4", seconds=2)
    [job] = jobs.submit(library, [source])
    left = iter([10**12])  # at the beginning there is room, before the encode there is none
    work(library, free_space=lambda path: next(left, 2**20))
    job = jobs.job(library, job.id)
    assert (job.status, job.stage) == ("failed", "normalise") and "Free some space" in job.message
    assert library.videos() == [] and source.path.is_file()
    jobs.retry(library)
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_a_source_that_is_gone(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "lent.mp4")
    [job] = jobs.submit(library, [source])
    aside = source.path.rename(tmp_path / "elsewhere.mp4")
    work(library)
    job = jobs.job(library, job.id)
    assert job.status == "failed" and "“lent.mp4” is no longer where it was" in job.message
    aside.rename(source.path)
    jobs.retry(library)
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_a_file_that_changes_between_two_tries_is_taken_as_it_is_now(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source = a_file(tmp_path, "draft.mp4", subtitles="", seconds=2)
    jobs.submit(library, [source])

    class Broken(FakeEngines):
        def encoder(self):
            raise RuntimeError("no encoder")

    work(library, engines=Broken())
    a_file(tmp_path, "draft.mp4", subtitles="", seconds=3, seed=5)
    jobs.retry(library)
    work(library)
    ready = [video for video in library.videos() if video.state == "ready"]
    assert [round(video.duration) for video in ready] == [3]


def test_a_second_worker_is_refused_or_stands_by(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    first = a_worker(library)
    thread = threading.Thread(target=first.run_forever)
    thread.start()
    wait_until(WorkerLock(library.root).held)
    with pytest.raises(WorkerBusy, match=f"process {os.getpid()}"):
        a_worker(library).run_until_idle()
    second = a_worker(library)
    standing_by = threading.Thread(target=second.run_forever, kwargs={"wait": True})
    standing_by.start()
    first.stop()
    thread.join(10)
    wait_until(WorkerLock(library.root).held)
    [job] = jobs.submit(library, [a_file(tmp_path)])
    wait_until(lambda: jobs.job(library, job.id).status == "done")
    second.stop()
    standing_by.join(10)
    assert not standing_by.is_alive() and not WorkerLock(library.root).held()


def test_a_worker_told_to_stop_gives_its_job_back(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [an_upload(tmp_path, subtitles="", seconds=2)])
    here = a_worker(
        library, observe=lambda _, progress: here.stop() if progress.stage == "subtitles" else None
    )
    here.run_forever()
    job = jobs.job(library, job.id)
    assert (job.status, job.stage) == ("queued", "subtitles")
    assert job.detail == "waits for the worker to start"
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_a_job_that_kills_its_worker_again_and_again_is_given_up(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [an_upload(tmp_path)])
    with library.session() as session:
        dying = {"status": "running", "stage": "subtitles", "attempts": MOST_DEATHS}
        session.execute(update(JobRow).values(**dying))
    work(library)
    job = jobs.job(library, job.id)
    assert job.status == "failed" and f"died {MOST_DEATHS} times in the stage “subtitles”" in job.message
    jobs.retry(library)
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_messages_may_be_lost_doubled_or_of_a_damaged_queue(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [a_file(tmp_path)])
    with JobQueue(library.root) as queue:
        queue.clear()
        queue.put(job.id)
        queue.put(job.id)
        queue.put(999)
    begun: list[str] = []
    work(library, observe=lambda _, progress: begun.append(progress.stage))
    assert begun.count("done") == 1
    for name in ("queue.db-wal", "queue.db-shm"):
        (library.root / name).unlink(missing_ok=True)
    (library.root / "queue.db").write_bytes(b"no database" * 1000)
    [job] = jobs.submit(library, [a_file(tmp_path, "other.mp4", seed=2)])
    work(library)
    assert jobs.job(library, job.id).status == "done"


def test_the_database_going_away_for_a_moment_does_not_end_the_worker(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    here = a_worker(library)
    thread = threading.Thread(target=here.run_forever)
    thread.start()
    with sqlite3.connect(library.root / "library.db") as other:
        other.execute("BEGIN IMMEDIATE")
        submitting = threading.Thread(target=jobs.submit, args=(library, [a_file(tmp_path)]))
        submitting.start()
        other.rollback()
    submitting.join(10)
    wait_until(lambda: [job.status for job in jobs.jobs(library)] == ["done"])
    here.stop()
    thread.join(10)


def test_old_jobs_and_folders_of_no_job_are_cleared_away(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path)])
    work(library)
    with library.session() as session:
        long_ago = func.datetime("now", "-30 days")
        session.execute(update(JobRow).values(finished_at=long_ago))
    old, new = library.root / "incoming" / "old", library.root / "incoming" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    work(library)
    assert jobs.jobs(library) == []
    assert not old.exists() and new.exists()


def test_archives_packed_for_a_download_are_not_kept_for_ever(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    old, new = library.root / "exports" / "old.zip", library.root / "exports" / "new.zip"
    old.parent.mkdir()
    for each in (old, new):
        each.write_bytes(b"PK")
    os.utime(old, (1, 1))
    work(library)
    assert not old.exists() and new.exists()


def import_and_die(root: str, packed: str) -> None:
    """A process that is killed amid an import: the files are in their places, the rows are not written."""
    archive.records.touch = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    archive.import_library(Library.open(root), Path(packed))


def test_what_a_killed_import_left_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [an_upload(tmp_path)])
    work(library)
    archive.export_library(library, tmp_path / "all.zip")
    other = Library.open(tmp_path / "other")
    jobs.submit(other, [an_upload(tmp_path, "mine.mp4", seed=1), an_upload(tmp_path, "bad.mp4", seed=2)])
    work(other, engines=FakeEngines())
    [mine, failed] = [job.video_id for job in jobs.jobs(other)]
    with other.session() as session:  # the second one failed before its row was written
        session.execute(update(JobRow).where(JobRow.video_id == failed).values(status="failed"))
        session.execute(delete(VideoRow).where(VideoRow.id == failed))
    unknown = "0123456789abcdef"  # of a newer database than the one that was put back
    (other.root / "videos" / unknown).mkdir()
    assert in_process(import_and_die, str(other.root), str(tmp_path / "all.zip")) == -signal.SIGKILL
    [orphan] = [video.id for video in library.videos()]
    assert (other.root / "videos" / orphan).is_dir() and not other.find(sha256=orphan)
    work(other)
    left = {path.name for path in (other.root / "videos").iterdir()}
    assert left == {mine, failed, unknown}
    archive.import_library(other, tmp_path / "all.zip")
    assert other.video(orphan).path.is_file()


def test_vectors_of_another_encoder_are_made_anew(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path), a_file(tmp_path, "other.mp4", seed=1)])
    work(library)
    work(library, engines=FakeEngines("better"))
    found = [job for job in jobs.jobs(library) if job.kind == "reindex"]
    assert [job.status for job in found] == ["done"]
    assert library.needs_vectors("better") == []
    assert {model for model, _ in library.text_vectors([v.id for v in library.videos()]).values()} == {
        "better"
    }
    work(library, engines=FakeEngines("better"))
    assert len([job for job in jobs.jobs(library) if job.kind == "reindex"]) == 1


def test_the_app_s_worker_is_started_again_when_it_dies_and_ends_with_the_app(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    lock = WorkerLock(library.root)
    worker = start_worker(library.root)
    try:
        wait_until(lock.held, 30)
        first = worker.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: worker.pid not in (None, first) and lock.held(), 30)
    finally:
        worker.stop()
    assert worker.pid is None and not lock.held()


def test_a_worker_notices_that_its_parent_was_killed(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    code = (
        "import sys, time; from pipeline.library.supervise import start_worker\n"
        f"start_worker({str(library.root)!r}); time.sleep(60)"
    )
    root = Path(__file__).resolve().parent.parent
    app = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    lock = WorkerLock(library.root)
    wait_until(lock.held, 30)
    app.kill()
    app.wait()
    wait_until(lambda: not lock.held(), 20)


def test_a_worker_that_cannot_stop_leaves_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.library.supervise.PATIENCE", 0.05)
    reading, writing = os.pipe()
    stopped, left = threading.Event(), []
    with open(reading, "rb") as pipe:
        thread = end_with_parent(stopped.set, pipe, left.append)
        os.close(writing)
        thread.join(5)
    assert stopped.is_set() and left == [1]


def test_a_worker_that_cannot_start_is_tried_again_slowly() -> None:
    worker = WorkerProcess([sys.executable, "-c", "raise SystemExit(3)"])
    wait_until(lambda: worker._process is not None and worker._process.poll() == 3)
    assert worker.pid is None
    worker.stop()


def test_settings_limits_are_kept(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path, seconds=2)])
    work(library, settings=settings_for(library, max_file_gb=0.00001))
    [job] = jobs.jobs(library)
    assert job.status == "failed" and "ANSWERCLIP_MAX_FILE_GB" in job.message
    jobs.retry(library)
    work(library, settings=settings_for(library, max_hours=0.0001))
    [job] = jobs.jobs(library)
    assert job.status == "failed" and "ANSWERCLIP_MAX_HOURS" in job.message


def test_progress_is_written_while_a_stage_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.library.ledger.WRITE_EVERY", 0.0)  # however fast the machine encodes
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path, "big.avi", "", codec="mpeg4", seconds=40, size=(640, 360))])
    seen: list[Job] = []
    here = a_worker(library)
    thread = threading.Thread(target=here.run_until_idle)
    thread.start()
    while thread.is_alive():
        seen += [job for job in jobs.jobs(library) if job.stage == "normalise" and job.stage_fraction]
        thread.join(0.05)
    assert seen and seen[0].status == "running"
    assert all(
        job.remaining is not None and 0 <= job.fraction <= 1 for job in seen if job.status == "running"
    )
    fractions = [job.fraction for job in seen]
    assert fractions == sorted(fractions)
    assert any(job.detail == "making it playable in browsers" for job in seen)
