"""`windows.faiss`: the window index on disk, so that a big library starts without reading its rows.

The file is a cache. A head line says which library, encoder and windows it is of; a checksum finds
damage; a few windows are compared with the rows, so that a restored older database is noticed.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from pipeline.library.vectors import Held

log = logging.getLogger(__name__)

_MAGIC = b"AnswerClip windows 1\n"
_CHECKED = 16  # windows compared with the rows
_BLOCK = 1 << 20


def load_faiss() -> Any:
    """The module, imported at first use, with one thread for the caller's thread.

    One question gains nothing from several threads, and where the cores are busy they wait for each
    other: 28 ms instead of 0.1 ms for 4,000 windows. (Its type stubs are incomplete, hence Any.)
    """
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss


def facts(connection: Connection) -> dict[str, str]:
    """The library's `meta` rows."""
    return {row.key: row.value for row in connection.execute(text("SELECT key, value FROM meta"))}


def path_in(root: Path) -> Path:
    return root / "windows.faiss"


def save(root: Path, connection: Connection, held: Held) -> None:
    """Writes the index under a temporary name, then renames it; OSError when that fails."""
    faiss = load_faiss()
    target = path_in(root)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with open(unfinished, "wb") as file:
            writer = _Summing(file)
            writer.write(_MAGIC + json.dumps(_head(connection, held)).encode() + b"\n")
            writer.write(held.ids.astype("<i8").tobytes())
            writer.write(held.numbers.astype("<i4").tobytes())
            faiss.write_index(held.index, faiss.PyCallbackIOWriter(writer.write))
            if writer.failed:
                raise writer.failed
            file.write(writer.sum.to_bytes(4, "little"))
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def load(root: Path, connection: Connection, library_id: str, model: str) -> Held | None:
    """The index as it was saved, or None when there is none, it is damaged or of other rows."""
    try:
        with open(path_in(root), "rb") as file:
            return _read(file, connection, library_id, model)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        log.warning("windows.faiss cannot be used and is made anew: %s", error)
        return None


def _head(connection: Connection, held: Held) -> dict[str, Any]:
    meta = facts(connection)
    living = np.flatnonzero(held.alive) if len(held.alive) == len(held.ids) else np.arange(len(held.ids))
    some = living[np.unique(np.linspace(0, len(living) - 1, _CHECKED).astype(int))] if len(living) else []
    return {
        "library": meta["library_id"],
        "model": held.model,
        "dimension": held.dimension,
        "exact": held.exact,
        "count": len(held.ids),
        "last_id": held.last_id,
        "checks": _checks(connection, [int(held.ids[i]) for i in some]),
    }


def _checks(connection: Connection, ids: list[int]) -> dict[str, int]:
    query = text("SELECT id, vector FROM windows WHERE id IN (SELECT value FROM json_each(:ids))")
    return {
        str(row.id): zlib.crc32(row.vector) for row in connection.execute(query, {"ids": json.dumps(ids)})
    }


def _read(file: BinaryIO, connection: Connection, library_id: str, model: str) -> Held | None:
    from pipeline.library.vectors import Held

    faiss = load_faiss()
    if file.readline(len(_MAGIC)) != _MAGIC:
        raise ValueError("another format")
    head = json.loads(file.readline(1 << 16))
    if (head["library"], head["model"]) != (library_id, model):
        return None
    if not _fits(connection, head):
        log.info("windows.faiss is of other rows")
        return None
    start = file.tell()
    _check_sum(file)
    file.seek(start)
    count = head["count"]
    ids = np.frombuffer(file.read(8 * count), "<i8")
    numbers = np.frombuffer(file.read(4 * count), "<i4")
    index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
    if not len(ids) == len(numbers) == index.ntotal == count or index.d != head["dimension"]:
        raise ValueError("parts of different size")
    return Held(
        model, index.d, index, head["exact"], ids.astype(np.int64), numbers.astype(np.int32),
        head["last_id"], saved=count,
    )  # fmt: skip


def _fits(connection: Connection, head: dict[str, Any]) -> bool:
    """Whether the rows can be the ones that were indexed, or later ones."""
    newest = connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'windows'")) or 0
    found = _checks(connection, [int(window) for window in head["checks"]])
    return head["last_id"] <= newest and all(found[window] == head["checks"][window] for window in found)


def _check_sum(file: BinaryIO) -> None:
    """ValueError unless the last four bytes are the checksum of all before them."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    left, found = size - 4, 0
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        found = zlib.crc32(block, found)
        left -= len(block)
    if left or file.read(4) != found.to_bytes(4, "little"):
        raise ValueError("the checksum is wrong")


class _Summing:
    """Passes bytes on and sums them up. FAISS must not see an exception, so it is kept for later."""

    def __init__(self, file: BinaryIO) -> None:
        self.sum = 0
        self.failed: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        if self.failed is None:
            try:
                self._file.write(data)
                self.sum = zlib.crc32(data, self.sum)
            except OSError as error:
                self.failed = error
        return len(data)
