"""The methods one can choose to answer with: each a localizer and a retriever by name, loaded on first use.

To add one: a row in `METHODS` (and its name in `settings.MethodName`). A method whose checkpoint is missing
or damaged gives way to the untrained one, with a notice.
"""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.confidence import FILE, Confidence
from pipeline.errors import BadQuestion, CheckpointMissing
from pipeline.library.store import Library
from pipeline.localize import NETWORKS, Localizer, load_localizer
from pipeline.retrieve import Retriever, load_retriever
from pipeline.settings import Settings

log = logging.getLogger(__name__)

UNTRAINED, DEFAULT = "untrained", "default"
_TRAINED_RETRIEVERS = ("dpr",)
_FILES = ("config.json", "model.safetensors")
_PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Method:
    """A name for settings and addresses, a label for people, and what answers."""

    name: str
    label: str
    localizer: str
    retriever: str
    blurb: str

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the checkpoints it needs."""
        localizer = (self.localizer,) if self.localizer in NETWORKS else ()
        return localizer + ((self.retriever,) if self.retriever in _TRAINED_RETRIEVERS else ())


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            UNTRAINED,
            "Untrained",
            "windows",
            "fused",
            "Compares words and meaning. Needs no training; fits any subject.",
        ),
        Method(
            DEFAULT,
            "AnswerClip",
            "default",
            "fused",
            "Trained here: reads each cue with what is said around it, and finds where a section begins.",
        ),
        Method("ccgs", "CCGS", "ccgs", "fused", "One matrix of spans ranks the videos and finds the clip."),
        Method(
            "mutualsl",
            "MutualSL",
            "mutualsl",
            "fused",
            "Reads the words; where it is trained with pictures, a second predictor teaches it.",
        ),
        Method(
            "bm25-span",
            "BM25 + span",
            "spanbase",
            "bm25",
            "Baseline: videos by shared words, then a trained reader.",
        ),
        Method(
            "dpr-span",
            "DPR + span",
            "spanbase",
            "dpr",
            "Baseline: videos by trained vectors, then a trained reader.",
        ),
    )
}


def folder_of(name: str, settings: Settings) -> Path:
    """Where the checkpoint of this name lies: of the default there are two, see the setting."""
    free = name == DEFAULT and settings.default_weights == "cc0"
    return settings.checkpoints_dir / (f"{name}-cc0" if free else name)


@dataclass(frozen=True)
class Parts:
    """What answers: a method with its parts loaded, and the confidence fitted to it where there is one."""

    method: Method
    localizer: Localizer
    retriever: Retriever
    confidence: Confidence | None = None


def commands(method: Method, settings: Settings) -> tuple[str, ...]:
    """The commands that train what the method lacks; none when it can be used."""
    return tuple(
        f"python -m pipeline train --method {name} --data NAME:DIR --out {_shown(folder)}"
        for name, folder in ((name, folder_of(name, settings)) for name in method.trained)
        if not all((folder / file).is_file() for file in _FILES)
    )


def available(method: Method, settings: Settings) -> str:
    """ "" when the method can be used, else what is missing and the command to get it."""
    missing = commands(method, settings)
    return f"{method.label} is not trained yet. Train it with `{'` and `'.join(missing)}`." if missing else ""


def load(method: Method, library: Library, settings: Settings) -> tuple[Localizer, Retriever]:
    """Both parts of a method. CheckpointMissing says what is missing or damaged, and how to get it."""
    return Methods(library, settings).load(method)


class Methods:
    """The methods of one library. Each part is loaded once, whatever methods share it, and again only when
    its checkpoint has changed."""

    def __init__(
        self,
        library: Library,
        settings: Settings,
        localizer: Localizer | None = None,
        retriever: Retriever | None = None,
    ) -> None:
        self._library, self._settings = library, settings
        # Parts that were given are what is meant when no method is named.
        self._default = UNTRAINED if localizer or retriever else settings.method
        self.untrained = Parts(
            METHODS[UNTRAINED], localizer or load_localizer(), retriever or load_retriever(library)
        )
        self._loaded: dict[str, tuple[object, Any]] = {}
        self._loading = threading.Lock()

    def parts(self, name: str = "") -> tuple[Parts, str]:
        """The method of this name (default: the setting's), and why it is the untrained one where it should
        not be. BadQuestion for a name that is none."""
        name = name or self._default
        if name not in METHODS:
            raise BadQuestion(f"There is no method “{name[:40]}”. Choose one of {', '.join(METHODS)}.")
        method = METHODS[name]
        if name == UNTRAINED:
            return self.untrained, ""
        if commands(method, self._settings):
            return self.untrained, f"{method.label} is not trained yet: the untrained method answered."
        try:
            return Parts(method, *self.load(method), self._confidence(method)), ""
        except CheckpointMissing as e:
            log.warning("%s: %s", method.label, e)
            return self.untrained, broken(method)

    def load(self, method: Method) -> tuple[Localizer, Retriever]:
        """Both parts. CheckpointMissing says what is missing or damaged, and how to get it."""
        if missing := available(method, self._settings):
            raise CheckpointMissing(missing)
        localizer, retriever = self.untrained.localizer, self.untrained.retriever
        if method.localizer != METHODS[UNTRAINED].localizer:
            localizer = self._once(
                method.localizer,
                lambda: load_localizer(
                    method.localizer, checkpoint=folder_of(method.localizer, self._settings)
                ),
            )
        if method.retriever in _TRAINED_RETRIEVERS:
            retriever = self._once(
                method.retriever,
                lambda: load_retriever(
                    self._library, method.retriever, checkpoints=self._settings.checkpoints_dir
                ),
            )
        elif method.retriever != METHODS[UNTRAINED].retriever:
            retriever = self._once(method.retriever, lambda: load_retriever(self._library, method.retriever))
        return localizer, retriever

    def _confidence(self, method: Method) -> Confidence | None:
        """The one that lies beside the weights of its localizer, which it was fitted to."""
        folder = folder_of(method.localizer, self._settings)
        return self._once(f"{method.localizer}/{FILE}", lambda: Confidence.beside(folder), folder)

    def _once(self, name: str, make: Callable[[], Any], folder: Path | None = None) -> Any:
        """What was loaded before, or failed to, as long as the files of the checkpoint are the same."""
        state = _state(folder or folder_of(name, self._settings))
        with self._loading:
            known = self._loaded.get(name)
            if known is None or known[0] != state:
                try:
                    made = make()
                except CheckpointMissing as e:
                    made = e
                except Exception as e:  # a checkpoint is a file of others: whatever it makes its reader raise
                    log.exception("checkpoint of %s", name)
                    made = CheckpointMissing(f"The checkpoint of {name} cannot be used: {e}")
                known = self._loaded[name] = (state, made)
        if isinstance(known[1], CheckpointMissing):
            raise known[1]
        return known[1]


def broken(method: Method) -> str:
    """The notice of a method that is there but cannot answer."""
    return (
        f"{method.label} cannot be used: its checkpoint is damaged or does not fit this library (the log "
        "says more). The untrained method answered."
    )


def unread(method: Method) -> str:
    """The notice of a method whose network takes what these videos or this question do not have."""
    return (
        f"{method.label} cannot read these videos: it needs vectors of the text encoder (and, where it looks "
        "at pictures, features of them) as it was trained with. The untrained method answered."
    )


def unprepared(method: Method, chosen: bool) -> str:
    """The notice of a method that has yet to read some of the videos; `chosen`: the setting names it, so that
    the worker lets it read all of them."""
    if chosen:
        return (
            f"Videos are still being prepared for {method.label}: the untrained method answered. "
            "This passes by itself while the app runs."
        )
    return (
        f"{method.label} reads videos before it can answer, and does so only while ANSWERCLIP_METHOD is "
        f"“{method.name}”. The untrained method answered."
    )


def _state(folder: Path) -> tuple[tuple[int, int], ...]:
    """Changes when a checkpoint is written anew."""
    files = [folder / name for name in (*_FILES, FILE)]
    return tuple((s.st_mtime_ns, s.st_size) for s in (f.stat() for f in files if f.is_file()))


def _shown(folder: Path) -> str:
    """A path as the command line takes it in the project's folder; no more of the server's disk than that."""
    if folder.is_relative_to(_PROJECT):
        folder = folder.relative_to(_PROJECT)
    if not folder.is_absolute():
        return shlex.quote(str(folder))
    return f'"$ANSWERCLIP_CHECKPOINTS_DIR"/{folder.name}'
