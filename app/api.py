"""The endpoints for `gradio_client`, plain HTTP and MCP: four functions that take and give plain data, and
`explain`, which is no tool for MCP: its numbers are drawn, not read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from app import evidence
from app.add_videos import added_words, probe_link, with_options
from app.wording import READ_ONLY
from pipeline.ask import Asker
from pipeline.errors import AnswerClipError
from pipeline.library import jobs as work
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.sources import from_item
from pipeline.types import Filters, Reply

MOST_LISTED = 1000


def build(library: Library, settings: Settings, asker: Asker) -> None:
    """Publish the endpoints inside the open `gr.Blocks`."""

    def ask(
        question: str,
        top: int = 5,
        video_id: str = "",
        tag: str = "",
        language: str = "",
        method: str = "",
    ) -> dict[str, Any]:
        """Finds the clip of the video library that answers a question.

        Args:
            question: What is asked, in plain words; "quoted words" must occur as they are.
            top: How many clips to give at most, 1 to 8.
            video_id: Ask only this video, by its id from list_videos.
            tag: Ask only videos with this tag.
            language: Ask only videos in this language, as a two-letter code such as en.
            method: What finds the clip: untrained, default, ccgs, mutualsl, bm25-span or dpr-span; empty for
                the server's own choice. One that is not trained here gives way to untrained, see notice.

        Returns:
            question, answered (whether the library holds the answer; if not, the answers are guesses),
            confidence (0 to 1), message, notice (what to know besides), method (what answered), and
            answers, best first: video_id, title, start and end in seconds, score, text (the words said),
            evidence (words, meaning, picture: 0 to 1, null where that said nothing), and play (the address
            of the clip on this page).
        """
        filters = Filters((video_id,) if video_id else (), (tag,) if tag else (), language)
        try:
            return reply_data(asker.ask(question, filters, max(1, min(8, int(top))), method))
        except AnswerClipError as e:
            return reply_data(Reply(question, False, 0.0, message=str(e)))

    def list_videos(search: str = "", tag: str = "", language: str = "") -> dict[str, Any]:
        """Lists the videos of the library.

        Args:
            search: Words that must occur in the title, a tag or the file's name; empty for all.
            tag: Only videos with this tag.
            language: Only videos in this language, as a two-letter code.

        Returns:
            total, and videos (the 1,000 newest at most): video_id, title, duration in seconds, language,
            origin of the words, state (ready, processing or failed), tags, url, and notice.
        """
        filters = Filters(tags=(tag,) if tag else (), language=language)
        videos = library.videos(search, filters, limit=MOST_LISTED)
        rows = [
            {
                "video_id": video.id,
                "title": video.title,
                "duration": round(video.duration, 2),
                "language": video.language,
                "origin": video.origin.value if video.origin else "",
                "state": "missing" if video.missing else video.state,
                "tags": list(video.tags),
                "url": video.url,
                "notice": video.notice,
            }
            for video in videos
        ]
        return {"total": library.count(search, filters), "videos": rows}

    def add_link(url: str, tags: str = "", language: str = "") -> dict[str, Any]:
        """Adds the video or the playlist behind a link to the library; the work goes on in the background.

        Args:
            url: The link, http or https.
            tags: Tags for the new videos, with commas between them.
            language: The language spoken, as a two-letter code; empty to find out.

        Returns:
            message, and jobs: id, title, status (queued, running, done, already, failed), video_id.
        """
        if settings.read_only:
            return {"message": READ_ONLY, "jobs": []}
        try:
            items = [item for item in probe_link(url, settings) if not item.refused]
            sources = [with_options(from_item(item), tags, language) for item in items]
            jobs = work.submit(library, sources)
        except AnswerClipError as e:
            return {"message": str(e), "jobs": []}
        rows = [{"id": j.id, "title": j.title, "status": j.status, "video_id": j.video_id} for j in jobs]
        return {"message": added_words(jobs), "jobs": rows}

    def get_transcript(video_id: str) -> dict[str, Any]:
        """Gives the words of one video with their times.

        Args:
            video_id: The video's id, from list_videos or ask.

        Returns:
            video_id, title, language, origin, and cues: start and end in seconds, text. message says what
            is wrong when there is no such video.
        """
        try:
            video = library.video(video_id)
        except AnswerClipError as e:
            return {"video_id": video_id, "message": str(e), "cues": []}
        transcript = library.transcript(video_id)
        cues = [{"start": cue.start, "end": cue.end, "text": cue.text} for cue in transcript.cues]
        return {
            "video_id": video_id,
            "title": video.title,
            "language": transcript.language or video.language,
            "origin": transcript.origin.value if cues else "",
            "cues": cues,
            "message": "",
        }

    def explain(
        question: str,
        video_id: str,
        start: float = 0.0,
        end: float = 0.0,
        language: str = "",
        method: str = "",
    ) -> dict[str, Any]:
        """Says why the clips of one video are taken.

        Args:
            question: As it was asked.
            video_id: The video's id, from ask.
            start: Where the clip begins that near is about, in seconds.
            end: Where it ends; 0 for no clip.
            language: As it was asked.
            method: As it was asked.

        Returns:
            words and picture (what each gave, as second and value from 0 to 1; null where that was not read),
            matrix (chances: of all clips, by the cell in which they begin and that in which they end, in a
            long video of the stretch about the clip; seconds: the edges of the cells;
            likeliest: start and end of the clip of the highest chance; trained: learned, or weighed by a
            rule), near (the chance of the clips that overlap this one by half or more), method, notice, and
            message, which says what is wrong when nothing can be said.
        """
        try:
            found = evidence.explain(asker, question, video_id, start, end, language, method)
            return evidence.explanation_data(found)
        except AnswerClipError as e:
            return evidence.refused(str(e))

    gr.api(ask, api_name="ask", concurrency_limit=6, concurrency_id="ask")
    gr.api(list_videos, api_name="list_videos", concurrency_limit=4)
    gr.api(add_link, api_name="add_link", concurrency_limit=2)
    gr.api(get_transcript, api_name="get_transcript", concurrency_limit=4)
    gr.api(explain, api_name="explain", concurrency_limit=2, api_visibility="undocumented")  # so not MCP's


def reply_data(reply: Reply) -> dict[str, Any]:
    """A reply as plain data; paths stay on the server."""
    return {
        "question": reply.question,
        "answered": reply.answered,
        "confidence": reply.confidence,
        "message": reply.message,
        "notice": reply.notice,
        "method": reply.method,
        "answers": [
            {
                "video_id": found.video_id,
                "title": found.title,
                "start": found.span.start,
                "end": found.span.end,
                "score": found.score,
                "text": found.text,
                "evidence": asdict(found.evidence),
                "play": f"?v={found.video_id}&s={found.span.start:.1f}&e={found.span.end:.1f}",
            }
            for found in reply.answers
        ],
        "timings": reply.timings,
    }
