"""Dense search against plain arithmetic: exact, filtered, kept in step across processes, cached on disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.library import vector_file, vectors
from pipeline.library.store import Library
from pipeline.types import Filters, Span
from tests.library_factory import MODEL, a_vector, a_video, add, index

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that happens in big libraries happens in ones of a few hundred windows."""
    monkeypatch.setattr(vectors, "CACHED_FROM", 50)
    monkeypatch.setattr(vectors, "_CHUNK", 40)
    monkeypatch.setattr(vectors, "PROBED", 1000)


def fill(library: Library, count: int, windows: int = 10, first: int = 0) -> None:
    """Adds videos of random vectors."""
    for number in range(first, first + count):
        video = library.add_video(a_video(f"video {number}"))
        rows = [a_vector(1000 * number + i) for i in range(windows)]
        index(library, video.id, [f"words {i}" for i in range(windows)], rows)


def expected(library: Library, vector: np.ndarray, limit: int) -> list[int]:
    """Window ids by plain numpy over the rows."""
    with library.snapshot() as connection:
        rows = connection.exec_driver_sql("SELECT id, vector FROM windows ORDER BY id").all()
    ids = np.array([row[0] for row in rows])
    scores = np.stack([np.frombuffer(row[1], np.float16) for row in rows]).astype(np.float32) @ vector
    return ids[np.argsort(-scores, kind="stable")][:limit].tolist()


def found(library: Library, vector: np.ndarray, limit: int = 10, **how: object) -> list[int]:
    return [hit[0] for hit in library.nearest_windows(vector, limit, **how)]  # type: ignore[arg-type]


def test_an_empty_library_has_nothing_near(library: Library) -> None:
    assert library.nearest_windows(a_vector(1)) == []


def test_the_nearest_are_those_of_plain_arithmetic(library: Library) -> None:
    fill(library, 8)
    for seed in range(20):
        vector = a_vector(seed + 5)
        hits = library.nearest_windows(vector, 10)
        assert [hit[0] for hit in hits] == expected(library, vector, 10)
        assert [hit[3] for hit in hits] == sorted((hit[3] for hit in hits), reverse=True)
    window, video_id, span, cosine = library.nearest_windows(a_vector(3004), 1)[0]
    assert library.video(video_id).title == "video 3" and span == Span(60, 90)
    assert cosine == pytest.approx(1, abs=1e-3) and window == 35


def test_filters_restrict(library: Library) -> None:
    add(library, "a", "one", "two", tags=("x",))
    add(library, "b", "three", language="de")
    every = library.nearest_windows(a_vector(0), 10)
    assert len(every) == 3
    for filters, count in ((Filters(tags=("X",)), 2), (Filters(language="de"), 1), (Filters(tags=("y",)), 0)):
        assert len(library.nearest_windows(a_vector(0), 10, filters)) == count
    german = library.videos(search="b")[0].id
    assert {hit[1] for hit in library.nearest_windows(a_vector(0), 10, Filters(video_ids=(german,)))} == {
        german
    }


def test_vectors_of_other_encoders_are_never_compared(library: Library) -> None:
    old, new = add(library, "old", "one"), add(library, "new", "two")
    assert len(found(library, a_vector(0))) == 2
    index(library, new.id, ["two"], [a_vector(5, 12)], model="wider")
    assert {hit[1] for hit in library.nearest_windows(a_vector(0, 12))} == {new.id}
    assert {hit[1] for hit in library.nearest_windows(a_vector(0), model=MODEL)} == {old.id}
    assert found(library, a_vector(0), model="unknown") == []
    assert found(library, a_vector(0)) == []  # the vector is of the old encoder, the library of the new


def test_bad_vectors_find_nothing(library: Library) -> None:
    fill(library, 1)
    assert found(library, np.full(8, np.nan, np.float32)) == []
    assert found(library, a_vector(0, 5)) == []
    assert found(library, a_vector(0), limit=0) == []
    assert len(found(library, a_vector(0)[None], limit=10**6)) == 10


def test_changes_are_seen_at_the_next_search(library: Library) -> None:
    fill(library, 3)
    vector = a_vector(99_999)
    found(library, vector)
    fill(library, 2, first=3)
    assert found(library, vector) == expected(library, vector, 10)
    library.remove(library.find(sha256=a_video("video 1").sha256).id)  # type: ignore[union-attr]
    index(library, a_video("video 2").id, ["other"], [vector])
    assert found(library, vector) == expected(library, vector, 10)
    assert library.nearest_windows(vector, 1)[0][1] == a_video("video 2").id
    assert len(found(library, vector, 1000)) == 31


def test_two_processes_see_each_others_changes(library: Library) -> None:
    """This process has its index in memory while another one adds, replaces and removes."""
    fill(library, 4)
    vector = a_vector(9)
    found(library, vector)
    program = """
        import sys
        from pathlib import Path
        from pipeline.library.store import Library
        from tests.library_factory import a_vector, a_video, index
        with Library.open(Path(sys.argv[1])) as library:
            library.remove(a_video("video 0").id)
            index(library, a_video("video 3").id, ["replaced"], [a_vector(77)])
            new = library.add_video(a_video("new"))
            index(library, new.id, ["new"], [a_vector(9)])
            assert library.nearest_windows(a_vector(9), 1)[0][1] == new.id
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(library.root)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert found(library, vector) == expected(library, vector, 10)
    assert library.nearest_windows(vector, 1)[0][1] == a_video("new").id
    assert len(found(library, vector, 1000)) == 22


@pytest.mark.usefixtures("small_steps")
def test_a_big_library_is_searched_by_lists(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        library._index.exact_limit = 300
        fill(library, 20, windows=30)
        vector = a_vector(4)
        assert found(library, vector) == expected(library, vector, 10)  # exact until the lists are there
        library._index.settle()
        held = library._index._held
        assert held is not None and not held.exact
        near = set(found(library, vector, 30))  # 8 bit: almost the same order
        assert len(near & set(expected(library, vector, 30))) >= 27
        fill(library, 1, first=100)
        library.remove(a_video("video 0").id)
        assert found(library, a_vector(100_003), 1) == expected(library, a_vector(100_003), 1)
        everything = found(library, vector, 10_000)
        assert sorted(everything) == sorted(expected(library, vector, 10_000))
        one = Filters(video_ids=(a_video("video 7").id,))
        assert {hit[1] for hit in library.nearest_windows(vector, 50, one)} == set(one.video_ids)
        assert len(library.nearest_windows(vector, 50, one)) == 30


@pytest.mark.usefixtures("small_steps")
def test_many_removals_make_the_index_anew(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        fill(library, 20)
        found(library, a_vector(0))
        for number in range(15):
            library.remove(a_video(f"video {number}").id)
        found(library, a_vector(0))
        library._index.settle()
        assert found(library, a_vector(0)) == expected(library, a_vector(0), 10)
        assert library._index.size() == 50


def cached(root: Path, count: int = 12) -> Path:
    """A closed library whose index is on disk."""
    with Library.open(root) as library:
        fill(library, count)
        found(library, a_vector(0))
    assert vector_file.path_in(root).stat().st_size > 1000
    return vector_file.path_in(root)


def loaded(library: Library) -> bool:
    """Whether the cache on disk fits the rows as they are."""
    with library.snapshot() as connection:
        facts = vector_file.facts(connection)
        return vector_file.load(library.root, connection, facts["library_id"], MODEL) is not None


@pytest.mark.usefixtures("small_steps")
def test_the_index_is_kept_on_disk_and_catches_up(tmp_path: Path) -> None:
    cached(tmp_path)
    with Library.open(tmp_path) as library:
        fill(library, 2, first=50)
        library.remove(a_video("video 3").id)
        assert loaded(library)
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)
        assert len(found(library, a_vector(7), 1000)) == 130
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "head", "folder"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    path = cached(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        path.write_bytes(os.urandom(5000))
    elif damage == "head":
        path.write_bytes(vector_file._MAGIC + json.dumps({"library": 1}).encode() + b"\n")
    else:
        path.unlink()
        path.mkdir()
    with Library.open(tmp_path) as library:
        assert not loaded(library)
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)


@pytest.mark.usefixtures("small_steps")
def test_a_cache_of_another_library_is_not_used(tmp_path: Path) -> None:
    path = cached(tmp_path / "one")
    with Library.open(tmp_path / "two") as library:
        fill(library, 3, first=40)
        shutil.copy(path, vector_file.path_in(library.root))
        assert not loaded(library)
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)


@pytest.mark.usefixtures("small_steps")
def test_a_restored_older_database_is_noticed(tmp_path: Path) -> None:
    """The ids of the restored database are used again for other windows than the cache knows."""
    root = tmp_path / "library"
    with Library.open(root) as library:
        fill(library, 6)
    shutil.copytree(root, tmp_path / "backup")
    with Library.open(root) as library:
        fill(library, 6, first=10)
        found(library, a_vector(0))
    shutil.copy(vector_file.path_in(root), tmp_path / "backup")
    with Library.open(tmp_path / "backup") as library:
        assert not loaded(library)
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)
        fill(library, 6, first=20)
    shutil.copy(vector_file.path_in(root), tmp_path / "backup")
    with Library.open(tmp_path / "backup") as library:
        assert not loaded(library)
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)


@pytest.mark.usefixtures("small_steps")
def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        fill(library, 12)
        vector_file.path_in(tmp_path).mkdir()
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)
        library._index.settle()
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.usefixtures("small_steps")
def test_rebuild_forgets_the_cache(tmp_path: Path) -> None:
    path = cached(tmp_path)
    with Library.open(tmp_path) as library:
        library.rebuild()
        assert not path.exists()
        assert found(library, a_vector(7)) == expected(library, a_vector(7), 10)
