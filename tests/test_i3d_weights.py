"""The picture network's weights: where they are looked for, and a download that goes on after a break."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from pydantic import ValidationError

from pipeline import doctor
from pipeline.errors import CheckpointMissing
from pipeline.features import weights
from pipeline.ingest import Models
from pipeline.settings import Settings

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "answerclip" / "i3d"


def settings(tmp_path: Path, **values: object) -> Settings:
    return Settings(checkpoints_dir=tmp_path / "checkpoints", library_dir=tmp_path / "library", **values)  # type: ignore[arg-type]


def put(folder: Path, data: bytes = DATA) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rgb_imagenet.pt").write_bytes(data)
    return folder / "rgb_imagenet.pt"


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    """Serves DATA; `breaks_after` bytes of each answer the connection ends, `ranges` says if it can go on."""
    state = SimpleNamespace(asked=[], breaks_after=0, ranges=True, data=DATA, status=0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
            code = state.status or (416 if begin >= len(state.data) else 206 if begin else 200)
            body = state.data[begin:] if code < 300 else b""
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.breaks_after or None])

        def log_message(self, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{running.server_port}/rgb_imagenet.pt"
    yield state
    running.shutdown()
    running.server_close()


def fetched(tmp_path: Path, server: SimpleNamespace, told: list[float] | None = None) -> Path:
    there = settings(tmp_path, i3d_url=server.url, i3d_sha256=SHA256)
    return weights.get(there, (told if told is not None else []).append)


# Looking


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    """The worker asks before its first job: an error would keep every video from being added."""
    own, in_cache = weights.places(settings(tmp_path))
    for path in (own, in_cache):
        path.parent.mkdir(parents=True)
    own.symlink_to("/proc/self/mem")  # whoever reads it, even root, gets an error
    if not own.is_file():
        pytest.skip("this system has no file that nobody can read")
    assert weights.find(settings(tmp_path)) is None and weights.expected_name(settings(tmp_path)) == ""
    in_cache.write_bytes(b"weights")
    assert weights.find(settings(tmp_path)) == in_cache


def test_nothing_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    assert weights.find(plain) is None and weights.expected_name(plain) == ""
    assert Models(plain).picture_model() == ""
    with pytest.raises(CheckpointMissing, match=r"(?s)rgb_imagenet\.pt into .*checkpoints/i3d.*docs/i3d\.md"):
        weights.get(plain)
    assert (Path(__file__).parent.parent / "docs/i3d.md").is_file()


def test_the_checkpoints_come_before_the_cache(tmp_path: Path, cache: Path) -> None:
    in_cache = put(cache)
    assert weights.find(settings(tmp_path)) == in_cache
    own = put(tmp_path / "checkpoints" / "i3d", b"others")
    assert weights.find(settings(tmp_path)) == own
    assert weights.get(settings(tmp_path)) == own
    assert weights.expected_name(settings(tmp_path)) == f"i3d-{hashlib.sha256(b'others').hexdigest()[:12]}"
    assert Models(settings(tmp_path)).picture_model() == weights.name_of(own)


def test_a_file_of_another_hash_is_not_used(tmp_path: Path, cache: Path) -> None:
    put(tmp_path / "checkpoints" / "i3d", b"others")
    wanted = settings(tmp_path, i3d_sha256=SHA256.upper())
    assert weights.find(wanted) is None and weights.expected_name(wanted) == ""
    right = put(cache)
    assert weights.find(wanted) == right


def test_a_file_that_is_replaced_has_another_name(tmp_path: Path) -> None:
    path = put(tmp_path / "checkpoints" / "i3d", b"one")
    before = weights.name_of(path)
    put(tmp_path / "checkpoints" / "i3d", b"and another")
    assert weights.name_of(path) != before


@pytest.mark.parametrize("value", ["abc", "g" * 64, SHA256 + "0"])
def test_a_hash_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, i3d_sha256=value)


@pytest.mark.parametrize("missing", ["i3d_url", "i3d_sha256"])
def test_nothing_is_downloaded_unless_address_and_hash_are_both_set(
    tmp_path: Path, server: SimpleNamespace, missing: str
) -> None:
    both = {"i3d_url": server.url, "i3d_sha256": SHA256} | {missing: ""}
    with pytest.raises(CheckpointMissing):
        weights.get(settings(tmp_path, **both))
    assert weights.expected_name(settings(tmp_path, **both)) == "" and server.asked == []


# Fetching


def test_it_is_fetched_once_into_the_cache(tmp_path: Path, cache: Path, server: SimpleNamespace) -> None:
    told: list[float] = []
    assert fetched(tmp_path, server, told) == cache / "rgb_imagenet.pt"
    assert (cache / "rgb_imagenet.pt").read_bytes() == DATA
    assert told == sorted(told) and told[-1] == 1.0
    fetched(tmp_path, server)
    assert server.asked == [None]


def test_its_name_is_known_before_it_is_fetched(tmp_path: Path, server: SimpleNamespace) -> None:
    there = settings(tmp_path, i3d_url=server.url, i3d_sha256=SHA256.upper())
    assert weights.expected_name(there) == f"i3d-{SHA256[:12]}" and server.asked == []
    assert weights.name_of(weights.get(there)) == f"i3d-{SHA256[:12]}"


def test_a_broken_download_goes_on_where_it_was(tmp_path: Path, cache: Path, server: SimpleNamespace) -> None:
    server.breaks_after = 300_000
    for _ in range(3):
        with pytest.raises(CheckpointMissing, match="could not be downloaded"):
            fetched(tmp_path, server)
    assert not (cache / "rgb_imagenet.pt").exists()
    told: list[float] = []
    server.breaks_after = 0
    fetched(tmp_path, server, told)
    assert server.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert min(told) > 0.85 and told[-1] == 1.0
    assert (cache / "rgb_imagenet.pt").read_bytes() == DATA
    assert [path.name for path in cache.iterdir() if path.suffix == ".part"] == []


def test_a_server_that_cannot_go_on_begins_anew(tmp_path: Path, cache: Path, server: SimpleNamespace) -> None:
    server.breaks_after, server.ranges = 300_000, False
    with pytest.raises(CheckpointMissing):
        fetched(tmp_path, server)
    server.breaks_after = 0
    assert fetched(tmp_path, server).read_bytes() == DATA


def test_the_beginning_of_another_file_is_thrown_away(
    tmp_path: Path, cache: Path, server: SimpleNamespace
) -> None:
    cache.mkdir(parents=True)
    (cache / ".rgb_imagenet.pt.part").write_bytes(b"x" * 1000)
    assert fetched(tmp_path, server).read_bytes() == DATA
    assert server.asked == ["bytes=1000-", None]


def test_too_much_of_another_file_is_thrown_away(
    tmp_path: Path, cache: Path, server: SimpleNamespace
) -> None:
    cache.mkdir(parents=True)
    (cache / ".rgb_imagenet.pt.part").write_bytes(b"x" * (len(DATA) + 5))
    assert fetched(tmp_path, server).read_bytes() == DATA


def test_what_was_whole_when_the_worker_died_is_not_fetched_again(
    tmp_path: Path, cache: Path, server: SimpleNamespace
) -> None:
    cache.mkdir(parents=True)
    (cache / ".rgb_imagenet.pt.part").write_bytes(DATA)
    assert fetched(tmp_path, server).read_bytes() == DATA and server.asked == []


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path, cache: Path, server: SimpleNamespace) -> None:
    server.data = DATA[::-1]
    with pytest.raises(CheckpointMissing, match="not the right file"):
        fetched(tmp_path, server)
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses(tmp_path: Path, server: SimpleNamespace, status: int) -> None:
    server.status = status
    with pytest.raises(CheckpointMissing, match=r"could not be downloaded .*docs/i3d\.md"):
        fetched(tmp_path, server)


def test_two_processes_do_not_write_one_file(tmp_path: Path, cache: Path, server: SimpleNamespace) -> None:
    cache.mkdir(parents=True)
    with (
        FileLock(cache / ".rgb_imagenet.pt.part.lock"),
        pytest.raises(CheckpointMissing, match="another process"),
    ):
        fetched(tmp_path, server)
    assert server.asked == []


# The doctor


def check(there: Settings) -> doctor.Check:
    return next(each for each in doctor.examine(there) if each.name == "picture network (I3D)")


def test_the_doctor_says_what_is_found(tmp_path: Path) -> None:
    none = check(settings(tmp_path))
    assert not none.fine and not none.needed and "none" in none.found and "docs/i3d.md" in none.remedy
    later = check(settings(tmp_path, i3d_url="https://example.org/x.pt", i3d_sha256=SHA256))
    assert not later.fine and "fetched" in later.remedy
    path = put(tmp_path / "checkpoints" / "i3d")
    found = check(settings(tmp_path))
    assert found.fine and f"i3d-{SHA256[:12]}" in found.found and "rgb_imagenet.pt" in found.found
    strange = check(settings(tmp_path, i3d_sha256="0" * 64))
    assert not strange.fine and "has not the SHA-256" in strange.found and path.is_file()
