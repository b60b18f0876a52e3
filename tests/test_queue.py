"""The lock that makes one process the worker, and the queue that tells it of jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from pipeline.library.queue import JobQueue, WorkerLock, wake

HOLD = (
    "import sys, time; from pathlib import Path; from pipeline.library.queue import WorkerLock;"
    "lock = WorkerLock(Path(sys.argv[1])); print(lock.acquire(), flush=True); time.sleep(60)"
)
ROOT = Path(__file__).resolve().parent.parent


def test_one_process_holds_the_lock_until_it_is_killed(tmp_path: Path) -> None:
    lock = WorkerLock(tmp_path)
    assert not lock.held() and lock.holder() is None
    assert not (tmp_path / "worker.lock").exists()  # looking makes no file
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "True\n"
    assert lock.held() and lock.holder() == other.pid
    assert not lock.acquire(patience=0.05)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    assert not lock.held() and lock.holder() is None  # the dead one's number is left, and not believed
    assert lock.acquire() and WorkerLock(tmp_path).holder() == os.getpid()
    lock.release()
    assert not lock.held()


def test_many_who_look_do_not_take_each_other_for_the_worker(tmp_path: Path) -> None:
    seen: list[bool] = []
    lock = WorkerLock(tmp_path)
    assert lock.acquire()
    lock.release()

    def look() -> None:
        seen.extend(WorkerLock(tmp_path).held() for _ in range(50))

    crowd = [threading.Thread(target=look) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert seen == [False] * 400


def test_a_damaged_queue_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_bytes(b"no database" * 1000)
    wake(tmp_path, [3, 4])
    done: list[int] = []
    with JobQueue(tmp_path, done.append) as queue:
        while queue.run_next():
            pass
    assert done == [3, 4]
