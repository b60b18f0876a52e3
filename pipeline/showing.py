"""What the command line shows: replies, videos and jobs as text for readers and as JSON for programs."""

from __future__ import annotations

from typing import Any

from pipeline.follow import clock
from pipeline.library.jobs import Job
from pipeline.types import Reply, Video


def reply_as_json(reply: Reply) -> dict[str, Any]:
    """The one object that `ask --json` prints."""
    return {
        "question": reply.question,
        "answered": reply.answered,
        "confidence": round(reply.confidence, 4),
        "answers": [
            {
                "video_id": answer.video_id,
                "title": answer.title,
                "path": str(answer.path),
                "start": round(answer.span.start, 3),
                "end": round(answer.span.end, 3),
                "score": round(answer.score, 6),
                "text": answer.text,
            }
            for answer in reply.answers
        ],
        "timings": {stage: round(value, 2) for stage, value in reply.timings.items()},
        "method": reply.method,
        "notice": reply.notice,
    }


def reply_as_text(reply: Reply) -> str:
    """The reply for a reader."""
    lines = [part for part in (reply.notice, reply.message) if part]
    if reply.answers:
        lines.append(
            f"Answered with {reply.confidence:.0%} confidence:"
            if reply.answered
            else f"Nearest guesses ({reply.confidence:.0%} confidence):"
        )
    for number, answer in enumerate(reply.answers, 1):
        lines += [
            "",
            f"{number}. {answer.title}  {clock(answer.span.start)} to {clock(answer.span.end)}",
            f"   {answer.path}",
            f"   “{answer.text if len(answer.text) <= 400 else answer.text[:399] + '…'}”",
        ]
    return "\n".join(lines)


_JOB_KEYS = ("id", "kind", "title", "source", "status", "stage", "fraction", "detail", "message", "video_id")


def job_as_json(job: Job) -> dict[str, Any]:
    return {key: getattr(job, key) for key in _JOB_KEYS}


def video_line(video: Video) -> str:
    """One line of `list`."""
    state = "missing" if video.missing else video.state
    return (
        f"{video.id}  {clock(video.duration):>8}  {video.language or '-':2}  {state:10}  "
        f"{video.origin or '-':14}  {video.title}"
    )


def video_as_json(video: Video) -> dict[str, Any]:
    """What `list --json` and `show` say of a video."""
    return {
        "id": video.id,
        "title": video.title,
        "path": str(video.path),
        "duration": video.duration,
        "width": video.width,
        "height": video.height,
        "size": video.size,
        "language": video.language,
        "subtitles": str(video.origin or ""),
        "subtitles_detail": video.origin_detail,
        "state": video.state,
        "missing": video.missing,
        "notice": video.notice,
        "tags": list(video.tags),
        "url": video.url,
        "added_at": video.added_at.isoformat() if video.added_at else None,
    }
