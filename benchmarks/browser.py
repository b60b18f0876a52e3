"""Enter to moving picture in a real browser: milliseconds from the key press to a playing answer.

    python -m benchmarks.browser [--rounds 3]

Chromium opens the page once; every question of the demo library that the app answers is typed and
Enter is pressed. The clock stops when the player shows a frame inside the answer and its time advances.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics

from playwright.sync_api import Page, sync_playwright

from benchmarks.machine import heading
from benchmarks.serving import call, demo_questions, running_app

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
BOX = "#question textarea, #question input"
# The clock runs inside the page: from the key press to the first advance of the new answer's time.
ARM = """() => {
  const video = document.querySelector('#player video');
  window.__ms = null;
  document.addEventListener('keydown', () => {
    const began = performance.now();
    let source = video.currentSrc, from = null, seeked = false;
    video.addEventListener('seeking', () => { seeked = true; from = null; }, {once: true});
    const look = () => {
      if (seeked && !video.paused && !video.seeking && video.readyState >= 2) {
        if (from === null) from = video.currentTime;
        else if (video.currentTime > from) { window.__ms = performance.now() - began; return; }
      }
      if (performance.now() - began < 15000) requestAnimationFrame(look);
    };
    video.pause();
    look();
  }, {once: true, capture: true});
}"""


def one_question(page: Page, question: str) -> float:
    page.fill(BOX, question)
    page.evaluate(ARM)
    page.press(BOX, "Enter")
    page.wait_for_function("window.__ms !== null", timeout=16000)
    return page.evaluate("window.__ms")


def measure(url: str, rounds: int) -> str:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector(BOX)
        # What the app declines is not played: those questions have no moving picture to wait for.
        asked = [row["question"] for row in demo_questions()]
        questions = [question for question in asked if call(url, "ask", question)["answered"]] * rounds
        one_question(page, questions[0])
        times = [one_question(page, question) for question in questions[1:]]
        browser.close()
    cuts = statistics.quantiles(times, n=20)
    return (
        "| questions | p50 ms | p95 ms | max ms |\n|---|---|---|---|\n"
        f"| {len(times)} | {statistics.median(times):.0f} | {cuts[-1]:.0f} | {max(times):.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with running_app() as url:
        print(heading("python -m benchmarks.browser"))
        print(measure(url, options.rounds))


if __name__ == "__main__":
    main()
