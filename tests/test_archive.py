"""A library leaves as one file and comes back the same; hostile and damaged archives change nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from pipeline.errors import BadArchive, DiskFull, LibraryError
from pipeline.features.text import TextVectors, Windows
from pipeline.library import archive_format
from pipeline.library.archive import export_library, import_library
from pipeline.library.schema import JobRow
from pipeline.library.search import to_match
from pipeline.library.store import Library
from pipeline.types import Cue, Origin, Passage, Span, Transcript, Video, Word
from tests.library_factory import MODEL, a_vector, a_video, owned_video

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "other") as opened:
        yield opened


def put(library: Library, video: Video, *sentences: str, model: str = MODEL, dimension: int = 8) -> Video:
    """A searchable video with packed vectors as the worker makes them."""
    library.add_video(video)
    cues = tuple(
        Cue(15.0 * i, 15.0 * i + 15, said, (Word(15.0 * i, 15.0 * i + 1, said.split()[0]),))
        for i, said in enumerate(sentences)
    )
    library.set_transcript(video.id, Transcript(cues, Origin.WHISPER, "en", "base"))
    vectors = np.stack([a_vector(i + 7, dimension) for i in range(len(sentences))])
    order = np.arange(len(sentences), dtype=np.int32)
    packed = TextVectors(model, len(cues), (Windows(30.0, order, order, vectors),)).pack()
    passages = [Passage(Span(15.0 * i, 15.0 * i + 30), said) for i, said in enumerate(sentences)]
    library.set_index(video.id, passages, vectors, model, packed)
    return library.video(video.id)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `library` and its archive `out.zip`: one owned video with subtitles, one of the
    user's own, one whose file is gone, one that failed, one that is being added."""
    folder = tmp_path_factory.mktemp("made")
    with Library.open(folder / "library") as library:
        owned = owned_video(
            library, "Tea", tags=("kitchen",), url="https://example.org/v", site="X", site_id="1"
        )
        put(library, owned, "boil the kettle", "warm the pot")
        (library.folder(owned.id) / "subtitles.odd náme #1.srt").write_text("1\n")
        (library.folder(owned.id) / "notes.html").write_text("<script>")
        mine = folder / "my víd #1.MP4"
        mine.write_bytes(b"mine" * 1000)
        put(library, a_video("Bicycle", path=mine, size=4000), "turn the wheel")
        put(library, a_video("Gone"), "nobody sees this")
        library.add_video(a_video("Broken", state="failed", notice="no picture"))
        library.add_video(a_video("Under way"))
        library.add_feedback("how?", owned.id, Span(1, 2), "corrected", Span(2, 3), 0.7)
        export_library(library, folder / "out.zip")
    return folder


@pytest.fixture
def filled(made: Path, tmp_path: Path) -> Iterator[Library]:
    shutil.copytree(made / "library", tmp_path / "filled")
    with Library.open(tmp_path / "filled") as opened:
        yield opened


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made / "out.zip", tmp_path / "out.zip")
    return tmp_path / "out.zip"


def bare(video: Video) -> Video:
    """What must be the same after the way through an archive."""
    return replace(video, path=Path(), thumbnail=None, strip=None, owned=False)


def test_a_library_comes_back_the_same(filled: Library, archive: Path, other: Library) -> None:
    told: list[float] = []
    counts = import_library(other, archive, told.append)
    assert vars(counts) == {
        "videos_added": 4, "already_there": 0, "without_their_file": 2, "feedback_added": 1,
    }  # fmt: skip
    assert told == sorted(told) and told[-1] <= 1
    for video in filled.videos():
        if video.state == "processing":
            assert other.find(sha256=video.sha256) is None
            continue
        copy = other.video(video.id)
        assert bare(copy) == bare(video)
        assert other.transcript(video.id) == filled.transcript(video.id)
        assert copy.path.is_relative_to(other.root) and copy.owned
        if not video.missing:
            assert copy.path.read_bytes() == video.path.read_bytes()
    tea = other.find(site="X", site_id="1")
    assert tea is not None and tea.thumbnail is not None and tea.strip is not None
    assert tea.thumbnail.read_bytes() == b"thumbnail.jpg of Tea" and tea.strip.is_file()
    assert sorted(path.name for path in other.folder(tea.id).iterdir())[-2:] == [
        "subtitles_odd_n_me_1.srt", "thumbnail.jpg",
    ]  # fmt: skip
    for question in ("kettle", "wheel", "nobody sees"):
        match = to_match(question)
        assert other.search_transcripts(match) == filled.search_transcripts(match)
        here, there = filled.search_passages(match), other.search_passages(match)
        assert [hit[1:] for hit in here] == [hit[1:] for hit in there] and here
    ids = [video.id for video in filled.videos()]
    assert other.text_vectors(ids) == filled.text_vectors(ids)
    assert other.text_model() == MODEL and other.needs_vectors(MODEL) == []
    near = [hit[1:] for hit in filled.nearest_windows(a_vector(7))]
    assert sorted(hit[1:] for hit in other.nearest_windows(a_vector(7))) == sorted(near)
    assert other.feedback() == filled.feedback()
    assert list((other.root / "incoming").iterdir()) == []


def test_importing_twice_adds_nothing(filled: Library, archive: Path, other: Library) -> None:
    import_library(other, archive)
    revision = [video for video in other.videos()]
    counts = import_library(other, archive)
    assert (counts.videos_added, counts.already_there, counts.feedback_added) == (0, 4, 0)
    assert other.videos() == revision
    assert str(import_library(filled, archive)).startswith("0 videos added, 4 already there")


def test_the_manifest_names_versions_models_and_hashes(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        manifest = json.loads(file.read("manifest.json"))
        assert manifest["format"] == "answerclip-library" and manifest["text_model"] == MODEL
        assert manifest["version"] == 1 and manifest["schema"] and manifest["videos"] == 4
        assert set(file.namelist()) == {"manifest.json", *manifest["files"]}
        for name, said in manifest["files"].items():
            assert hashlib.sha256(file.read(name)).hexdigest() == said["sha256"]
        assert not any("html" in name or "Under" in name for name in file.namelist())


def test_vectors_of_another_encoder_are_not_mixed(archive: Path, other: Library) -> None:
    own = put(other, a_video("own"), "my own words", model="better", dimension=12)
    import_library(other, archive)
    assert other.text_model() == "better"
    assert {hit[1] for hit in other.nearest_windows(a_vector(7, 12))} == {own.id}
    assert len(other.needs_vectors("better")) == 3
    assert other.search_passages(to_match("kettle"))


def test_vectors_of_the_same_name_but_another_length_are_left_out(archive: Path, other: Library) -> None:
    own = put(other, a_video("own"), "my own words", dimension=12)
    import_library(other, archive)
    assert {hit[1] for hit in other.nearest_windows(a_vector(7, 12))} == {own.id}
    assert len(other.needs_vectors(MODEL)) == 3


def test_export_replaces_whole_or_not_at_all(filled: Library, archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()

    class Stopped(Exception):
        pass

    def stop(_: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        export_library(filled, archive, stop)
    assert archive.read_bytes() == before and not list(tmp_path.glob(".*.part"))
    with pytest.raises(LibraryError, match="folder"):
        export_library(filled, tmp_path)


def test_an_empty_library_goes_through(library: Library, other: Library, tmp_path: Path) -> None:
    export_library(library, tmp_path / "new folder" / "empty.zip")
    assert import_library(other, tmp_path / "new folder" / "empty.zip").videos_added == 0


# Hostile and damaged archives


def unchanged(library: Library, archive: Path, words: str | None = None) -> None:
    """The import is refused in plain words and leaves no trace."""
    files = sorted(library.root.rglob("*.mp4"))
    revision = library.revision()
    with pytest.raises(BadArchive, match=words) as refused:
        import_library(library, archive)
    assert "Traceback" not in str(refused.value) and len(str(refused.value)) < 400
    assert library.revision() == revision and sorted(library.root.rglob("*.mp4")) == files
    incoming = library.root / "incoming"
    assert not incoming.exists() or list(incoming.iterdir()) == []


def entries(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def written(path: Path, held: dict[str, bytes], honest: bool = True, **how: Any) -> Path:
    """A zip of these entries; an honest one has a manifest that fits."""
    held = dict(held)
    manifest = json.loads(held.pop("manifest.json"))
    if honest:
        manifest["files"] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in held.items()
        }
    with zipfile.ZipFile(path, "w", **how) as file:
        for name, data in held.items():
            file.writestr(name, data)
        file.writestr("manifest.json", json.dumps(manifest))
    return path


@pytest.mark.parametrize(
    "content", [b"", b"PK", os.urandom(5000), b"<html>no zip</html>", b"PK\x05\x06" + bytes(18)]
)
def test_what_is_no_archive_is_refused(other: Library, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(content)
    unchanged(other, tmp_path / "bad.zip")


def test_a_missing_file_and_a_folder_are_refused(other: Library, tmp_path: Path) -> None:
    unchanged(other, tmp_path / "nothing.zip", "no file")
    unchanged(other, tmp_path, "folder")


def test_cut_and_flipped_archives_are_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    data = archive.read_bytes()
    for size in range(0, len(data) - 1, len(data) // 40):
        (tmp_path / "cut.zip").write_bytes(data[:size])
        unchanged(other, tmp_path / "cut.zip")
    random = np.random.default_rng(0)
    refused = 0
    for at in random.integers(0, len(data), 150):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(random.integers(8))
        (tmp_path / "flipped.zip").write_bytes(flipped)
        try:
            import_library(other, tmp_path / "flipped.zip")
        except BadArchive:
            refused += 1
            assert other.videos() == []
        else:  # a bit that means nothing, such as one of a date
            for video in other.videos():
                other.remove(video.id)
    assert refused > 75


@pytest.mark.parametrize(
    "name",
    [
        "../evil.mp4", "/etc/evil", "videos/../../evil.mp4", "..\\evil.mp4", "C:\\evil.mp4", "library.db",
        "videos/0123456789abcdef/files/../../x.mp4", "videos/0123456789abcdef/files/x.html",
        "videos/0123456789abcdef/files/.hidden.mp4", "videos/0123456789abcdef/files/a/b.mp4",
        "videos/x/video.json",
        "windows.faiss", "videos/0123456789abcdef/files/x.mp4\0.html", "videos/0123456789abcdef/files/x.svg",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(
    archive: Path, other: Library, tmp_path: Path, name: str
) -> None:
    unchanged(other, written(tmp_path / "bad.zip", entries(archive) | {name: b"evil"}))
    assert not list(tmp_path.rglob("*evil*")) and not list(other.root.rglob("*.html"))


def test_packed_entries_are_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    """A bomb has to be packed; nothing packed is read."""
    bomb = entries(archive) | {"feedback.json": b"[" + b" " * (50 << 20) + b"]"}
    unchanged(other, written(tmp_path / "bomb.zip", bomb, compression=zipfile.ZIP_DEFLATED), "packed")


def test_entries_that_overlap_are_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    """Many names for the same bytes: small on disk, huge when unpacked."""
    held = entries(archive)
    video_id = next(name for name in held if name.endswith("/files/play.mp4")).split("/")[1]
    kernel = bytes(200_000)
    copies = {f"videos/{video_id}/files/{n}.mp4": kernel for n in range(30)}
    first = written(tmp_path / "big.zip", {**copies, **held})
    data = bytearray(first.read_bytes())
    with zipfile.ZipFile(first) as file:
        infos = file.infolist()
        directory = file.start_dir
    at = directory
    for info in infos:  # every copy points at the first one
        if info.filename in copies:
            struct.pack_into("<I", data, at + 42, 0)
        at += 46 + len(info.filename)
    shrunk = data[: infos[1].header_offset] + data[infos[30].header_offset :]
    removed = len(data) - len(shrunk)
    at = directory - removed
    for info in infos:
        if info.filename not in copies:
            struct.pack_into("<I", shrunk, at + 42, info.header_offset - removed)
        at += 46 + len(info.filename)
    struct.pack_into("<I", shrunk, len(shrunk) - 22 + 16, directory - removed)
    (tmp_path / "overlap.zip").write_bytes(shrunk)
    unchanged(other, tmp_path / "overlap.zip")


def test_a_name_twice_is_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    shutil.copy(archive, tmp_path / "twice.zip")
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "twice.zip", "a") as file:
        warnings.simplefilter("ignore")
        file.writestr("feedback.json", b"[]")
    unchanged(other, tmp_path / "twice.zip", "twice")


def test_wrong_hashes_are_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    held = entries(archive)
    media = next(name for name in held if name.endswith("play.mp4"))
    held[media] = bytes(len(held[media]))
    unchanged(other, written(tmp_path / "bad.zip", held, honest=False), "hash")


def test_files_that_the_manifest_does_not_fit_are_refused(
    archive: Path, other: Library, tmp_path: Path
) -> None:
    held = entries(archive)
    held.pop(next(name for name in held if name.endswith("play.mp4")))
    unchanged(other, written(tmp_path / "bad.zip", held, honest=False), "manifest names")
    unchanged(other, written(tmp_path / "bad.zip", held), "not there")
    for name in [name for name in held if name.endswith("video.json")]:
        held.pop(name)
    unchanged(other, written(tmp_path / "bad.zip", held), "describe")


def test_newer_and_foreign_manifests_are_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    held = entries(archive)
    manifest = json.loads(held["manifest.json"])
    for change, words in (
        ({"version": 99}, "newer"), ({"format": "zoo"}, "no AnswerClip"), ({"files": []}, "sense"),
        ({"files": {"feedback.json": 3}}, "sense"), ({"version": "1"}, "newer"),
    ):  # fmt: skip
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
            file.writestr("manifest.json", json.dumps(manifest | change))
        unchanged(other, tmp_path / "bad.zip", words)
    for content in (b"[]", b"{", b"[" * 100_000, b'{"a": NaN}', b"\xff"):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
            file.writestr("manifest.json", content)
        unchanged(other, tmp_path / "bad.zip")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../x"}, {"sha256": "0" * 64}, {"duration": -1}, {"duration": "60"}, {"duration": 1e300},
        {"width": -1}, {"width": 1 << 70}, {"size": True}, {"title": 5}, {"tags": [5]}, {"tags": None},
        {"state": "hacked"}, {"file": "../../../etc/passwd"}, {"file": "nothing.mp4"}, {"thumbnail": 5},
        {"added_at": "yesterday"}, {"passages": [[0, 30]]}, {"passages": [[30, 0, "x"]]},
        {"passages": [[0, 30, "x"], [0, 20, "y"]]}, {"passages": [[0, 1e400, "x"]]}, {"model": None},
        {"transcript": {"origin": "nobody", "language": "en", "detail": "", "cues": []}},
        {"transcript": {"origin": "given", "language": "en", "detail": "", "cues": [[5, 1, "x", []]]}},
        {"transcript": {"origin": "given", "language": "en", "detail": "", "cues": [[0, 1, 7, []]]}},
        {"transcript": {"origin": "given", "language": "en", "detail": "", "cues": [["0", 1, "x", []]]}},
        {"transcript": {"origin": "given", "language": "en", "detail": "", "cues": [[0, 1, "x", [[0, 1]]]]}},
        {"transcript": []},
    ],
    ids=str,
)  # fmt: skip
def test_descriptions_that_make_no_sense_are_refused(
    archive: Path, other: Library, tmp_path: Path, change: dict[str, Any]
) -> None:
    held = entries(archive)
    name = next(name for name in held if name.endswith("play.mp4")).split("/files/")[0] + "/video.json"
    held[name] = json.dumps(json.loads(held[name]) | change).encode()
    unchanged(other, written(tmp_path / "bad.zip", held))


def test_hostile_words_come_in_as_plain_words(archive: Path, other: Library, tmp_path: Path) -> None:
    held = entries(archive)
    name = next(name for name in held if name.endswith("play.mp4")).split("/files/")[0] + "/video.json"
    hostile = {
        "title": "a\0b\u202e" + "x" * 9999,
        "url": "javascript:alert(1)",
        "tags": ["\x1b" * 9, "ok"] * 99,
    }
    held[name] = json.dumps(json.loads(held[name]) | hostile).encode()
    import_library(other, written(tmp_path / "odd.zip", held))
    video = other.video(name.split("/")[1])
    assert (video.title[:3], len(video.title), video.url, video.tags) == ("abx", 300, "", ("ok",))


@pytest.mark.parametrize("damage", ["short", "nan", "huge", "none", "packed", "cues", "model"])
def test_vectors_that_do_not_fit_are_made_again(
    archive: Path, other: Library, tmp_path: Path, damage: str
) -> None:
    held = entries(archive)
    folder = next(name for name in held if name.endswith("play.mp4")).split("/files/")[0]
    rows, packed = f"{folder}/windows.f16", f"{folder}/text-vectors.bin"
    kept = TextVectors.unpack(held[packed])
    changed: dict[str, Change] = {
        "short": lambda files: files.update({rows: held[rows][:-1]}),
        "nan": lambda files: files.update({rows: np.full(16, np.nan, "<f2").tobytes()}),
        "huge": lambda files: files.update({rows: np.full(16, 6e4, "<f2").tobytes()}),
        "none": lambda files: files.update({rows: b""}),
        "packed": lambda files: files.update({packed: os.urandom(200)}),
        "cues": lambda files: files.update(
            {packed: replace(kept, scales=(replace(kept.scales[0], last=np.array([0, 9], np.int32)),)).pack()}
        ),
        "model": lambda files: files.update({packed: replace(kept, model="other").pack()}),
    }
    changed[damage](held)
    import_library(other, written(tmp_path / "odd.zip", held))
    video_id = folder.split("/")[1]
    assert other.needs_vectors(MODEL) == [video_id]
    assert other.search_passages(to_match("kettle"))[0][1] == video_id
    assert video_id not in {hit[1] for hit in other.nearest_windows(a_vector(7))}


def test_bad_feedback_is_refused(archive: Path, other: Library, tmp_path: Path) -> None:
    good = ["q", "v", 0, 1, "right", None, None, None, ""]
    for rows in ([5], [good[:-1]], [[*good[:4], "maybe", *good[5:]]], [["q", "../x", *good[2:]]], {"a": 1}):
        held = entries(archive) | {"feedback.json": json.dumps(rows).encode()}
        unchanged(other, written(tmp_path / "bad.zip", held))


def test_an_id_that_is_taken_does_not_lose_its_files(filled: Library, archive: Path, tmp_path: Path) -> None:
    """Another content with the same first 16 digits must not take the place of the video that is there."""
    held = entries(archive)
    name = next(name for name in held if name.endswith("play.mp4")).split("/files/")[0] + "/video.json"
    data = json.loads(held[name])
    held[name] = json.dumps(data | {"sha256": data["id"] + "0" * 48, "site": ""}).encode()
    assert import_library(filled, written(tmp_path / "odd.zip", held)).videos_added == 0
    assert filled.video(data["id"]).path.read_bytes() == b"play.mp4 of Tea"


def test_a_folder_that_a_job_is_filling_is_left_alone(archive: Path, other: Library) -> None:
    video_id = next(name for name in entries(archive) if name.endswith("play.mp4")).split("/")[1]
    other.folder(video_id).mkdir(parents=True)
    (other.folder(video_id) / "play.mp4").write_bytes(b"half")
    with other.session() as session:
        session.add(JobRow(kind="add", source={}, video_id=video_id, status="running"))
    assert import_library(other, archive).already_there == 1
    assert (other.folder(video_id) / "play.mp4").read_bytes() == b"half"
    with other.session() as session:
        session.query(JobRow).update({"status": "cancelled"})
    assert import_library(other, archive).videos_added == 1  # now the folder is a crash's leftover
    assert other.video(video_id).path.read_bytes() == b"play.mp4 of Tea"


def test_an_import_broken_off_at_the_end_changes_nothing(archive: Path, other: Library) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    event.listen(other.engine, "commit", fail)
    with pytest.raises(DiskFull):
        import_library(other, archive)
    event.remove(other.engine, "commit", fail)
    assert other.videos() == [] and not list((other.root / "videos").iterdir())
    assert list((other.root / "incoming").iterdir()) == []
    assert import_library(other, archive).videos_added == 4


def test_an_archive_that_does_not_fit_on_the_disk_is_refused_first(
    archive: Path, other: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(archive)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFull):
        import_library(other, archive)
    assert other.videos() == []


def test_file_names_are_made_safe_and_unlike() -> None:
    taken: set[str] = set()
    names = ["a b.MP4", "a_b.mp4", "ключ.srt", "x" * 300 + ".vtt", "run.html", "noending", "-.jpg", "A_B.mp4"]
    safe = [archive_format.safe_file_name(name, taken) for name in names]
    assert safe == ["a_b.mp4", "a_b-2.mp4", "file.srt", "x" * 80 + ".vtt", "", "", "file.jpg", "A_B-3.mp4"]
