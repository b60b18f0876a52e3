"""Exact phrases: what stands in quotation marks in a question must be said in the video, and the clip
should be where it is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pipeline.localize.base import Candidate
from pipeline.retrieve.base import Hit
from pipeline.retrieve.words import words
from pipeline.types import Cue, ScoredSpan, Span

_QUOTED = re.compile(
    '["\u201c\u201d\u201e\u00ab\u00bb]([^"\u201c\u201d\u201e\u00ab\u00bb]*)["\u201c\u201d\u201e\u00ab\u00bb]'
)
_AROUND = 12.0  # seconds shown before and after a phrase that no span of the localizer holds


def phrases(question: str) -> list[list[str]]:
    """The words of every quoted phrase.

    >>> phrases('where do I "push the red button"?')
    [['push', 'the', 'red', 'button']]
    """
    return [found for quoted in _QUOTED.findall(question) if (found := words(quoted))]


def without_quotes(question: str) -> str:
    """The question as if nothing were quoted."""
    return re.sub('["\u201c\u201d\u201e\u00ab\u00bb]', " ", question)


def saying(
    spans: Sequence[ScoredSpan],
    hits: Sequence[Hit],
    candidates: Mapping[str, Candidate],
    quoted: Sequence[Sequence[str]],
) -> list[ScoredSpan]:
    """The spans in which a phrase is said, best first; a video without one gives where it is first said.

    All spans stay where no phrase is said in any (it may stand in a title only).
    """
    said = {video: _said_at(c.cues, quoted) for video, c in candidates.items()}
    kept = [s for s in spans if any(s.span.overlap(at) for at in said[s.video_id])]
    have = {s.video_id for s in kept}
    for hit in hits:
        if hit.video_id in candidates and hit.video_id not in have and said[hit.video_id]:
            at = said[hit.video_id][0]
            around = Span(max(0.0, at.start - _AROUND), at.end + _AROUND)
            kept.append(ScoredSpan(hit.video_id, around, hit.score / 2))
    return sorted(kept, key=lambda s: -s.score) or list(spans)


def _said_at(cues: Sequence[Cue], quoted: Sequence[Sequence[str]]) -> list[Span]:
    """Where any of the phrases is said; a phrase may run over several cues."""
    spoken = [(word, i) for i, cue in enumerate(cues) for word in words(cue.text)]
    found = []
    for phrase in quoted:
        for at in range(len(spoken) - len(phrase) + 1):
            if all(spoken[at + i][0] == word for i, word in enumerate(phrase)):
                first, last = cues[spoken[at][1]], cues[spoken[at + len(phrase) - 1][1]]
                found.append(Span(first.start, max(last.end, first.end)))
    return found
