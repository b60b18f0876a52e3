"""The page: `create_app` builds it from a library, the settings and an asker; its `launch` serves it."""

from __future__ import annotations

import ipaddress
import logging
import os
from inspect import Parameter, signature
from typing import Any

import gradio as gr

from app import api, ask_tab, library_tab, player, render
from app.keep import Keeper
from app.media_routes import MediaRoutes
from app.theme import HERE, head, theme
from pipeline.ask import Asker
from pipeline.library import jobs as work
from pipeline.library.store import Library
from pipeline.settings import Settings

__all__ = ["create_app"]

log = logging.getLogger(__name__)

BUSY_SECONDS, QUIET_SECONDS = 1.0, 4.0  # how often the page looks for news
REMEDY = "set ANSWERCLIP_READ_ONLY=1, or ANSWERCLIP_USERNAME and ANSWERCLIP_PASSWORD."
BRAND = """<p class="ac-brand"><svg viewBox="0 0 38 22" aria-hidden="true">
<rect class="ac-logo-bar" y="8" width="38" height="6" rx="3"/>
<rect class="ac-logo-hit" x="13" y="5" width="13" height="12" rx="3"/>
<rect class="ac-logo-head" x="12" width="2.500" height="22" rx="1.250"/></svg>AnswerClip</p>"""


class Page(gr.Blocks):
    """The page with what serves it beside Gradio's own: looks, media addresses, login, limits."""

    def __init__(self, library: Library, settings: Settings) -> None:
        super().__init__(title="AnswerClip", analytics_enabled=False, delete_cache=(3600, 24 * 3600))
        self.library, self.settings, self.keeper = library, settings, Keeper(library)

    def launch(self, *arguments: Any, **options: Any) -> Any:
        """`gr.Blocks.launch`, with what this page needs unless it is given."""
        if is_shared(self.settings) and not (self.settings.auth or self.settings.read_only):
            log.warning("Whoever can open this page may change and delete its videos: %s", REMEDY)
        return super().launch(*arguments, **self._options() | options)

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Callers of the published endpoints may leave out what has a default, over plain HTTP too."""
        if block_fn.api_visibility != "private" and block_fn.fn:
            left_out = list(signature(block_fn.fn).parameters.values())[len(inputs) :]
            inputs.extend(p.default for p in left_out if p.default is not Parameter.empty)
        super().validate_inputs(block_fn, inputs)

    def _options(self) -> dict[str, Any]:
        return {
            "theme": theme(),
            "head": head(),
            "app_kwargs": {"routes": [*MediaRoutes(self.library).routes(), *self.keeper.routes()]},
            "auth": self.settings.auth,
            "auth_message": "Sign in to your AnswerClip library." if self.settings.auth else None,
            "max_file_size": 1 if self.settings.read_only else self.settings.max_file_bytes,
            "favicon_path": HERE / "favicon.png",
            "footer_links": ["api", "settings"],
            "run_history": False,  # questions stay on this page
            "mcp_server": True,
            "ssr_mode": False,
        }


def create_app(library: Library, settings: Settings, asker: Asker) -> gr.Blocks:
    """The whole page; `launch()` serves it."""
    invitation = ask_tab.Invitation(library, asker, may_add=not settings.read_only)
    with Page(library, settings) as page:
        with gr.Row(elem_classes=["ac-top"], equal_height=True):
            gr.HTML(BRAND, apply_default_css=False, elem_classes=["ac-bare"])
            status = player.status(_status(library, asker))
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Ask", id="ask"):
                asking = ask_tab.build(page, library, asker, invitation, settings)
            with gr.Tab("Library", id="library"):
                keeping = library_tab.build(library, settings, page.keeper, is_shared(settings))
        timer = gr.Timer(BUSY_SECONDS)
        seen = gr.State({})
        outputs = [seen, timer, status, asking.examples, keeping.jobs, keeping.videos, keeping.keeping]
        news = News(library, asker, page.keeper, invitation)
        timer.tick(news.since, seen, outputs, queue=False, api_visibility="private", show_progress="hidden")
        api.build(library, settings, asker)
    return page


def is_shared(settings: Settings) -> bool:
    """Whether strangers may use this server: then no path of its disk can be named on the page."""
    if settings.shared is not None:
        return settings.shared
    if os.environ.get("SPACE_ID") or os.environ.get("GRADIO_SHARE", "").lower() == "true":
        return True
    name = os.environ.get("GRADIO_SERVER_NAME", "") or "127.0.0.1"
    try:
        return not ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name != "localhost"


class News:
    """What has changed since a page looked last; a page gets only that."""

    def __init__(
        self, library: Library, asker: Asker, keeper: Keeper, invitation: ask_tab.Invitation
    ) -> None:
        self.library, self.asker, self.keeper, self.invitation = library, asker, keeper, invitation

    def since(self, seen: dict[str, Any]) -> tuple[Any, ...]:
        status, kept = _status(self.library, self.asker), self.keeper.kept.view()
        now = {
            "busy": "busy" in (status["state"], kept["state"]),
            "status": status,
            "examples": self.invitation.view(),
            "jobs": library_tab.jobs_value(self.library),
            "revision": {"revision": self.library.revision()},
            "kept": kept,
        }
        if now == seen:
            return (gr.skip(),) * (1 + len(now))
        parts = now | {"busy": gr.Timer(BUSY_SECONDS if now["busy"] else QUIET_SECONDS)}
        return now, *(part if seen.get(key) != now[key] else gr.skip() for key, part in parts.items())


def _status(library: Library, asker: Asker) -> dict[str, str]:
    active = sum(job.kind != "pictures" for job in work.jobs(library, active_only=True))
    return render.status_view(library.count(), active, "ready" if asker.ready else "loading")
