"""Where Whisper's weights lie and how they get there: the ordinary cache, and a download that either
gives the right bytes or says within seconds that it cannot.
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

from pipeline.errors import WeightsMissing
from pipeline.transcribe.base import Report, ignore

log = logging.getLogger(__name__)

PATIENCE = 8.0  # seconds until the server must have answered
STALL = 15.0  # seconds without a byte
SLOWEST = 20_000  # bytes a second: below it, half a minute into the download, it is given up
ABANDONED = 3600.0  # seconds after which an unfinished download of a killed process is removed


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


def opened(url: str, patience: float = PATIENCE) -> Any:
    """The server's answer. Looking up a name cannot be interrupted, so it is done aside."""
    answers: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=min(patience, STALL)))
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


def _copied(answer: Any, file: Any, report: Report) -> str:
    """The SHA-256 of what was copied."""
    total = int(answer.headers.get("Content-Length") or 0)
    seen, done, began = hashlib.sha256(), 0, time.monotonic()
    while data := answer.read1(1 << 18):
        file.write(data)
        seen.update(data)
        done += len(data)
        report(min(1.0, done / total) if total else 0.0)
        spent = time.monotonic() - began
        if spent > 30 and done / spent < SLOWEST:
            raise TimeoutError("the connection is too slow")
    return seen.hexdigest()


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            part.unlink(missing_ok=True)
