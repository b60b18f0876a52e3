"""Speech to text: every transcriber by name, and the choice among them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipeline.errors import WeightsMissing
from pipeline.settings import Settings
from pipeline.transcribe.base import Report, Transcriber, ignore, transcribe_media
from pipeline.transcribe.faster_whisper import FasterWhisper
from pipeline.transcribe.pocketsphinx import PocketSphinx
from pipeline.transcribe.whisper import Whisper

__all__ = ["TRANSCRIBERS", "Transcriber", "choose", "make", "transcribe_media"]

log = logging.getLogger(__name__)

TRANSCRIBERS: dict[str, Callable[[Settings], Transcriber]] = {
    "whisper": lambda settings: Whisper(settings.whisper_model),
    "faster-whisper": lambda settings: FasterWhisper(settings.whisper_model),
    "pocketsphinx": lambda settings: PocketSphinx(),
}


def make(name: str, settings: Settings) -> Transcriber:
    """The transcriber of this name, nothing loaded yet."""
    if name not in TRANSCRIBERS:
        raise ValueError(f"no transcriber “{name}”; there are: {', '.join(TRANSCRIBERS)}")
    return TRANSCRIBERS[name](settings)


def choose(
    settings: Settings, report: Report = ignore, first: Transcriber | None = None
) -> tuple[Transcriber, str]:
    """The transcriber of the settings, ready to work, and what the user should know ("" when nothing).

    "auto" is Whisper (or `first`), and PocketSphinx where its weights can be neither found nor fetched.
    One that was named explicitly is never replaced: then `WeightsMissing` is raised.
    """
    if settings.transcriber != "auto":
        chosen = make(settings.transcriber, settings)
        chosen.prepare(report)
        return chosen, ""
    chosen = first or make("whisper", settings)
    try:
        chosen.prepare(report)
        return chosen, ""
    except WeightsMissing as missing:
        log.warning("PocketSphinx instead of Whisper: %s", missing)
        last = make("pocketsphinx", settings)
        last.prepare(report)
        return last, (
            f"Transcribed roughly by PocketSphinx (English only; expect wrong words). {missing} "
            "Then choose “Re-transcribe”."
        )
