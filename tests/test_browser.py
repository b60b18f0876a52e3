"""The page in a real browser: asking, the player, the library, hostile words, widths, keys, requests."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.library import jobs
from pipeline.library.store import Library
from pipeline.methods import METHODS
from pipeline.sources import Source
from pipeline.types import Span
from tests.app_parts import TEA, Served, chromium, filled, served
from tests.asking import add
from tests.fake_asker import CUT
from tests.media_factory import make_video
from tests.work_parts import wait_until, work

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
if not chromium():
    pytest.skip("needs Chromium: set CHROMIUM or install it", allow_module_level=True)

Browser, Page = sync_api.Browser, sync_api.Page
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
BOX = "#question textarea"
QUESTION = "For how many minutes do I let it steep?"
START, END = 22.5, 28.5  # of the cue that answers it
PLAYING = (
    "() => { const v = document.querySelector('#player video'); return !v.paused && v.currentTime > 0; }"
)
PAUSED = "() => { const v = document.querySelector('#player video'); return v.paused && v.readyState > 1; }"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return filled(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def site(library: Library) -> Iterator[Served]:
    with served(library) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        running.close()


class Visit:
    """One opened page and what went wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", self._see)

    def _hear(self, message: object) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # type: ignore[attr-defined]
            self.errors.append(message.text)  # type: ignore[attr-defined]

    def _see(self, request: object) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):  # type: ignore[attr-defined]
            self.outside.append(request.url)  # type: ignore[attr-defined]

    def ask(self, question: str) -> None:
        self.page.fill(BOX, question)
        self.page.press(BOX, "Enter")

    def answered(self, question: str = QUESTION) -> None:
        self.ask(question)
        self.page.wait_for_function(PLAYING, timeout=15000)

    @property
    def now(self) -> float:
        return self.page.evaluate("document.querySelector('#player video').currentTime")

    def paused(self) -> None:
        self.page.wait_for_function(PAUSED)

    def clip(self) -> tuple[str, str]:
        part = self.page.locator
        return part('[data-part="from"]').inner_text(), part('[data-part="to"]').inner_text()

    def span(self) -> tuple[float, float]:
        """Where the clip begins and ends, as the page's address says."""
        found = self.page.evaluate("Object.fromEntries(new URL(location.href).searchParams)")
        return float(found["s"]), float(found["e"])

    def library(self) -> None:
        self.page.click('#tabs [role="tab"]:has-text("Library")')
        self.page.wait_for_selector("#videos .ac-list li")


@pytest.fixture
def open_page(browser: Browser, site: Served) -> Iterator[object]:
    contexts = []

    def opened(width: int = 1280, path: str = "", **options: object) -> Visit:
        height = 900 if width > 700 else 844
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        visit = Visit(context.new_page(), site.url)
        visit.page.goto(f"{site.url}/{path}")
        visit.page.wait_for_selector(BOX)
        return visit

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def visit(open_page) -> Visit:
    return open_page()


# Asking


def test_enter_plays_the_answer_from_its_start(visit: Visit) -> None:
    visit.page.fill(BOX, QUESTION)
    began = time.monotonic()
    visit.page.press(BOX, "Enter")
    visit.page.wait_for_function(PLAYING, timeout=15000)
    took = time.monotonic() - began
    span = visit.span()
    assert span[0] <= START and span[1] >= END - 1
    assert span[0] - 0.05 <= visit.now <= span[0] + 1.5
    assert took < 1.2 * 3, f"{took:.1f} s"  # the limit is 1.2 s; a busy machine of tests gets more
    assert visit.page.inner_text('[data-part="title"]') == "How to make a pot of tea"
    assert "Picture stream off" in visit.page.inner_text('[data-part="note"]')
    assert "subtitles given with the file" in visit.page.inner_text(".ac-headline .ac-facts")
    assert not visit.errors


def test_it_stops_where_the_answer_ends(visit: Visit) -> None:
    visit.answered()
    end = visit.span()[1]
    visit.page.evaluate(f"document.querySelector('#player video').currentTime = {end - 1}")
    visit.page.wait_for_function(PLAYING)
    visit.paused()
    assert abs(visit.now - end) <= 0.3
    assert visit.page.is_visible('[data-part="ended"]')
    visit.page.wait_for_timeout(500)
    assert abs(visit.now - end) <= 0.3


def test_replay_and_keep_watching(visit: Visit) -> None:
    visit.answered()
    start, end = visit.span()
    visit.page.evaluate(f"document.querySelector('#player video').currentTime = {end - 0.3}")
    visit.paused()
    visit.page.click('.ac-controls [data-do="replay"]')
    visit.page.wait_for_function(PLAYING)
    assert start - 0.1 <= visit.now <= start + 1.5
    visit.page.evaluate(f"document.querySelector('#player video').currentTime = {end - 0.5}")
    visit.page.click('.ac-controls [data-do="onward"]')
    visit.page.wait_for_function(f"document.querySelector('#player video').currentTime > {end + 0.4}")
    assert not visit.page.evaluate("document.querySelector('#player video').paused")


def test_the_ends_move_by_five_seconds_and_the_correction_is_stored(visit: Visit, library: Library) -> None:
    visit.answered()
    before = visit.span()
    visit.page.click('[data-do="start-earlier"]')
    visit.page.click('[data-do="end-later"]')
    moved = visit.span()
    assert moved[0] == pytest.approx(max(0, before[0] - 5), abs=0.11)
    assert moved[1] == pytest.approx(min(40, before[1] + 5), abs=0.15)
    visit.page.click('[data-part="corrected"]')
    visit.page.wait_for_selector('[data-part="said"]:has-text("Stored")')
    kept = library.feedback()[-1]
    assert kept.verdict == "corrected" and kept.corrected.start == pytest.approx(moved[0], abs=0.1)
    visit.page.click('[data-do="reset"]')
    assert not visit.page.is_visible('[data-do="reset"]')


def test_right_and_wrong_are_stored(visit: Visit, library: Library) -> None:
    visit.answered()
    for verdict in ("right", "wrong"):
        visit.page.click(f'.ac-rate [data-do="{verdict}"]')
        visit.page.wait_for_selector(f'.ac-rate [data-do="{verdict}"][aria-pressed="true"]')
        assert (library.feedback()[-1].verdict, library.feedback()[-1].question) == (verdict, QUESTION)


def test_what_is_not_there_is_said_and_guesses_do_not_play(visit: Visit) -> None:
    visit.answered()
    visit.ask("Which vaccine protects penguins from quantum chromodynamics?")
    visit.page.wait_for_selector('.ac-answer[data-state="none"]')
    assert visit.page.inner_text('[data-part="verdict"]') == "Not in your library"
    assert visit.page.evaluate("document.querySelector('#player video').paused")
    assert not visit.page.is_visible("#player video")
    if visit.page.locator(".ac-card").count():
        visit.page.click(".ac-card >> nth=0")
        visit.page.wait_for_function(PLAYING)
        assert "guess" in visit.page.inner_text('[data-part="badge"]').lower()


def test_an_example_is_asked_with_a_click(visit: Visit) -> None:
    visit.page.click(".ac-example >> nth=0")
    visit.page.wait_for_function(PLAYING)
    assert visit.page.input_value(BOX) == visit.page.inner_text(".ac-example >> nth=0")


def test_an_empty_question_is_met_with_words(visit: Visit) -> None:
    visit.ask("   ")
    visit.page.wait_for_selector('.ac-answer[data-state="error"]')
    assert visit.page.inner_text('[data-part="verdict"]')
    assert not visit.errors


def test_filters_restrict_the_question(visit: Visit) -> None:
    visit.page.click("#filters > button")
    visit.page.click("#filter-tags input")
    visit.page.click('[role="option"]:has-text("bicycle")')
    visit.page.keyboard.press("Escape")
    visit.ask("water and glue")
    visit.page.wait_for_selector(".ac-card", state="attached")
    titles = set(visit.page.locator(".ac-card-title").all_text_contents())
    assert titles == {"Mending a tyre"}


def _trained(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (folder / name / file).write_text("{}")


METHOD = "#methods [data-part=name]"


@pytest.fixture
def methods(browser: Browser, library: Library, tmp_path: Path) -> Iterator[Visit]:
    """A page of a server on which only CCGS is trained, at `tmp_path`."""
    _trained(tmp_path, "ccgs")
    with served(library, checkpoints_dir=tmp_path, method="untrained") as running:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        visit = Visit(context.new_page(), running.url)
        visit.page.goto(running.url)
        visit.page.wait_for_selector(BOX)
        yield visit
        context.close()


def test_a_method_is_chosen_by_key_answers_and_is_kept(methods: Visit) -> None:
    page = methods.page
    assert page.inner_text(METHOD) == "Untrained"
    page.focus("#methods summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.inner_text(METHOD) == "CCGS"
    page.keyboard.press("ArrowDown")  # the others cannot be chosen: round to the first
    assert page.inner_text(METHOD) == "Untrained"
    page.keyboard.press("ArrowUp")
    methods.answered()
    assert "Answered by CCGS." in page.inner_text('[data-part="note"]') and "m=ccgs" in page.url
    page.goto(methods.url)  # a later visit, without anything in the address
    page.wait_for_selector(BOX)
    assert page.inner_text(METHOD) == "CCGS"
    page.click("#methods summary")
    page.check("#methods input[value=untrained]")
    methods.answered()
    assert "m=" not in page.url and "Answered by" not in page.inner_text('[data-part="note"]')


def test_methods_that_are_not_trained_are_shown_with_the_way_to_them(methods: Visit, tmp_path: Path) -> None:
    page = methods.page
    page.click("#methods summary")
    off = "#methods .ac-choice:has(input:disabled)"
    shown = [text.split("\n")[0] for text in page.locator(off).all_inner_texts()]
    assert shown == [method.label for name, method in METHODS.items() if name not in ("untrained", "ccgs")]
    mutualsl = page.locator(off).filter(has_text="MutualSL")
    assert "python -m pipeline train --method mutualsl" in mutualsl.inner_text()
    too_wide = (
        "[...document.querySelectorAll('.ac-choice-how code')].filter((e) => e.scrollWidth > e.clientWidth)"
    )
    assert page.evaluate(f"{too_wide}.length") == 0
    page.click("#methods summary")
    _trained(tmp_path, "spanbase")  # a training ends while the page is open
    page.click("#methods summary")
    page.wait_for_selector("#methods input[value=bm25-span]:enabled")
    page.check("#methods input[value=bm25-span]")
    assert page.inner_text(METHOD) == "BM25 + span" and not methods.errors


def test_a_link_names_the_method_and_an_unknown_one_does_no_harm(methods: Visit) -> None:
    for name, shown in (("ccgs", "CCGS"), ("mutualsl", "Untrained"), ("%3Cb%3E", "Untrained")):
        # A page of its own: leaving one that still asks breaks off its streams, which is no error of ours.
        link = Visit(methods.page.context.new_page(), methods.url)
        link.page.goto(f"{link.url}/?q=let+it+steep+minutes&m={name}")
        link.page.wait_for_selector('.ac-answer[data-state="answer"]')
        assert link.page.inner_text(METHOD) == shown
        assert not link.errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_menu_of_methods_fits_and_can_be_read(open_page, width: int, scheme: str) -> None:
    page = open_page(width, color_scheme=scheme).page
    page.click("#methods summary")
    page.wait_for_selector("#methods .ac-choice >> visible=true")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert _faint(page, "#methods") == []


WHY = "[data-part=why]"


def test_why_a_clip_was_taken_is_seen_by_key(visit: Visit) -> None:
    visit.answered()
    page = visit.page
    page.focus('.ac-actions [data-do="wrong"]')
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{WHY} .ac-map-field svg")
    label = page.get_attribute(f"{WHY} .ac-map-field svg", "aria-label")
    assert label.endswith("This clip: 0:22 to 0:28.") and "Likeliest: 0:22 to 0:28" in label
    assert "highest at 0:22" in page.get_attribute(f"{WHY} [data-lane=words] svg", "aria-label")
    assert "of the chance" in page.inner_text('[data-part="map-said"]')
    assert "No picture was read" in page.inner_text('[data-part="why-said"]')
    strongest, frame = page.evaluate(
        """() => [[...document.querySelectorAll('.ac-map-field rect')].reduce((a, b) =>
          a.getAttribute('fill-opacity') > b.getAttribute('fill-opacity') ? a : b),
          document.querySelector('.ac-map-clip')].map((e) => {
            const box = e.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; })"""
    )
    assert frame == pytest.approx(strongest, abs=2)
    lane, line = (page.locator(at).bounding_box() for at in (f"{WHY} .ac-lane-clip", '[data-part="mark"]'))
    assert lane["x"] == pytest.approx(line["x"], abs=4)  # as on the timeline above it
    assert page.evaluate("!document.querySelector('#player video').paused")  # Enter was the summary's alone
    assert not visit.errors


def test_another_clip_is_explained_while_it_is_open(visit: Visit) -> None:
    visit.answered("warm teapot leaves water")
    page = visit.page
    page.click(f"{WHY} summary")
    page.wait_for_selector(f"{WHY} .ac-map-field svg")
    label = page.get_attribute(f"{WHY} .ac-map-field svg", "aria-label")
    page.locator(".ac-card").nth(1).click()
    page.wait_for_function(
        "(old) => { const map = document.querySelector('.ac-map-field svg');"
        " return map && map.getAttribute('aria-label') !== old; }",
        arg=label,
    )
    page.click(f"{WHY} summary")
    assert not page.is_visible(f"{WHY} .ac-map-field") and not visit.errors


def test_what_the_picture_gave_has_a_lane_of_its_own(methods: Visit) -> None:
    page = methods.page
    page.click("#methods summary")
    page.check("#methods input[value=ccgs]")
    methods.answered()
    page.click(f"{WHY} summary")
    page.wait_for_selector(f"{WHY} [data-lane=picture]")
    assert "highest at 0:34" in page.get_attribute(f"{WHY} [data-lane=picture] svg", "aria-label")
    assert page.inner_text('[data-part="why-said"]') == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_why_fits_and_can_be_read(open_page, width: int, scheme: str) -> None:
    visit = open_page(width, color_scheme=scheme)
    visit.answered()
    visit.page.click(f"{WHY} summary")
    visit.page.wait_for_selector(f"{WHY} .ac-map-field svg")
    assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert _faint(visit.page, WHY) == []
    box = visit.page.locator(f"{WHY} .ac-map-field").bounding_box()
    assert 180 <= box["width"] == pytest.approx(box["height"], abs=3)


def test_an_alternative_plays_on_a_click_and_by_key(visit: Visit) -> None:
    visit.answered("warm teapot leaves water")
    cards = visit.page.locator(".ac-card")
    assert cards.count() >= 2
    cards.nth(1).click()
    visit.page.wait_for_selector('.ac-card[data-pick="1"][aria-current="true"]')
    visit.page.wait_for_function(PLAYING)
    visit.page.keyboard.press("p")
    visit.page.wait_for_selector('.ac-card[data-pick="0"][aria-current="true"]')


def test_a_copied_link_opens_question_video_and_span(visit: Visit, open_page) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.answered()
    visit.page.click('[data-do="end-later"]')
    visit.page.click('[data-part="link"]')
    visit.page.wait_for_selector('[data-part="said"]:has-text("copied")')
    link = visit.page.evaluate("navigator.clipboard.readText()")
    assert {"q", "v", "s", "e"} <= set(re.findall(r"[?&](\w+)=", link))
    other = open_page(path=link.rpartition("/")[2])
    other.page.wait_for_selector('.ac-answer[data-state="answer"]')
    assert other.page.input_value(BOX) == QUESTION
    assert other.clip() == visit.clip()
    other.page.wait_for_function("document.querySelector('#player video').readyState > 1")
    assert other.now == pytest.approx(float(re.findall(r"[?&]s=([\d.]+)", link)[0]), abs=2)


def test_reloading_keeps_the_answer(visit: Visit) -> None:
    visit.answered()
    visit.page.reload()
    visit.page.wait_for_selector('.ac-answer[data-state="answer"]')
    assert visit.page.input_value(BOX) == QUESTION


# The player


def test_the_transcript_marks_the_answer_follows_and_seeks(visit: Visit) -> None:
    visit.answered()
    visit.page.wait_for_selector(".ac-cues li.ac-in")
    assert "four minutes" in " ".join(visit.page.locator(".ac-cues li.ac-in").all_text_contents())
    assert visit.page.locator(".ac-cues li").count() == len(TEA)
    visit.page.click('.ac-cues button:has-text("slice of lemon")')
    visit.page.wait_for_selector('.ac-cues li.ac-now:has-text("slice of lemon")')
    assert 28.9 <= visit.now <= 31
    assert visit.page.get_attribute('.ac-cues button:has-text("slice of lemon")', "aria-current") == "true"


def test_searching_in_the_transcript(visit: Visit) -> None:
    visit.answered()
    visit.page.wait_for_selector(".ac-cues li.ac-in")
    visit.page.fill('[data-part="find"]', "TEAPOT")
    visit.page.wait_for_selector(".ac-cues mark")
    assert visit.page.locator(".ac-cues mark").all_text_contents() == ["teapot", "teapot"]
    assert visit.page.inner_text('[data-part="found"]') == "1 of 2"
    visit.page.press('[data-part="find"]', "Enter")
    assert visit.page.inner_text('[data-part="found"]') == "2 of 2"
    visit.page.fill('[data-part="find"]', "")
    assert visit.page.locator(".ac-cues mark").count() == 0


def test_the_timeline_seeks_previews_and_takes_keys(visit: Visit) -> None:
    visit.answered()
    line = visit.page.locator('[data-part="timeline"]')
    box = line.bounding_box()
    line.hover(position={"x": box["width"] / 2, "y": 60})
    assert visit.page.inner_text('[data-part="preview"] b') in ("0:19", "0:20")
    assert "boiling water" in visit.page.inner_text('[data-part="preview"] span')
    assert "strip.jpg" in visit.page.evaluate("document.querySelector('.ac-preview i').style.backgroundImage")
    line.click(position={"x": box["width"] / 4, "y": 60})
    visit.page.wait_for_function("Math.abs(document.querySelector('#player video').currentTime - 10) < 2")
    assert visit.page.evaluate("document.querySelector('.ac-curve-line').getAttribute('d').length") > 20
    line.press("Home")
    visit.page.wait_for_function("document.querySelector('#player video').currentTime < 2")
    line.press("ArrowRight")
    visit.page.wait_for_function("document.querySelector('#player video').currentTime >= 4.9")
    assert int(line.get_attribute("aria-valuenow")) >= 4 and "of 0:40" in line.get_attribute("aria-valuetext")


def test_keys(visit: Visit) -> None:
    visit.answered()
    visit.page.click(".ac-transcript h3")  # out of the question box
    visit.page.keyboard.press("k")
    visit.paused()
    visit.page.keyboard.press(" ")
    visit.page.wait_for_function(PLAYING)
    visit.page.keyboard.press("m")
    assert visit.page.evaluate("document.querySelector('#player video').muted")
    visit.page.keyboard.press(">")
    assert visit.page.evaluate("document.querySelector('#player video').playbackRate") == 1.25
    before = visit.clip()
    visit.page.keyboard.press("e")
    assert visit.clip()[1] != before[1]
    visit.page.keyboard.press("E")
    assert visit.clip() == before
    visit.page.keyboard.press("?")
    assert visit.page.is_visible(".ac-help") and "keep watching" in visit.page.inner_text(".ac-help")
    visit.page.keyboard.press("Escape")
    visit.page.wait_for_function("document.activeElement === document.body")
    visit.page.keyboard.press("/")
    visit.page.wait_for_function("document.activeElement.closest('#question') !== null")
    visit.page.keyboard.type("?km")  # typed, not obeyed
    assert not visit.page.is_visible(".ac-help")


def test_captions_show_the_words(visit: Visit) -> None:
    visit.answered()
    visit.page.click('[data-part="captions"]')
    visit.page.wait_for_function(
        "() => { const t = document.querySelector('#player video').textTracks[0];"
        " return t.mode === 'showing' && t.cues && t.cues.length === 7; }"
    )
    assert visit.page.get_attribute('[data-part="captions"]', "aria-pressed") == "true"


def test_downloads(visit: Visit) -> None:
    visit.answered()
    with visit.page.expect_download() as clip:
        visit.page.click('[data-part="clip"]')
    assert clip.value.suggested_filename.startswith("How to make a pot of tea 0.")
    assert clip.value.suggested_filename.endswith(".mp4")
    with visit.page.expect_download() as words:
        visit.page.click('[data-part="srt"]')
    assert "four minutes" in Path(words.value.path()).read_text()


# Hostile words, and the way outside


def test_nothing_of_a_title_cue_tag_or_name_runs(visit: Visit) -> None:
    visit.ask("the burglar rings the bell")
    visit.page.wait_for_selector(".ac-card", state="attached")
    cards = visit.page.locator(".ac-card")
    hostile = cards.filter(has_text="onerror").first
    hostile.click() if hostile.is_visible() else None
    visit.page.wait_for_selector(".ac-cues li button")
    visit.page.fill('[data-part="find"]', "<script>")
    visit.page.click('[data-part="captions"]')
    visit.page.wait_for_timeout(300)
    visit.page.click("#filters > button")
    visit.page.click("#filter-videos input")
    visit.page.wait_for_timeout(300)
    visit.page.keyboard.press("Escape")
    visit.library()
    visit.page.wait_for_timeout(500)
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator('img[src="x"]').count() == 0
    assert visit.page.locator(".ac-list h3").filter(has_text="<script>").count() == 1
    assert not visit.errors and not visit.outside


def test_no_request_leaves_the_host(visit: Visit) -> None:
    visit.answered()
    visit.library()
    visit.page.wait_for_timeout(1500)
    assert visit.outside == []


# The library


def test_upload_shows_its_progress_and_arrives(visit: Visit, library: Library, tmp_path: Path) -> None:
    visit.library()
    film = make_video(tmp_path / "Über 'uns' & <b>.mp4", seconds=2, seed=77)
    film.with_suffix(".srt").write_text("1\n00:00:00,100 --> 00:00:01,500\nA short film.\n")
    visit.page.set_input_files('#add input[type="file"]', [film, film.with_suffix(".srt")])
    visit.page.wait_for_selector('#add [data-part="said"]:has-text("1 video on the way")')
    visit.page.wait_for_selector("#jobs li")
    work(library)
    row = visit.page.locator(".ac-list li").filter(has_text="Über 'uns' & <b>")
    row.wait_for(timeout=15000)
    row.locator('[data-act="remove"]').click()
    visit.page.wait_for_selector('[data-part="confirm"][open]')
    visit.page.click('[data-part="confirm-no"]')
    assert row.count() == 1
    row.locator('[data-act="remove"]').click()
    visit.page.click('[data-part="confirm"] button[value="yes"]')
    row.wait_for(state="detached", timeout=10000)
    assert library.count() == 3
    jobs.dismiss(library)


def test_editing_sorting_and_searching(visit: Visit, library: Library) -> None:
    visit.library()
    visit.page.locator(".ac-list li").filter(has_text="Mending").locator('[data-act="edit"]').click()
    visit.page.fill('[data-part="edit-name"]', "Mending a bicycle tyre")
    visit.page.fill('[data-part="edit-tags"]', "bicycle, outdoors")
    visit.page.press('[data-part="edit-tags"]', "Enter")  # stores, as in every form
    visit.page.wait_for_selector('.ac-list h3:has-text("Mending a bicycle tyre")')
    wait_until(lambda: library.videos(search="Mending")[0].tags == ("bicycle", "outdoors"))
    visit.page.fill('[data-part="search"]', "outdoors")
    visit.page.wait_for_function("document.querySelectorAll('.ac-list li').length === 1")
    visit.page.fill('[data-part="search"]', "nothing of the kind")
    visit.page.wait_for_selector('[data-part="empty"]:has-text("Nothing fits")')
    visit.page.fill('[data-part="search"]', "")
    visit.page.select_option('[data-part="order"]', "duration")
    visit.page.wait_for_function("document.querySelector('.ac-list h3')?.textContent.includes('tea')")
    library.update(library.videos(search="Mending")[0].id, title="Mending a tyre")
    library.set_tags(library.videos(search="Mending")[0].id, ["bicycle"])


def test_an_end_of_the_clip_is_dragged_on_the_timeline(visit: Visit) -> None:
    visit.answered()
    mark = visit.page.locator('[data-part="mark"]').bounding_box()
    assert mark
    x, y = mark["x"] + mark["width"] - 1, mark["y"] + mark["height"] - 10
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(x + 80, y, steps=4)
    visit.page.mouse.up()
    start, end = visit.span()
    assert start == START and end > END + 2
    assert visit.page.is_visible('[data-part="corrected"]')


@pytest.mark.parametrize("width", [1280, 390])
def test_what_the_search_has_to_say_besides_is_shown(open_page, width: int) -> None:
    visit = open_page(width)
    visit.answered(QUESTION + " please" * 60)
    assert visit.page.inner_text('[data-part="notice"]') == CUT
    assert visit.page.is_visible('[data-part="note"] >> text=Picture stream off')
    assert CUT in visit.page.inner_text('[data-part="live"]')
    visit.ask(QUESTION)
    visit.page.wait_for_function("document.querySelector('[data-part=notice]').textContent === ''")


def test_no_two_parts_of_the_page_have_the_same_id(visit: Visit) -> None:
    visit.library()
    twice = visit.page.evaluate(
        "[...document.querySelectorAll('[id]')].map((e) => e.id)"
        ".filter((id, i, all) => id && all.indexOf(id) !== i)"
    )
    assert twice == []
    assert visit.page.get_by_label("Link of a video or a playlist").is_visible()


def test_while_videos_are_prepared_the_hint_is_words_alone(browser: Browser, tmp_path: Path) -> None:
    waiting = Library.open(tmp_path / "library")
    jobs.submit(waiting, [Source("file", path=tmp_path / "x.mp4", title="x")])
    with served(waiting) as running:
        page = browser.new_page()
        page.goto(running.url)
        page.wait_for_selector("#examples .ac-hint")
        words = page.inner_text("#examples .ac-hint")
        page.close()
    assert words.strip() == "1 video being prepared; the first can be asked in a moment."


def test_a_read_only_page_shows_no_button_that_changes_anything(browser: Browser, library: Library) -> None:
    with served(library, read_only=True) as running:
        page = browser.new_page()
        visit = Visit(page, running.url)
        page.goto(running.url)
        page.wait_for_selector(BOX)
        visit.answered()
        assert not page.is_visible('[data-part="rate"]')
        page.click('[data-do="end-later"]')
        assert not page.is_visible('[data-part="corrected"]')
        visit.library()
        assert page.is_visible("#read-only")
        assert page.locator("#videos [data-act], #add, #import, #export, #export-rated").count() == 0
        assert page.locator('#videos a[href$=".srt"]').count() > 0
        assert page.locator("#jobs [data-act]:visible").count() == 0
        assert not visit.errors
        page.close()


def test_rated_answers_are_exported(browser: Browser, tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    egg = add(library, "Boil an egg", ["Good morning.", "Six minutes make a soft egg."], None)
    library.add_feedback("how long for a soft egg", egg, Span(5, 9.6), "right")
    with served(library) as running:
        visit = Visit(browser.new_page(), running.url)
        visit.page.goto(running.url)
        visit.page.wait_for_selector(BOX)
        visit.library()
        visit.page.click("#keep button.label-wrap")
        visit.page.click("#export-rated")
        visit.page.wait_for_selector('#keep-said [data-part="link"]:has-text("Download the rated answers")')
        assert "1 rated answer." in visit.page.inner_text('#keep-said [data-part="words"]')
        with visit.page.expect_download() as download:
            visit.page.click('#keep-said [data-part="link"]')
        (row,) = json.loads(Path(download.value.path()).read_text())
        visit.page.close()
    assert row["question"] == "how long for a soft egg" and not visit.errors


def test_a_folder_that_is_none_is_said(visit: Visit) -> None:
    visit.library()
    visit.page.fill("#ac-folder", "/no/such/folder")
    visit.page.press("#ac-folder", "Enter")
    visit.page.wait_for_selector('#add [data-part="said"][data-state="failed"]:not(:empty)')


# Looks and access


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_can_be_read(open_page, width: int, scheme: str) -> None:
    visit = open_page(width, color_scheme=scheme)
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visit.page.evaluate(too_wide) <= 0
    visit.answered()
    visit.page.wait_for_selector(".ac-cues li.ac-in")
    assert visit.page.evaluate(too_wide) <= 0
    assert _faint(visit.page, "#player") == []
    visit.library()
    assert visit.page.evaluate(too_wide) <= 0
    assert _faint(visit.page, "#videos") == []
    assert _faint(visit.page, "#add") == []


def test_every_control_has_a_name_and_can_be_reached(visit: Visit) -> None:
    visit.answered()
    nameless = """() => [...document.querySelectorAll('button, a[href], input, select, [role=slider]')]
      .filter((e) => e.checkVisibility() && e.getAttribute('aria-hidden') !== 'true')
      .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.title || e.labels?.length))
      .map((e) => e.outerHTML.slice(0, 120))"""
    assert visit.page.evaluate(nameless) == []
    visit.page.focus(BOX)
    reached = set()
    for _ in range(40):
        visit.page.keyboard.press("Tab")
        reached.add(
            visit.page.evaluate("document.activeElement.dataset.do ?? document.activeElement.dataset.part")
        )
    assert {"timeline", "toggle", "replay", "start-earlier", "clip", "right", "find"} <= reached
    assert "four minutes" in visit.page.text_content('[data-part="live"][aria-live="polite"]')


FAINT = (Path(__file__).parent / "browser" / "faint.js").read_text()


def _faint(page: Page, root: str) -> list[str]:
    """Text whose contrast with what lies under it is below 4.5 to 1."""
    return page.evaluate(FAINT, root)
