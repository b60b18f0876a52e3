"""A running app with its demo library for the benchmarks that look at it from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def wait_for(what: str, condition, seconds: float) -> float:
    """Seconds until `condition()` is true; raises TimeoutError that names `what`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} took longer than {seconds:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def call(url: str, name: str, *data: object, timeout: float = 60) -> Any:
    """One call of a published endpoint over plain HTTP, as `gradio_client` makes it."""
    body = json.dumps({"data": data}).encode()
    post = urllib.request.Request(f"{url}/gradio_api/call/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(post, timeout=timeout) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{name}/{event}", timeout=timeout) as reply:
        kind, _, payload = reply.read().decode().partition("\n")
    if kind != "event: complete":
        raise RuntimeError(f"{name} answered {kind}: {payload[:200]}")
    return json.loads(payload.removeprefix("data: "))[0]


@contextmanager
def running_app(library: Path | None = None, demo_videos: int = 10) -> Iterator[str]:
    """The app's address, once its page answers and `demo_videos` videos are ready to be asked."""
    with tempfile.TemporaryDirectory() as temporary:
        port = free_port()
        environment = os.environ | {
            "LIBRARY_DIR": str(library or Path(temporary) / "library"),
            "GRADIO_SERVER_PORT": str(port),
        }
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for("the page", lambda: answers(url), 60)
            wait_for("the demo library", lambda: len(ready_videos(url)) >= demo_videos, 120)
            yield url
        finally:
            app.terminate()
            app.wait(20)


def ready_videos(url: str) -> list[dict]:
    videos = call(url, "list_videos")
    rows = videos["videos"] if isinstance(videos, dict) else videos
    return [video for video in rows if video["state"] == "ready"]


def demo_questions() -> list[dict]:
    """The answerable questions of the demo library."""
    rows = json.loads((ROOT / "examples/questions.json").read_text(encoding="utf-8"))
    return [row for row in rows if row["video"]]
