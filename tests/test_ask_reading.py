"""Questions for a localizer that reads ahead: it gets its rows; while some are missing, another answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import methods
from pipeline.ask import Asker
from pipeline.ingest import Models
from pipeline.library.store import Library
from pipeline.settings import Settings
from pipeline.types import Filters, Origin, Transcript
from tests.asking import SCRIPTS, cues_of, fill, id_of
from tests.fake_encoder import FakeEncoder
from tests.fake_reader import FakeReader, rows_of
from tests.work_parts import FakeEngines, work

QUESTION = "how do I make a small loop in the rope"
NAME = "ccgs"  # any trained method; its localizer is a `FakeReader` here


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as one:
        fill(one, FakeEncoder())
        yield one


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    checkpoint = tmp_path / "checkpoints" / NAME
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text(json.dumps({"method": NAME}))
    (checkpoint / "model.safetensors").write_bytes(b"")
    return Settings(checkpoints_dir=tmp_path / "checkpoints", method=NAME)


@pytest.fixture
def localizer(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """What is loaded for every trained method from here on."""
    return loaded(monkeypatch, FakeReader)


def loaded(monkeypatch: pytest.MonkeyPatch, make: Callable[[], FakeReader]) -> FakeReader:
    found, real = make(), methods.load_localizer

    def load(name: str = "windows", *where: Any, **how: Any) -> Any:
        return found if where or how else real(name)

    monkeypatch.setattr(methods, "load_localizer", load)
    return found


def read(library: Library, *titles: str, model: str = "fake-reader-1") -> None:
    for title in titles or SCRIPTS:
        cues = library.transcript(id_of(title)).cues
        assert library.set_cue_rows(id_of(title), model, rows_of([cue.text for cue in cues]), cues)


def test_a_localizer_gets_the_rows_that_it_made(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    read(library)
    reply = Asker(library, FakeEncoder(), settings).ask(QUESTION)
    assert (reply.method, reply.notice) == (NAME, "")
    assert reply.answers[0].text == "Make a small loop, the rabbit hole."
    assert localizer.texts == []  # nothing is read while somebody waits


def test_until_all_found_videos_are_read_the_untrained_method_answers(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    asker = Asker(library, FakeEncoder(), settings)
    read(library, "Tie a bowline", "Boil an egg")
    reply, plain = asker.ask(QUESTION), asker.ask(QUESTION, method="untrained")
    assert reply.method == "untrained" and reply.answers == plain.answers and plain.notice == ""
    assert reply.notice.startswith("Videos are still being prepared for CCGS: the untrained method answered.")
    only = Filters((id_of("Tie a bowline"),))
    assert asker.ask(QUESTION, only).method == NAME  # what is not asked need not be read
    quoted = asker.ask('"six minutes"')
    assert quoted.method == NAME and "Six minutes" in quoted.answers[0].text
    assert (
        asker.ask('"six minutes in the rope"').method == "untrained"
    )  # said nowhere, so asked without quotes
    read(library, "Mend a bicycle tube")
    assert asker.ask(QUESTION).method == NAME  # at once, though the library's revision is the same


def test_rows_of_another_checkpoint_or_number_are_none(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    read(library, model="older")
    asker = Asker(library, FakeEncoder(), settings)
    assert asker.ask(QUESTION).method == "untrained"
    read(library)
    assert asker.ask(QUESTION).method == NAME
    localizer.reading = "trained-longer"
    assert asker.ask(QUESTION).method == "untrained"
    localizer.reading = "fake-reader-1"

    class Behind(Library):
        def cue_rows(self, video_ids, model):
            return {video: rows[:-1] for video, rows in super().cue_rows(video_ids, model).items()}

    behind = Behind(library.root, library.engine)
    assert Asker(behind, FakeEncoder(), settings).ask(QUESTION).method == "untrained"


def test_new_words_wait_until_they_are_read(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    read(library)
    asker = Asker(library, FakeEncoder(), settings)
    assert asker.ask(QUESTION).method == NAME
    words = Transcript(cues_of(["Make a small loop in the rope."]), Origin.GIVEN, "en")
    library.set_transcript(id_of("Tie a bowline"), words)
    assert asker.ask(QUESTION).method == "untrained"
    read(library, "Tie a bowline")
    assert asker.ask(QUESTION).method == NAME


def test_a_video_in_which_nothing_is_said_keeps_nobody_waiting(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    read(library)
    library.set_transcript(id_of("Mend a bicycle tube"), Transcript((), Origin.GIVEN, "en"))
    assert Asker(library, FakeEncoder(), settings).ask(QUESTION).method == NAME


def test_a_clip_is_explained_by_the_method_that_gave_it(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    asker = Asker(library, FakeEncoder(), settings)
    waiting = asker.explain(QUESTION, id_of("Tie a bowline"))
    assert waiting.method == "untrained" and waiting.notice == asker.ask(QUESTION).notice != ""
    read(library)
    assert asker.explain(QUESTION, id_of("Tie a bowline")).method == NAME


def test_a_method_that_the_worker_does_not_prepare_says_what_to_set(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    settings.method = "untrained"
    reply = Asker(library, FakeEncoder(), settings).ask(QUESTION, method=NAME)
    assert reply.method == "untrained" and "only while ANSWERCLIP_METHOD is “ccgs”" in reply.notice


def test_other_localizers_are_given_no_rows(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = Asker(library, FakeEncoder(), Settings())

    def never(*_: object) -> dict[str, np.ndarray]:
        raise AssertionError("read for nothing")

    monkeypatch.setattr(library, "cue_rows", never)
    assert asker.ask(QUESTION).answers


# What the worker loads


def test_the_worker_reads_with_the_localizer_of_the_setting(
    library: Library, settings: Settings, localizer: FakeReader
) -> None:
    models = Models(settings)
    assert models.reader(library) is localizer

    class Engines(FakeEngines):
        reader = staticmethod(models.reader)

    work(library, engines=Engines())
    assert library.needs_cue_rows(localizer.reading) == [] and len(localizer.texts) == 24
    assert Asker(library, FakeEncoder(), settings).ask(QUESTION).method == NAME


def test_there_is_nothing_to_read_with(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert Models(Settings(method="untrained")).reader(library) is None
    assert (
        Models(Settings(method=NAME, checkpoints_dir=settings.checkpoints_dir / "no")).reader(library) is None
    )
    assert Models(settings).reader(library) is None  # a damaged checkpoint
    assert "checkpoint" in caplog.text
    loaded(monkeypatch, lambda: FakeReader(""))  # a localizer that takes no rows
    assert Models(settings).reader(library) is None
