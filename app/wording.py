"""Times, sizes, shares and languages in words."""

from __future__ import annotations

READ_ONLY = "This library can be asked here, but not changed."


def clock(seconds: float) -> str:
    """Time of a video as people write it.

    >>> clock(65.9), clock(3601), clock(0)
    ('1:05', '1:00:01', '0:00')
    """
    whole = max(0, int(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def spell(seconds: float) -> str:
    """A duration in words, coarse enough to be read at a glance.

    >>> spell(0.4), spell(75), spell(3700), spell(600)
    ('1 s', '1 min 15 s', '1 h 2 min', '10 min')
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600 and whole % 60:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def weigh(size: float) -> str:
    """Bytes in words.

    >>> weigh(0), weigh(1500), weigh(25_400_000), weigh(3.2e9)
    ('0 KB', '2 KB', '25 MB', '3.2 GB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e3:.0f} KB"


def count(number: int, noun: str) -> str:
    """
    >>> count(1, "video"), count(0, "video")
    ('1 video', '0 videos')
    """
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def verdict(confidence: float) -> str:
    """Confidence in words: it is the fitted chance that the clip answers the question."""
    if confidence >= 0.9:
        return "Almost certainly the answer"
    if confidence >= 0.75:
        return "Very likely the answer"
    if confidence >= 0.5:
        return "Probably the answer"
    return "Possibly the answer"


def percent(share: float) -> str:
    """
    >>> percent(0.876), percent(1.0), percent(0.001)
    ('88 %', '99 %', '1 %')
    """
    return f"{min(99, max(1, round(100 * share)))} %"  # a fitted chance is never certain


def short(text: str, limit: int) -> str:
    """At most `limit` characters, cut between words.

    >>> short("press firmly on the wound", 15)
    'press firmly…'
    """
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head).rstrip(" ,;:.") + "…"


LANGUAGES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def language(code: str) -> str:
    """
    >>> language("de"), language("gsw"), language("")
    ('German', 'gsw', '')
    """
    return LANGUAGES.get(code, code)
