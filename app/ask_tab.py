"""The Ask tab: a question goes in, the clip that answers it plays."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.textbox import InputHTMLAttributes

from app import evidence, method_menu, player, render, wording
from pipeline.ask import Asker
from pipeline.errors import AnswerClipError, VideoNotFound
from pipeline.library import jobs as work
from pipeline.library.store import Library
from pipeline.methods import METHODS, UNTRAINED
from pipeline.settings import Settings
from pipeline.types import Answer, Filters, Reply, Span, Video

log = logging.getLogger(__name__)

QUESTIONS = Path(__file__).resolve().parent.parent / "examples" / "questions.json"
MOST_LISTED = 500  # videos in the filter; more are found by searching the library
ASKING_AT_ONCE = 6
MOST_EXAMPLES = 5
# Before the question leaves the browser the page shows that it is at work; afterwards that it no longer is.
SHOW_BUSY = "(...given) => { window.answerclip?.busy(given[0]); return given; }"
SHOW_IDLE = "() => { window.answerclip?.idle(); }"

HERO = """<div class="ac-hero"><h1>Ask, and the moment plays.</h1>
<p>Put a question to your videos in plain words. The clip that answers it starts at the right second and stops
where the answer ends. If no video holds the answer, you are told so.</p></div>"""


@dataclass(frozen=True)
class AskTab:
    """The parts of the tab that the rest of the page feeds."""

    examples: gr.HTML


def build(
    page: gr.Blocks, library: Library, asker: Asker, invitation: Invitation, settings: Settings
) -> AskTab:
    """Lay the tab out inside the open `gr.Tab` and wire it; a read-only library takes no feedback."""
    gr.HTML(HERO, elem_id="ask-hero", apply_default_css=False, elem_classes=["ac-bare"])
    with gr.Row(elem_id="ask-row", equal_height=True):
        question = gr.Textbox(
            label="Question",
            show_label=False,
            placeholder="How do I …?",
            elem_id="question",
            lines=1,
            max_lines=4,
            container=False,
            scale=1,
            html_attributes=InputHTMLAttributes(spellcheck=True, enterkeyhint="search"),
        )
        button = gr.Button("Ask", variant="primary", elem_id="ask-button", scale=0)
    examples = player.examples(invitation.view())
    with gr.Row(elem_id="ask-folds"):
        choices = [*_filters(library), method_menu.build(settings)]

    def feedback(data: dict[str, Any]) -> dict[str, Any]:
        return store_feedback(library, data)

    def explain(data: dict[str, Any]) -> dict[str, Any]:
        return evidence.answer_page(asker, data)

    answer = player.player([explain] if settings.read_only else [explain, feedback])
    asking = Asking(library, asker, settings)
    asked: dict[str, Any] = {
        "outputs": [answer],
        "api_visibility": "private",
        "concurrency_limit": ASKING_AT_ONCE,
        "concurrency_id": "ask",
        "show_progress": "hidden",
    }
    gr.on(
        [question.submit, button.click],
        asking.from_box,
        inputs=[question, *choices],
        js=SHOW_BUSY,
        trigger_mode="always_last",
        **asked,
    ).then(fn=None, js=SHOW_IDLE)
    asked["outputs"] = [question, answer]
    examples.ask(asking.from_example, inputs=choices, trigger_mode="always_last", **asked).then(
        fn=None, js=SHOW_IDLE
    )
    page.load(asking.from_link, **asked).then(fn=None, js=SHOW_IDLE)
    return AskTab(examples)


def _filters(library: Library) -> list[gr.Dropdown]:
    """Which videos are asked; tucked away, and filled when it is opened."""
    with gr.Accordion("Ask only some videos", open=False, elem_id="filters") as fold, gr.Row():
        videos = gr.Dropdown([], label="Videos", multiselect=True, elem_id="filter-videos", min_width=220)
        tags = gr.Dropdown([], label="Tags", multiselect=True, elem_id="filter-tags", min_width=160)
        language = gr.Dropdown(
            [("any", "")], value="", label="Language", elem_id="filter-language", min_width=160
        )

    def choices() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        listed = library.videos(order="title", limit=MOST_LISTED)
        codes = [("any", ""), *((wording.language(code), code) for code in library.languages())]
        return (
            gr.update(choices=[(wording.short(video.title, 80), video.id) for video in listed]),
            gr.update(choices=library.tags()),
            gr.update(choices=codes),
        )

    fold.expand(choices, outputs=[videos, tags, language], api_visibility="private", show_progress="hidden")
    return [videos, tags, language]


class Asking:
    """Questions of one page's visitors; keeps nothing of them."""

    def __init__(self, library: Library, asker: Asker, settings: Settings) -> None:
        self.library, self.asker, self.settings = library, asker, settings

    def from_box(
        self, question: str, videos: list[str], tags: list[str], language: str, menu: Any = None
    ) -> render.View:
        filters = Filters(tuple(videos or ()), tuple(tags or ()), language or "")
        return self.view(question or "", filters, method=method_menu.chosen(menu))

    def from_example(
        self, videos: list[str], tags: list[str], language: str, menu: Any, event: gr.EventData
    ) -> tuple[str, render.View]:
        question = str(event._data.get("question", "")) if isinstance(event._data, dict) else ""
        return question, self.from_box(question, videos, tags, language, menu)

    def from_link(self, request: gr.Request) -> Any:
        """What `?q=&v=&s=&e=&m=` in the page's address names: the question, the clip to begin with, the
        method."""
        named = dict(request.query_params)
        question = named.get("q", "")
        linked = linked_answer(self.library, named)
        if not question.strip() and linked is None:
            return gr.skip(), gr.skip()
        method = method_menu.chosen({"chosen": named.get("m", "")})
        return question, self.view(question, Filters(), linked, method)

    def view(
        self, question: str, filters: Filters, linked: Answer | None = None, method: str = ""
    ) -> render.View:
        """The reply as the page shows it; what cannot be asked is said in its place."""
        try:
            asked = bool(question.strip()) or not linked
            reply = self.asker.ask(question, filters, method=method) if asked else Reply("", False, 0.0)
        except AnswerClipError as e:
            return render.message_view(str(e), question=question)
        ids = {found.video_id for found in reply.answers} | ({linked.video_id} if linked else set())
        videos = (
            {video.id: video for video in self.library.videos(filters=Filters(tuple(ids)))} if ids else {}
        )
        return render.reply_view(reply, videos, linked) | self._method(reply) | {"language": filters.language}

    def _method(self, reply: Reply) -> render.View:
        """What the address of the answer says of its method, and what the page does."""
        shown = METHODS.get(reply.method)
        words = f"Answered by {shown.label}." if shown and shown.name != UNTRAINED and reply.answers else ""
        return {"method": "" if reply.method == self.settings.method else reply.method, "answered_by": words}


def linked_answer(library: Library, named: dict[str, str]) -> Answer | None:
    """The clip that `v`, `s` and `e` name; None where they name none (any more)."""
    try:
        video = library.video(named["v"])
        span = Span(float(named["s"]), min(float(named["e"]), video.duration))
    except (KeyError, ValueError, VideoNotFound):
        return None
    cues = library.transcript(video.id).cues
    words = " ".join(cue.text for cue in cues if span.start <= (cue.start + cue.end) / 2 < span.end)
    return Answer(video.id, video.title, video.path, span, 0.0, words)


def store_feedback(library: Library, data: dict[str, Any]) -> dict[str, Any]:
    """Keep what the viewer said of an answer with the library."""
    try:
        changed = data.get("verdict") == "corrected"
        corrected = Span(float(data["corrected_start"]), float(data["corrected_end"])) if changed else None
        confidence = data.get("confidence")
        library.add_feedback(
            question=str(data["question"]),
            video_id=str(data["video"]),
            span=Span(float(data["start"]), float(data["end"])),
            verdict=str(data["verdict"]),
            corrected=corrected,
            confidence=None if confidence is None else float(confidence),
        )
    except AnswerClipError as e:
        return {"ok": False, "message": str(e)}
    except (KeyError, TypeError, ValueError):
        log.info("feedback that cannot be stored: %r", data)
        return {"ok": False, "message": "That cannot be stored as it is. Reload the page and try again."}
    thanks = {"right": "Stored: this is the right clip.", "wrong": "Stored: this is the wrong clip."}
    return {
        "ok": True,
        "message": thanks.get(str(data["verdict"]), "Stored: the clip as you set it is the right one."),
    }


class Invitation:
    """Questions to click or, while there are none, why; worked out again when the library has changed."""

    def __init__(
        self, library: Library, asker: Asker, questions: Path = QUESTIONS, may_add: bool = True
    ) -> None:
        self.library, self.asker, self.questions, self.may_add = library, asker, questions, may_add
        self._known: tuple[tuple[int, bool, bool], render.View] | None = None
        self._working = threading.Lock()

    def view(self) -> render.View:
        active = sum(job.kind != "pictures" for job in work.jobs(self.library, active_only=True))
        state = (self.library.revision(), self.asker.ready, bool(active))
        with self._working:
            if self._known is None or self._known[0] != state:
                self._known = (state, self._worked_out(active))
            return self._known[1]

    def _worked_out(self, active: int) -> render.View:
        ready = [video for video in self.library.videos(limit=200) if video.state == "ready"]
        examples = example_questions(ready, self.questions)
        if self.asker.ready:  # only what is found is shown off
            examples = (example for example in examples if self._is_answered(example[0]))
        view = render.invitation_view(list(islice(examples, MOST_EXAMPLES)), bool(ready), active)
        return view | {"add": view["add"] and self.may_add}

    def _is_answered(self, question: str) -> bool:
        try:
            return self.asker.ask(question, top=1).answered
        except AnswerClipError:
            return False


def example_questions(ready: Sequence[Video], path: Path = QUESTIONS) -> Iterator[tuple[str, Video]]:
    """Questions that these videos answer: the demo's, first one a video, else what titles promise."""
    by_name = {video.path.name: video for video in ready}
    by_name |= {video.original_name: video for video in ready if video.original_name}
    rows = [row for row in _demo_questions(path) if row.get("video") in by_name]
    first = {row["video"]: row for row in reversed(rows)}
    for row in sorted(rows, key=lambda row: first[row["video"]] is not row):
        yield str(row["question"]), by_name[row["video"]]
    if not rows:
        yield from ((as_question(video.title), video) for video in ready if as_question(video.title))


def _demo_questions(path: Path) -> list[dict[str, Any]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []


def as_question(title: str) -> str:
    """A title of the "How to" kind as a question, "" for another.

    >>> as_question("How to sharpen a knife | Kitchen basics"), as_question("Holiday 2019")
    ('How do I sharpen a knife?', '')
    """
    head = title.split("|")[0].split(" - ")[0].strip().rstrip("?.!")
    rest = head[7:].strip() if head.lower().startswith("how to ") else ""
    return f"How do I {rest}?" if 3 <= len(rest) <= 80 else ""
