"""Speech to cues: the contract of every transcriber, Whisper's and PocketSphinx's real code, what keeps
invented words out, how weights are had, and that killed work goes on."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import transcribe
from pipeline.errors import Cancelled, TranscriptionFailed, WeightsMissing
from pipeline.media import audio as read_audio
from pipeline.media import probe
from pipeline.settings import Settings
from pipeline.transcribe import PocketSphinx, Whisper, weights
from pipeline.transcribe.base import transcribe_media
from pipeline.transcribe.faster_whisper import FasterWhisper
from pipeline.transcribe.guards import Segment, said, without_loops
from pipeline.transcribe.speech import RATE, chunks, quietest, stretches
from pipeline.types import Cue, Origin, Transcript, Word
from tests.fake_transcriber import FakeTranscriber, fake_audio
from tests.media_factory import make_video
from tests.tiny_whisper import SENTENCE, save_tiny_whisper

SPOKEN = "First remove the lid of the jar. Then pour the water into the bowl and stir it slowly."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("weights") / "tiny.pt")


@pytest.fixture(scope="module")
def voice_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("flite") is None:
        pytest.skip("needs flite to make speech (apt-get install flite)")
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", SPOKEN, str(path)], check=True, timeout=60)
    return path


def tones(seconds: float, pause: float = 1.0) -> np.ndarray:
    """A chord of a second, a pause, and so on: what a detector takes for a voice."""
    time_ = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * pitch * time_) for pitch in (262, 330, 392))
    return (0.1 * chord * (time_ % (1 + pause) < 1)).astype(np.float32)


def noise(seconds: float, level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, round(seconds * RATE)).astype(np.float32)


def plain(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", "", text.lower()).split()


def word_errors(heard: str, truth: str) -> float:
    """Word error rate by edit distance."""
    left, right = plain(heard), plain(truth)
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1] / len(right)


# The contract, over every registered transcriber


@pytest.fixture(params=list(transcribe.TRANSCRIBERS))
def transcriber(request: pytest.FixtureRequest, tiny: Path) -> transcribe.Transcriber:
    if request.param == "faster-whisper":
        folder = request.getfixturevalue("converted")
        made = transcribe.make(request.param, Settings(whisper_model=str(folder)))
    else:
        made = transcribe.make(request.param, Settings(whisper_model=str(tiny)))
    made.prepare()
    return made


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as faster-whisper wants it."""
    if importlib.util.find_spec("faster_whisper") is None:
        pytest.skip("faster-whisper is optional and not installed")
    from tests.tiny_whisper import convert_tiny_whisper

    return convert_tiny_whisper(tmp_path_factory.mktemp("converted"))


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros(0, np.float32),
        np.zeros(160, np.float32),
        np.zeros(10 * RATE, np.float32),
        noise(10, 0.0005),
        noise(10, 0.01),
        np.full(RATE, np.nan, np.float32),
        np.full(5 * RATE, 0.5, np.float32),
    ],
    ids=["nothing", "10 ms", "silence", "hiss", "noise", "not a number", "constant"],
)
def test_no_words_where_nobody_speaks(transcriber: transcribe.Transcriber, audio: np.ndarray) -> None:
    assert transcriber.transcribe(audio).cues == ()


def test_contract(transcriber: transcribe.Transcriber) -> None:
    audio = np.concatenate([np.zeros(RATE, np.float32), tones(12), np.zeros(RATE, np.float32)])
    told: list[float] = []
    first = transcriber.transcribe(audio, "en", told.append)
    assert first == transcriber.transcribe(audio, "en")  # the same audio, the same words
    assert (first.origin, first.detail) == (transcriber.origin, transcriber.detail)
    assert transcriber.available() == "" and transcriber.model
    assert list(first.cues) == sorted(first.cues, key=lambda cue: cue.start)
    for cue in first.cues:
        assert cue.end <= 14.5 and cue.text == " ".join(cue.text.split())
        assert all(cue.start <= word.start <= word.end <= cue.end for word in cue.words)
        assert {type(second) for word in (cue, *cue.words) for second in (word.start, word.end)} == {float}
    assert told and told == sorted(told) and all(0 < fraction <= 1 for fraction in told)


def test_a_report_that_raises_stops_it(transcriber: transcribe.Transcriber) -> None:
    def stop(fraction: float) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        transcriber.transcribe(tones(5), "en", stop)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"whisper.*pocketsphinx"):
        transcribe.make("wisper", Settings())


# Whisper's real code on small weights


def test_whisper_says_its_sentence_with_word_times_and_language(tiny: Path) -> None:
    heard = Whisper(str(tiny)).transcribe(tones(4, pause=0.2))
    assert [cue.text for cue in heard.cues] == [SENTENCE.strip()]
    assert heard.language == "en" and heard.origin is Origin.WHISPER
    assert heard.detail == "openai-whisper tiny"
    assert [word.text for word in heard.cues[0].words] == SENTENCE.split()


def test_whisper_detects_or_takes_the_language(tmp_path: Path) -> None:
    german = Whisper(str(save_tiny_whisper(tmp_path / "de.pt", " Zuerst das Glas.", language="de")))
    assert german.transcribe(tones(4)).language == "de"
    assert german.transcribe(tones(4), "German").language == "de"
    assert german.transcribe(tones(4), "fr-CA").language == "fr"
    assert german.transcribe(tones(4), "Klingon").language == "de"


def test_whisper_text_without_blanks_keeps_its_words_together(tmp_path: Path) -> None:
    model = Whisper(str(save_tiny_whisper(tmp_path / "zh.pt", "打开盖子。", language="zh")))
    heard = model.transcribe(tones(4, pause=0.2))
    assert heard.cues[0].text == "打开盖子。"
    assert len(heard.cues[0].words) > 1


def test_whisper_loops_are_cut(tmp_path: Path) -> None:
    model = Whisper(str(save_tiny_whisper(tmp_path / "loop.pt", " thank you" * 5)))
    assert [cue.text for cue in model.transcribe(tones(4, pause=0.2)).cues] == ["thank you"]


def test_whisper_transcribes_no_silence_between_speech(tiny: Path) -> None:
    audio = np.concatenate([tones(4, 0.2), np.zeros(60 * RATE, np.float32), tones(4, 0.2)])
    cues = Whisper(str(tiny)).transcribe(audio).cues
    assert len(cues) == 2
    assert cues[0].end < 8 and cues[1].start > 63


# What keeps invented words out


def segment(
    text: str, start: float = 0, end: float = 4, no_speech: float = 0.0, log: float = -0.2
) -> Segment:
    pieces = text.split()
    step = (end - start) / max(1, len(pieces))
    words = tuple(Word(start + i * step, start + (i + 1) * step, " " + w) for i, w in enumerate(pieces))
    return Segment(start, end, text, words, no_speech, log)


ALL = [(0.0, 100.0)]


@pytest.mark.parametrize(
    ("segments", "speech", "expected"),
    [
        ([segment("Peel it.")], ALL, ["Peel it."]),
        ([segment("Thanks for watching!", 50, 54)], [(0.0, 40.0)], []),
        ([segment("Thank you.", no_speech=0.95, log=-1.0)], ALL, []),
        ([segment("Thank you.", no_speech=0.95, log=-0.1)], ALL, ["Thank you."]),
        ([segment("Bye.", i, i + 1) for i in range(3)], ALL, ["Bye."]),
        ([segment("No.", i, i + 1) for i in range(2)], ALL, ["No.", "No."]),
        ([segment("you " * 30)], ALL, ["you"]),
        ([segment("Now, so we go, so we go, so we go, so we go on.")], ALL, ["Now, so we go, on."]),
        ([segment("no no no, stop")], ALL, ["no no no, stop"]),
        ([segment(" ... ♪")], ALL, []),
    ],
)
def test_guards(segments: list[Segment], speech: list[tuple[float, float]], expected: list[str]) -> None:
    assert [cue.text for cue in said(segments, speech)] == expected


def test_a_long_loop_is_found_quickly() -> None:
    words = [Word(0, 1, text) for text in ["a", "b", "c", "d", "e", "f", "g"] * 20_000]
    began = time.monotonic()
    assert len(without_loops(words)) == 7
    assert time.monotonic() - began < 3


def test_stretches_and_chunks_hold_the_sound() -> None:
    audio = np.concatenate([np.zeros(3 * RATE, np.float32), tones(2, 0), np.zeros(3 * RATE, np.float32)])
    ((start, end),) = stretches(audio)
    assert 2.4 < start < 3.1 and 4.9 < end < 5.9
    parts = chunks(tones(60, 0.3), longest=10)
    assert all(end - start <= 10.01 for start, end in parts)
    assert all(before[1] <= after[0] for before, after in pairwise(parts))
    assert sum(end - start for start, end in parts) > 40


def test_unbroken_sound_is_cut_where_it_is_quietest() -> None:
    audio = noise(30, 0.1)
    audio[16 * RATE : round(16.4 * RATE)] *= 0.3
    assert chunks(audio, longest=20)[0][1] == pytest.approx(16.2, abs=0.2)
    assert quietest(audio, 10, 20) == pytest.approx(16.2, abs=0.2)
    assert quietest(audio[: 5 * RATE], 10, 20) == 10


# PocketSphinx


def test_pocketsphinx_understands_a_real_speaker(shared: Path, tmp_path: Path) -> None:
    truth = (
        "And so my fellow Americans, ask not what your country can do for you, "
        "ask what you can do for your country."
    )
    speech = shared / "media" / "whisper_jfk.flac"
    path = make_video(tmp_path / "jfk.mp4", seconds=11, audio=speech, size=(64, 64), fps=5)
    heard = PocketSphinx().transcribe(read_audio(path))
    assert word_errors(heard.text, truth) < 0.5
    assert {"country", "fellow"} <= set(plain(heard.text))
    assert heard.language == "en" and heard.detail.startswith("PocketSphinx 5")


def test_pocketsphinx_understands_a_made_voice_with_times(voice_file: Path) -> None:
    heard = PocketSphinx().transcribe(sound(voice_file))
    assert word_errors(heard.text, SPOKEN) < 0.4
    words = {word.text: word for cue in heard.cues for word in cue.words}
    assert 0 < words["remove"].start < words["lid"].start < words["water"].start < 5
    assert "(" not in heard.text and "<" not in heard.text


def test_pocketsphinx_hears_the_last_words_of_a_recording_that_ends_at_once(voice_file: Path) -> None:
    audio = sound(voice_file)
    whole_frames = audio[: len(audio) // 480 * 480]  # no odd rest that would end the last stretch
    assert PocketSphinx().transcribe(whole_frames).cues


def test_pocketsphinx_refuses_other_languages() -> None:
    with pytest.raises(TranscriptionFailed, match="English only"):
        PocketSphinx().transcribe(tones(2), "de")


def sound(path: Path) -> np.ndarray:
    import wave

    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE and file.getnchannels() == 1
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


# Weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "whisper"


@pytest.fixture
def server(tiny: Path) -> Iterator[SimpleNamespace]:
    """Serves the tiny weights as the publisher does; `mode` makes it misbehave."""
    state = SimpleNamespace(mode="", asked=0, sha256=hashlib.sha256(tiny.read_bytes()).hexdigest())
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            data = tiny.read_bytes()
            if state.mode == "hangs":
                release.wait(20)
                return
            self.send_response(404 if state.mode == "gone" else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            sent = {"other bytes": b"x" * len(data), "cut": data[:99]}
            self.wfile.write(sent.get(state.mode, data))

        def log_message(self, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    state.urls = {"tiny": f"http://127.0.0.1:{running.server_port}/{state.sha256}/tiny.pt"}
    yield state
    release.set()
    running.shutdown()
    running.server_close()


def test_weights_are_fetched_once_into_the_ordinary_cache(cache: Path, server: SimpleNamespace) -> None:
    told: list[float] = []
    model = Whisper("tiny", server.urls)
    assert "are not on this machine" in model.available()
    model.prepare(told.append)
    assert hashlib.sha256((cache / "tiny.pt").read_bytes()).hexdigest() == server.sha256
    assert told[-1] == 1 and model.available() == ""
    Whisper("tiny", server.urls).prepare()
    assert server.asked == 1
    assert model.transcribe(tones(4, 0.2)).text == SENTENCE.strip()
    assert model.detail == "openai-whisper tiny"


@pytest.mark.parametrize("mode", ["gone", "other bytes", "cut", "hangs"])
def test_weights_that_cannot_be_had_are_said_soon_and_leave_nothing(
    cache: Path, server: SimpleNamespace, mode: str
) -> None:
    server.mode = mode
    began = time.monotonic()
    with pytest.raises(
        WeightsMissing, match=r"(?s)and could not be downloaded .*tiny\.pt.*ANSWERCLIP_WHISPER_MODEL"
    ):
        Whisper("tiny", server.urls, patience=1.0).prepare()
    assert time.monotonic() - began < 5
    assert list(cache.iterdir()) == []


def test_damaged_weights_in_the_cache_are_fetched_again(cache: Path, server: SimpleNamespace) -> None:
    cache.mkdir(parents=True)
    (cache / "tiny.pt").write_bytes(b"half a download")
    Whisper("tiny", server.urls).prepare()
    assert server.asked == 1
    (cache / "tiny.pt").write_bytes(b"half a download")
    server.mode = "gone"
    with pytest.raises(WeightsMissing, match=r"are damaged .* and could not be downloaded"):
        Whisper("tiny", server.urls).prepare()


def test_unfinished_downloads_of_killed_processes_are_removed(cache: Path, server: SimpleNamespace) -> None:
    import os

    cache.mkdir(parents=True)
    old, new = cache / ".base.pt.1.part", cache / ".small.pt.2.part"
    for part in (old, new):
        part.write_bytes(b"...")
    os.utime(old, (time.time() - 2 * weights.ABANDONED,) * 2)
    Whisper("tiny", server.urls).prepare()
    assert not old.exists() and new.exists()


def test_a_file_that_holds_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(b"<html>")
    with pytest.raises(WeightsMissing, match=r"bad\.pt is damaged or holds no Whisper weights"):
        Whisper(str(path)).prepare()


@pytest.mark.parametrize("name", ["/nowhere/base.pt", "bse"])
def test_unknown_weights_list_the_known_sizes(name: str) -> None:
    model = Whisper(name)
    assert "tiny" in model.available() and name in model.available()
    with pytest.raises(WeightsMissing, match="ANSWERCLIP_WHISPER_MODEL"):
        model.prepare()


def test_auto_falls_back_to_pocketsphinx_and_says_so(cache: Path, server: SimpleNamespace) -> None:
    server.mode = "gone"
    chosen, notice = transcribe.choose(Settings(), first=Whisper("tiny", server.urls))
    assert chosen.name == "pocketsphinx"
    assert "roughly by PocketSphinx" in notice and "tiny.pt" in notice and "ANSWERCLIP" in notice


def test_auto_is_whisper_where_it_has_weights(tiny: Path) -> None:
    chosen, notice = transcribe.choose(Settings(whisper_model=str(tiny)))
    assert (chosen.name, notice) == ("whisper", "")


def test_what_was_named_is_not_replaced(tmp_path: Path) -> None:
    for name in ("whisper", "faster-whisper"):
        with pytest.raises(WeightsMissing):
            transcribe.choose(Settings(transcriber=name, whisper_model=str(tmp_path / "none")))
    chosen, notice = transcribe.choose(Settings(transcriber="pocketsphinx"))
    assert (chosen.name, notice) == ("pocketsphinx", "")


def test_faster_whisper_says_how_to_get_it(tmp_path: Path) -> None:
    missing = FasterWhisper(str(tmp_path)).available()
    if importlib.util.find_spec("faster_whisper") is None:
        assert "pip install faster-whisper" in missing
    else:
        assert missing == ""


# Whole videos


def media(duration: float, has_audio: bool = True) -> SimpleNamespace:
    return SimpleNamespace(duration=duration, has_audio=has_audio)


def run(work: Path, fake: FakeTranscriber, duration: float = 1000.0, **options: object) -> Transcript:
    return transcribe_media(Path("v.mp4"), media(duration), fake, work, read_audio=fake_audio, **options)


def test_long_audio_goes_in_pieces_that_meet_at_pauses(tmp_path: Path) -> None:
    fake = FakeTranscriber()
    told: list[float] = []
    heard = run(tmp_path, fake, report=told.append)
    assert len(fake.lengths) == 4 and all(270 <= length <= 330 for length in fake.lengths[:-1])
    # The fake hears each burst of sound (one every 10 s) as one cue: none is lost, doubled or cut.
    assert [round(cue.start) for cue in heard.cues] == list(range(2, 1000, 10))
    assert all(cue.end - cue.start == pytest.approx(3, abs=0.1) for cue in heard.cues)
    assert all(word.start >= cue.start for cue in heard.cues for word in cue.words)
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and len(told) > 8
    assert (heard.language, heard.detail) == ("en", "fake 1")


def test_work_killed_after_a_piece_goes_on_with_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.test_transcribe import run\n"
        "from tests.fake_transcriber import FakeTranscriber\n"
        "class Killed(FakeTranscriber):\n"
        "    def transcribe(self, audio, language='', report=None):\n"
        "        if len(self.lengths) == 2:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().transcribe(audio, language, report)\n"
        "run(Path(sys.argv[1]), Killed())\n"
    )
    root = Path(__file__).resolve().parent.parent
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.json"))) == 2
    fake = FakeTranscriber()
    heard = run(tmp_path, fake)
    assert len(fake.lengths) == 2  # of four
    assert heard == run(tmp_path / "fresh", FakeTranscriber())
    assert len(fake.lengths) == 2 and run(tmp_path, fake) == heard


def test_damaged_and_foreign_pieces_are_made_again(tmp_path: Path) -> None:
    whole = run(tmp_path, FakeTranscriber())
    pieces = sorted(tmp_path.glob("*.json"))
    pieces[0].write_text('{"end": 3')
    pieces[1].write_text('{"end": 600, "language": "en", "cues": [[5, 1, "reversed", []]]}')
    fake = FakeTranscriber()
    assert run(tmp_path, fake) == whole and len(fake.lengths) == 2
    for other in (FakeTranscriber(model="2"), FakeTranscriber(name="other")):
        run(tmp_path, other)
        assert len(other.lengths) == 4
    german = FakeTranscriber()
    assert run(tmp_path, german, language="de").language == "de"
    assert german.languages == ["de"] * 4


def test_the_language_of_the_first_words_holds_for_the_rest(tmp_path: Path) -> None:
    fake = FakeTranscriber(speaks="fr")
    assert run(tmp_path, fake).language == "fr"
    assert fake.languages == ["", "fr", "fr", "fr"]


def test_stopping_keeps_what_is_done(tmp_path: Path) -> None:
    fake = FakeTranscriber()
    with pytest.raises(Cancelled):
        run(tmp_path, fake, cancelled=lambda: len(fake.lengths) == 2)
    assert 1 <= len(list(tmp_path.glob("*.json"))) <= 2
    assert not list(tmp_path.glob("*.part"))


def test_no_sound_no_words(tmp_path: Path) -> None:
    fake = FakeTranscriber()
    heard = transcribe_media(Path("v.mp4"), media(1000, False), fake, tmp_path, read_audio=fake_audio)
    assert heard.cues == () and fake.lengths == []


def test_sound_that_ends_before_the_picture(tmp_path: Path) -> None:
    fake = FakeTranscriber()
    heard = transcribe_media(
        Path("v.mp4"),
        media(1000),
        fake,
        tmp_path,
        read_audio=lambda p, s, d: fake_audio(p, s, min(d, 40 - s)),
    )
    assert [round(cue.start) for cue in heard.cues] == [2, 12, 22, 32]


def test_an_engine_that_breaks_off_says_what_to_do(tmp_path: Path) -> None:
    class Broken(FakeTranscriber):
        def transcribe(self, audio, language="", report=None):
            raise RuntimeError("out of memory")

    with pytest.raises(TranscriptionFailed, match=r"out of memory.*smaller model"):
        run(tmp_path, Broken())


def test_a_video_from_file_to_transcript(tmp_path: Path, tiny: Path, voice_file: Path) -> None:
    path = make_video(tmp_path / "v.mp4", seconds=6, audio=voice_file)
    for transcriber, text in ((Whisper(str(tiny)), SENTENCE.strip()), (PocketSphinx(), "water")):
        heard = transcribe_media(path, probe(path), transcriber, tmp_path / "work")
        assert text in heard.text and heard.origin is transcriber.origin
        assert all(isinstance(cue, Cue) and cue.end <= 6.5 for cue in heard.cues)
    silent = make_video(tmp_path / "silent.mp4", seconds=2, audio="silence")
    assert transcribe_media(silent, probe(silent), Whisper(str(tiny)), tmp_path / "work2").cues == ()
