"""What travels between the stages: plain, frozen, checked at construction.

Times are always seconds from the start of the video, as floats; vectors are float32 unit rows.
No torch, no gradio and no I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of one video, in seconds from its start; `end` is exclusive."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"bad span: {self.start} .. {self.end}")

    @property
    def duration(self) -> float:
        return self.end - self.start

    def overlap(self, other: Span) -> float:
        """Seconds that both spans cover."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))

    def iou(self, other: Span) -> float:
        """Overlap over union, 0 when disjoint.

        >>> Span(0, 10).iou(Span(5, 15))
        0.3333333333333333
        """
        overlap = self.overlap(other)
        return overlap / (self.duration + other.duration - overlap)


@dataclass(frozen=True)
class Word:
    """One spoken word with its time."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Cue:
    """One subtitle line: plain text (never markup), its time, and its words' times where known."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"bad cue: {self.start} .. {self.end}: {self.text!r}")

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class Origin(StrEnum):
    """Where a transcript came from; shown to the user beside every transcript."""

    GIVEN = "given"
    EMBEDDED = "embedded"
    SITE_HUMAN = "site-human"
    SITE_AUTOMATIC = "site-automatic"
    WHISPER = "whisper"
    POCKETSPHINX = "pocketsphinx"

    @property
    def label(self) -> str:
        return _ORIGIN_LABELS[self]


_ORIGIN_LABELS = {
    Origin.GIVEN: "subtitles given with the file",
    Origin.EMBEDDED: "subtitles inside the file",
    Origin.SITE_HUMAN: "the site's subtitles",
    Origin.SITE_AUTOMATIC: "the site's automatic captions",
    Origin.WHISPER: "transcribed by Whisper",
    Origin.POCKETSPHINX: "transcribed roughly by PocketSphinx",
}


@dataclass(frozen=True)
class Transcript:
    """The words of one video, cues sorted by start; no cues when nothing is said."""

    cues: tuple[Cue, ...]
    origin: Origin
    language: str = ""  # ISO 639-1, empty when unknown
    detail: str = ""  # e.g. the model that made it: "openai-whisper base"

    @property
    def text(self) -> str:
        return " ".join(cue.text for cue in self.cues)


@dataclass(frozen=True)
class Passage:
    """A window of a transcript: what lexical and dense search look through."""

    span: Span
    text: str


@dataclass(frozen=True)
class Video:
    """One video of the library as its row says. `path` is the file that the browser plays."""

    id: str  # the first 16 hex digits of sha256
    sha256: str
    title: str
    path: Path
    duration: float
    width: int = 0
    height: int = 0
    size: int = 0  # bytes of `path`
    language: str = ""
    origin: Origin | None = None
    origin_detail: str = ""
    state: str = "processing"  # processing | ready | failed
    notice: str = ""  # what the user should know, in plain words
    tags: tuple[str, ...] = ()
    original_name: str = ""
    site: str = ""  # yt-dlp's extractor key, for links
    site_id: str = ""
    url: str = ""
    thumbnail: Path | None = None
    strip: Path | None = None  # one JPEG, `strip_count` pictures side by side, evenly spaced in time
    strip_count: int = 0
    owned: bool = False  # `path` lies in the library folder and goes with the video
    missing: bool = False  # the file is not where it was
    added_at: datetime | None = None


@dataclass(frozen=True)
class ScoredSpan:
    """A candidate answer; scores are comparable across the videos of one request, higher is better."""

    video_id: str
    span: Span
    score: float


@dataclass(frozen=True)
class Filters:
    """Which videos a question is asked of; empty fields do not restrict."""

    video_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    language: str = ""

    def __bool__(self) -> bool:
        return bool(self.video_ids or self.tags or self.language)


Curve = tuple[tuple[float, float], ...]  # (second, value in 0..1), seconds rising; a value holds to the next


@dataclass(frozen=True)
class Contributions:
    """What speaks for each moment of one video.

    `words`: what is said, None where words and picture cannot be told apart; `picture`: what the picture
    added to it, None where none was read.
    """

    words: Curve | None
    picture: Curve | None = None

    def picture_in(self, span: Span) -> float | None:
        """What the picture added in a span: its mean, 0..1.

        >>> Contributions((), ((0.0, 0.0), (10.0, 1.0))).picture_in(Span(5, 15))
        0.5
        """
        return None if self.picture is None else mean_in(self.picture, span)


def mean_in(curve: Curve, span: Span) -> float:
    """The mean of a curve over a span, 0 where the curve has no value there."""
    ends = [second for second, _ in curve[1:]] + [float("inf")]
    shares = [
        (max(0.0, min(end, span.end) - max(start, span.start)), value)
        for (start, value), end in zip(curve, ends, strict=False)  # an empty curve has one end too many
    ]
    whole = sum(share for share, _ in shares)
    return sum(share * value for share, value in shares) / whole if whole else 0.0


def thinned(curve: Curve, most: int = 300) -> Curve:
    """At most so many points: of neighbours the highest stays.

    >>> thinned(((0.0, 0.1), (1.0, 0.9), (2.0, 0.3)), 2)
    ((1.0, 0.9), (2.0, 0.3))
    """
    every = max(1, -(-len(curve) // most))
    return tuple(max(curve[i : i + every], key=lambda point: point[1]) for i in range(0, len(curve), every))


@dataclass(frozen=True)
class Evidence:
    """Why a span was chosen: each value is in 0..1, absent when that source said nothing."""

    words: float | None = None  # lexical match
    meaning: float | None = None  # dense match
    picture: float | None = None  # what the picture added; None where none was read


@dataclass(frozen=True)
class Answer:
    """One ranked clip, ready to be shown."""

    video_id: str
    title: str
    path: Path
    span: Span
    score: float
    text: str  # the words said in the span
    evidence: Evidence = Evidence()


@dataclass(frozen=True)
class Reply:
    """What `ask` returns. `answers` are best first; guesses only when `answered` is false.

    `message` says in plain words why nothing is answered ("" otherwise), `notice` what the user should know
    besides (the question was cut, another language, words only). `relevance` holds, for each
    video among the answers, one value in 0..1 per second-stride window for the timeline:
    `{video_id: [(second, value), ...]}`. `timings` are milliseconds by stage, `method` names what answered
    (`methods.METHODS`), `pictures` whether picture features were read beside the words.
    """

    question: str
    answered: bool
    confidence: float
    answers: tuple[Answer, ...] = ()
    message: str = ""
    notice: str = ""
    relevance: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    method: str = ""
    pictures: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a stage is. `fraction` is in 0..1, or None when it cannot be known."""

    stage: str
    fraction: float | None = None
    detail: str = ""
