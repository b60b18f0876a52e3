"""The library's rows and files: what goes in comes out, what is removed is gone, in every process."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from pipeline.errors import (
    AlreadyInLibrary,
    DiskFull,
    LibraryError,
    VideoNotFound,
)
from pipeline.library import rows
from pipeline.library.database import explain_os, plain_errors
from pipeline.library.search import to_match
from pipeline.library.store import Library
from pipeline.types import Cue, Filters, Origin, Passage, Span, Transcript, Word
from tests.library_factory import MODEL, a_transcript, a_vector, a_video, add, index, owned_video

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


def count_rows(library: Library, table: str) -> int:
    with library.snapshot() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}"))


def test_a_video_comes_back_as_it_went_in(library: Library) -> None:
    video = owned_video(
        library, "How to swim", tags=("Water", "sport"), site="Youtube", site_id="x1", width=7
    )
    added = library.add_video(video)
    assert replace(added, added_at=None) == replace(video, tags=("sport", "Water"))
    assert added.added_at is not None
    assert library.find(sha256=video.sha256) == library.find(site="Youtube", site_id="x1") == added
    assert library.find(sha256="0" * 64) is None
    assert library.find() is None


def test_the_same_video_twice_is_refused_with_its_id(library: Library) -> None:
    first = library.add_video(a_video("one", site="Youtube", site_id="x1"))
    with pytest.raises(AlreadyInLibrary, match="one") as refused:
        library.add_video(a_video("one", title="another title"))
    assert refused.value.video_id == first.id
    with pytest.raises(AlreadyInLibrary):
        library.add_video(a_video("two", site="Youtube", site_id="x1"))
    library.add_video(a_video("three"))
    library.add_video(a_video("four"))  # no site is not the same site
    assert library.count() == 3


def test_two_files_of_one_name_are_two_videos(library: Library) -> None:
    library.add_video(a_video("a", title="clip", original_name="clip.mp4"))
    library.add_video(a_video("b", title="clip", original_name="clip.mp4"))
    assert [video.title for video in library.videos()] == ["clip", "clip"]


def test_unknown_videos_are_said_to_be_unknown(library: Library) -> None:
    for verb in (
        library.video,
        library.transcript,
        library.remove,
        lambda video_id: library.update(video_id, title="x"),
        lambda video_id: library.set_tags(video_id, []),
        lambda video_id: library.set_transcript(video_id, a_transcript("x")),
        lambda video_id: index(library, video_id, ["x"]),
        lambda video_id: library.add_feedback("q", video_id, Span(0, 1), "right"),
    ):
        with pytest.raises(VideoNotFound, match="nobody"):
            verb("nobody")


def test_titles_and_tags_are_cleaned(library: Library) -> None:
    hostile = "How\x00 to\n\x1b[31m <script>alert(1)</script> \u202egnp.exe " + "x" * 1000
    video = library.add_video(a_video("v", title=hostile, tags=("\x07", "a\x1fb", "B" * 500, "tag", "TAG")))
    assert video.title.startswith("How to [31m <script>alert(1)</script> gnp.exe xxx")
    assert len(video.title) == rows.TITLE_LIMIT
    assert video.tags == ("a b", "B" * rows.TAG_LIMIT, "tag")
    assert library.update(video.id, title=" \x00 ", original_name="clip.mp4").title == "clip.mp4"
    assert library.update(video.id, title="").title == "Untitled"
    assert (
        library.update(video.id, title="👩‍🍳 crème “brûlée” #1 100%").title == "👩‍🍳 crème “brûlée” #1 100%"
    )


@pytest.mark.parametrize("bad", ["../up", "", "a/b", "x" * 65, "a\0b", "."])
def test_ids_that_name_another_folder_are_refused(library: Library, bad: str) -> None:
    with pytest.raises(LibraryError):
        library.add_video(a_video("v", id=bad))
    with pytest.raises(LibraryError):
        library.folder(bad)


def test_paths_never_leave_the_folder(library: Library, tmp_path: Path) -> None:
    assert library.stored("videos/a/play.mp4") == library.root / "videos/a/play.mp4"
    for bad in ("../outside", "/etc/passwd", "videos/../../x"):
        with pytest.raises(LibraryError, match="library folder"):
            library.stored(bad)
    with pytest.raises(LibraryError):
        library.add_video(a_video("v", path=tmp_path / "mine.mp4", owned=True))
    with pytest.raises(LibraryError):
        library.add_video(a_video("v", thumbnail=tmp_path / "picture.jpg"))


def test_a_symbolic_link_does_not_lead_out(library: Library, tmp_path: Path) -> None:
    (library.root / "link").symlink_to(tmp_path)
    with pytest.raises(LibraryError):
        library.stored("link/secret")


def test_a_name_that_is_no_unicode_is_kept(library: Library, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    path.write_bytes(b"x")
    video = library.add_video(a_video("v", path=path, title=path.stem, original_name=path.name))
    assert video.path == path and not video.missing
    assert video.title == "caf"


def test_a_missing_file_is_marked(library: Library) -> None:
    video = library.add_video(owned_video(library, "v"))
    assert not video.missing
    video.path.unlink()
    assert library.video(video.id).missing


def test_the_list_is_searched_filtered_and_ordered(library: Library) -> None:
    add(library, "Crème brûlée", "sugar", tags=("Dessert",), duration=50.0, original_name="IMG_1.mov")
    add(library, "Apple pie", "apples", tags=("dessert", "oven"), duration=90.0)
    add(library, "Fahrrad 100% flicken", "Reifen", language="de", duration=70.0)
    names = lambda **how: [video.title for video in library.videos(**how)]  # noqa: E731
    assert names() == ["Fahrrad 100% flicken", "Apple pie", "Crème brûlée"]
    assert names(order="title") == ["Apple pie", "Crème brûlée", "Fahrrad 100% flicken"]
    assert names(order="duration")[0] == "Apple pie"
    assert names(search="creme BRULEE") == names(search="img_1") == ["Crème brûlée"]
    assert names(search="dessert pie") == ["Apple pie"]
    assert names(search="100%") == ["Fahrrad 100% flicken"] and names(search="_") == ["Crème brûlée"]
    assert names(search="' OR 1=1 --") == []
    assert names(filters=Filters(tags=("DESSERT",)), order="title") == ["Apple pie", "Crème brûlée"]
    assert names(filters=Filters(language="de")) == ["Fahrrad 100% flicken"]
    assert names(limit=1, offset=1) == ["Apple pie"]
    assert library.count(search="dessert") == 2
    assert library.tags() == ["Dessert", "dessert", "oven"]
    assert library.languages() == ["de", "en"]
    with pytest.raises(ValueError, match="added"):
        library.videos(order="random")


def test_update_changes_only_what_may_change(library: Library) -> None:
    video = add(library, "v", "words")
    changed = library.update(video.id, notice="careful", state="failed", strip_count=3, language="fr")
    assert (changed.notice, changed.state, changed.strip_count, changed.language) == (
        "careful", "failed", 3, "fr",
    )  # fmt: skip
    for field in ("id", "sha256", "tags", "nonsense"):
        with pytest.raises(TypeError, match=field):
            library.update(video.id, **{field: "x"})


def test_a_renamed_video_is_found_by_its_new_title_only(library: Library) -> None:
    video = add(library, "Unicycle", "pedal")
    library.update(video.id, title="Tricycle")
    assert library.search_transcripts(to_match("unicycle")) == []
    assert [found for found, _ in library.search_transcripts(to_match("tricycle"))] == [video.id]


def test_a_new_path_inside_the_folder_is_owned(library: Library, tmp_path: Path) -> None:
    video = library.add_video(a_video("v"))
    inside = library.folder(video.id) / "play.mp4"
    assert library.update(video.id, path=inside).owned
    assert not library.update(video.id, path=tmp_path / "mine.mp4").owned


text_of_cues = st.text(max_size=40)
times = st.floats(min_value=0, max_value=1e5, allow_nan=False)


@given(st.lists(st.tuples(times, st.floats(0.01, 100), text_of_cues), max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_transcripts_come_back_exactly(library: Library, lines: list[tuple[float, float, str]]) -> None:
    cues = tuple(
        Cue(start, start + length, words.replace("\0", ""), (Word(start, start + length / 2, words[:3]),))
        for start, length, words in lines
        if "\0" not in words and start + length > start
    )
    video = a_video("round trip")
    if library.find(sha256=video.sha256) is None:
        library.add_video(video)
    spoken = Transcript(cues, Origin.WHISPER, "en", "openai-whisper base")
    library.set_transcript(video.id, spoken)
    assert library.transcript(video.id) == spoken
    without = library.transcripts([video.id], words=False)[video.id]
    assert [cue.text for cue in without.cues] == [cue.text for cue in cues]
    assert not any(cue.words for cue in without.cues)


def test_half_characters_and_zero_bytes_in_cues_do_no_harm(library: Library) -> None:
    video = library.add_video(a_video("v"))
    library.set_transcript(video.id, a_transcript("bad \ud800 and \0 zero"))
    assert library.transcript(video.id).text == "bad ? and  zero"
    index(library, video.id, ["bad \ud800 and \0 zero"])
    assert library.search_passages(to_match("zero"))


def test_a_video_without_words_is_ready_too(library: Library) -> None:
    video = library.add_video(a_video("silence"))
    assert library.transcript(video.id).cues == ()
    index(library, video.id, [])
    assert library.video(video.id).state == "ready"
    assert [found for found, _ in library.search_transcripts(to_match("silence"))] == [video.id]
    assert library.nearest_windows(a_vector(1)) == []


def test_words_are_searched_after_set_index_and_replaced_by_the_next(library: Library) -> None:
    video = add(library, "v", "the red kettle boils", "the lid rattles")
    revision = library.revision()
    library.set_transcript(video.id, a_transcript("the blue kettle whistles"))
    index(library, video.id, ["the blue kettle whistles"])
    assert library.revision() > revision
    assert library.search_passages(to_match("rattles")) == []
    assert library.search_transcripts(to_match("boils")) == []
    ((_, found, span, words, score),) = library.search_passages(to_match("whistling"))
    assert (found, span, words) == (video.id, Span(0, 30), "the blue kettle whistles")
    assert score > 0


def test_what_does_not_fit_together_is_not_stored(library: Library) -> None:
    video = library.add_video(a_video("v"))
    passages = [Passage(Span(0, 30), "words")]
    with pytest.raises(ValueError, match="1 passages"):
        library.set_index(video.id, passages, np.zeros((2, 8), np.float32), MODEL, b"")
    with pytest.raises(ValueError, match="finite"):
        library.set_index(video.id, passages, np.full((1, 8), np.nan, np.float32), MODEL, b"")
    assert library.video(video.id).state == "processing"
    assert count_rows(library, "windows") == 0


def test_vectors_of_another_encoder_are_named(library: Library) -> None:
    old, new = add(library, "old", "a"), add(library, "new", "b")
    assert library.text_model() == MODEL
    assert library.needs_vectors(MODEL) == []
    index(library, new.id, ["b"], model="better")
    assert library.text_model() == "better"
    assert library.needs_vectors("better") == [old.id]
    assert library.text_vectors([old.id, new.id, "nobody"]) == {
        old.id: (MODEL, b"packed"),
        new.id: ("better", b"packed"),
    }


def test_removal_leaves_nothing_behind(library: Library) -> None:
    kept = add(library, "kept", "the kettle boils")
    video = library.add_video(owned_video(library, "gone", tags=("t",)))
    library.set_transcript(video.id, a_transcript("the kettle whistles"))
    index(library, video.id, ["the kettle whistles"])
    (library.root / "work" / video.id).mkdir(parents=True)
    library.remove(video.id)
    assert [found.id for found in library.videos()] == [kept.id]
    assert not library.folder(video.id).exists() and not (library.root / "work" / video.id).exists()
    assert list((library.root / "trash").iterdir()) == []
    assert library.search_passages(to_match("whistles")) == []
    assert len(library.search_passages(to_match("kettle"))) == 1
    assert {found for _, found, _, _ in library.nearest_windows(a_vector(0))} == {kept.id}
    for table in ("transcripts", "text_vectors", "windows", "transcripts_fts", "passages_fts_docsize"):
        assert count_rows(library, table) == 1, table
    assert count_rows(library, "tags") == 0
    library.add_video(owned_video(library, "gone"))  # and may come again


def test_full_text_search_holds_exactly_the_rows(library: Library) -> None:
    for number in range(5):
        add(library, f"video {number}", "the kettle boils", f"word{number} here")
    videos = library.videos()
    library.remove(videos[0].id)
    index(library, videos[1].id, ["replaced"])
    with library.writing() as connection:  # FTS5 compares its index with the rows and complains
        check = "INSERT INTO passages_fts(passages_fts, rank) VALUES ('integrity-check', 1)"
        connection.execute(text(check))
        connection.execute(text("INSERT INTO transcripts_fts(transcripts_fts) VALUES ('integrity-check')"))


def test_the_users_own_file_is_never_deleted(library: Library, tmp_path: Path) -> None:
    mine = tmp_path / "mine.mp4"
    mine.write_bytes(b"precious")
    video = library.add_video(a_video("v", path=mine))
    library.remove(video.id)
    assert mine.read_bytes() == b"precious"


def test_a_removal_that_fails_puts_the_files_back(library: Library) -> None:
    video = library.add_video(owned_video(library, "v"))

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("boom")

    event.listen(library.engine, "commit", fail)
    with pytest.raises(sqlite3.OperationalError):
        library.remove(video.id)
    event.remove(library.engine, "commit", fail)
    assert library.video(video.id).path.read_bytes() == b"play.mp4 of v"
    library.remove(video.id)
    assert library.videos() == []


@pytest.mark.parametrize("committed", [False, True])
def test_a_removal_broken_off_is_settled_at_the_next_start(tmp_path: Path, committed: bool) -> None:
    with Library.open(tmp_path / "library") as library:
        video = library.add_video(owned_video(library, "v"))
        if committed:
            shutil.copytree(library.folder(video.id), tmp_path / "copy")
            library.remove(video.id)
            shutil.copytree(
                tmp_path / "copy", library.root / "trash" / f"{video.id}.ab" / "videos" / video.id
            )
        else:
            (library.root / "trash" / f"{video.id}.ab" / "videos").mkdir(parents=True)
            library.folder(video.id).rename(library.root / "trash" / f"{video.id}.ab" / "videos" / video.id)
    with Library.open(tmp_path / "library") as library:
        assert list((library.root / "trash").iterdir()) == []
        assert library.folder(video.id).exists() != committed
        assert committed or not library.video(video.id).missing


def test_feedback_is_kept(library: Library) -> None:
    video = add(library, "v", "words")
    library.add_feedback("how?", video.id, Span(1, 2), "right", confidence=0.5)
    library.add_feedback("why?\0", video.id, Span(1, 2), "corrected", corrected=Span(3, 4))
    right, corrected = library.feedback()
    assert (right.question, right.span, right.verdict, right.confidence) == ("how?", Span(1, 2), "right", 0.5)
    assert (corrected.question, corrected.corrected) == ("why?", Span(3, 4))
    for verdict, span in (("maybe", None), ("corrected", None), ("right", Span(1, 2))):
        with pytest.raises(ValueError, match="verdict"):
            library.add_feedback("how?", video.id, Span(1, 2), verdict, corrected=span)


def test_disk_use_counts_every_part(library: Library) -> None:
    library.add_video(owned_video(library, "v"))
    library.add_video(a_video("w", size=1000))
    use = library.disk_use()
    assert use["videos"] == sum(len(f"{n} of v") for n in ("play.mp4", "thumbnail.jpg", "strip.jpg"))
    assert use["database"] > 0 and use["outside"] == 1000 and use["free"] > 0
    assert use["total"] >= use["database"] + use["videos"]


def test_rebuild_makes_search_again_from_the_rows(library: Library) -> None:
    video = add(library, "Kettle", "the water boils")
    with library.writing() as connection:
        connection.execute(text("DELETE FROM transcripts_fts"))
        connection.execute(text("INSERT INTO passages_fts(passages_fts) VALUES ('delete-all')"))
    assert not library.search_transcripts(to_match("boils")) and not library.search_passages(
        to_match("boils")
    )
    library.rebuild()
    assert library.search_transcripts(to_match("boils"))[0][0] == video.id
    assert library.search_passages(to_match("boils"))[0][1] == video.id
    assert library.nearest_windows(a_vector(3))


def test_threads_share_one_library(library: Library) -> None:
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(5):
                add(library, f"{worker}-{number}", f"words of {worker} {number}")
                library.search_passages(to_match("words"))
                library.nearest_windows(a_vector(number))
                library.videos()
        except BaseException as error:  # a thread's error would be lost
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert library.count() == 30 and count_rows(library, "windows") == 30
    assert len(library.nearest_windows(a_vector(0), limit=100)) == 30


PROCESS = """
    import sys
    from pathlib import Path
    from pipeline.errors import AlreadyInLibrary
    from pipeline.library.store import Library
    from tests.library_factory import add
    with Library.open(Path(sys.argv[1])) as library:
        for number in range(12):
            try:
                add(library, f"shared {number}", f"shared words {number}")
            except AlreadyInLibrary:
                pass
            own = add(library, f"{sys.argv[2]} {number}", f"own words of {sys.argv[2]}")
            if number % 3 == 0:
                library.remove(own.id)
"""


def test_processes_write_one_library_at_once(tmp_path: Path) -> None:
    """Three real processes make the library, add the same and different videos, and remove some."""
    root = tmp_path / "library"
    running = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROCESS), root, name], cwd=ROOT)
        for name in ("a", "b", "c")
    ]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    with Library.open(root) as library:
        titles = [video.title for video in library.videos(order="title")]
        own = [f"{name} {number}" for name in "abc" for number in range(12) if number % 3]
        assert sorted(titles) == sorted(own + [f"shared {number}" for number in range(12)])
        assert len(library.search_passages(to_match("words"), limit=1000)) == len(titles)
        assert len(library.nearest_windows(a_vector(0), limit=1000)) == len(titles)
        with library.writing() as connection:
            check = "INSERT INTO passages_fts(passages_fts, rank) VALUES ('integrity-check', 1)"
            connection.execute(text(check))


def test_a_full_database_is_said_and_nothing_is_half_done(library: Library) -> None:
    kept = add(library, "kept", "the kettle boils")

    def bound(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    event.listen(library.engine, "checkout", bound)
    with pytest.raises(DiskFull, match="Free some space"):
        library.set_transcript(kept.id, a_transcript(*(f"long words {n} " * 100 for n in range(50))))
    video = a_video("too much", notice="x" * 4000, url="y" * 4000, original_name="z" * 4000)
    with pytest.raises(DiskFull):
        for number in range(20):
            add(library, f"more {number}", *(f"sentence {n} " * 50 for n in range(40)), notice=video.notice)
    event.remove(library.engine, "checkout", bound)
    library.engine.dispose()
    assert library.transcript(kept.id).text == "the kettle boils"
    assert library.search_passages(to_match("kettle"))[0][1] == kept.id
    assert all(library.transcript(video.id) is not None for video in library.videos())
    with library.writing() as connection:
        check = "INSERT INTO passages_fts(passages_fts, rank) VALUES ('integrity-check', 1)"
        connection.execute(text(check))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if not mount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs more rights")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_library_goes_on_afterwards(tiny_disk: Path) -> None:
    with Library.open(tiny_disk / "library") as library:
        kept = add(library, "kept", "the kettle boils")
        ballast = tiny_disk / "ballast"
        with pytest.raises(OSError), open(ballast, "wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        with pytest.raises(DiskFull, match=str(tiny_disk)):
            for number in range(50):
                add(library, f"more {number}", *(f"sentence {n} {number} " * 50 for n in range(40)))
        assert library.transcript(kept.id).text == "the kettle boils"
        ballast.unlink()
        added = add(library, "after", "there is room again")
        assert library.search_passages(to_match("room"))[0][1] == added.id
    ballast = tiny_disk / "ballast"
    with pytest.raises(OSError), open(ballast, "wb") as file:
        while True:
            file.write(b"x" * 512)
            file.flush()
    with pytest.raises(DiskFull):
        Library.open(tiny_disk / "second")


def test_the_file_systems_errors_are_understood(tmp_path: Path) -> None:
    assert isinstance(explain_os(OSError(errno.ENOSPC, "x"), tmp_path), DiskFull)
    assert isinstance(explain_os(OSError(errno.EDQUOT, "x"), tmp_path), DiskFull)
    assert "permissions" in str(explain_os(PermissionError(errno.EACCES, "x"), tmp_path))
    assert explain_os(OSError(errno.ENOENT, "x"), tmp_path) is None


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (sqlite3.SQLITE_FULL, DiskFull, "Free some space"),
        (sqlite3.SQLITE_CORRUPT, LibraryError, "backup"),
        (sqlite3.SQLITE_NOTADB, LibraryError, "backup"),
        (sqlite3.SQLITE_READONLY_DBMOVED, LibraryError, "permissions"),
        (sqlite3.SQLITE_CANTOPEN, LibraryError, "permissions"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LibraryError, "try again"),
        (sqlite3.SQLITE_IOERR_READ, LibraryError, "Check the disk"),
    ],
)
def test_what_sqlite_says_is_understood(tmp_path: Path, code: int, kind: type, words: str) -> None:
    error = sqlite3.OperationalError("told by SQLite")
    error.sqlite_errorcode = code
    with pytest.raises(kind, match=words), plain_errors(tmp_path):
        raise error


def test_bugs_are_not_hidden_behind_plain_words(library: Library) -> None:
    with pytest.raises(OperationalError), library.snapshot() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "library").write_text("x")
    with pytest.raises(LibraryError, match="is a file"):
        Library.open(tmp_path / "library")


@pytest.mark.parametrize("place", ["file/library", "n" * 300])
def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LibraryError, match=r"cannot be made: .*Choose another folder"):
        Library.open(tmp_path / place)


@pytest.mark.parametrize(
    "content", [b"this is no database at all, not even a little bit" * 50, os.urandom(9000)]
)
def test_a_database_that_is_none_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "library.db").write_bytes(content)
    with pytest.raises(LibraryError, match="damaged"):
        Library.open(tmp_path)
    assert (tmp_path / "library.db").read_bytes() == content


def test_a_damaged_page_is_said_in_plain_words(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        for number in range(20):
            add(library, f"v{number}", *(f"sentence {n} {number} " * 20 for n in range(20)))
    with sqlite3.connect(tmp_path / "library.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray((tmp_path / "library.db").read_bytes())
    data[8192 : len(data) - 4096] = os.urandom(len(data) - 4096 - 8192)
    (tmp_path / "library.db").write_bytes(data)
    with pytest.raises(LibraryError, match="damaged"), Library.open(tmp_path) as library:
        library.videos()
        library.search_passages(to_match("sentence"))
        library.rebuild()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LibraryError, match="cannot be written"):
        Library.open(tmp_path / "library")
    tmp_path.chmod(0o700)
