"""Bytes of a text file of unknown encoding in, text out: byte order marks, UTF-8 and UTF-16 first, then
the old code page whose commonest letters the bytes show most often. Never fails."""

# Letters of many scripts look like Latin ones; here they are meant.
# ruff: noqa: RUF001

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# The commonest characters beyond ASCII of the languages written in each code page. In the right page a
# good part of such characters is among them, in a wrong one only a few by chance.
_COMMON = {
    "cp1252": "éèàáíóúñçüöäßêâîôåøæãõëïùÉÀÖÄÜ¿¡’‘“”–—…«»°½",
    "cp1250": "ąćęłńóśźżěščřžýáíéůúťďňőűöüäâăîşţ„”–",
    "cp1251": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфіїєґ",
    "koi8-r": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф",
    "cp1253": "αοιετσνηυρπκμλςωδγχθφβάέήίόύώ",
    "gb18030": "的一是不了我在人有这他们个来到大上国说你就时要出会也子下可",
    "big5": "的一是不了我在人有這他們個來到大上國說你就時要出會也子下可",
    "shift_jis": "のにはをたがでてとしれさるなもいかまっすこくあんきりけそ",
    "euc_jp": "のにはをたがでてとしれさるなもいかまっすこくあんきりけそ",
    "euc_kr": "이다는을가에고의를은하지도한그니나어사기로게아있요",
}
_SAMPLE = 60_000  # bytes that are looked at; more does not change the guess


def decode(data: bytes) -> str:
    """The text of `data`, without byte order mark.

    >>> decode("Привет, мир".encode("cp1251"))
    'Привет, мир'
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if wide := _without_mark(data):
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if _nearly_utf8(data[:_SAMPLE]):
            return data.decode("utf-8", "replace")
    return data.decode(_code_page(data), "replace")


def _without_mark(data: bytes) -> str:
    """UTF-16 is known by its zero bytes: digits, blanks and line ends have one each."""
    sample = data[:4096]
    if sample.count(0) * 20 < len(sample) or len(sample) < 8:
        return ""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < 4 * min(even, odd):
        return ""  # zeros everywhere: not text at all
    return "utf-16-le" if odd > even else "utf-16-be"


def _nearly_utf8(sample: bytes) -> bool:
    """UTF-8 with a few damaged bytes (cut off, joined with another file)."""
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return broken * 10 <= sum(character > "\x7f" for character in text)


def _code_page(data: bytes) -> str:
    # Only lines with something to judge by; whole lines, so that no character is cut in two.
    lines = [line for line in data[: 10 * _SAMPLE].split(b"\n") if re.search(rb"[\x80-\xff]", line)]
    sample = b"\n".join(lines)[:_SAMPLE] if len(lines) > 1 else b"".join(lines)[:_SAMPLE]
    scores = {encoding: _score(sample, encoding, common) for encoding, common in _COMMON.items()}
    best = max(scores, key=lambda encoding: scores[encoding])  # the first of equals: cp1252
    if scores[best] <= 0 or (best == "cp1252" and not _decodes(data, "cp1252")):
        return "latin-1"
    return best


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _score(sample: bytes, encoding: str, common: str) -> float:
    """The share of the characters beyond ASCII that are common ones; wrong bytes count against."""
    text = sample.decode(encoding, "replace")
    beyond = [character for character in text if character > "\x7f"]
    if not beyond:
        return 0.0
    wrong = sum(character == "\ufffd" for character in beyond)
    return (sum(map(set(common).__contains__, beyond)) - 3 * wrong) / len(beyond)
