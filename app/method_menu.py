"""The menu of methods on the Ask tab: what can be chosen, and what it takes to have the others."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import player
from pipeline.datasets import READERS
from pipeline.methods import METHODS, UNTRAINED, commands
from pipeline.settings import Settings

HINT = (
    f"NAME:DIR is a data set to learn from ({', '.join(READERS)}) and the folder of its files; training "
    "needs requirements-train.txt."
)


def build(settings: Settings) -> gr.HTML:
    """The menu; its value is `menu_view`, with what the visitor chose under `chosen`."""

    def methods(data: dict[str, Any]) -> dict[str, Any]:
        return menu_view(settings)

    return player.methods(menu_view(settings), [methods])


def menu_view(settings: Settings) -> dict[str, Any]:
    """The methods as the page lists them; `commands` train what a method lacks, none when it can be used."""
    rows = [
        {
            "name": method.name,
            "label": method.label,
            "blurb": method.blurb,
            "commands": list(commands(method, settings)),
        }
        for method in METHODS.values()
    ]
    usable = {row["name"] for row in rows if not row["commands"]}
    default = settings.method if settings.method in usable else UNTRAINED
    return {"methods": rows, "default": default, "hint": "" if len(usable) == len(rows) else HINT}


def chosen(value: Any) -> str:
    """The name of the method in the menu's value; "" for the default, also when a page sends nonsense.

    >>> chosen({"chosen": "ccgs"}), chosen({"chosen": ["x"]}), chosen(None)
    ('ccgs', '', '')
    """
    name = value.get("chosen") if isinstance(value, dict) else None
    return name if isinstance(name, str) and name in METHODS else ""
