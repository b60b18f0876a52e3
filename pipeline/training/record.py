"""`training.json`: what a checkpoint was trained on and with, and how well it did, beside the weights."""

from __future__ import annotations

import json
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAME = "training.json"
_PACKAGES = ("torch", "accelerate", "transformers", "numpy")


def record(run: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """`run` is what was trained, `outcome` how it went; neither holds a path."""
    versions = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
    return run | {"date": str(date.today())} | outcome | {"versions": versions}


def write(out: Path, facts: dict[str, Any]) -> None:
    new = out / f"{NAME}.new"
    new.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(out / NAME)


def known(out: Path) -> dict[str, Any]:
    """The record of a folder's finished training; empty where there is none."""
    try:
        return json.loads((out / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
