"""An asker for tests of the page: the cue that, with its title, shares most words is the answer."""

from __future__ import annotations

import re

import numpy as np

from pipeline.errors import BadQuestion
from pipeline.library.store import Library
from pipeline.localize.evidence import Explanation, SpanChances, curve
from pipeline.methods import METHODS
from pipeline.types import Answer, Contributions, Evidence, Filters, Reply, Span

ENOUGH = 3  # shared words that make an answer
LONG = 300  # characters of a question; the notice says that more was cut
CUT = "The question was long: only its beginning was used."


class FakeAsker:
    """Answers as `pipeline.ask.Asker` does, at once and in a way that a test can foresee."""

    ready = True

    def __init__(self, library: Library) -> None:
        self.library = library

    def warm(self) -> None:
        pass

    def ask(self, question: str, filters: Filters = Filters(), top: int = 8, method: str = "") -> Reply:  # noqa: B008
        """Answers by whatever method is named; the notice of an unknown one is Asker's."""
        words = _words(question)
        if not words:
            raise BadQuestion("Type a question first, in a few words.")
        videos = self.library.videos(filters=filters)
        if not videos and filters:
            raise BadQuestion("No video fits these filters. Take some of them away and ask again.")
        if not videos:
            return Reply(question, False, 0.0, message="The library is empty. Add a video first.")
        found = sorted(
            (
                (len(words & _words(f"{video.title} {cue.text}")), video, cue)
                for video in videos
                for cue in self.library.transcript(video.id).cues
            ),
            key=lambda row: -row[0],
        )[:top]
        answers = tuple(
            Answer(
                video.id, video.title, video.path, Span(cue.start, cue.end), float(shared), cue.text,
                Evidence(words=min(1.0, shared / 5), meaning=0.5),
            )
            for shared, video, cue in found
        )  # fmt: skip
        answered = bool(found) and found[0][0] >= ENOUGH
        curves = {video.id: [(float(t), (t % 9) / 9) for t in range(0, 28, 3)] for _, video, _ in found}
        notice = CUT if len(question) > LONG else ""
        return Reply(question, answered, 0.8 if answered else 0.2, answers, notice=notice, relevance=curves,
                     method=method or "untrained")  # fmt: skip

    def explain(
        self, question: str, video_id: str, span: Span | None = None, filters: Filters = Filters(),  # noqa: B008
        method: str = "",
    ) -> Explanation:  # fmt: skip
        """Cues that share words with the question are likely; the picture of CCGS adds in the last one."""
        words = _words(question)
        if not words:
            raise BadQuestion("Type a question first, in a few words.")
        if method and method not in METHODS:
            raise BadQuestion(f"There is no method “{method[:40]}”.")
        self.library.video(video_id)
        cues = self.library.transcript(video_id).cues
        shared = np.array([1e-3 + len(words & _words(cue.text)) for cue in cues])
        spans = SpanChances(np.array([[cue.start, cue.end] for cue in cues]), shared / shared.sum())
        starts = np.array([cue.start for cue in cues])
        said = curve(starts, shared / shared.max())
        seen = curve(starts, np.arange(len(cues)) == len(cues) - 1) if method == "ccgs" else None
        near = None if span is None else spans.near(span)
        notice = CUT if len(question) > LONG else ""
        told, matrix = Contributions(said, seen), spans.pooled(0.0)
        return Explanation(question, video_id, told, matrix, near, method or "untrained", notice)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
