"""Dense search: the windows' vectors in FAISS, kept up with the rows of every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from pipeline.library import rows, search
from pipeline.types import Filters, Span

if TYPE_CHECKING:
    from pipeline.library.store import Library


class WindowIndex:
    def __init__(self, library: Library) -> None:
        self._library = library

    def nearest(
        self, vector: np.ndarray, limit: int, filters: Filters, model: str = ""
    ) -> list[tuple[int, str, Span, float]]:
        model = model or self._library.text_model()
        where, values = search._restricted(filters, "videos.number")
        query = f"""SELECT windows.id, videos.id AS video_id, start, end, vector FROM windows
            JOIN videos ON videos.number = windows.video_number
            JOIN text_vectors ON text_vectors.video_number = videos.number
            WHERE text_vectors.model = :model {where}"""
        with self._library.snapshot() as connection:
            found = connection.execute(text(query), {"model": model, **values}).all()
        if not found or len(found[0].vector) != 2 * len(vector):
            return []
        scores = rows.unpack_vectors([row.vector for row in found], len(vector)) @ vector
        best = np.argsort(-scores, kind="stable")[:limit]
        return [
            (found[i].id, found[i].video_id, Span(found[i].start, found[i].end), float(scores[i]))
            for i in best
        ]

    def rebuild(self) -> None:
        pass

    def close(self) -> None:
        pass
