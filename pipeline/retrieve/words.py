"""What lexical comparison needs outside the database: words, stems, stop words, and a guess whether a
question is English. Fixed rules and no library statistics, so that a score means the same in a library of
one video and of ten thousand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")

STOP_WORDS = frozenset(
    """
    a about above after again all also am an and any are aren't as at be because been before being below
    between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down
    during each few for from further get gets getting give go goes going got had has have having he her
    here hers him his how however i i'd i'll i'm i've if in into is isn't it it's its itself just let
    let's like make makes me might more most much must my myself need needs no nor not now of off on
    once one only or other our ours out over own please same shall she should show so some such tell
    than that that's the their theirs them then there these they they're this those through to too under
    until up us use used using very want was way ways we were what what's when where which while who
    whom whose why will with would you you're your yours yourself video explain best thing things kind
    someone something someone's
    """.split()  # noqa: SIM905 - a list of strings would fill the screen
)

# Small words that tell languages apart; a word of several languages counts for each.
_TELLTALE = {
    "en": "the of and to is how what do does you i my a in for with can should why when which are it on",
    "de": "der die das und ist wie was ich ein eine nicht mit zu auf für den dem man kann wird warum wo mein",
    "fr": "le la les des et est comment que je un une ne pas avec pour dans du on peut pourquoi où mon quel",
    "es": "el la los las y es cómo como qué que un una no con para en del se puede por dónde mi cuál de",
    "it": "il lo la gli e è come che un una non con per di del si può perché dove mio quale i nel",
    "pt": "o a os as e é como que um uma não com para em do da se pode por onde meu qual de",
    "nl": "de het een en is hoe wat ik niet met voor van op kan wordt waarom waar mijn welke je",
}
_LANGUAGE_WORDS = {code: frozenset(words.split()) for code, words in _TELLTALE.items()}


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation.

    >>> words("Don't STOP, 2nd time!")
    ["don't", 'stop', '2nd', 'time']
    """
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without English endings; cruder than Porter's, the same for question and transcript.

    >>> [stem(w) for w in ("bandages", "bandaging", "bandaged", "stopped", "carries", "glass", "wire's")]
    ['bandag', 'bandag', 'bandag', 'stop', 'carry', 'glass', 'wir']
    """
    word = word.split("'")[0]
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def terms(text: str) -> list[str]:
    """The distinct stems that carry meaning, in order; of a text of stop words only: all of its stems."""
    found = words(text)
    meaningful = [word for word in found if word not in STOP_WORDS]
    return list(dict.fromkeys(stem(word) for word in meaningful or found))


def stems(text: str) -> list[str]:
    """All stems of a text in order, with repetitions."""
    return [stem(word) for word in words(text)]


def guess_language(text: str) -> str:
    """ISO 639-1 code where the small words tell it, "?" for another script, "" when it cannot be told.

    >>> guess_language("how do I stop a nosebleed"), guess_language("wie stoppe ich das Nasenbluten")
    ('en', 'de')
    """
    letters = [c for c in text if c.isalpha()]
    if letters and sum(ord(c) > 0x24F for c in letters) > len(letters) / 2:
        return "?"
    found = words(text)
    counts = {code: _count(found, known) for code, known in _LANGUAGE_WORDS.items()}
    best = max(counts, key=lambda code: (counts[code], code == "en"))
    if counts[best] < 2 or (best != "en" and counts[best] <= counts["en"]):
        return "en" if counts["en"] else ""
    return best


def _count(found: Iterable[str], known: frozenset[str]) -> int:
    return sum(word in known for word in found)
