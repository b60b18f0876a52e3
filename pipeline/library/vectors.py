"""Dense search: the windows' vectors in FAISS, kept in step with the rows that any process writes.

A search first looks at the library's counter: windows added since are appended, and of every video only
the range of window ids that its rows hold counts as alive (ids only grow, and a video's windows are
written together). Up to `exact_limit` windows the search is exact over float16 rows; above it an inverted
file over 8 bit rows is trained once, in the background, while the exact one goes on answering.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, text

from pipeline.errors import AnswerClipError
from pipeline.library import vector_file
from pipeline.library.rows import unpack_vectors
from pipeline.library.search import restricted
from pipeline.types import Filters, Span

if TYPE_CHECKING:
    from pipeline.library.store import Library

log = logging.getLogger(__name__)

EXACT_LIMIT = 200_000
CACHED_FROM = 2_000  # windows; fewer are read from the rows faster than the cache is checked
PROBED = 64  # lists of the inverted file that are searched
_CHUNK = 20_000
_SAMPLED = 64  # vectors per list that it is trained with
_DEAD_SHARE = 0.25  # of the rows; more of them and the index is made anew
_UNSAVED_SHARE = 0.1


@dataclass
class Held:
    """One FAISS index with what its rows are: position `i` is window `ids[i]`, ascending."""

    model: str
    dimension: int
    index: Any
    exact: bool
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))  # videos.number
    last_id: int = 0  # every window up to here has been looked at
    revision: str = ""  # of the rows that `alive` was made for
    alive: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    saved: int = 0  # rows in the cache file

    def append(self, ids: np.ndarray, numbers: np.ndarray, vectors: np.ndarray) -> None:
        vector_file.load_faiss()  # sets this thread's number of threads
        self.index.add(vectors)
        self.ids = np.concatenate([self.ids, ids])
        self.numbers = np.concatenate([self.numbers, numbers])

    def nearest(self, vector: np.ndarray, limit: int, allowed: np.ndarray) -> list[tuple[int, float]]:
        """(window id, cosine) of the nearest rows among the allowed positions."""
        faiss = vector_file.load_faiss()
        count = int(allowed.sum())
        if not count or limit < 1:
            return []
        bits = np.packbits(allowed, bitorder="little")
        chosen: dict[str, Any] = {} if count == len(allowed) else {"sel": faiss.IDSelectorBitmap(bits)}
        if self.exact:
            parameters = faiss.SearchParameters(**chosen)
        else:  # a narrow filter searches more lists: the allowed windows may lie in any
            probed = min(self.index.nlist, math.ceil(PROBED * len(allowed) / count))
            parameters = faiss.SearchParametersIVF(nprobe=probed, **chosen)
        scores, at = self.index.search(vector[None], min(limit, count), params=parameters)
        found = [(int(self.ids[i]), float(s)) for i, s in zip(at[0], scores[0], strict=True) if i >= 0]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))  # equal ones in the same order always


class WindowIndex:
    """The windows of one library, of one text encoder at a time."""

    def __init__(self, library: Library, exact_limit: int = EXACT_LIMIT) -> None:
        self.exact_limit = exact_limit
        self._library = library
        self._held: Held | None = None
        self._lock = threading.Lock()
        self._background: threading.Thread | None = None
        self._closed = False

    def nearest(
        self, vector: np.ndarray, limit: int, filters: Filters, model: str = ""
    ) -> list[tuple[int, str, Span, float]]:
        """(window id, video id, span, cosine), best first; see `Library.nearest_windows`."""
        vector = np.ascontiguousarray(vector, dtype=np.float32).reshape(-1)
        with self._lock, self._library.snapshot() as connection:
            held = self._current(connection, model)
            if held is None or len(vector) != held.dimension or not np.isfinite(vector).all():
                return []
            allowed = _allowed(connection, held, filters)
            found = held.nearest(vector, limit, allowed)
            self._improve(held)
            return _described(connection, found)

    def size(self) -> int:
        """How many rows are held in memory; 0 before the first search."""
        return len(self._held.ids) if self._held else 0

    def settle(self, timeout: float | None = None) -> None:
        """Waits for work in the background: training, making anew, saving."""
        if thread := self._background:
            thread.join(timeout)

    def rebuild(self) -> None:
        """Forgets the index and its file; the next search makes it from the rows."""
        self.settle()
        with self._lock:
            self._held = None
            vector_file.path_in(self._library.root).unlink(missing_ok=True)

    def close(self) -> None:
        """Saves what would be slow to make again."""
        self._closed = True
        self.settle()
        with self._lock:
            if self._held and len(self._held.ids) != self._held.saved:
                self._save(self._held)
            self._held = None

    def _current(self, connection: Connection, model: str) -> Held | None:
        """The index in step with the rows of this snapshot; None when there are no vectors."""
        meta = vector_file.facts(connection)
        model = model or meta.get("text_model", "")
        if self._held is None or self._held.model != model:
            self._held = vector_file.load(self._library.root, connection, meta["library_id"], model)
            self._held = self._held or _made(connection, model)
        if self._held and self._held.revision != meta["windows_revision"]:
            if not _caught_up(connection, self._held):
                log.warning("the window index does not fit the rows and is made anew")
                self._held = _made(connection, model)
            if self._held:
                self._held.revision = meta["windows_revision"]
        return self._held

    def _improve(self, held: Held) -> None:
        """Starts in the background what would make the next searches faster or the next start shorter."""
        if self._closed or (self._background and self._background.is_alive()):
            return
        count, living = len(held.ids), int(held.alive.sum())
        outgrown = held.exact != (living <= self.exact_limit * (1.0 if held.exact else 0.5))
        wasteful = count - living > max(_CHUNK, _DEAD_SHARE * count)
        unsaved = count >= CACHED_FROM and abs(count - held.saved) > _UNSAVED_SHARE * held.saved
        if outgrown or wasteful:
            self._start(self._remake, held, living <= self.exact_limit)
        elif unsaved:
            self._start(self._save_now, held)

    def _start(self, work: Any, *arguments: Any) -> None:
        self._background = threading.Thread(target=work, args=arguments, name="window-index", daemon=True)
        self._background.start()

    def _remake(self, old: Held, exact: bool) -> None:
        try:
            with self._library.snapshot() as connection:
                made = _made(connection, old.model, exact)
        except AnswerClipError:
            log.warning("the window index could not be made anew", exc_info=True)
            return
        if made is not None:
            self._save(made)
        with self._lock:
            if self._held is old:
                self._held = made

    def _save_now(self, held: Held) -> None:
        with self._lock:
            self._save(held)

    def _save(self, held: Held) -> None:
        if len(held.ids) < CACHED_FROM:
            return
        try:
            with self._library.snapshot() as connection:
                vector_file.save(self._library.root, connection, held)
        except (OSError, AnswerClipError) as error:
            log.warning("the window index could not be saved and will be made anew: %s", error)
        held.saved = len(held.ids)  # also when it failed: not again at every search


def _made(connection: Connection, model: str, exact: bool = True) -> Held | None:
    """The index of all windows of `model`, read from the rows; None when there are none."""
    first = connection.execute(text(_ROWS + " LIMIT 1"), {"model": model, "last": 0}).first()
    if first is None:
        return None
    dimension = len(first.vector) // 2
    index = _empty(dimension) if exact else _trained(connection, model, dimension)
    held = Held(model, dimension, index, exact)
    return held if _caught_up(connection, held) else None


def _empty(dimension: int) -> Any:
    faiss = vector_file.load_faiss()
    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _trained(connection: Connection, model: str, dimension: int) -> Any:
    """An empty inverted file, its lists and 8 bit ranges fitted to a sample of the rows."""
    faiss = vector_file.load_faiss()
    count = sum(row.count for row in _living(connection, model))
    lists = 2 ** round(math.log2(max(16.0, math.sqrt(count))))
    ids = connection.scalars(text(_IDS), {"model": model}).all()
    sample = np.sort(np.random.default_rng(0).permutation(ids)[: _SAMPLED * lists])
    wanted = text("SELECT vector FROM windows WHERE id IN (SELECT value FROM json_each(:ids))")
    blobs = connection.scalars(wanted, {"ids": json.dumps(sample.tolist())}).all()
    coarse = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.niter = 8
    index.cp.max_points_per_centroid = _SAMPLED
    index.train(unpack_vectors(blobs, dimension))
    return index


# In the order of the rows, so that a few new windows are found without looking at the old ones; left to
# itself SQLite goes by video and sorts everything.
_ROWS = """
    SELECT windows.id, windows.video_number, windows.vector
    FROM windows CROSS JOIN text_vectors INDEXED BY text_vectors_by_model
        ON text_vectors.video_number = windows.video_number AND text_vectors.model = :model
    WHERE windows.id > :last ORDER BY windows.id
"""
_IDS = """
    SELECT windows.id FROM text_vectors JOIN windows ON windows.video_number = text_vectors.video_number
    WHERE text_vectors.model = :model
"""
_LIVING = """
    SELECT min(windows.id) AS first, max(windows.id) AS last, count(*) AS count
    FROM text_vectors JOIN windows ON windows.video_number = text_vectors.video_number
    WHERE text_vectors.model = :model GROUP BY text_vectors.video_number
"""


def _living(connection: Connection, model: str) -> list[Any]:
    """The range of window ids of every video that has vectors of `model`."""
    return list(connection.execute(text(_LIVING), {"model": model}))


def _caught_up(connection: Connection, held: Held) -> bool:
    """Appends what is new and marks what is alive; False when the result does not fit the rows."""
    while True:
        query = text(_ROWS + f" LIMIT {_CHUNK}")
        found = connection.execute(query, {"model": held.model, "last": held.last_id}).all()
        if not found:
            break
        if any(len(row.vector) != 2 * held.dimension for row in found):
            return False
        vectors = unpack_vectors([row.vector for row in found], held.dimension)
        held.append(
            np.array([row.id for row in found], np.int64),
            np.array([row.video_number for row in found], np.int32),
            vectors,
        )
        held.last_id = found[-1].id
    living = _living(connection, held.model)
    held.alive = _mark(held.ids, living)
    return int(held.alive.sum()) == sum(row.count for row in living)


def _mark(ids: np.ndarray, living: list[Any]) -> np.ndarray:
    """Which of the ascending `ids` lie in one of the ranges."""
    change = np.zeros(len(ids) + 1, np.int32)
    np.add.at(change, np.searchsorted(ids, [row.first for row in living], "left"), 1)
    np.add.at(change, np.searchsorted(ids, [row.last for row in living], "right"), -1)
    return np.cumsum(change[:-1]) > 0


def _allowed(connection: Connection, held: Held, filters: Filters) -> np.ndarray:
    if not filters or not len(held.ids):
        return held.alive
    where, values = restricted(filters, "number")
    numbers = connection.scalars(text(f"SELECT number FROM videos WHERE 1 {where}"), values).all()
    table = np.zeros(int(held.numbers.max()) + 1, bool)
    table[[number for number in numbers if number < len(table)]] = True
    return held.alive & table[held.numbers]


def _described(connection: Connection, found: list[tuple[int, float]]) -> list[tuple[int, str, Span, float]]:
    query = text(
        "SELECT windows.id, videos.id AS video_id, start, end FROM windows"
        " JOIN videos ON videos.number = windows.video_number"
        " WHERE windows.id IN (SELECT value FROM json_each(:ids))"
    )
    rows = connection.execute(query, {"ids": json.dumps([window for window, _ in found])})
    known = {row.id: (row.video_id, Span(row.start, row.end)) for row in rows}
    return [(window, *known[window], score) for window, score in found if window in known]
