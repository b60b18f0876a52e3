"""Why a clip was taken, for the page and for the endpoint: what the words and the picture gave along its
video, and the map of all clips by where they begin and end. Worked out when somebody asks for it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from app.render import View
from app.wording import clock
from pipeline.ask import Asker
from pipeline.errors import AnswerClipError, BadQuestion
from pipeline.localize.evidence import Explanation, SpanMatrix
from pipeline.types import Curve, Filters, Span, thinned

PICTURES_UNREAD = "No picture was read: what you see here comes from the words alone."
AS_ONE = "This method reads words and picture as one: what each of them gave cannot be told apart."
WORDS_LEARNED = "how likely each moment is part of the answer, from what is said"
WORDS_BY_RULE = "how near what is said comes to the question"
PICTURE = "what looking at the picture added"
NOTHING = "Nothing in this video speaks of the question, so there is no map of it to draw."
HOW = (
    "Each square is a possible clip: the further right, the later it begins; the higher, the later it ends; "
    "the stronger its colour, the likelier it is. The frame marks this clip."
)
BY_RULE = (
    "The untrained method weighs clips by a rule: how far they stand out, and how usual their length is. "
    "These weights were not learned from answers."
)
_FAINTEST = 1 / 250  # of the strongest cell; fainter ones cannot be seen


def explain(
    asker: Asker,
    question: str,
    video_id: str,
    start: float = 0.0,
    end: float = 0.0,
    language: str = "",
    method: str = "",
) -> Explanation:
    """Why the method takes its clips in this video; `start` and `end` name the clip, both 0 none.

    AnswerClipError says what is wrong with what is asked.
    """
    return asker.explain(question, video_id, _span(start, end), Filters(language=language), method)


def _span(start: Any, end: Any) -> Span | None:
    try:
        start, end = float(start or 0), float(end or 0)
        if start == end == 0:
            return None
        if not math.isfinite(end):
            raise ValueError(end)
        return Span(start, end)
    except (TypeError, ValueError) as e:
        raise BadQuestion("The clip must begin at a second of the video and end after that.") from e


# For programs


def explanation_data(found: Explanation) -> dict[str, Any]:
    """An explanation as plain data."""
    matrix = found.matrix
    return {
        "question": found.question,
        "video_id": found.video_id,
        "method": found.method,
        "notice": found.notice,
        "message": "",
        "words": _points(found.contributions.words),
        "picture": _points(found.contributions.picture),
        "near": None if found.near is None else round(found.near, 4),
        "matrix": None
        if matrix is None
        else {
            "seconds": [round(float(edge), 2) for edge in matrix.edges],
            "chances": [[round(float(chance), 6) for chance in row] for row in matrix.chances],
            "likeliest": [round(matrix.likeliest.start, 2), round(matrix.likeliest.end, 2)],
            "trained": matrix.trained,
        },
    }


def refused(message: str) -> dict[str, Any]:
    """The same fields where nothing can be explained."""
    return {"message": message, "words": None, "picture": None, "near": None, "matrix": None}


def _points(curve: Curve | None) -> list[list[float]] | None:
    """At most 300."""
    return None if curve is None else [[round(t, 2), round(v, 3)] for t, v in thinned(curve)]


# For the page


def answer_page(asker: Asker, data: dict[str, Any]) -> View:
    """What the page's script is told when the viewer asks why."""
    asked = {name: str(data.get(name) or "") for name in ("question", "language", "method")}
    try:
        clip = _span(data.get("start"), data.get("end"))
        filters = Filters(language=asked["language"])
        video = str(data.get("video") or "")
        return explanation_view(asker.explain(asked["question"], video, clip, filters, asked["method"]), clip)
    except AnswerClipError as e:
        return {"ok": False, "message": str(e)}


def explanation_view(found: Explanation, clip: Span | None) -> View:
    """An explanation as the page shows it, with the same said in words."""
    words, picture = found.contributions.words, found.contributions.picture
    trained = found.matrix is not None and found.matrix.trained
    lanes = []
    if words is not None:
        lanes.append(_lane("Words", WORDS_LEARNED if trained else WORDS_BY_RULE, words))
    if picture is not None:
        lanes.append(_lane("Picture", PICTURE, picture))
    missing = PICTURES_UNREAD if picture is None else ""
    return {
        "ok": True,
        "notice": found.notice,
        "lanes": lanes,
        "missing": AS_ONE if words is None else missing,
        "map": None if found.matrix is None else _map(found.matrix, found.near, clip),
        "nothing": NOTHING if found.matrix is None else "",
    }


def _lane(name: str, means: str, curve: Curve) -> View:
    second, most = max(curve, key=lambda point: point[1], default=(0.0, 0.0))
    heard = f"highest at {clock(second)}" if most > 0 else "nothing anywhere in this video"
    return {"name": name, "means": means, "points": _points(curve), "label": f"{name}: {heard}."}


def _map(matrix: SpanMatrix, near: float | None, clip: Span | None) -> View:
    most = float(matrix.chances.max())
    cells = np.argwhere(matrix.chances > _FAINTEST * most)
    this = f" This clip: {_times(clip)}." if clip else ""
    return {
        "count": len(matrix.chances),
        "begin": round(float(matrix.edges[0]), 2),
        "end": round(float(matrix.edges[-1]), 2),
        "cells": [[int(i), int(j), round(float(matrix.chances[i, j]), 5)] for i, j in cells],
        "label": f"Map of possible clips by begin and end. Likeliest: {_times(matrix.likeliest)}.{this}",
        "said": "" if near is None else _share_near(near, matrix.trained),
        "how": HOW if matrix.trained else f"{HOW} {BY_RULE}",
    }


def _times(span: Span) -> str:
    return f"{clock(span.start)} to {clock(span.end)}"


def _share_near(near: float, trained: bool) -> str:
    share = f"{round(100 * near)} %" if near >= 0.005 else "Less than 1 %"
    what = "the chance, within this video," if trained else "the weight, within this video,"
    return f"{share} of {what} lies on this clip and those that overlap it by half or more."
