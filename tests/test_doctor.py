"""The doctor on machines of several kinds, told by environment and folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import doctor
from pipeline.doctor import Check
from pipeline.library import jobs
from pipeline.settings import Settings
from tests.work_parts import a_file, a_library, work


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any weights."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tmp_path


def examined(tmp_path: Path, **values: object) -> dict[str, Check]:
    settings = Settings(library_dir=tmp_path / "library", **values)  # type: ignore[arg-type]
    return {check.name: check for check in doctor.examine(settings)}


def test_a_sound_installation_is_ready(tmp_path: Path) -> None:
    found = examined(tmp_path)
    for name in ("Python", "torch", "faiss-cpu", "ffmpeg", "text encoder", "PocketSphinx weights"):
        assert found[name].fine and found[name].found, name
    assert found["text encoder"].found == "all-MiniLM-L6-v2"
    assert "none yet" in found["library"].found
    assert doctor.as_text(list(found.values())).endswith("Ready.")
    assert json.loads(json.dumps(doctor.as_json(list(found.values()))))["ready"] is True
    assert not (tmp_path / "library").exists()


def test_missing_speech_weights_are_no_blocker_but_said_with_the_way_to_get_them(tmp_path: Path) -> None:
    check = examined(tmp_path)["Whisper weights"]
    assert not check.fine and not check.needed and "ANSWERCLIP_WHISPER_MODEL" in check.remedy
    assert doctor.whisper_weights() == []
    (tmp_path / "cache/whisper").mkdir(parents=True)
    for size in ("tiny", "base.en"):
        (tmp_path / f"cache/whisper/{size}.pt").write_bytes(b"weights")
    assert doctor.whisper_weights() == ["base.en", "tiny"]


def test_a_recogniser_that_was_chosen_is_needed(tmp_path: Path) -> None:
    check = examined(tmp_path, transcriber="faster-whisper")["speech recognition"]
    assert check.needed and check.found == "faster-whisper (set)"
    assert check.fine or check.remedy


def test_a_named_encoder_is_looked_for_in_folders_and_in_the_hub_s_cache(tmp_path: Path) -> None:
    missing = examined(tmp_path, text_encoder="some/encoder")["text encoder"]
    assert not missing.fine and missing.needed and "ANSWERCLIP_TEXT_ENCODER" in missing.remedy
    (tmp_path / "hf/hub/models--some--encoder/snapshots/abc").mkdir(parents=True)
    assert examined(tmp_path, text_encoder="some/encoder")["text encoder"].fine
    (tmp_path / "mine").mkdir()
    assert examined(tmp_path, text_encoder=str(tmp_path / "mine"))["text encoder"].fine


def test_the_state_of_the_library(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    source, lost = a_file(tmp_path), a_file(tmp_path, "lost.mp4", seed=1)
    jobs.submit(library, [source, lost])
    work(library)
    lost.path.unlink()
    (tmp_path / "bad.mp4").write_bytes(b"")
    jobs.submit(library, [a_file(tmp_path, "gone.mp4", seed=2)])
    (tmp_path / "gone.mp4").unlink()
    work(library)
    found = examined(tmp_path)
    assert found["library"].found == "2 videos, 2 ready; vectors of fake"
    assert found["files"].found == "1 missing" and found["jobs"].found == "1 failed"
    assert "none runs" in found["worker"].found


def test_a_library_that_cannot_be_opened_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library/library.db").write_bytes(b"no database at all" * 100)
    check = examined(tmp_path)["library"]
    assert not check.fine and check.needed and "damaged" in check.remedy


def test_a_missing_package_is_said_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.NEEDED, "no-such-package", "flying")
    found = examined(tmp_path)["no-such-package"]
    assert (found.fine, found.needed, found.found) == (False, True, "not installed")
    text = doctor.as_text([found])
    assert (
        "MISSING" in text
        and "For flying: pip install" in text
        and text.endswith("Not ready: no-such-package.")
    )


def test_a_check_that_breaks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: Settings) -> list[Check]:
        raise RuntimeError("libcuda is broken")

    monkeypatch.setattr(doctor, "_gpu", broken)
    assert "libcuda is broken" in examined(tmp_path)["broken"].found
