"""What is missing on this machine and worth a line in the Library tab: weights, a JavaScript runtime.

Gives plain lines, no more than the visitor can do something about.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.doctor import whisper_cache, whisper_weights
from pipeline.settings import Settings
from pipeline.site import javascript_runtime


def help_lines(settings: Settings) -> list[str]:
    """One line for each thing that is missing, with how to get it."""
    return [line for line in (_speech(settings), _links(settings)) if line]


def _speech(settings: Settings) -> str:
    named = settings.whisper_model
    if (
        settings.transcriber == "pocketsphinx"
        or whisper_weights()
        or (named and Path(named).expanduser().is_file())
    ):
        return ""
    return (
        "Speech: no Whisper weights are found. They are fetched for the first video without subtitles; "
        "where that is not possible, PocketSphinx writes down speech roughly. To have them: put base.pt into "
        f"{_short(whisper_cache())} or name a weights file in ANSWERCLIP_WHISPER_MODEL."
    )


def _links(settings: Settings) -> str:
    if not settings.links or javascript_runtime():
        return ""
    return (
        "Links: no JavaScript runtime is found; some sites, YouTube among them, give fewer formats or none. "
        "To have one: pip install deno, or install Node.js 22 or newer."
    )


def _short(path: Path) -> str:
    """A path below the home folder without the home folder: the page need not show whose it is."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
