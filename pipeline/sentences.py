"""Cues as a subtitle file cut them in, cues cut at the ends of sentences out; text without punctuation
is cut at pauses. Words' own times are used where they are known, else spread over the cue's time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.types import Cue, Word

PAUSE = 1.2  # seconds of silence that end a sentence whatever is written
SHORT_PAUSE = 0.45  # ends one where nothing is punctuated
LONGEST_SENTENCE = 30.0  # seconds; more is not punctuated, it is cut at its pauses

_ENDS = re.compile(r"""[.!?…。！？।؟]["'”’»)\]]{0,3}$""")  # noqa: RUF001
_CLAUSE = re.compile(r"""[,;:，；：、—–]["'”’»)\]]{0,3}$""")  # noqa: RUF001
_INITIAL = re.compile(r"^[(\"'“]?[A-Za-z]\.$")
_ABBREVIATIONS = re.compile(
    r"(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|e\.g|i\.e|approx|no|fig|min|max|sec|ca|z\.b|bzw|dept|inc|ltd|co"
    r"|p\.m|a\.m|vol|pp|ed|al)\.",
    re.IGNORECASE,
)
_ALONE = re.compile(r"^(?:\[[^\]]{0,200}\]|\([^)]{0,200}\)|♪.{0,400})$")  # sounds and songs
_NEW_SPEAKER = re.compile(r"^(?:-\s?\S|>>)")
# Scripts without blanks between words, cut after a sentence's mark or, within long text, anywhere.
_PIECES = re.compile(r"[^。！？]{0,40}[。！？]+[」』”）]{0,3}|[^。！？]{1,40}")  # noqa: RUF001
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


@dataclass
class _Token:
    """One word, its time, and what stands around it."""

    text: str
    start: float
    end: float
    exact: bool  # the time is the word's own
    glued: bool = False  # no blank before it
    breaks: bool = False  # a sentence begins here for sure


def recut(cues: Sequence[Cue], max_chars: int = 120, max_seconds: float = 12.0) -> tuple[Cue, ...]:
    """Cues that begin and end with sentences; longer sentences are cut at clauses and pauses.

    >>> [cue.text for cue in recut([Cue(0, 2, "Peel it. Then"), Cue(2, 4, "slice it.")])]
    ['Peel it.', 'Then slice it.']
    """
    pieces: list[list[_Token]] = []
    for sentence in _sentences(_tokens(cues)):
        for piece in _limited(sentence, max_chars, max_seconds):
            if pieces and _belongs(pieces[-1], piece):
                pieces[-1] = pieces[-1] + piece
            else:
                pieces.append(piece)
    return tuple(_as_cue(piece) for piece in pieces)


def sentence_bounds(cues: Sequence[Cue]) -> list[tuple[float, float]]:
    """Start and end of every sentence, sorted: where an answer may begin and end.

    >>> sentence_bounds([Cue(0, 2, "Peel it. Then"), Cue(2, 4, "slice it.")])
    [(0.0, 1.286), (1.286, 4.0)]
    """
    return [
        (piece[0].start, piece[-1].end)
        for sentence in _sentences(_tokens(cues))
        for piece in _limited(sentence, 1_000_000, LONGEST_SENTENCE)
    ]


def _tokens(cues: Sequence[Cue]) -> list[_Token]:
    """Every word of every cue in order, times never running backwards."""
    tokens: list[_Token] = []
    clock = 0.0
    ordered = sorted(cues, key=lambda cue: cue.start)
    for number, cue in enumerate(ordered):
        end = cue.end
        if number + 1 < len(ordered) and cue.start < ordered[number + 1].start:
            end = min(end, ordered[number + 1].start)  # overlapping cues: the next one speaks
        start = max(clock, cue.start)
        new = _timed(cue) or _spread(cue, start, max(start + 0.05, end))
        for token in new:
            token.start = max(clock, token.start)
            token.end = clock = max(token.start + 0.01, token.end)
        if new:
            before = number > 0 and _ALONE.match(ordered[number - 1].text) is not None
            alone = _ALONE.match(cue.text) or _NEW_SPEAKER.match(cue.text)
            new[0].breaks = bool(alone) or before
        tokens += new
    return tokens


def _timed(cue: Cue) -> list[_Token]:
    """The cue's own words, when they are the words of its text."""
    if not cue.words or "".join(word.text for word in cue.words).replace(" ", "") != cue.text.replace(
        " ", ""
    ):
        return []
    tokens, at = [], 0
    for word in cue.words:
        text = word.text.strip()
        place = cue.text.find(text, at)
        glued = at > 0 and place == at
        tokens.append(_Token(text, word.start, word.end, True, glued))
        at = max(at, place + len(text))
    return [token for token in tokens if token.text]


def _spread(cue: Cue, start: float, end: float) -> list[_Token]:
    """The words of the text over the cue's time, each as long as it has characters."""
    parts = [
        (piece, number > 0)
        for word in cue.text.split()
        for number, piece in enumerate(_PIECES.findall(word) if _DENSE.search(word) else [word])
    ]
    total = sum(len(text) + 1 for text, _ in parts)
    tokens, done = [], 0
    for text, glued in parts:
        begin = start + (end - start) * done / total
        done += len(text) + 1
        finish = start + (end - start) * done / total
        tokens.append(_Token(text, round(begin, 3), round(finish, 3), False, glued))
    return tokens


def _sentences(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    punctuated = _is_punctuated(tokens)
    sentence: list[_Token] = []
    for number, token in enumerate(tokens):
        if sentence and token.breaks:
            yield sentence
            sentence = []
        sentence.append(token)
        following = tokens[number + 1] if number + 1 < len(tokens) else None
        if following is None or _ends(token, following, punctuated):
            yield sentence
            sentence = []


def _is_punctuated(tokens: Sequence[_Token]) -> bool:
    """At least one sentence end in 40 words, as in no automatic caption."""
    ends = sum(_ENDS.search(token.text) is not None for token in tokens)
    return ends * 40 >= len(tokens)


def _ends(token: _Token, following: _Token, punctuated: bool) -> bool:
    pause = following.start - token.end
    if pause >= PAUSE or (not punctuated and pause >= SHORT_PAUSE):
        return True
    if _ENDS.search(token.text) is None:
        return False
    if _ABBREVIATIONS.fullmatch(token.text.lstrip("(\"'“")) or _INITIAL.match(token.text):
        return False
    return not (token.text.endswith((".", "…")) and following.text[:1].islower())


def _limited(sentence: list[_Token], max_chars: int, max_seconds: float) -> Iterator[list[_Token]]:
    """The sentence in pieces that keep the limits, each cut at the best place in its second half."""
    begin = 0
    while True:
        stop = _fitting(sentence, begin, max_chars, max_seconds)
        if stop == len(sentence):
            yield sentence[begin:]
            return
        middle = begin + max(1, (stop - begin) // 2)
        # A rest of a word or two would be a poor cue of its own.
        stop = max(middle, min(stop, len(sentence) - 3))
        cut = max(range(middle, stop + 1), key=lambda at: _cut_value(sentence, at, begin))
        yield sentence[begin:cut]
        begin = cut


def _fitting(tokens: Sequence[_Token], begin: int, max_chars: int, max_seconds: float) -> int:
    """Up to where the tokens from `begin` on are within the limits; at least one is."""
    chars = 0
    for number in range(begin, len(tokens)):
        token = tokens[number]
        chars += len(token.text) + (number > begin and not token.glued)
        too_long = chars > max_chars or token.end - tokens[begin].start > max_seconds
        if number > begin and too_long:
            return number
    return len(tokens)


def _cut_value(tokens: Sequence[_Token], at: int, begin: int) -> float:
    """Pauses first, then clause ends, and of equals the later place."""
    pause = min(1.0, tokens[at].start - tokens[at - 1].end)
    return pause + 0.4 * (_CLAUSE.search(tokens[at - 1].text) is not None) + (at - begin) / 1000


def _belongs(before: Sequence[_Token], piece: Sequence[_Token]) -> bool:
    """A word or two ("Okay.") goes with what follows at once: alone it would only flash up."""
    brief = sum(len(token.text) for token in before) <= 8 and before[-1].end - before[0].start < 1.0
    gap = piece[0].start - before[-1].end
    long = sum(len(token.text) for token in piece) > 90
    return brief and gap < 0.5 and not piece[0].breaks and not long and not _ALONE.match(before[0].text)


def _as_cue(tokens: Sequence[_Token]) -> Cue:
    text = "".join(token.text if token.glued else " " + token.text for token in tokens).strip()
    words: tuple[Word, ...] = ()
    if all(token.exact for token in tokens):
        words = tuple(Word(token.start, token.end, token.text) for token in tokens)
    return Cue(tokens[0].start, tokens[-1].end, text, words)
