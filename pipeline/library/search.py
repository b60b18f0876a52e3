"""Full-text search: the user's words as a safe FTS5 query, and bm25 over transcripts and passages.

Tables (made by the migrations): `transcripts_fts(title, text)` by videos.number, and
`passages_fts(text)` by windows.id, which reads its text from `windows`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from sqlalchemy import Connection, select, text

from pipeline.library import rows
from pipeline.library.database import fold
from pipeline.library.schema import TextVectorsRow, TranscriptRow, VideoRow
from pipeline.types import Filters, Span

MAX_TERMS = 48
MOST_ROWS = 60_000  # rows that one search scores: about 50 ms
MOST_VIDEOS = 400
_QUOTED = re.compile(r'["“”„«»]([^"“”„«»]*)["“”„«»]')
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are aren't as at be because been before being but by can
    can't cannot could couldn't d did didn't do does doesn't doing don't down during each either else
    ever every few for from further get gets had has hasn't have haven't having he her here hers him his
    how however i i'd i'll i'm i've if in into is isn't it it's its itself just let let's like ll m may
    me might mine more most much must my myself need needs no nor not of off on once one only or other
    our ours out over own please possible re s same shall she should so some such t tell than that
    that's the their theirs them then there there's these they this those through to too under until up
    upon us use used using ve very was way ways we were what what's when where where's which while who
    whom whose why will with without won't would you you'd you'll you're you've your yours yourself
    explain show shows showing
    """.split()  # noqa: SIM905 - a list of 180 strings would fill the screen
)


def to_match(question: str) -> str:
    """A safe FTS5 query of the user's text; "" when it holds no word.

    Words are alternatives and rank the results; a "quoted phrase" must occur. Stop words are dropped
    unless nothing else is left; nothing in the text acts as an operator.

    >>> to_match('how do I "reset the trip meter" NOT* now')
    '("reset the trip meter") AND ("reset the trip meter" OR "now")'
    """
    question = unicodedata.normalize("NFC", rows.storable(question))
    phrases = list(dict.fromkeys(filter(None, map(_phrase, _QUOTED.findall(question)))))
    words = [word.replace("\u2019", "'").casefold() for word in _WORD.findall(_QUOTED.sub(" ", question))]
    kept = [word for word in words if word not in STOP_WORDS]
    if not kept and not phrases:
        kept = words
    parts = [part for word in kept for part in _parts(word)]
    terms = list(dict.fromkeys(phrases + [f'"{part}"' for part in parts]))[:MAX_TERMS]
    anything = " OR ".join(terms)
    if not phrases or len(terms) == len(phrases):
        return " AND ".join(phrases[:MAX_TERMS]) if phrases else anything
    return f"({' AND '.join(phrases[:MAX_TERMS])}) AND ({anything})"


def _phrase(quoted: str) -> str:
    words = [part for word in _WORD.findall(quoted) for part in re.split("['\u2019]", word)]
    return f'"{" ".join(words).casefold()}"' if words else ""


def _parts(word: str) -> list[str]:
    """The tokens of a word; what follows an apostrophe is dropped when it is an ending ('s, 't, 'll)."""
    first, *rest = word.split("'")
    return [first, *(part for part in rest if len(part) > 2)]


def _affordable(connection: Connection, table: str, match: str) -> str:
    """The match without its most common words when scoring all their rows would take too long.

    The rarest words say most about where the answer is; the two rarest always stay. A match with a
    phrase is left as it is: the phrase has to occur, which bounds the rows.
    """
    terms = match.split(" OR ")
    if " AND " in match or len(terms) < 3:
        return match
    counts = {term: _count(connection, table, term) for term in terms}
    kept: list[str] = []
    scored = 0
    for term in sorted(terms, key=counts.__getitem__):
        scored += counts[term]
        if scored > MOST_ROWS and len(kept) >= 2:
            break
        kept.append(term)
    return " OR ".join(kept)


def _count(connection: Connection, table: str, match: str) -> int:
    """How many rows match: up to a millisecond, where scoring them takes a hundred times as long."""
    query = text(f"SELECT count(*) FROM {table} WHERE {table} MATCH :match")
    return connection.scalar(query, {"match": match}) or 0


def transcripts(connection: Connection, match: str, limit: int, filters: Filters) -> list[tuple[str, float]]:
    """(video id, score), best first; a word in the title counts three times one in the text."""
    match = _affordable(connection, "transcripts_fts", match)
    return [(row.id, row.score) for row in _best_videos(connection, match, limit, filters)]


def _best_videos(connection: Connection, match: str, limit: int, filters: Filters) -> list[Any]:
    if not match:
        return []
    where, values = restricted(filters, "videos.number")
    query = f"""
        SELECT videos.number, videos.id, -bm25(transcripts_fts, 3.0, 1.0) AS score
        FROM transcripts_fts JOIN videos ON videos.number = transcripts_fts.rowid
        WHERE transcripts_fts MATCH :match {where}
        ORDER BY score DESC, videos.number LIMIT :limit
    """
    return list(connection.execute(text(query), {"match": match, "limit": limit, **values}))


def passages(
    connection: Connection, match: str, limit: int, filters: Filters
) -> list[tuple[int, str, Span, str, float]]:
    """(window id, video id, span, text, score), best first.

    With filters, and where too many windows match, only the videos whose whole transcripts fit best
    are looked into.
    """
    match = _affordable(connection, "passages_fts", match)
    if not match:
        return []
    where, values = "", {"match": match, "limit": limit}
    if filters or _count(connection, "passages_fts", match) > MOST_ROWS:
        best = _best_videos(connection, match, max(limit, MOST_VIDEOS), filters)
        values["numbers"] = json.dumps([row.number for row in best])
        # The plus keeps SQLite from searching once per window instead of checking each match.
        where = "AND +rowid IN (SELECT id FROM windows WHERE video_number IN (SELECT value FROM numbers))"
    query = f"""
        WITH numbers AS (SELECT value FROM json_each({":numbers" if where else "'[]'"})), best AS (
            SELECT rowid AS id, -bm25(passages_fts) AS score FROM passages_fts
            WHERE passages_fts MATCH :match {where}
            ORDER BY score DESC, rowid LIMIT :limit
        )
        SELECT windows.id, videos.id AS video_id, windows.start, windows.end, windows.text, score
        FROM best JOIN windows ON windows.id = best.id JOIN videos ON videos.number = windows.video_number
        ORDER BY score DESC, windows.id
    """
    found = connection.execute(text(query), values)
    return [(row.id, row.video_id, Span(row.start, row.end), row.text, row.score) for row in found]


def restricted(filters: Filters, column: str) -> tuple[str, dict[str, Any]]:
    """Conditions on a column of video numbers, as SQL and its values."""
    found, values = "", {}
    if filters.video_ids:
        found += (
            f" AND {column} IN (SELECT number FROM videos WHERE id IN (SELECT value FROM json_each(:ids)))"
        )
        values["ids"] = json.dumps(list(filters.video_ids))
    if filters.tags:
        found += (
            f" AND {column} IN (SELECT video_number FROM tags"
            " WHERE fold(tag) IN (SELECT value FROM json_each(:tags)))"
        )
        values["tags"] = json.dumps([fold(tag) for tag in filters.tags])
    if filters.language:
        found += f" AND {column} IN (SELECT number FROM videos WHERE language = :language)"
        values["language"] = filters.language
    return found, values


def index_transcript(connection: Connection, number: int) -> None:
    """Puts a video's title and words into full-text search, in place of what was there."""
    title = connection.scalar(select(VideoRow.title).where(VideoRow.number == number))
    cues = connection.scalar(select(TranscriptRow.cues).where(TranscriptRow.video_number == number))
    words = " ".join(cue.text for cue in rows.unpack_cues(cues or [], words=False))
    forget(connection, number)
    put = "INSERT INTO transcripts_fts(rowid, title, text) VALUES (:number, :title, :words)"
    connection.execute(text(put), {"number": number, "title": title, "words": words})


def rename(connection: Connection, number: int, title: str) -> None:
    connection.execute(
        text("UPDATE transcripts_fts SET title = :title WHERE rowid = :number"),
        {"number": number, "title": title},
    )


def forget(connection: Connection, number: int) -> None:
    connection.execute(text("DELETE FROM transcripts_fts WHERE rowid = :number"), {"number": number})


def rebuild(connection: Connection) -> None:
    """Both tables again from the rows of every video that was indexed."""
    connection.execute(text("INSERT INTO passages_fts(passages_fts) VALUES ('rebuild')"))
    connection.execute(text("DELETE FROM transcripts_fts"))
    indexed = select(TextVectorsRow.video_number)  # also when a later attempt failed
    ready = select(VideoRow.number).where((VideoRow.state == "ready") | VideoRow.number.in_(indexed))
    for number in connection.scalars(ready).all():
        index_transcript(connection, number)
