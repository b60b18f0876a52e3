"""The page's own parts as Gradio components: static HTML, a script, and what the script may call.

Each part is mounted once and gets plain data as its value; its script sets that data as text. To add one:
a script in `parts/` that reads `props.value`, and a function here. (They are functions, not subclasses:
Gradio writes an interface file beside the source of every subclass.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from app.media_routes import from_elsewhere

HERE = Path(__file__).resolve().parent
ServerFunction = Callable[[dict[str, Any]], dict[str, Any]]


@cache
def read(name: str) -> str:
    """One of the page's own files."""
    return (HERE / name).read_text(encoding="utf-8")


def part(
    scripts: str, template: str, elem_id: str, value: Any = None, calls: Sequence[ServerFunction] = ()
) -> gr.HTML:
    """A piece of the page whose HTML never changes; `calls` are what its script finds in `server`."""
    return gr.HTML(
        value=value,
        html_template=template,
        js_on_load="\n".join(read(script) for script in ["parts/dom.js", *scripts.split()]),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["ac-bare"],
        server_functions=[_own_page_only(call) for call in calls],
    )


def _own_page_only(call: ServerFunction) -> Callable[..., dict[str, Any]]:
    """`call`, refused to pages of other sites: Gradio lets them in with their visitor's login."""

    def guarded(data: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        if from_elsewhere(request.headers):
            return {"ok": False, "message": "This library is changed on its own page only."}
        return call(data)

    guarded.__name__ = call.__name__
    return guarded


def player(calls: Sequence[ServerFunction]) -> gr.HTML:
    """The answer: video, timeline, transcript, alternatives. Its value is what `render.reply_view` gives.

    Without `feedback` among the calls, nobody is asked whether the clip is right.
    """
    names = ("player", "timeline", "transcript", "evidence", "acts")  # one after the other
    scripts = " ".join(f"player/{name}.js" for name in names)
    return part(scripts, read("player/player.html"), "player", calls=calls)


def status(value: dict[str, str]) -> gr.HTML:
    """One line that says what goes on, `{state, words}`; read out when it changes."""
    line = '<p class="ac-status" data-part="line" data-state="ready" role="status" aria-live="polite"></p>'
    return part("parts/status.js", line, "status", value)


def examples(value: dict[str, Any]) -> gr.HTML:
    """What can be asked, as `render.invitation_view` gives it; the event `ask` carries `question`."""
    box = '<div class="ac-examples" data-part="box" role="group" aria-label="Questions to try"></div>'
    return part("parts/examples.js", box, "examples", value)


def methods(value: dict[str, Any], calls: Sequence[ServerFunction]) -> gr.HTML:
    """The methods to choose from, as `method_menu.menu_view` gives them; what is chosen is in its value."""
    return part("parts/methods.js", read("parts/methods.html"), "methods", value, calls)


def adding(value: dict[str, Any], calls: Sequence[ServerFunction]) -> gr.HTML:
    """The ways to take videos in; `value` says which there are and what is missing for them."""
    return part("parts/add.js", read("parts/add.html"), "add", value, calls)


def jobs(value: dict[str, Any], calls: Sequence[ServerFunction]) -> gr.HTML:
    """What is being prepared; with cancel, retry and dismiss where `steer` is among the calls."""
    return part("parts/jobs.js", read("parts/jobs.html"), "jobs", value, calls)


def videos(value: dict[str, Any], calls: Sequence[ServerFunction]) -> gr.HTML:
    """The library's list; a new `{revision}` as its value makes it fetch its rows again.

    A row has buttons for those of `edit`, `retranscribe` and `remove` that are among the calls.
    """
    return part("parts/videos.js", read("parts/videos.html"), "videos", value, calls)


def archive(value: dict[str, Any]) -> gr.HTML:
    """How far an export or import is."""
    return part("parts/keep.js", read("parts/keep.html"), "keep-said", value)
