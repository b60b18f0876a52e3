"""The first start in an empty place: seconds until the page answers, until a clicked example plays.

python -m benchmarks.first_run [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.browser import CHROMIUM
from benchmarks.machine import heading
from benchmarks.serving import ROOT, answers, free_port, ready_videos, wait_for

PLAYING = (
    "() => { const v = document.querySelector('#player video'); return !v.paused && v.currentTime > 0; }"
)
EXAMPLE = "#examples button[data-question]"


def one_start(folder: Path) -> tuple[float, float, float]:
    """Seconds from `python app.py` until the page answers, an example plays, all demo videos are ready."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"LIBRARY_DIR": str(folder), "GRADIO_SERVER_PORT": str(port)}
    began = time.monotonic()
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for("the page", lambda: answers(url), 60)
        answered = time.monotonic() - began
        with sync_playwright() as playwright:
            path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
            page = playwright.chromium.launch(executable_path=path, args=CHROMIUM).new_page()
            page.goto(url)
            page.locator(EXAMPLE).first.click(timeout=60000)
            page.wait_for_function(PLAYING, timeout=60000)
            played = time.monotonic() - began
        wait_for("the demo library", lambda: len(ready_videos(url)) >= 10, 120)
        return answered, played, time.monotonic() - began
    finally:
        app.terminate()
        app.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rounds = [one_start(Path(temporary) / str(number)) for number in range(options.rounds)]
    print(heading("python -m benchmarks.first_run"))
    print("| seconds until | median | most |\n|---|---|---|")
    for name, times in zip(
        ("the page answers", "a clicked example plays", "all ten demo videos are ready"),
        zip(*rounds, strict=True),
        strict=True,
    ):
        print(f"| {name} | {statistics.median(times):.1f} | {max(times):.1f} |")


if __name__ == "__main__":
    main()
