"""The text of a subtitle file in, cues out: SubRip, WebVTT and YouTube's json3, however carelessly written.

Cues come out sorted, with possible times, as plain text; what rolling automatic captions repeat is
said once. Used through `subtitles.py`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.types import Cue, Word

# Every quantifier below is bounded or stops at the character it looks for, so that no file, however
# hostile, takes more than linear time.
_TIME = r"(-)?\s?(?:(\d{1,3})\s?:\s?)?(\d{1,3})\s?:\s?(\d{1,3})(?:\s?[.,:]\s?(\d{1,6}))?"
_TIMING = re.compile(rf"\s{{0,9}}{_TIME}\s{{0,9}}-{{1,3}}\s?>\s{{0,9}}{_TIME}(?!\d)")
_TAG = re.compile(r"<[/!?]?[A-Za-z\-][^<>]{0,500}>|</?>")
_OVERRIDE = re.compile(r"\{\\[^{}]{0,200}\}")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_INLINE_TIME = re.compile(r"<(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})>")
_LINE_BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
NOT_SHOWN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufeff\u200b\u2060\ufffe\uffff]")


def parse_srt(text: str) -> tuple[Cue, ...]:
    """The cues of SubRip text.

    >>> parse_srt("1\\n00:00:01,50 --> 00:00:02,000\\n<i>Two</i> words\\n")
    (Cue(start=1.5, end=2.0, text='Two words', words=()),)
    """
    return checked(Block(start, end, _srt_body(lines, last)) for start, end, lines, last in _bodies(text))


def parse_vtt(text: str) -> tuple[Cue, ...]:
    """The cues of WebVTT text; times inside a line become the times of its words."""
    return checked(Block(start, end, _vtt_body(lines, last)) for start, end, lines, last in _bodies(text))


@dataclass(frozen=True)
class Block:
    """One cue as written: times in seconds, not yet checked, and its lines with their markup."""

    start: float
    end: float
    lines: list[str]


@dataclass(frozen=True)
class _Said:
    """One word as a caption shows it, with its time when the caption tells it."""

    text: str
    start: float | None = None


def _bodies(text: str) -> Iterator[tuple[float, float, list[str], bool]]:
    """Each timing line's start and end, the lines below it, and whether it is the last of the file."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = [(number, match) for number, line in enumerate(lines) if (match := _timing(line))]
    for this, (number, match) in enumerate(found):
        last = this + 1 == len(found)
        stop = len(lines) if last else found[this + 1][0]
        groups = match.groups()
        yield _seconds(*groups[:5]), _seconds(*groups[5:]), lines[number + 1 : stop], last


def _timing(line: str) -> re.Match[str] | None:
    return _TIMING.match(line) if ">" in line and ":" in line else None


def _seconds(minus: str | None, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    """Whole milliseconds, so that writing and reading give the same float; `,5` and `,50` are halves."""
    milliseconds = int((fraction or "0")[:3].ljust(3, "0"))
    total = (int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)) * 1000 + milliseconds
    return (-total if minus else total) / 1000


def _srt_body(lines: list[str], last: bool) -> list[str]:
    """Without the number of the next cue; blank lines inside a cue are let be."""
    if not last and lines and lines[-1].strip().isdigit() and (len(lines) == 1 or _ends_cue(lines)):
        lines = lines[:-1]
    return [line for line in lines if line.strip()]


def _ends_cue(lines: list[str]) -> bool:
    """The number stands after a blank line; or the file has none between its cues."""
    return not lines[-2].strip() or not any(not line.strip() for line in lines)


def _vtt_body(lines: list[str], last: bool) -> list[str]:
    """The lines up to the first empty one; notes, styles and the next cue's name come after it."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        elif blocks[-1] or len(blocks) == 1:
            blocks.append([])
    if not any(line.strip() for line in blocks[0]):  # an editor may have trimmed the blank first line
        named = not last and len(blocks[-1]) == 1 and bool(lines[-1])
        rest = blocks[1:-1] if named else blocks[1:]
        blocks = [block for block in rest if block and not block[0].startswith(("NOTE", "STYLE", "REGION"))]
    return [line for line in blocks[0] if line.strip()] if blocks else []


def checked(blocks: Iterable[Block]) -> tuple[Cue, ...]:
    """Checked times, plain text, sorted, nothing twice."""
    shown: list[_Shown] = [(block, words) for block in blocks if (words := _said(block))]
    shown.sort(key=lambda item: max(0.0, min(item[0].start, item[0].end)))
    if _rolls(shown):
        shown = list(_unrolled(shown))
    cues: list[Cue] = []
    for number, (block, said) in enumerate(shown):
        following = shown[number + 1][0].start if number + 1 < len(shown) else None
        cue = _cue(block, said, following)
        if cue is not None and cue not in cues[-3:]:
            cues.append(cue)
    return tuple(sorted(cues, key=lambda cue: cue.start))


def _cue(block: Block, said: Sequence[_Said], following: float | None) -> Cue | None:
    """A cue with possible times, or None when it lies wholly before the video."""
    text = " ".join(word.text for word in said)
    start, end = sorted((block.start, block.end))
    if end - start > 30 and block.end < block.start:
        start, end = block.start, block.start  # too long to have been swapped: the end is wrong
    if end < 0 or (end == 0 and start < 0):
        return None
    start = max(0.0, start)
    if end <= start:
        end = start + _reading_time(text)
        if following is not None and start < following < end:
            end = following
    return Cue(start, end, text, _words(said, start, end))


def _reading_time(text: str) -> float:
    """A usual stay on the screen: 15 characters a second, 1 to 7 seconds."""
    return min(7.0, max(1.0, round(len(text) / 15, 3)))


def _words(said: Sequence[_Said], start: float, end: float) -> tuple[Word, ...]:
    """Times of the words where every one has its own; none is longer than a second."""
    starts = [min(max(word.start, start), end) for word in said if word.start is not None]
    if len(starts) < len(said) or starts != sorted(starts):
        return ()
    ends = [*starts[1:], end]
    return tuple(
        Word(begin, min(finish, begin + 1.0), word.text)
        for word, begin, finish in zip(said, starts, ends, strict=True)
    )


def _said(block: Block) -> list[_Said]:
    """The words of a cue. A line with times inside begins at the cue's start, one without has none."""
    said: list[_Said] = []
    for line in block.lines:
        if "<" in line and _INLINE_TIME.search(line):
            said += _timed(line, block.start, block.end)
        else:
            said += [_Said(word) for word in plain(line).split()]
    return said


def _timed(line: str, start: float, end: float) -> list[_Said]:
    parts = _INLINE_TIME.split(line)  # text, then four groups and text for each time
    starts = [start] + [_seconds(None, *parts[i : i + 4]) for i in range(1, len(parts), 5)]
    ends = [*starts[1:], end]
    said = []
    for begin, finish, part in zip(starts, ends, parts[::5], strict=True):
        words = plain(part).split()
        step = max(0.0, finish - begin) / max(1, len(words))
        said += [_Said(word, round(begin + number * step, 3)) for number, word in enumerate(words)]
    return said


def plain(text: str) -> str:
    """Text without markup: tags dropped, entities as characters, one blank between words.

    >>> plain("<v Ann>5 &lt; 6 <script>x</script>{\\\\an8}")
    '5 < 6 x'
    """
    if "<" in text:
        text = _TAG.sub("", _INLINE_TIME.sub("", _LINE_BREAK.sub(" ", text)))
    if "{" in text:
        text = _OVERRIDE.sub("", text)
    if "&" in text:
        text = ENTITY.sub(lambda match: html.unescape(match.group()), text)
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()  # half surrogates cannot be stored
    return " ".join(NOT_SHOWN.sub("", text).split())


_Shown = tuple[Block, Sequence[_Said]]


def _rolls(shown: Sequence[_Shown]) -> bool:
    """Whether most captions begin with what the one before showed, as automatic ones do."""
    pairs = list(pairwise(shown))
    rolling = sum(_rolls_on(before, after) for before, after in pairs)
    timed = any(word.start is not None for _, words in shown for word in words)
    return rolling * 2 >= len(pairs) and rolling >= (1 if timed else 3)


def _rolls_on(before: _Shown, after: _Shown) -> bool:
    if after[0].start - before[0].end > 0.1:
        return False
    known = _overlap(before[1], after[1])
    brief = after[0].end - after[0].start <= 0.05
    return brief if known == len(after[1]) else known >= 2 or known == len(before[1])


def _overlap(before: Sequence[_Said], after: Sequence[_Said]) -> int:
    """How many words at the start of `after` are the last ones of `before`."""
    left, right = [w.text for w in before[-60:]], [w.text for w in after[:60]]
    sizes = range(min(len(left), len(right)), 0, -1)
    return next((size for size in sizes if left[-size:] == right[:size]), 0)


def _unrolled(shown: Sequence[_Shown]) -> Iterator[_Shown]:
    """Each caption with only the words that the one before did not show."""
    before: _Shown = (Block(0.0, 0.0, []), ())
    for caption in shown:
        near = caption[0].start - before[0].end <= 0.1
        new = caption[1][_overlap(before[1], caption[1]) :] if near else caption[1]
        if new:
            yield caption[0], new
        before = caption


def parse_json3(text: str) -> tuple[Cue, ...]:
    """The cues of YouTube's json3, whose automatic captions tell each word's time."""
    try:
        events = json.loads(text)["events"]
        found = [event for event in events if _is_caption(event)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    found.sort(key=lambda event: event["tStartMs"])
    shown: list[_Shown] = []
    for number, event in enumerate(found):
        start = event["tStartMs"] / 1000
        end = start + event.get("dDurationMs", 0) / 1000
        said = _segments(event["segs"], event["tStartMs"])
        if number + 1 < len(found) and any(word.start is not None for word in said):
            end = min(end, max(start, found[number + 1]["tStartMs"] / 1000))  # they stay while they roll
        if said:
            shown.append((Block(start, end, []), said))
    cues = (_cue(block, said, None) for block, said in shown)
    return tuple(cue for cue in cues if cue is not None)


def _is_caption(event: Any) -> bool:
    numbers = (event.get("tStartMs"), event.get("dDurationMs", 0)) if isinstance(event, dict) else (None,)
    possible = all(isinstance(number, (int, float)) and abs(number) < 4e9 for number in numbers)
    return possible and isinstance(event.get("segs"), list) and not event.get("aAppend")


def _segments(segments: list[Any], start: float) -> list[_Said]:
    texts = [segment for segment in segments if isinstance(segment, dict)]
    timed = any(isinstance(segment.get("tOffsetMs"), (int, float)) for segment in texts)
    said = []
    for segment in texts:
        offset = segment.get("tOffsetMs", 0)
        known = timed and isinstance(offset, (int, float)) and abs(offset) < 4e9
        begin = (start + offset) / 1000 if known else None
        said += [_Said(word, begin) for word in plain(str(segment.get("utf8", ""))).split()]
    return said
