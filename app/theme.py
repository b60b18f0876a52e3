"""How the page looks: Gradio's theme variables and the page's own style sheet, in light and dark.

Fonts are ones that Gradio itself serves (of its files only the regular and the bold hold whole alphabets);
nothing is loaded from outside.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import gradio as gr
from gradio.themes.utils.fonts import LocalFont

HERE = Path(__file__).resolve().parent

# (light, dark); the style sheet knows them as --ac-NAME. Text on its ground keeps a contrast of 4.5 or more.
COLOURS = {
    "paper": ("#f5f3ec", "#121514"),
    "card": ("#fffefb", "#1b1f1d"),
    "sunk": ("#ebe8de", "#242927"),
    "ink": ("#191c1a", "#eff1ed"),
    "muted": ("#585d58", "#a7aea8"),
    "line": ("#d9d5c8", "#343a37"),
    "edge": ("#8b8f86", "#717972"),  # borders of controls: 3 to 1 against their ground
    "brand": ("#0d5b4f", "#74d8c0"),
    "brand-deep": ("#094339", "#9be7d5"),
    "on-brand": ("#ffffff", "#06201b"),
    "brand-soft": ("#dcebe4", "#1d3630"),
    "mark": ("#f2b200", "#f6bd33"),
    "mark-soft": ("#fdf0c6", "#3b3214"),
    "mark-ink": ("#6a4a00", "#ffdc82"),
    "seen": ("#5f3dc4", "#b7a2ff"),  # what the picture gave, beside the brand's colour for the words
    "danger": ("#a0242c", "#ff9a92"),
    "danger-soft": ("#f9e1de", "#3c201f"),
}


def _variables(dark: bool) -> str:
    return "".join(f"--ac-{name}:{pair[dark]};" for name, pair in COLOURS.items())


@cache
def style_sheet() -> str:
    """The page's own CSS: colours, then the sheets of the page and of the player."""
    sheets = [HERE / "page.css", HERE / "player" / "player.css", HERE / "parts" / "parts.css"]
    colours = f":root{{{_variables(False)}}}\n:root.dark,.dark{{{_variables(True)}}}\n"
    return colours + "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


def head() -> str:
    """What goes into the page's head: the style sheet, and that the page works in both colour schemes."""
    return (
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="same-origin">\n'
        f"<style>{style_sheet()}</style>"
    )


def theme() -> gr.themes.Base:
    """Gradio's own parts (boxes, buttons, tabs, lists) in the same colours, sizes and type."""
    base = gr.themes.Base(
        font=[LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
    )
    return base.set(**_pairs())


# What of Gradio's theme has which of our colours.
_NAMED = {
    "body_background_fill": "paper",
    "background_fill_primary": "card",
    "background_fill_secondary": "paper",
    "body_text_color": "ink",
    "body_text_color_subdued": "muted",
    "block_background_fill": "card",
    "block_border_color": "line",
    "block_info_text_color": "muted",
    "block_label_background_fill": "card",
    "block_label_text_color": "muted",
    "block_label_border_color": "line",
    "block_title_text_color": "ink",
    "border_color_primary": "line",
    "border_color_accent": "brand",
    "color_accent_soft": "brand-soft",
    "panel_background_fill": "card",
    "panel_border_color": "line",
    "input_background_fill": "card",
    "input_background_fill_focus": "card",
    "input_border_color": "edge",
    "input_border_color_focus": "brand",
    "input_border_color_hover": "brand",
    "input_placeholder_color": "muted",
    "link_text_color": "brand",
    "link_text_color_hover": "brand-deep",
    "link_text_color_visited": "brand",
    "link_text_color_active": "brand",
    "button_primary_background_fill": "brand",
    "button_primary_background_fill_hover": "brand-deep",
    "button_primary_text_color": "on-brand",
    "button_primary_text_color_hover": "on-brand",
    "button_primary_border_color": "brand",
    "button_secondary_background_fill": "card",
    "button_secondary_background_fill_hover": "brand-soft",
    "button_secondary_text_color": "ink",
    "button_secondary_text_color_hover": "ink",
    "button_secondary_border_color": "edge",
    "button_cancel_background_fill": "danger-soft",
    "button_cancel_text_color": "danger",
    "checkbox_background_color": "card",
    "checkbox_background_color_selected": "brand",
    "checkbox_border_color": "edge",
    "checkbox_border_color_selected": "brand",
    "checkbox_label_background_fill": "card",
    "checkbox_label_background_fill_hover": "brand-soft",
    "checkbox_label_background_fill_selected": "brand-soft",
    "checkbox_label_text_color": "ink",
    "checkbox_label_text_color_selected": "ink",
    "checkbox_label_border_color": "line",
    "error_background_fill": "danger-soft",
    "error_border_color": "danger",
    "error_text_color": "danger",
    "loader_color": "brand",
    "slider_color": "brand",
}


def _pairs() -> dict[str, str]:
    """Theme variables for both schemes: `name` and `name_dark`."""
    values = {
        "color_accent": COLOURS["brand"][0],
        "button_transition": "background-color 120ms, border-color 120ms",
        "block_shadow": "none",
        "shadow_drop": "none",
        "input_shadow": "none",
        "input_border_width": "1px",
        "block_border_width": "1px",
    }
    for variable, colour in _NAMED.items():
        values[variable], values[f"{variable}_dark"] = COLOURS[colour]
    return _without_singles(values)


def _without_singles(values: dict[str, str]) -> dict[str, str]:
    """Only the variables that this version of Gradio has: some have no dark twin."""
    known = set(gr.themes.Base.set.__code__.co_varnames)
    return {name: value for name, value in values.items() if name in known}
