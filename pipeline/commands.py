"""What each command of the command line does: arguments and settings in, text on the terminal and an
exit code out. Results go to standard output, what went wrong to standard error.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import SourceRefused, VideoNotFound
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.showing import job_as_json, reply_as_json, reply_as_text, video_as_json, video_line
from pipeline.types import Filters, Video

if TYPE_CHECKING:
    from pipeline.library.jobs import Job
    from pipeline.sources import Source

OK, REFUSED, WRONG_USAGE = 0, 1, 2

Command = Callable[[argparse.Namespace, Settings], int]


def _tell(text: str = "") -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tell_json(value: Any) -> int:
    _tell(json.dumps(value, ensure_ascii=False, indent=2))
    return OK


def add(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.library import jobs

    with Library.open(settings.library_dir) as library:
        sources = _sources(arguments.sources, settings)
        for_one = bool(arguments.title or arguments.subtitles)
        if for_one and len(sources) != 1:
            _complain("--title and --subtitles are for one video at a time.")
            return WRONG_USAGE
        sources = [_with_options(source, arguments) for source in sources]
        queued = jobs.submit(library, sources)
        return _wait_for(library, settings, queued, arguments.no_wait)


def _sources(words: Sequence[str], settings: Settings) -> list[Source]:
    from pipeline.sources import from_paths

    links = [word for word in words if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", word)]
    paths = [word for word in words if word not in links]
    found = from_paths(paths) if paths else []
    for link in links:
        found += _of_link(link, settings)
    return found


def _of_link(url: str, settings: Settings) -> list[Source]:
    """The videos behind a link; what a playlist holds too much, or what is refused, is said."""
    from pipeline.sources import Links, from_item

    items = Links(settings).probe(url)
    if len(items) == settings.max_playlist > 1:
        _complain(f"The first {len(items)} videos of the playlist are taken (ANSWERCLIP_MAX_PLAYLIST).")
    for item in items:
        if item.refused:
            _complain(f"refused  {item.title or item.url}: {item.refused}")
    found = [from_item(item) for item in items if not item.refused]
    if not found:
        raise SourceRefused(f"Nothing at {url} can be added.")
    return found


def _with_options(source: Source, arguments: argparse.Namespace) -> Source:
    for path in arguments.subtitles:
        if not path.is_file():
            raise SourceRefused(f"There is no subtitle file {path}. Check the path.")
    given = tuple(path.absolute() for path in arguments.subtitles)
    return replace(
        source,
        title=arguments.title or source.title,
        tags=(*source.tags, *arguments.tag),
        language=arguments.language or source.language,
        subtitles=given or source.subtitles,
    )


def retry(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.library import jobs

    with Library.open(settings.library_dir) as library:
        again = [job for each in arguments.jobs or [None] for job in jobs.retry(library, each)]
        if not again:
            _tell("No job has failed.")
            return OK
        return _wait_for(library, settings, again, arguments.no_wait)


def _wait_for(library: Library, settings: Settings, queued: Sequence[Job], no_wait: bool) -> int:
    if no_wait:
        for job in queued:
            _tell_end(library, job) if not job.active else _tell(f"queued   job {job.id}  {job.title}")
        return OK
    from pipeline.follow import follow

    ended = follow(library, settings, [job.id for job in queued], lambda job: _tell_end(library, job))
    return OK if all(job.status in ("done", "already") for job in ended) else REFUSED


def _tell_end(library: Library, job: Job) -> None:
    if job.status == "done" and job.of_many:
        _tell(f"done     {job.title}")
    elif job.status == "done":
        video = library.video(job.video_id)
        _tell(f"ready    {video.id}  {video.title}")
        if video.notice:
            _tell(f"         {video.notice}")
    elif job.status == "already":
        _tell(f"already  {job.video_id}  {job.message}")
    else:
        _complain(f"{job.status:8} job {job.id}  {job.title}: {job.message}")


def worker(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.library.supervise import end_with_parent
    from pipeline.library.worker import Worker

    with Library.open(settings.library_dir) as library:
        here = Worker(library, settings)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: here.stop())
        if arguments.with_parent:
            _be_nice()
            end_with_parent(here.stop)
        run = here.run_until_idle if arguments.until_idle else here.run_forever
        run(wait=arguments.wait)
    return OK


def _be_nice() -> None:
    """Answers come before ingest: the worker yields the processor to the app beside it."""
    import os

    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)


def ask(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.ask import Asker

    with Library.open(settings.library_dir) as library:
        filters = Filters(
            tuple(_video(library, each).id for each in arguments.video),
            tuple(arguments.tag),
            arguments.language,
        )
        asker = Asker(library, None, settings)
        reply = asker.ask(arguments.question, filters, arguments.top, arguments.method)
    if arguments.json:
        return _tell_json(reply_as_json(reply))
    _tell(reply_as_text(reply))
    return OK


def list_videos(arguments: argparse.Namespace, settings: Settings) -> int:
    with Library.open(settings.library_dir) as library:
        if arguments.jobs:
            return _list_jobs(library, arguments.json)
        videos = library.videos(arguments.search, Filters(tags=tuple(arguments.tag)), arguments.order)
        if arguments.json:
            return _tell_json({"videos": [video_as_json(video) for video in videos]})
        if not videos:
            wanted = arguments.search or arguments.tag
            _tell("No video fits." if wanted else "The library is empty. `add` takes videos in.")
        for video in videos:
            _tell(video_line(video))
        return OK


def _list_jobs(library: Library, as_objects: bool) -> int:
    from pipeline.library import jobs

    found = jobs.jobs(library)
    if as_objects:
        return _tell_json({"jobs": [job_as_json(job) for job in found]})
    for job in found:
        far = f"{job.stage} {job.fraction or 0:.0%}" if job.status == "running" else ""
        _tell(f"{job.id:5}  {job.status:9}  {job.title}  {job.message or far}".rstrip())
    if not found:
        _tell("There are no jobs.")
    return OK


def show(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline import subtitles

    with Library.open(settings.library_dir) as library:
        video = _video(library, arguments.id)
        cues = library.transcript(video.id).cues
    if arguments.srt or arguments.vtt:
        sys.stdout.write(subtitles.to_srt(cues) if arguments.srt else subtitles.to_vtt(cues))
        return OK
    described = video_as_json(video)
    if arguments.json:
        lines = [{"start": cue.start, "end": cue.end, "text": cue.text} for cue in cues]
        return _tell_json(described | {"cues": lines})
    for name, value in described.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if shown not in ("", None, False):
            _tell(f"{name.replace('_', ' '):17} {shown}")
    _tell(f"{'cues':17} {len(cues)}")
    return OK


def _video(library: Library, wanted: str) -> Video:
    """The video of an id or of the beginning of one that fits no other."""
    try:
        return library.video(wanted)
    except VideoNotFound:
        fitting = [video for video in library.videos() if wanted and video.id.startswith(wanted.lower())]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise VideoNotFound(
                f"{len(fitting)} videos have ids that begin with {wanted!r}. Give more of it."
            ) from None
        raise VideoNotFound(f"There is no video {wanted!r}. `list` shows those there are.") from None


def remove(arguments: argparse.Namespace, settings: Settings) -> int:
    with Library.open(settings.library_dir) as library:
        chosen = {video.id: video for video in (_video(library, each) for each in arguments.ids)}
        for video in chosen.values():
            library.remove(video.id)
            kept = "" if video.owned else f" (your file stays: {video.path})"
            _tell(f"removed  {video.id}  {video.title}{kept}")
    return OK


def export(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.follow import simple_bar
    from pipeline.library.archive import export_library

    bar, report = simple_bar("export")
    with Library.open(settings.library_dir) as library, bar:
        export_library(library, arguments.archive, report)
        count = library.count()
    megabytes = arguments.archive.stat().st_size / 1e6
    _tell(f"The library is in {arguments.archive} (videos: {count}, {megabytes:,.1f} MB).")
    return OK


def bring(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.features.text import encoder_name
    from pipeline.follow import simple_bar
    from pipeline.library.archive import import_library

    bar, report = simple_bar("import")
    with Library.open(settings.library_dir) as library, bar:
        counts = import_library(library, arguments.archive, report)
        outdated = library.needs_vectors(encoder_name(settings.text_encoder))
    _tell(f"Imported: {counts}.")
    if outdated:
        _tell(f"{len(outdated)} videos get vectors of this library's text encoder when a worker runs next.")
    return OK


def doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline import doctor

    checks = doctor.examine(settings)
    if arguments.json:
        _tell_json(doctor.as_json(checks))
    else:
        _tell(doctor.as_text(checks))
    return OK if all(check.fine for check in checks if check.needed) else REFUSED


def evaluate(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.evaluate import main

    return int(main(arguments, settings) or OK)


def feedback(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.feedback import write

    out = arguments.out
    with Library.open(settings.library_dir) as library:
        found = write(library, out)
    _tell(f"{found.summary()} Measure with them:")
    data = shlex.quote(f"medvidqa:{out.parent}")
    _tell(f"python -m pipeline evaluate --data {data} --split {shlex.quote(out.stem)}")
    return OK


def train(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.train import run

    try:
        found = run(arguments, settings)
    except ValueError as e:
        _complain(str(e))
        return WRONG_USAGE
    except OSError as e:
        _complain(str(e))
        return REFUSED
    measures = ", ".join(f"{name} {value}" for name, value in found["dev_measures"].items())
    _tell(f"{found['method']} is in {arguments.out}. Dev: {measures}; {found['seconds']} s.")
    return OK


def prepare(arguments: argparse.Namespace, settings: Settings) -> int:
    from pipeline.prepare import prepare_medvidqa

    try:
        return prepare_medvidqa(arguments.data, settings, arguments.retry, arguments.pause, _tell, _complain)
    except OSError as e:  # the folder may not be written, or the disk is full
        _complain(str(e))
        return REFUSED


BY_NAME: dict[str, Command] = {
    "add": add,
    "ask": ask,
    "list": list_videos,
    "show": show,
    "remove": remove,
    "retry": retry,
    "export": export,
    "import": bring,
    "worker": worker,
    "doctor": doctor,
    "feedback": feedback,
    "prepare": prepare,
    "train": train,
    "evaluate": evaluate,
}
