"""A question's way: encode, retrieve videos, localize spans in the best, rank, calibrate, answer.

`Asker` is built once and serves all threads; `ask` is the one verb. Nothing here writes to the library.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from pipeline.candidates import Candidates, Unprepared
from pipeline.candidates import unread as is_unread
from pipeline.confidence import Confidence, text_in
from pipeline.errors import AnswerClipError, BadQuestion
from pipeline.features.text import TextEncoder
from pipeline.library.store import Library
from pipeline.localize import Candidate, Localizer, Request
from pipeline.localize.evidence import Explanation
from pipeline.localize.snap import snap
from pipeline.methods import UNTRAINED, Methods, Parts, broken, unprepared, unread
from pipeline.question import Questions, clean
from pipeline.retrieve import Hit, Query, Retriever
from pipeline.retrieve.dense import to_unit
from pipeline.retrieve.phrases import phrases, saying, without_quotes
from pipeline.retrieve.words import STOP_WORDS, words
from pipeline.settings import Settings
from pipeline.types import Answer, Evidence, Filters, Reply, ScoredSpan, Span, Video

log = logging.getLogger(__name__)

MOST_ANSWERS = 8
_LISTED = 100  # videos asked of retrieval


class Clock:
    """Milliseconds by stage and in total."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self._stages[name] = time.perf_counter() - begin

    def milliseconds(self) -> dict[str, float]:
        total = {"total": time.perf_counter() - self._begin}
        return {name: round(1000 * seconds, 2) for name, seconds in (self._stages | total).items()}


@dataclass(frozen=True)
class Found:
    """What retrieval and localization gave: the videos, best first, and the best spans in them.

    `evidence` is what the untrained retrieval says, on whose scale the confidence was fitted; `raw` are the
    localizer's own spans of all videos looked into, before they were moved to sentence bounds.
    """

    request: Request
    hits: Sequence[Hit]
    spans: Sequence[ScoredSpan]
    evidence: Sequence[Hit] = ()
    raw: Sequence[ScoredSpan] = ()


class Asker:
    """Answers questions from one library. The encoder is loaded on first use, or by `warm`.

    `localizer` and `retriever` take the place of those of the untrained method.
    """

    def __init__(
        self,
        library: Library,
        encoder: TextEncoder | None = None,
        settings: Settings | None = None,
        localizer: Localizer | None = None,
        retriever: Retriever | None = None,
        confidence: Confidence | None = None,
    ) -> None:
        self.library = library
        self.settings = settings or Settings()
        self.methods = Methods(library, self.settings, localizer, retriever)
        self.confidence = confidence or Confidence.load(self.settings.checkpoints_dir)
        self._questions = Questions(encoder, self.settings.text_encoder)
        self._candidates = Candidates(library)

    @property
    def ready(self) -> bool:
        """Whether the encoder is loaded, or known to be missing."""
        return self._questions.ready

    @property
    def encoder(self) -> TextEncoder | None:
        """The text encoder, loaded on first use; None when it cannot be had."""
        return self._questions.encoder

    def vector(self, question: str) -> np.ndarray | None:
        """The unit vector of a question, whatever its language; None without an encoder."""
        return self._questions.vector(question)

    def warm(self) -> None:
        """Loads what the first question would wait for, also while the library is still empty."""
        _ = self.encoder
        try:
            self.ask("how do I begin")
        except BadQuestion:
            log.debug("nothing to warm the search with")

    def ask(
        self,
        question: str,
        filters: Filters = Filters(),  # noqa: B008 - immutable
        top: int = MOST_ANSWERS,
        method: str = "",
    ) -> Reply:
        """The best clips of the library, best first, at most `top` (8), by a method of `methods.METHODS`
        (default: the setting's).

        BadQuestion when nothing is asked, the filters fit no video or there is no such method.
        """
        parts, notice = self.methods.parts(method)
        try:
            return self._ask(question, filters, top, parts, [notice] if notice else [])
        except BadQuestion:
            raise
        except Unprepared:
            notice = unprepared(parts.method, chosen=parts.method.name == self.settings.method)
            return self._ask(question, filters, top, self.methods.untrained, [notice])
        except Exception:  # a checkpoint may load and still not fit; questions are answered nevertheless
            if parts.method.name == UNTRAINED:
                raise
            log.exception("%s cannot answer", parts.method.label)
            return self._ask(question, filters, top, self.methods.untrained, [broken(parts.method)])

    def _ask(self, question: str, filters: Filters, top: int, parts: Parts, notices: list[str]) -> Reply:
        clock = Clock()
        text, cut = clean(question)
        notices += cut
        if empty := self._nothing_to_search(filters):
            return Reply(text, False, 0.0, message=empty)
        with clock.stage("encode"):
            vector = self._compared(text, filters, notices)
        quoted, wanted = phrases(text), max(1, min(top, MOST_ANSWERS))
        found = self.find(text, vector, filters, top=wanted, quoted=quoted, clock=clock, parts=parts)
        if quoted and not found.spans:
            loose = self.find(without_quotes(text), vector, filters, top=wanted, clock=clock, parts=parts)
            reply = replace(self._reply(loose, parts), answered=False, message=_NOT_SAID)
        else:
            with clock.stage("answer"):
                reply = self._reply(found, parts, certain=bool(quoted))
        if not quoted and reply.answers and STOP_WORDS.issuperset(words(text)):
            reply = replace(reply, answered=False, message=_SMALL_WORDS)
        if reply.answers and not reply.answered and (waiting := self.library.being_added()):
            notices.append(f"Videos still being prepared were not searched: {waiting}.")
        if found.spans and _gave_over(parts, found.request):
            notices.append(unread(parts.method))
            parts, reply = self.methods.untrained, replace(reply, pictures=False)
        notice, method = " ".join(notices), parts.method.name
        return replace(reply, notice=notice, method=method, timings=clock.milliseconds())

    def explain(
        self,
        question: str,
        video_id: str,
        span: Span | None = None,
        filters: Filters = Filters(),  # noqa: B008 - immutable
        method: str = "",
    ) -> Explanation:
        """Why `ask` takes its clips in this video, and how sure it is of one of them (`span`).

        VideoNotFound; BadQuestion as `ask`, and where the filters leave the video out or it has no words.
        """
        parts, notice = self.methods.parts(method)
        try:
            return self._explain(question, video_id, span, filters, parts, [notice] if notice else [])
        except AnswerClipError:
            raise
        except Unprepared:
            notice = unprepared(parts.method, chosen=parts.method.name == self.settings.method)
        except Exception:  # as in `ask`
            if parts.method.name == UNTRAINED:
                raise
            log.exception("%s cannot explain", parts.method.label)
            notice = broken(parts.method)
        return self._explain(question, video_id, span, filters, self.methods.untrained, [notice])

    def _explain(
        self,
        question: str,
        video_id: str,
        span: Span | None,
        filters: Filters,
        parts: Parts,
        notices: list[str],
    ) -> Explanation:
        text, cut = clean(question)
        notices += cut
        self.library.video(video_id)
        kept_out = filters.video_ids and video_id not in filters.video_ids
        if kept_out or not self.library.count(filters=replace(filters, video_ids=(video_id,))):
            raise BadQuestion("The filters leave this video out. Take some of them away and ask again.")
        vector = self._compared(text, filters, notices)
        states = self._states(text, vector, parts)
        candidates = self._candidates.of([Hit(video_id, 1.0)], parts.localizer, self._questions.name)
        if not candidates or not candidates[0].cues:
            raise BadQuestion("Nothing is said in this video, or it is still being prepared.")
        if is_unread(candidates[0], parts.localizer):
            raise Unprepared
        request = Request(text, vector, candidates, states=states)
        chances = parts.localizer.span_chances(request, candidates[0])
        near = chances.near(span) if chances is not None and span is not None else None
        if _gave_over(parts, request):
            notices.append(unread(parts.method))
            parts = self.methods.untrained
        matrix = parts.localizer.matrix(request, candidates[0], around=span)
        contributions = parts.localizer.contributions(request, candidates[0])
        notice, name = " ".join(notices), parts.method.name
        return Explanation(text, video_id, contributions, matrix, near, name, notice)

    def find(
        self,
        question: str,
        vector: np.ndarray | None,
        filters: Filters = Filters(),  # noqa: B008 - immutable
        videos: int = 0,
        per_video: int = 3,
        top: int = MOST_ANSWERS,
        quoted: Sequence[Sequence[str]] = (),
        clock: Clock | None = None,
        parts: Parts | None = None,
    ) -> Found:
        """Retrieval and localization alone: `top` spans of the best `videos`, none overlapping another; of as
        many videos as the localizer looks into where none are said.

        With `quoted` phrases only videos whose words hold them count.
        """
        clock, parts = clock or Clock(), parts or self.methods.untrained
        videos = videos or parts.localizer.looks_into
        with clock.stage("retrieve"):
            query = Query(question, vector, self._questions.name, filters)
            # Only the untrained retriever surely says in which videos a phrase stands.
            retriever = self.methods.untrained.retriever if quoted else parts.retriever
            hits = evidence = retriever.search(query, max(videos, _LISTED))
            if retriever is not self.methods.untrained.retriever:
                evidence = self.methods.untrained.retriever.search(query, videos)
            if quoted:
                hits = evidence = [hit for hit in hits if hit.words is not None]
        with clock.stage("localize"):
            states = self._states(question, vector, parts)
            candidates = self._candidates.of(hits[:videos], parts.localizer, self._questions.name)
            if parts is not self.methods.untrained and any(is_unread(c, parts.localizer) for c in candidates):
                raise Unprepared
            request = Request(question, vector, candidates, per_video, states)
            spans = parts.localizer.localize(request)
            if quoted:
                spans = saying(spans, hits, {c.video_id: c for c in request.candidates}, quoted)
            return Found(request, hits, distinct(spans, request, top), evidence, spans)

    def _nothing_to_search(self, filters: Filters) -> str:
        """Why there is nothing to search, in plain words; "" when there is."""
        if self.library.count(filters=filters):
            return ""
        if filters and self.library.count():
            raise BadQuestion("No video fits these filters. Take some of them away and ask again.")
        return _BEING_ADDED if self.library.being_added() else "The library is empty. Add a video first."

    def _compared(self, question: str, filters: Filters, notices: list[str]) -> np.ndarray | None:
        spoken = [filters.language] if filters.language else self.library.languages()
        return self._questions.compared(question, spoken, notices)

    def _states(self, question: str, vector: np.ndarray | None, parts: Parts) -> np.ndarray | None:
        """The states of the question's tokens, where the localizer needs them and they can be compared."""
        wanted = parts.localizer.needs_states and vector is not None
        return self._questions.states(question) if wanted else None

    # Telling the answer

    def _reply(self, found: Found, parts: Parts, certain: bool = False) -> Reply:
        """`certain`: an exact phrase was asked for and found."""
        question, request, spans = found.request.question, found.request, found.spans
        if not spans:
            return Reply(question, False, 0.0, message=self._nothing_found())
        judge = parts.confidence or self.confidence
        function = judge.function(with_meaning=request.vector is not None)
        signals = [self.signals(found, span, parts) for span in spans]
        confidence = max(function(signals[0]), _CERTAIN if certain else 0.0)
        threshold = function.threshold if self.settings.threshold is None else self.settings.threshold
        candidates = {c.video_id: c for c in request.candidates}
        videos = {v.id: v for v in self._videos(spans)}
        answers = tuple(
            _answer(videos[span.video_id], candidates[span.video_id], span, signal)
            for span, signal in zip(spans, signals, strict=True)
            if span.video_id in videos  # another process may have removed it meanwhile
        )
        answered = bool(answers) and confidence >= threshold
        if answered:
            answers = tuple(answer for answer in answers if _speaks_for_itself(answer, answers[0]))
        answers = _with_pictures(answers, parts.localizer, request)
        message = "" if answered else _NOT_IN_LIBRARY
        curves = {a.video_id: parts.localizer.curve(request, candidates[a.video_id]) for a in answers}
        best = candidates[answers[0].video_id] if answers else None
        seen = parts.localizer.uses_pictures and best is not None and best.visual is not None
        confidence = round(confidence, 4)
        return Reply(question, answered, confidence, answers, message, relevance=curves, pictures=seen)

    def signals(self, found: Found, span: ScoredSpan, parts: Parts | None = None) -> dict[str, float]:
        """What speaks for one of the spans, see `Confidence.signals` and `Localizer.signals`."""
        parts = parts or self.methods.untrained
        judge, hits = parts.confidence or self.confidence, found.evidence or found.hits
        candidate = next(c for c in found.request.candidates if c.video_id == span.video_id)
        of_all = judge.signals(found.request, candidate, span.span, hits)
        return of_all | parts.localizer.signals(found.request, span)

    def _videos(self, spans: Sequence[ScoredSpan]) -> list[Video]:
        return self.library.videos(filters=Filters(video_ids=tuple({s.video_id for s in spans})))

    def _nothing_found(self) -> str:
        if not any(video.state == "ready" for video in self.library.videos(limit=50)):
            return _BEING_ADDED
        return _NOTHING_SAYS


_NOT_IN_LIBRARY = "Your library does not seem to hold the answer."
_NOTHING_SAYS = "Nothing in your library speaks of this. If something should, ask in other words."
_BEING_ADDED = "No video is ready to be searched yet. Ask again in a moment."
_NOT_SAID = "No video says exactly these words. These clips come closest without the quotation marks."
_SMALL_WORDS = "The question has only small words, such as “how” and “the”. Name what it is about."
_ALTERNATIVE = 0.6  # of the best answer's evidence, by words or by meaning, that an alternative must have
_CERTAIN = 0.95  # confidence in a phrase that is said word for word


def _gave_over(parts: Parts, request: Request) -> bool:
    """Whether a trained localizer gave every video of this question over to the untrained one."""
    return bool(parts.method.trained) and request.kept.get(parts.localizer.name) == {}


def distinct(spans: Sequence[ScoredSpan], request: Request, top: int) -> list[ScoredSpan]:
    """The best spans of all videos, on sentence bounds, none overlapping another."""
    looked_into = {c.video_id: c for c in request.candidates}
    taken: list[ScoredSpan] = []
    for found in spans:
        if len(taken) >= top:
            break
        candidate = looked_into[found.video_id]
        span = snap(found.span, candidate.sentences, candidate.duration)
        if all(t.video_id != found.video_id or not t.span.overlap(span) for t in taken):
            taken.append(replace(found, span=span))
    return taken


def _speaks_for_itself(answer: Answer, best: Answer) -> bool:
    """Whether an alternative of an answered question is more than the next best video of a small library."""
    if answer.video_id == best.video_id:
        return True
    return any(
        value is not None and limit and value >= _ALTERNATIVE * limit
        for value, limit in (
            (answer.evidence.words, best.evidence.words),
            (answer.evidence.meaning, best.evidence.meaning),
        )
    )


def _answer(video: Video, candidate: Candidate, found: ScoredSpan, signals: Mapping[str, float]) -> Answer:
    cosine = signals.get("meaning")
    evidence = Evidence(words=signals["coverage"], meaning=None if cosine is None else to_unit(cosine))
    text = text_in(candidate.cues, found.span)
    return Answer(video.id, video.title, video.path, found.span, round(found.score, 4), text, evidence)


def _with_pictures(answers: tuple[Answer, ...], localizer: Localizer, request: Request) -> tuple[Answer, ...]:
    """The answers with what the picture added to each; as they are where no picture was read."""
    shown = {a.video_id for a in answers} if localizer.uses_pictures else set()
    candidates = [c for c in request.candidates if c.video_id in shown and c.visual is not None]
    request = replace(request, candidates=candidates)
    found = {c.video_id: localizer.contributions(request, c) for c in candidates}
    return tuple(
        replace(a, evidence=replace(a.evidence, picture=found[a.video_id].picture_in(a.span)))
        if a.video_id in found
        else a
        for a in answers
    )
