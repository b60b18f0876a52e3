"""Rows that a localizer reads ahead: kept with their transcript, made by the worker, gone when outdated."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert, text, update

from pipeline.errors import VideoNotFound
from pipeline.library import archive, jobs
from pipeline.library.jobs import Job
from pipeline.library.schema import CueRowsRow, JobRow, VideoRow, WindowRow
from pipeline.library.store import Library
from pipeline.types import Cue, Progress, Video
from tests.fake_reader import FakeReader, rows_of
from tests.library_factory import MODEL as ENCODER
from tests.library_factory import a_transcript, a_video, add, index
from tests.work_parts import FakeEngines, a_file, a_library, a_worker, an_upload, in_process, work

MODEL = "fake-reader-1"
TOLD = "1\n00:00:00,200 --> 00:00:01,500\nPour the tea.\n"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


def reading(localizer: FakeReader | None = None) -> FakeEngines:
    """Engines with a localizer that reads ahead, and the encoder of `library_factory`'s vectors."""
    engines = FakeEngines(ENCODER)
    engines.localizer = localizer or FakeReader()
    return engines


def read(library: Library, video: Video, model: str = MODEL) -> bool:
    """Keep rows as a localizer would make them."""
    cues = library.transcript(video.id).cues
    return library.set_cue_rows(video.id, model, rows_of([cue.text for cue in cues]), cues)


def texts(library: Library, video: Video) -> list[str]:
    return [cue.text for cue in library.transcript(video.id).cues]


def is_read(library: Library, video: Video, model: str = MODEL) -> bool:
    """Whether the rows are there and fit the words."""
    found = library.cue_rows([video.id], model).get(video.id)
    return found is not None and np.array_equal(found, rows_of(texts(library, video)))


# The table


def test_rows_come_back_as_they_went_in(library: Library) -> None:
    tea, soup = add(library, "Tea", "boil it", "pour it"), add(library, "Soup", "stir it")
    rows = np.random.default_rng(0).standard_normal((2, 384)).astype(np.float32)
    assert library.set_cue_rows(tea.id, MODEL, rows, library.transcript(tea.id).cues)
    found = library.cue_rows([tea.id, soup.id, "0" * 16], MODEL)
    assert list(found) == [tea.id] and found[tea.id].dtype == np.float32
    assert np.array_equal(found[tea.id], rows.astype(np.float16).astype(np.float32))
    assert library.cue_rows([tea.id], "other") == {} == library.cue_rows([], MODEL)
    assert read(library, tea, "other")  # takes the place of those that were there
    assert library.cue_rows([tea.id], MODEL) == {} and is_read(library, tea, "other")


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((3, 4)),
        np.ones((1, 4)),
        np.ones((2, 0)),
        np.ones(2),
        np.ones((2, 4, 1)),
        np.array([[1, np.nan], [1, 1]]),
        np.array([[1, 1e6], [1, 1]]),
    ],
    ids=["too many", "too few", "empty", "flat", "deep", "nan", "beyond float16"],
)
def test_rows_that_are_none_are_refused(library: Library, rows: np.ndarray) -> None:
    tea = add(library, "Tea", "boil it", "pour it")
    with pytest.raises(ValueError, match="2 cues"):
        library.set_cue_rows(tea.id, MODEL, rows, library.transcript(tea.id).cues)
    assert library.needs_cue_rows(MODEL) == [tea.id]


def test_rows_of_other_words_are_left_out_without_an_error(library: Library) -> None:
    tea = add(library, "Tea", "boil it")
    old = library.transcript(tea.id).cues
    library.set_transcript(tea.id, a_transcript("brew it"))
    assert not library.set_cue_rows(tea.id, MODEL, np.ones((1, 4)), old)
    moved = tuple(Cue(cue.start + 1, cue.end + 1, cue.text) for cue in library.transcript(tea.id).cues)
    assert not library.set_cue_rows(tea.id, MODEL, np.ones((1, 4)), moved)
    assert library.cue_rows([tea.id], MODEL) == {}
    with pytest.raises(VideoNotFound):
        library.set_cue_rows("0" * 16, MODEL, np.ones((1, 4)), old)


def test_rows_go_with_the_words_and_with_the_video(library: Library) -> None:
    tea, soup = add(library, "Tea", "boil it"), add(library, "Soup", "stir it")
    assert read(library, tea) and read(library, soup)
    library.set_transcript(tea.id, a_transcript("boil it", "twice"))
    assert set(library.cue_rows([tea.id, soup.id], MODEL)) == {soup.id}
    library.remove(soup.id)
    with library.snapshot() as connection:
        assert connection.scalar(text("SELECT count(*) FROM cue_rows")) == 0


def test_damaged_rows_are_left_out(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    videos = [add(library, name, "boil it") for name in ("Tea", "Soup", "Rice", "Eggs")]
    for video in videos:
        assert read(library, video)
    damages = [{"data": b"123"}, {"data": b"\x00\x7e" * 2}, {"dim": -2, "cues": -1}]
    with library.session() as session:
        for number, damage in enumerate(damages, 1):
            session.execute(update(CueRowsRow).where(CueRowsRow.video_number == number).values(damage))
    assert set(library.cue_rows([video.id for video in videos], MODEL)) == {videos[3].id}
    assert caplog.text.count("damaged rows of the cues") == 3


def test_what_is_to_be_read_is_told_oldest_first(library: Library) -> None:
    videos = [add(library, name, "boil it") for name in ("Tea", "Soup", "Rice")]
    silent = library.add_video(a_video("Silent"))
    library.set_transcript(silent.id, a_transcript())
    index(library, silent.id, [])
    unfinished = library.add_video(a_video("Unfinished"))
    library.set_transcript(unfinished.id, a_transcript("boil it"))
    assert read(library, videos[1])
    assert library.needs_cue_rows(MODEL) == [videos[0].id, videos[2].id]
    assert library.needs_cue_rows("other") == [video.id for video in videos]


def test_ten_thousand_videos_are_looked_through_in_no_time(library: Library) -> None:
    _many(library, 10_000)
    begin = time.perf_counter()
    assert len(library.needs_cue_rows(MODEL)) == 100 and len(library.needs_cue_rows("other")) == 10_000
    assert time.perf_counter() - begin < 1.0  # 40 ms where nothing is looked at but keys
    with library.snapshot() as connection:
        plan = "EXPLAIN QUERY PLAN SELECT video_number FROM cue_rows WHERE model = 'x'"
        assert "COVERING INDEX cue_rows_by_model" in connection.execute(text(plan)).one().detail


def _many(library: Library, count: int) -> None:
    """Videos with words, all but a hundred of them read."""
    numbers = range(1, count + 1)
    videos = [
        {"number": n, "id": f"{n:016}", "sha256": f"{n:064}", "title": "v", "path": "v", "duration": 9.0}
        for n in numbers
    ]
    with library.writing() as connection:
        connection.execute(insert(VideoRow), [video | {"state": "ready"} for video in videos])
        connection.execute(
            text("INSERT INTO transcripts SELECT number, 'given', '', '', :cues FROM videos"),
            {"cues": "[" + " " * 20_000 + "]"},
        )
        window = {"start": 0.0, "end": 30.0, "text": "boil it", "vector": b""}
        connection.execute(insert(WindowRow), [{"video_number": n, **window} for n in numbers])
        connection.execute(
            text(
                "INSERT INTO cue_rows SELECT number, :m, 1, 384, zeroblob(768) FROM videos WHERE number > 100"
            ),
            {"m": MODEL},
        )


def test_an_archive_carries_no_rows_and_the_worker_makes_them_again(tmp_path: Path, library: Library) -> None:
    tea = add(library, "Tea", "boil it", "pour it")
    assert read(library, tea)
    archive.export_library(library, tmp_path / "all.zip")
    with Library.open(tmp_path / "other") as other:
        assert archive.import_library(other, tmp_path / "all.zip").videos_added == 1
        assert other.needs_cue_rows(MODEL) == [tea.id]
        work(other, engines=reading())
        assert is_read(other, tea)


# The stage


def test_a_video_is_read_before_it_can_be_asked(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    [job] = jobs.submit(library, [a_file(tmp_path)])
    localizer, was_ready = FakeReader(), []

    def observe(job_id: int, progress: Progress) -> None:
        if progress.stage == "reading":
            was_ready.append(library.videos()[0].state)

    work(library, engines=reading(localizer), observe=observe)
    [video] = library.videos()
    assert jobs.job(library, job.id).status == "done" and is_read(library, video)
    assert localizer.texts == ["Boil the water.", "Add the salt."] and set(was_ready) == {"processing"}
    assert [each.kind for each in jobs.jobs(library)] == ["add"]  # nothing was left to catch up with
    assert not list((library.root / "work").glob("*"))


def test_transcribing_again_reads_the_new_words(tmp_path: Path) -> None:
    library, engines = a_library(tmp_path), reading()
    jobs.submit(library, [a_file(tmp_path, audio="beeps")])
    work(library, engines=engines)
    [video] = library.videos()
    jobs.retranscribe(library, video.id)
    work(library, engines=engines)
    assert "Sound." in library.transcript(video.id).text and is_read(library, video)
    assert [each.kind for each in jobs.jobs(library)] == ["add", "retranscribe"]


def test_without_a_localizer_that_reads_the_video_is_added_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [a_file(tmp_path)])
    with caplog.at_level(logging.INFO):
        work(library)
    [video] = library.videos()
    assert video.state == "ready" and library.needs_cue_rows(MODEL) == [video.id]
    assert f"video {video.id} is not read ahead" in caplog.text


def test_nothing_said_is_nothing_to_read(tmp_path: Path) -> None:
    library, localizer = a_library(tmp_path), FakeReader()
    jobs.submit(library, [a_file(tmp_path, subtitles="", audio=False)])
    work(library, engines=reading(localizer))
    assert library.videos()[0].state == "ready" and localizer.texts == []
    assert [each.kind for each in jobs.jobs(library)] == ["add"]


def test_a_video_that_cannot_be_read_is_added_and_its_failure_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library, localizer = a_library(tmp_path), FakeReader()
    localizer.refuses = "water"
    jobs.submit(library, [a_file(tmp_path), a_file(tmp_path, "tea.mp4", TOLD, seed=1)])
    work(library, engines=reading(localizer))
    by_title = {video.title: video for video in library.videos()}
    assert {video.state for video in by_title.values()} == {"ready"}
    assert is_read(library, by_title["tea"]) and not is_read(library, by_title["kettle"])
    work(library, engines=reading(localizer))  # it is not tried for ever
    *added, catching_up = jobs.jobs(library)
    assert {job.status for job in added} == {"done"} and catching_up.kind == "reading"
    assert catching_up.status == "failed" and "1 of 1 videos could not be read" in catching_up.message
    assert "fake-reader cannot read video" in caplog.text
    localizer.refuses = ""
    jobs.retry(library, catching_up.id)
    work(library, engines=reading(localizer))
    assert jobs.job(library, catching_up.id).status == "done" and is_read(library, by_title["kettle"])


@pytest.mark.parametrize("bad", [np.full((2, 2), np.inf), np.ones((1, 2)), None], ids=["inf", "few", "none"])
def test_rows_that_are_none_do_not_keep_a_video_out(tmp_path: Path, bad: np.ndarray | None) -> None:
    class Bad(FakeReader):
        def read(self, texts):
            return bad

    library = a_library(tmp_path)
    [job] = jobs.submit(library, [a_file(tmp_path)])
    work(library, engines=reading(Bad()))
    assert jobs.job(library, job.id).status == "done" and library.videos()[0].state == "ready"


def work_and_die_once(root: str, log: str) -> None:
    """A worker's process that is killed while it reads, and another time after it has read."""
    library, written = Library.open(root), Path(log)

    class Dying(FakeReader):
        def read(self, texts):
            _die(written, "reading")
            return super().read(texts)

    def observe(job_id: int, progress: Progress) -> None:
        if progress == Progress("index", 0.0):
            _die(written, "read")

    a_worker(library, threads=1, engines=reading(Dying()), observe=observe).run_until_idle()
    library.close()


def _die(written: Path, moment: str) -> None:
    if moment not in written.read_text().split():
        with written.open("a") as file:
            file.write(f"{moment} ")
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_while_or_after_it_reads(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    jobs.submit(library, [an_upload(tmp_path)])
    log = tmp_path / "log"
    log.touch()
    codes = [in_process(work_and_die_once, str(library.root), str(log)) for _ in range(3)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0] and log.read_text() == "reading read "
    assert is_read(library, library.videos()[0])
    assert not list((library.root / "work").glob("*"))


# The job


def caught_up(library: Library) -> list[Job]:
    return [job for job in jobs.jobs(library) if job.kind == "reading"]


def test_a_library_from_before_is_read_in_the_background(library: Library) -> None:
    videos = [add(library, name, f"boil the {name}") for name in ("Tea", "Soup", "Rice")]
    localizer = FakeReader()
    revision = library.revision()
    work(library, engines=reading(localizer))
    assert all(is_read(library, video) for video in videos) and library.revision() == revision
    assert localizer.texts == ["boil the Tea", "boil the Soup", "boil the Rice"]
    [job] = caught_up(library)
    assert (job.status, job.of_many, job.video_id) == ("done", True, "")
    work(library, engines=reading(localizer))
    assert len(localizer.texts) == 3 and len(caught_up(library)) == 1


def test_another_checkpoint_reads_everything_again(library: Library) -> None:
    tea = add(library, "Tea", "boil it")
    work(library, engines=reading())
    work(library, engines=reading(FakeReader("trained-longer")))
    assert is_read(library, tea, "trained-longer") and not is_read(library, tea)
    assert [job.status for job in caught_up(library)] == ["done", "done"]


def test_a_failure_speaks_only_against_its_checkpoint(library: Library) -> None:
    tea = add(library, "Tea", "boil it")
    broken = FakeReader()
    broken.refuses = "boil"
    work(library, engines=reading(broken))
    work(library, engines=reading(broken))
    assert [job.status for job in caught_up(library)] == ["failed"]
    work(library, engines=reading(FakeReader("mended")))
    assert [job.status for job in caught_up(library)] == ["failed", "done"] and is_read(
        library, tea, "mended"
    )


def test_cancelled_it_keeps_what_was_read_and_goes_on_when_retried(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.library.ledger.WRITE_EVERY", 0.0)  # it looks at once whether to stop
    videos = [add(library, name, f"boil the {name}") for name in ("Tea", "Soup", "Rice")]

    def stop(job_id: int, progress: Progress) -> None:
        if progress.detail == "video 2 of 3":
            jobs.cancel(library, job_id)

    localizer = FakeReader()
    work(library, engines=reading(localizer), observe=stop)
    [job] = caught_up(library)
    assert job.status == "cancelled" and localizer.texts == ["boil the Tea"] and is_read(library, videos[0])
    work(library, engines=reading(localizer))
    assert len(caught_up(library)) == 1  # it is the user's to retry
    jobs.retry(library, job.id)
    work(library, engines=reading(localizer))
    assert localizer.texts == ["boil the Tea", "boil the Soup", "boil the Rice"]
    assert jobs.job(library, job.id).status == "done" and all(is_read(library, video) for video in videos)


def during(library: Library, change: Callable[[], object]) -> FakeReader:
    """A localizer during whose first reading the library is changed."""

    class Slow(FakeReader):
        def read(self, texts):
            if not self.texts:
                change()
            return super().read(texts)

    return Slow()


def test_what_is_removed_or_said_anew_meanwhile_is_no_failure(library: Library) -> None:
    tea, soup = add(library, "Tea", "boil it"), add(library, "Soup", "stir it")
    work(library, engines=reading(during(library, lambda: library.remove(tea.id))))
    assert [job.status for job in caught_up(library)] == ["done"] and is_read(library, soup)
    rice = add(library, "Rice", "boil it")
    again = a_transcript("cook it")
    work(library, engines=reading(during(library, lambda: library.set_transcript(rice.id, again))))
    # The first job left the new words alone; what it missed, another one has read.
    assert {job.status for job in caught_up(library)} == {"done"}
    work(library, engines=reading())
    assert is_read(library, rice) and texts(library, rice) == ["cook it"]


def test_an_empty_library_loads_no_localizer(library: Library) -> None:
    class Loading(FakeEngines):
        def reader(self, library):
            raise AssertionError("loaded for nothing")

    work(library, engines=Loading())
    library.add_video(a_video("Tea"))  # still being added
    work(library, engines=Loading())
    with library.session() as session:
        assert session.query(JobRow).count() == 0
