"""The command line as a shell sees it: what it prints, its exit codes, and who does the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.library import jobs
from pipeline.library.queue import WorkerLock
from pipeline.library.store import Library
from pipeline.types import Progress
from tests.work_parts import SAID, a_file, a_library, a_worker, wait_until

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, whose library is meant by LIBRARY_DIR."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIBRARY_DIR", "library")
    return tmp_path


def run(*words: str) -> int:
    """The exit code, as the shell gets it."""
    try:
        return main(words)
    except SystemExit as e:  # argparse leaves in this way
        return int(e.code or 0)


def in_shell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_a_split_may_begin_with_a_minus(at: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("-1/5", "-7"):
        assert run("evaluate", "--data", "howto:nowhere", "--split", split) == 1
        assert "'nowhere' is not there" in caplog.text
        caplog.clear()


def test_adding_asking_showing_and_removing(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = a_file(at, "Making tea.mp4")
    assert run("add", "Making tea.mp4", "--tag", "kitchen", "--language", "en") == 0
    [video] = Library.open(at / "library").videos()
    assert capsys.readouterr().out == f"ready    {video.id}  Making tea\n"
    assert (video.path, video.tags, video.language) == (source.path, ("kitchen",), "en")

    assert run("ask", "When do I boil the water?", "--json") == 0
    reply = json.loads(capsys.readouterr().out)
    assert list(reply) == ["question", "answered", "confidence", "answers", "timings", "method", "notice"]
    best = reply["answers"][0]
    assert list(best) == ["video_id", "title", "path", "start", "end", "score", "text"]
    assert (best["video_id"], best["title"], best["path"]) == (video.id, "Making tea", str(source.path))
    assert 0 <= best["start"] < best["end"] <= video.duration and "Boil the water" in best["text"]
    assert isinstance(reply["answered"], bool) and 0 <= reply["confidence"] <= 1
    assert all(isinstance(value, float) for value in reply["timings"].values())

    assert run("ask", "When do I boil the water?", "--top", "1", "--video", video.id[:5]) == 0
    text = capsys.readouterr().out
    assert "1. Making tea  0:00 to 0:0" in text and "2. " not in text

    assert run("list") == 0
    line = capsys.readouterr().out
    assert video.id in line and "ready" in line and "given" in line and "Making tea" in line
    assert run("list", "--json", "--search", "tea") == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["videos"]] == [video.id]
    assert run("list", "--search", "coffee") == 0
    assert capsys.readouterr().out == "No video fits.\n"
    assert run("show", video.id[:6]) == 0
    assert "Making tea" in capsys.readouterr().out
    assert run("show", video.id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["cues"][0]["text"] == "Boil the water."
    assert run("show", video.id, "--srt") == 0
    assert capsys.readouterr().out.startswith("1\n00:00:00,200 --> ")
    assert run("show", video.id, "--vtt") == 0
    assert capsys.readouterr().out.startswith("WEBVTT")

    assert run("remove", video.id) == 0
    assert "your file stays" in capsys.readouterr().out
    assert source.path.is_file() and Library.open(at / "library").videos() == []


def test_a_title_and_subtitles_of_another_name(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_file(at, "VID_001.mp4", subtitles="")
    (at / "words.srt").write_text(SAID)
    assert run("add", "VID_001.mp4", "--title", "Soup", "--subtitles", "words.srt") == 0
    [video] = Library.open(at / "library").videos()
    assert video.title == "Soup" and video.origin == "given"
    assert run("add", "VID_001.mp4", "--subtitles", "none.srt") == 1
    assert "There is no subtitle file none.srt" in capsys.readouterr().err


def test_the_same_again_is_said_and_is_no_failure(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_file(at)
    assert run("add", "kettle.mp4") == 0
    assert run("add", "kettle.mp4") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith("already  ") and "“kettle” is in the library already" in out[1]


def test_a_folder_is_taken_in_and_what_is_bad_in_it_said(
    at: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_file(at, "a.mp4")
    a_file(at, "b.mp4", seed=1)
    (at / "c.mp4").write_bytes(b"")
    assert run("add", ".") == 1
    said = capsys.readouterr()
    assert said.out.count("ready") == 2 and "failed   job 3  c: “c.mp4” is empty" in said.err
    assert run("list", "--jobs") == 0
    assert "is empty" in capsys.readouterr().out
    assert run("list", "--jobs", "--json") == 0
    assert [each["status"] for each in json.loads(capsys.readouterr().out)["jobs"]] == [
        "done",
        "done",
        "failed",
    ]


def test_failed_jobs_are_retried(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("retry") == 0
    assert "No job has failed" in capsys.readouterr().out
    good = a_file(at, "late.mp4")
    aside = good.path.rename(at / "aside.bin")
    good.path.write_bytes(b"")
    assert run("add", "late.mp4") == 1
    aside.replace(good.path)
    assert run("retry", "1") == 0
    assert "ready" in capsys.readouterr().out
    assert run("retry", "1") == 1
    assert "did not fail" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "required: COMMAND"),
        (("sing",), 2, "invalid choice"),
        (("add",), 2, "PATH|URL"),
        (("ask", "x", "--top", "0"), 2, "not a number of at least 1"),
        (("show", "x", "--srt", "--vtt"), 2, "not allowed with"),
        (("add", "nothing.mp4"), 1, "is not there"),
        (("add", "file:///etc/passwd"), 1, "http"),
        (("add", "http://169.254.169.254/v.mp4"), 1, "private network"),
        (("show", "feed"), 1, "There is no video 'feed'"),
        (("remove", ""), 1, "There is no video ''"),
        (("ask", "  "), 1, ""),
        (("import", "nothing.zip"), 1, ""),
        (("evaluate", "--data", "sing:here"), 2, ""),
    ],
)
def test_exit_codes(
    at: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    if words[:1] == ("ask",):
        a_file(at)
        run("add", "kettle.mp4")
    assert run(*words) == code
    assert said in capsys.readouterr().err


def test_options_of_one_video_are_refused_for_two(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_file(at, "a.mp4")
    a_file(at, "b.mp4", seed=1)
    assert run("add", "a.mp4", "b.mp4", "--title", "Both") == 2
    assert "one video at a time" in capsys.readouterr().err
    assert jobs.jobs(Library.open(at / "library")) == []


def test_a_wrong_setting_is_named(
    at: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERCLIP_MAX_HOURS", "many")
    assert run("list") == 2
    assert "max_hours" in capsys.readouterr().err


def test_an_empty_library_says_what_to_do(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    assert "`add` takes videos in" in capsys.readouterr().out
    assert run("ask", "Anything?", "--json") == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["answered"] is False and reply["answers"] == []


def test_the_library_can_be_named_before_and_after_the_command(at: Path) -> None:
    assert run("--library", "one", "list") == 0
    assert run("list", "--library", "two") == 0
    assert (at / "one/library.db").exists() and (at / "two/library.db").exists()
    assert not (at / "library").exists()


def test_a_library_moves_in_one_archive(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_file(at)
    assert run("add", "kettle.mp4") == 0
    assert run("export", "all.zip") == 0
    assert run("--library", "other", "import", "all.zip") == 0
    assert "1 videos added" in capsys.readouterr().out
    [video] = Library.open(at / "other").videos()
    assert video.title == "kettle" and not video.missing


def test_only_queueing_leaves_the_work_to_a_worker(at: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_file(at)
    assert run("add", "kettle.mp4", "--no-wait") == 0
    assert capsys.readouterr().out == "queued   job 1  kettle\n"
    assert run("worker", "--until-idle") == 0
    assert [video.state for video in Library.open(at / "library").videos()] == ["ready"]


def test_adding_follows_a_worker_that_runs_and_takes_over_when_it_ends(at: Path) -> None:
    library = a_library(at)

    def observe(job_id: int, progress: Progress) -> None:
        if job_id == 2 and progress.stage == "subtitles":
            here.stop()

    here = a_worker(library, observe=observe)
    thread = threading.Thread(target=here.run_forever)
    thread.start()
    wait_until(WorkerLock(library.root).held)
    a_file(at, "a.mp4")
    assert run("add", "a.mp4") == 0
    assert library.text_model() == "fake"  # it was that worker's doing
    a_file(at, "b.mp4", seed=1)
    assert run("add", "b.mp4") == 0
    assert not thread.is_alive() and library.text_model() == "all-MiniLM-L6-v2"
    assert [video.state for video in library.videos()] == ["ready", "ready"]


def test_an_interrupted_add_goes_on_later(at: Path) -> None:
    a_file(at, "long.avi", "", codec="mpeg4", seconds=150, size=(640, 360))
    library = a_library(at)
    adding = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "--library", str(library.root), "add", str(at / "long.avi")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: [job.stage for job in jobs.jobs(library)] == ["normalise"], 30)
    adding.send_signal(signal.SIGINT)
    _, said = adding.communicate(timeout=30)
    assert adding.returncode == 130 and "Nothing is lost" in said
    [job] = jobs.jobs(library)
    assert job.status == "queued" and not WorkerLock(library.root).held()


def test_a_worker_ends_cleanly_on_a_signal_and_refuses_a_second(at: Path) -> None:
    library = a_library(at)
    command = [sys.executable, "-m", "pipeline", "--library", str(library.root), "worker"]
    worker = subprocess.Popen(command, cwd=ROOT)
    wait_until(WorkerLock(library.root).held, 30)
    second = in_shell("--library", str(library.root), "worker")
    assert second.returncode == 1 and f"process {worker.pid}" in second.stderr
    worker.terminate()
    assert worker.wait(20) == 0 and not WorkerLock(library.root).held()


def test_terminals_of_any_encoding_and_readers_that_leave(at: Path) -> None:
    a_file(at, "Käse 🧀.mp4")
    done = in_shell("--library", str(at / "library"), "add", "--no-wait", str(at), PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "K?se ?" in done.stdout
    worker = f"{sys.executable} -m pipeline --library {at / 'library'} list --jobs | head -c 1"
    left = subprocess.run(["bash", "-c", worker], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert left.stderr == ""


def test_listing_is_quick(at: Path) -> None:
    in_shell("--library", str(at / "library"), "list")
    times = []
    for _ in range(3):
        began = time.perf_counter()
        in_shell("--library", str(at / "library"), "list")
        times.append(time.perf_counter() - began)
    assert min(times) < 3  # 0.5 s on an idle machine; an import of torch alone takes 2 to 5
