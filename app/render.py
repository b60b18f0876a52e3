"""What the page says, as plain data: replies, videos and jobs turned into words, times and addresses.

Pure: takes what the pipeline returns, gives dictionaries that the page's scripts set as text (never as
markup). Nothing here touches the library, the network or Gradio.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from app.wording import clock, count, language, percent, short, spell, verdict, weigh
from pipeline.types import Answer, Reply, Span, Transcript, Video

View = dict[str, Any]

_serials = itertools.count(1)  # two equal replies are still two replies: the page must notice the second


MOST_GUESSES = 4
PICTURES_OFF = "Picture stream off: answers come from the words."

# Asking


def reply_view(reply: Reply, videos: Mapping[str, Video], linked: Answer | None = None) -> View:
    """A reply as the player shows it. `linked` is the clip that the page's address names: it comes first."""
    answers = _with_linked(reply.answers, linked)
    kind = "answer" if (reply.answered or linked) and answers else "none"
    answers = answers if kind == "answer" else answers[:MOST_GUESSES]
    views = [
        _answer_view(found, videos.get(found.video_id), _sure(found, reply), kind, linked)
        for found in answers
    ]
    return _view(
        kind=kind,
        question=reply.question,
        headline=_headline_of_none(reply),
        message=_why_none(reply) if kind == "none" else "",
        confidence=round(reply.confidence, 3),
        notice=reply.notice,
        note="" if reply.pictures or not views else PICTURES_OFF,
        more="All places found, best first" if kind == "answer" else "The nearest guesses",
        badge="A guess: probably not the answer",
        announce=_announce(kind, reply, views),
        pick=0 if kind == "answer" else -1,
        answers=views,
        videos={video_id: about_view(video) for video_id, video in videos.items()},
        relevance={
            video_id: [[round(second, 1), round(value, 3)] for second, value in points]
            for video_id, points in reply.relevance.items()
        },
    )


def message_view(headline: str, message: str = "", question: str = "", kind: str = "error") -> View:
    """A reply that has nothing to play: what is the matter, and what to do."""
    return _view(
        kind=kind, headline=headline, message=message, question=question, announce=f"{headline}. {message}"
    )


def _view(**fields: Any) -> View:
    empty: View = {
        "serial": next(_serials), "kind": "error", "question": "", "headline": "", "message": "",
        "confidence": 0.0, "notice": "", "note": "", "more": "", "badge": "", "announce": "", "pick": -1,
        "play": False, "answers": [], "videos": {}, "relevance": {},
    }  # fmt: skip
    return empty | fields


def _with_linked(answers: Sequence[Answer], linked: Answer | None) -> list[Answer]:
    if linked is None:
        return list(answers)
    others = [a for a in answers if a.video_id != linked.video_id or not a.span.overlap(linked.span)]
    return [linked, *others]


def _headline_of_none(reply: Reply) -> str:
    if reply.answers or not reply.message:
        return "Not in your library"
    return reply.message.partition(". ")[0].removesuffix(".") + "."


def _why_none(reply: Reply) -> str:
    if not reply.answers:  # the message's first sentence is the headline
        return reply.message.partition(". ")[2]
    return f"{reply.message} The places below are guesses and probably do not answer it.".strip()


def _announce(kind: str, reply: Reply, views: Sequence[View]) -> str:
    return f"{_outcome(kind, reply, views)} {reply.notice}".strip()


def _outcome(kind: str, reply: Reply, views: Sequence[View]) -> str:
    if kind == "answer":
        first = views[0]
        return f"{first['verdict']}: {first['title']}, {first['spoken']}. {first['text']}"
    if views:
        return f"Not in your library. {len(views)} {'guess' if len(views) == 1 else 'guesses'} below."
    return reply.message or "Not in your library."


def _sure(found: Answer, reply: Reply) -> float | None:
    """The confidence speaks of the best answer only."""
    return reply.confidence if reply.answered and found is reply.answers[0] else None


def _answer_view(
    found: Answer, video: Video | None, confidence: float | None, kind: str, linked: Answer | None
) -> View:
    span = found.span
    time = f"{clock(span.start)} to {clock(span.end)}"
    name = "Guess" if kind == "none" else "Clip"
    words = short(found.text, 400)
    return {
        "video": found.video_id,
        "title": found.title,
        "start": round(span.start, 2),
        "end": round(span.end, 2),
        "time": clock(span.start),
        "spoken": time,
        "text": words,
        "verdict": _headline_of(found, confidence, linked),
        "percent": f"{percent(confidence)} sure" if confidence is not None else "",
        "confidence": None if confidence is None else round(confidence, 3),
        "facts": [time, spell(span.duration), *([video.origin.label] if video and video.origin else [])],
        "picture": f"video/{found.video_id}/frame.jpg?{urlencode({'t': f'{_glimpse(span):.1f}'})}",
        "label": f"{name} from {found.title}, {time}: {short(found.text, 120)}",
        "evidence": _evidence(found),
    }


def _headline_of(found: Answer, confidence: float | None, linked: Answer | None) -> str:
    if linked is not None and found is linked:
        return "The clip of this link"
    return verdict(confidence) if confidence is not None else "Another place"


def _glimpse(span: Span) -> float:
    """The second whose picture stands for a clip: a little in, past a cut at its start."""
    return span.start + min(2.0, span.duration / 3)


def _evidence(found: Answer) -> list[View]:
    named = (
        ("words", found.evidence.words, "of what is asked is said in it, rare words counting more"),
        ("meaning", found.evidence.meaning, "match in meaning between what is said and what is asked"),
        ("picture", found.evidence.picture, "added by looking at the picture"),
    )
    return [
        {
            "name": name,
            "share": round(max(0.0, min(1.0, value)), 2),
            "percent": f"{round(100 * max(0.0, min(1.0, value)))} %",
            "means": means,
        }
        for name, value, means in named
        if value is not None
    ]


def about_view(video: Video) -> View:
    """What the player needs to know of one video. No path leaves the server."""
    return {
        "title": video.title,
        "duration": round(video.duration, 2),
        "strip": f"video/{video.id}/strip.jpg" if video.strip and video.strip_count else "",
        "pictures": video.strip_count,
        "broken": _gone(video) if video.missing else "",
    }


def _gone(video: Video) -> str:
    remedy = "Put it back, or delete the video in the Library tab."
    return f"The file of “{video.title}” is not where it was. {remedy}"


def origin_line(origin: str, detail: str = "", spoken: str = "") -> str:
    """Where the words came from, in one line."""
    parts = [
        origin[:1].upper() + origin[1:],
        detail if detail and detail not in origin else "",
        language(spoken),
    ]
    return " · ".join(p for p in parts if p)


def transcript_view(transcript: Transcript) -> View:
    """A transcript as the player reads it: `[start, end, words]` a cue."""
    return {
        "cues": [[round(cue.start, 2), round(cue.end, 2), cue.text] for cue in transcript.cues],
        "origin": origin_line(transcript.origin.label, transcript.detail, transcript.language)
        if transcript.cues
        else "",
        "language": transcript.language,
    }


# Library

STATES = {"ready": "Ready", "processing": "Being prepared", "failed": "Failed"}


def video_view(video: Video) -> View:
    """One row of the library list."""
    state = "missing" if video.missing else video.state
    return {
        "id": video.id,
        "title": video.title,
        "duration": clock(video.duration),
        "language": language(video.language),
        "origin": origin_line(video.origin.label) if video.origin else "No words yet",
        "origin_detail": video.origin_detail,
        "state": state,
        "state_words": "File missing" if video.missing else STATES.get(video.state, video.state),
        "notice": _missing(video) if video.missing else video.notice,
        "size": weigh(video.size),
        "tags": list(video.tags),
        "site": video.site,
        "added": f"{video.added_at:%d %b %Y}" if video.added_at else "",
        "picture": f"video/{video.id}/thumbnail.jpg" if video.thumbnail else "",
        "subtitled": bool(video.origin),
        "owned": video.owned,
    }


def _missing(video: Video) -> str:
    where = "was taken out of the library folder" if video.owned else "was moved or deleted"
    return f"Its file {where} ({video.path.name}). Put it back, or delete the video here and add it again."


WAYS_TO_BE = {
    "queued": "Waiting its turn",
    "running": "",
    "done": "Ready to be asked",
    "already": "Already in the library",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def job_view(job: Any) -> View:
    """One row of the job list: what happens to the video, how far it is, how long it still takes."""
    running = job.status == "running"
    return {
        "id": job.id,
        "title": job.title or "A video",
        "status": job.status,
        "words": _stage_words(job) if running else _outcome_words(job),
        "times": _times(job)
        if running
        else (f"took {spell(job.elapsed)}" if job.status == "done" and job.elapsed else ""),
        "fraction": None if job.fraction is None else round(job.fraction, 3),
        "percent": f"{round(100 * job.fraction)} %" if running and job.fraction is not None else "",
        "message": job.message or "",
        "video": "" if job.of_many else job.video_id,
        "can_cancel": job.status in {"queued", "running"},
        "can_retry": job.status in {"failed", "cancelled"},
    }


def _outcome_words(job: Any) -> str:
    if job.status == "done" and job.of_many:  # videos that could be asked before
        return "Done"
    return WAYS_TO_BE.get(job.status, job.status)


STAGES = {
    "fetch": "Fetching the video",
    "probe": "Looking at the file",
    "normalise": "Making it play in every browser",
    "subtitles": "Writing down what is said",
    "text vectors": "Reading for meaning",
    "reading": "Reading ahead for questions",
    "index": "Making it searchable",
    "picture features": "Looking at the pictures",
}


def _stage_words(job: Any) -> str:
    words = STAGES.get(job.stage, job.stage.capitalize() if job.stage else "Starting")
    if job.stage_count > 1:
        words = f"{words} (step {job.stage_number} of {job.stage_count})"
    return f"{words}: {job.detail}" if job.detail else words


def _times(job: Any) -> str:
    parts = [f"{spell(job.elapsed)} so far" if job.elapsed else ""]
    if job.remaining is not None:
        parts.append(f"about {spell(job.remaining)} left")
    return ", ".join(p for p in parts if p)


def disk_words(use: Mapping[str, float], videos: int) -> str:
    """The library's size in one line; `use` is what `Library.disk_use` gives.

    >>> disk_words({"total": 3e6, "outside": 4e8, "free": 9e9}, 2)
    '2 videos: 3 MB in the library folder, 400 MB in your own folders, 9.0 GB free'
    """
    parts = [f"{weigh(use.get('total', 0))} in the library folder"]
    parts += [f"{weigh(use['outside'])} in your own folders"] if use.get("outside") else []
    parts += [f"{weigh(use['free'])} free"] if "free" in use else []
    return f"{count(videos, 'video')}: {', '.join(parts)}"


def invitation_view(examples: Sequence[tuple[str, Video]], ready: bool, preparing: int) -> View:
    """What stands below the question box: questions to click, or why there is nothing to ask yet."""
    if examples or ready:
        questions = [
            {"question": question, "picture": f"video/{video.id}/thumbnail.jpg" if video.thumbnail else ""}
            for question, video in examples
        ]
        return {"questions": questions, "words": "", "add": False}
    if preparing:
        words = f"{count(preparing, 'video')} being prepared; the first can be asked in a moment."
        return {"questions": [], "words": words, "add": False}
    return {"questions": [], "words": "Your library is empty.", "add": True}


def status_view(videos: int, active: int, models: str, failed: str = "") -> View:
    """The line in the page's head: what the app is doing at this moment."""
    if failed:
        return {"state": "failed", "words": failed}
    if models == "loading":
        return {"state": "busy", "words": "Language model is loading"}
    if active:
        return {"state": "busy", "words": f"Preparing {count(active, 'video')}"}
    return {"state": "ready", "words": f"{count(videos, 'video')}, ready" if videos else "Library is empty"}
