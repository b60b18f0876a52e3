"""Where Whisper's weights lie and how they get there: the ordinary cache, and a download that either
gives the right bytes or says within seconds that it cannot. `fetch_on` is for larger ones of other
networks: it goes on where an earlier try broke off.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import threading
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from filelock import FileLock, Timeout

from pipeline.errors import WeightsMissing
from pipeline.transcribe.base import Report, ignore

log = logging.getLogger(__name__)

PATIENCE = 8.0  # seconds until the server must have answered
STALL = 15.0  # seconds without a byte
SLOWEST = 20_000  # bytes a second: below it, half a minute into the download, it is given up
ABANDONED = 3600.0  # seconds after which an unfinished download of a killed process is removed
LARGEST = 4 << 30  # bytes of a download; whoever sends more does not send weights
_RANGE_NOT_SATISFIABLE = 416


class NotFetched(WeightsMissing):
    """A download failed; the message is the end of a sentence about the weights."""


def cache_folder() -> Path:
    """Where openai-whisper itself keeps its weights."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "whisper"


def tidy(path: Path) -> str:
    """The path as a user writes it."""
    home = str(Path.home())
    return "~" + str(path)[len(home) :] if str(path).startswith(home + os.sep) else str(path)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opened(url: str, patience: float = PATIENCE, begin: int = 0) -> Any:
    """The server's answer, from byte `begin` on if it can. Looking up a name cannot be interrupted, so it
    is done aside."""
    answers: queue.Queue[Any] = queue.Queue()
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=min(patience, STALL)))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="weights", daemon=True).start()
    try:
        answer = answers.get(timeout=patience)
    except queue.Empty:
        raise TimeoutError("no answer") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def fetch(url: str, sha256: str, target: Path, report: Report = ignore, patience: float = PATIENCE) -> None:
    """Download to `target`, under a temporary name until the bytes are proven right."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
        with opened(url, patience) as answer, part.open("wb") as file:
            found = _copied(answer, file, report)
        if found != sha256:
            raise ValueError("what came is not the right file")
        part.replace(target)
    except (OSError, HTTPException, ValueError) as error:
        log.info("weights could not be fetched from %s: %s", url, error)
        reason = getattr(error, "reason", error)  # urllib wraps what the system said
        raise NotFetched(f"could not be downloaded ({reason})") from error
    finally:
        part.unlink(missing_ok=True)


def fetch_on(
    url: str, sha256: str, target: Path, report: Report = ignore, patience: float = PATIENCE
) -> None:
    """The same, but what came is kept when the download breaks off, and the next try goes on from there.

    NotFetched also while another process downloads the same file.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{part}.lock", timeout=0):
            if not target.is_file() or digest(target) != sha256:
                _complete(url, sha256, part, report, patience)
                part.replace(target)
    except Timeout as error:
        raise NotFetched("are being downloaded by another process") from error
    except (OSError, HTTPException, ValueError) as error:
        log.info("weights could not be fetched from %s: %s", url, error)
        reason = getattr(error, "reason", error)
        raise NotFetched(f"could not be downloaded ({reason})") from error


def _complete(url: str, sha256: str, part: Path, report: Report, patience: float) -> None:
    """Make `part` the file of that SHA-256; ValueError, and no part is left, when something else comes."""
    while not (part.is_file() and digest(part) == sha256):
        begin = part.stat().st_size if part.is_file() else 0
        if _append(url, part, begin, report, patience):
            begin = 0  # sent from its first byte on
        if digest(part) != sha256:
            part.unlink()
            if not begin:
                raise ValueError("what came is not the right file")
            log.info("the beginning of %s was of something else; it is fetched anew", part.name)


def _append(url: str, part: Path, begin: int, report: Report, patience: float) -> bool:
    """Fetch what follows byte `begin`; whether the server began at the first byte instead."""
    try:
        answer = opened(url, patience, begin)
    except HTTPError as error:
        if error.code == _RANGE_NOT_SATISFIABLE and begin:
            return False  # there is nothing behind `begin`
        raise
    with answer:
        resumed = begin > 0 and answer.status == 206
        with part.open("ab" if resumed else "wb") as file:
            _copied(answer, file, report, begin if resumed else 0)
    return not resumed


def _copied(answer: Any, file: Any, report: Report, begin: int = 0) -> str:
    """The SHA-256 of what was copied; `begin` bytes are there already."""
    length = int(answer.headers.get("Content-Length") or 0)
    seen, done, began = hashlib.sha256(), 0, time.monotonic()
    while data := answer.read1(1 << 18):
        file.write(data)
        seen.update(data)
        done += len(data)
        report(min(1.0, (begin + done) / (begin + length)) if length else 0.0)
        spent = time.monotonic() - began
        if spent > 30 and done / spent < SLOWEST:
            raise TimeoutError("the connection is too slow")
        if begin + done > LARGEST:
            raise ValueError("it is far too large")
    if done < length:
        raise ConnectionError("the connection broke off")
    return seen.hexdigest()


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            part.unlink(missing_ok=True)
