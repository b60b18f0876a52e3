"""One line that says on what and when a benchmark ran, for docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), platform.machine())


def heading(command: str) -> str:
    """`command` and the machine, as Markdown."""
    return (
        f"`{command}`, {date.today()}, {os.cpu_count()} cores ({processor()}), "
        f"Python {platform.python_version()}, torch {version('torch')}, gradio {version('gradio')}\n"
    )
