"""The stage "subtitles": the words of a video from the best source there is, as cues that end with
sentences. Order: files that came with it, tracks inside it, the site's captions, its speech.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import subtitles
from pipeline.errors import SubtitlesFailed, TranscriptionFailed
from pipeline.ingest import Task, write_transcript
from pipeline.retrieve.words import guess_language
from pipeline.types import Cue, Origin, Transcript


def subtitle(task: Task) -> dict[str, Any]:
    """Have the words: given with the file, inside it, the site's, else recognised from the speech."""
    notices: list[str] = []
    found = None if task.kind == "retranscribe" else _existing(task, notices)
    if found is None:
        found = _spoken(task, notices)
    cues = subtitles.recut(_within(found.cues, task.media.duration))
    language = found.language or _language(task) or _guessed_language(cues)
    write_transcript(task.work / "transcript.json", replace(found, cues=cues, language=language))
    return {"file": "transcript.json", "notice": " ".join(notices)}


def _existing(task: Task, notices: list[str]) -> Transcript | None:
    """Subtitles that need not be made, in the order of their worth; what is unreadable is said."""
    given: list[Callable[[], Transcript]] = []
    automatic: list[Callable[[], Transcript]] = []
    for path, origin, language in given_subtitles(task):
        read = _read_file(path, origin, language)
        (automatic if origin is Origin.SITE_AUTOMATIC else given).append(read)
    inside = [lambda: _embedded(task)] if task.media.text_tracks else []
    order = given + inside + automatic
    if task.result("fetch").get("subtitles"):  # the site's own words are better than its file's
        order = given + automatic + inside
    for read in order:
        try:
            if (found := read()).cues:
                return found
        except SubtitlesFailed as e:
            notices.append(str(e))
    return None


def _read_file(path: Path, origin: Origin, language: str) -> Callable[[], Transcript]:
    return lambda: Transcript(subtitles.read(path), origin, two_letters(language))


def _embedded(task: Task) -> Transcript:
    cues, language = subtitles.embedded(task.original, task.media)
    return Transcript(cues, Origin.EMBEDDED, two_letters(language))


def _spoken(task: Task, notices: list[str]) -> Transcript:
    from pipeline.transcribe.base import transcribe_media

    if not task.media.has_audio:
        notices.append("It has no sound and no subtitles: only its title can be searched.")
        return Transcript((), Origin.GIVEN)
    task.ledger.save(plan=task.plan | {"speech": True})
    while not task.engines.speech.acquire(timeout=0.3):
        task.check()
        task.ledger.report(None, "waits for another video's speech")
    try:
        loading = task.part(0, 0, "loading the speech model")
        loading(0.0)
        transcriber, notice = task.engines.transcriber(loading, again=task.kind == "retranscribe")
        notices += [notice] if notice else []
        found = transcribe_media(
            task.heard,
            task.media,
            transcriber,
            task.work,
            _language(task),
            task.part(0, 1, "listening to the speech"),
            task.ledger.cancelled,
        )
    finally:
        task.engines.speech.release()
    if not found.cues and task.kind == "retranscribe":
        raise TranscriptionFailed("No speech was recognised. The transcript stays as it was.")
    if not found.cues:
        notices.append("No speech was recognised: only its title can be searched.")
    return found


def given_subtitles(task: Task) -> list[tuple[Path, Origin, str]]:
    """Subtitle files that came with the source, where they come from, and their language."""
    loaded = [
        (Path(path), Origin(origin), language)
        for path, origin, language in task.result("fetch").get("subtitles", ())
    ]
    own = [(path, Origin.GIVEN, language_of(path)) for path in (task.source.subtitles if task.source else ())]
    return own + loaded


def _within(cues: Sequence[Cue], duration: float) -> tuple[Cue, ...]:
    """Cues of the video's own time: what lies behind its end is dropped, what reaches over it is cut."""
    kept = []
    for cue in cues:
        if cue.end <= duration:
            kept.append(cue)
        elif cue.start < duration - 0.05:
            words = tuple(
                replace(word, end=min(word.end, duration)) for word in cue.words if word.start < duration
            )
            kept.append(Cue(cue.start, duration, cue.text, words))
    return tuple(kept)


def _language(task: Task) -> str:
    asked = task.source.language if task.source else task.state.get("language", "")
    return asked or task.result("fetch").get("language", "") or task.settings.language


def language_of(path: Path) -> str:
    """The language in a name like `talk.en.srt`.

    >>> language_of(Path("talk.pt-BR.vtt")), language_of(Path("talk.srt")), language_of(Path("v1.mix.srt"))
    ('pt', '', '')
    """
    part = path.stem.rpartition(".")[2].split("-")[0].split("_")[0].lower() if "." in path.stem else ""
    return part if len(part) == 2 and part.isalpha() else ""


def _guessed_language(cues: Sequence[Cue]) -> str:
    guess = guess_language(" ".join(cue.text for cue in cues[:60]))
    return guess if guess.isalpha() else ""


_THREE_LETTERS = {
    "eng": "en", "ger": "de", "deu": "de", "fre": "fr", "fra": "fr", "spa": "es", "ita": "it", "por": "pt",
    "dut": "nl", "nld": "nl", "rus": "ru", "pol": "pl", "chi": "zh", "zho": "zh", "jpn": "ja", "kor": "ko",
    "ara": "ar", "hin": "hi", "tur": "tr", "swe": "sv", "cze": "cs", "ces": "cs", "ukr": "uk",
}  # fmt: skip


def two_letters(language: str) -> str:
    """A track's language as ISO 639-1 where it is a common one, "" where it is undetermined.

    >>> two_letters("ger"), two_letters("en-US"), two_letters("und")
    ('de', 'en', '')
    """
    code = language.lower().split("-")[0]
    return _THREE_LETTERS.get(code, code if len(code) == 2 else "")
