"""The command line: `python -m pipeline COMMAND`. Arguments in, exit code out: 0, 1 for what is refused or
failed, 2 for wrong usage.

What a command does is in `commands.py`; nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, get_args

from pydantic import ValidationError

from pipeline.errors import AnswerClipError
from pipeline.settings import MethodName, Settings

if TYPE_CHECKING:
    from pipeline.commands import Command

INTERRUPTED = 130  # what shells show for Ctrl-C
_GOES_ON = {
    "": "Interrupted. Nothing is lost: `retry` or the next `worker` goes on.",
    "train": "Interrupted. The same command with --resume goes on from the last saved state.",
}


class AddCommand(Protocol):
    """Adds a command to the parser."""

    def __call__(self, name: str, help: str) -> argparse.ArgumentParser: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    words = _with_splits(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    try:
        arguments = build_parser(not {"evaluate", "train"}.isdisjoint(words)).parse_args(words)
        _set_up_logging(arguments)
        settings = Settings()
        if "library" in arguments:
            settings.library_dir = Path(arguments.library)
        return _command(arguments.command)(arguments, settings)
    except AnswerClipError as e:
        return _say(str(e), 1)
    except ValidationError as e:
        wrong = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in e.errors())
        return _say(f"A setting in the environment is wrong: {wrong}", 2)
    except KeyboardInterrupt:
        return _say(_GOES_ON.get(words[0] if words else "", _GOES_ON[""]), INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _with_splits(words: Sequence[str]) -> list[str]:
    """The words, with a split such as -1/5 tied to its option: argparse takes it for an option itself.

    >>> _with_splits(["evaluate", "--split", "-1/5", "--limit", "3"])
    ['evaluate', '--split=-1/5', '--limit', '3']
    """
    tied: list[str] = []
    for word in words:
        if tied and tied[-1] == "--split" and re.fullmatch(r"-\d+(/\d+)?", word):
            tied[-1] = f"--split={word}"
        else:
            tied.append(word)
    return tied


def _set_up_logging(arguments: argparse.Namespace) -> None:
    """A worker writes a log; a command says itself what its user should know.

    `--verbose` is about this project: what it is built on tells its warnings only.
    """
    told = arguments.command == "worker" or "verbose" in arguments
    logging.basicConfig(
        level=logging.WARNING if told else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if "verbose" in arguments:
        logging.getLogger("pipeline").setLevel(logging.INFO)


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _write_anything(stream: TextIO) -> None:
    """Titles hold any character; a terminal of another encoding shows a stand-in instead of failing."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")


def _command(name: str) -> Command:
    from pipeline import commands

    return commands.BY_NAME[name]


def build_parser(with_learning: bool = False) -> argparse.ArgumentParser:
    """Every command and its arguments; those of `train` and `evaluate` only on demand: they import a lot."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--library", metavar="DIR", default=argparse.SUPPRESS, help="the library's folder (LIBRARY_DIR)"
    )
    shared.add_argument(
        "--verbose", action="store_true", default=argparse.SUPPRESS, help="tell what is going on"
    )
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Ask a question; get the clip of your own videos that answers it.",
        parents=[shared],
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, parents=[shared])

    _add_taking_in(command)
    _add_looking(command)
    _add_keeping(command)
    _add_data(command)
    train = command("train", "train an answer model or a retriever on data sets")
    evaluate = command("evaluate", "measure a method on a data set")
    if with_learning:
        from pipeline import evaluate as evaluating
        from pipeline import train as training

        training.add_arguments(train)
        evaluating.add_arguments(evaluate)
    return parser


def _add_taking_in(command: AddCommand) -> None:
    add = command("add", "take videos in: files, folders and links")
    add.add_argument("sources", nargs="+", metavar="PATH|URL")
    add.add_argument("--title", default="", help="the title (of one video; default: the file's name)")
    add.add_argument("--tag", action="append", default=[], metavar="TAG", help="may be given several times")
    add.add_argument("--language", default="", metavar="CODE", help="the spoken language, e.g. en")
    add.add_argument(
        "--subtitles",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="an .srt or .vtt (of one video)",
    )
    _add_no_wait(add)
    retry = command("retry", "run failed jobs again; they go on where they stopped")
    retry.add_argument("jobs", nargs="*", type=int, metavar="JOB", help="default: all that failed")
    _add_no_wait(retry)
    worker = command("worker", "run the library's jobs until stopped")
    worker.add_argument("--until-idle", action="store_true", help="end when no job is left")
    worker.add_argument("--wait", action="store_true", help="stand by while another worker runs")
    worker.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def _add_no_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="only queue, for a worker to do")


def _add_looking(command: AddCommand) -> None:
    ask = command("ask", "find the clip that answers a question")
    ask.add_argument("question")
    ask.add_argument("--top", type=_number, default=3, metavar="N", help="most clips to show (3)")
    ask.add_argument(
        "--video", action="append", default=[], metavar="ID", help="ask this video only (repeatable)"
    )
    ask.add_argument("--tag", action="append", default=[], metavar="TAG", help="ask videos with this tag")
    ask.add_argument("--language", default="", metavar="CODE", help="ask videos of this language")
    ask.add_argument(
        "--method", choices=get_args(MethodName), default="", help="what answers (ANSWERCLIP_METHOD)"
    )
    _add_json(ask)
    videos = command("list", "show the videos of the library")
    videos.add_argument("--search", default="", metavar="WORDS", help="words of titles, tags, file names")
    videos.add_argument("--tag", action="append", default=[], metavar="TAG")
    videos.add_argument("--order", choices=("added", "title", "duration", "size"), default="added")
    videos.add_argument("--jobs", action="store_true", help="show the jobs instead")
    _add_json(videos)
    show = command("show", "show one video")
    show.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--srt", action="store_true", help="its subtitles as SubRip")
    form.add_argument("--vtt", action="store_true", help="its subtitles as WebVTT")
    _add_json(form)
    doctor = command("doctor", "say what is installed, what is missing and how to get it")
    _add_json(doctor)


def _add_keeping(command: AddCommand) -> None:
    remove = command("remove", "take videos out; your own files stay where they are")
    remove.add_argument("ids", nargs="+", metavar="ID", help="an id, or the beginning of it")
    export = command("export", "write the whole library into one archive")
    export.add_argument("archive", type=Path, metavar="FILE.zip")
    bring = command("import", "add the videos of an archive to the library")
    bring.add_argument("archive", type=Path, metavar="FILE.zip")


def _add_data(command: AddCommand) -> None:
    feedback = command("feedback", "write the answers that users called right or corrected as a data set")
    feedback.add_argument("out", type=Path, metavar="FILE.json")
    prepare = command("prepare", "fetch what a published data set needs and does not hold")
    prepare.add_argument("name", choices=("medvidqa",), metavar="NAME", help="medvidqa: its videos' captions")
    prepare.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the folder of the published files"
    )
    prepare.add_argument("--retry", action="store_true", help="ask again for videos known to be gone")
    prepare.add_argument(
        "--pause", type=_pause, default=2.0, metavar="SECONDS", help="between two videos (2), to be polite"
    )


def _add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object for programs")


def _pause(text: str) -> float:
    """Seconds to wait, for argparse.

    >>> _pause("0.5")
    0.5
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:  # neither is no number
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return seconds


def _number(text: str) -> int:
    """A count of at least 1, for argparse.

    >>> _number("3")
    3
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)
