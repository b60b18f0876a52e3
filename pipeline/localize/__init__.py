"""Localizers by name: each finds the spans that answer a question in the videos that retrieval found."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.localize.base import Candidate, Localizer, Request
from pipeline.localize.windows import WindowsLocalizer

__all__ = ["LOCALIZERS", "Candidate", "Localizer", "Request", "load_localizer"]

LOCALIZERS: dict[str, Callable[[], Localizer]] = {"windows": WindowsLocalizer}


def load_localizer(name: str = "windows") -> Localizer:
    """The localizer of this name; an unknown name lists the known ones."""
    if name not in LOCALIZERS:
        raise ValueError(f"no localizer '{name}'; known: {', '.join(LOCALIZERS)}")
    return LOCALIZERS[name]()
