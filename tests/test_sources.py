"""Files, folders and uploads as sources: pairing of subtitles, titles, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceRefused, SourceUnavailable
from pipeline.sources import LinkItem, Source, from_item, from_paths, from_uploads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with videos and subtitles in several ways, and things that are neither."""
    names = (
        "b knots.mp4",
        "b knots.en.vtt",
        "b knots.srt",
        "a wounds.MKV",
        "notes.txt",
        "poster.jpg",
        ".hidden.mp4",
        "deeper/2 splint.webm",
        "deeper/2 splint.pt-BR.srt",
        ".cache/old.mp4",
        "library/library.db",
        "library/videos/0123/play.mp4",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(sources: list[Source]) -> list[str]:
    return [source.original_name for source in sources]


class TestFromPaths:
    def test_a_folder_gives_its_videos_sorted_and_no_library_s(self, folder: Path) -> None:
        sources = from_paths([folder])
        assert names(sources) == ["a wounds.MKV", "b knots.mp4", "2 splint.webm"]
        assert [source.title for source in sources] == ["a wounds", "b knots", "2 splint"]
        assert all(source.kind == "file" and source.path and source.path.is_absolute() for source in sources)

    def test_subtitles_beside_a_video_are_its_own_the_plain_name_first(self, folder: Path) -> None:
        found = {source.title: [path.name for path in source.subtitles] for source in from_paths([folder])}
        assert found == {
            "a wounds": [],
            "b knots": ["b knots.srt", "b knots.en.vtt"],
            "2 splint": ["2 splint.pt-BR.srt"],
        }

    def test_subtitles_among_the_paths_come_first(self, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "elsewhere" / "b knots.srt"
        other.parent.mkdir()
        other.write_text("x")
        (source,) = from_paths([other, folder / "b knots.mp4"])
        assert source.subtitles[0] == other and len(source.subtitles) == 3

    def test_a_single_subtitle_file_belongs_to_a_single_video(self, folder: Path) -> None:
        other = folder / "final version 3.srt"
        other.write_text("x")
        (source,) = from_paths([folder / "a wounds.MKV", other])
        assert source.subtitles == (other,)

    def test_a_language_in_the_video_s_own_name(self, tmp_path: Path) -> None:
        for name in ("talk.mp4", "talk.en.mp4", "talk.en.srt"):
            (tmp_path / name).write_text("x")
        found = {source.original_name: source.subtitles for source in from_paths([tmp_path])}
        assert found == {"talk.mp4": (), "talk.en.mp4": (tmp_path / "talk.en.srt",)}

    def test_the_same_path_twice_is_one_video(self, folder: Path) -> None:
        assert len(from_paths([folder / "b knots.mp4", folder, folder / "b knots.mp4"])) == 3

    def test_a_relative_path_that_begins_with_a_dash(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "-rf.mp4").write_text("x")
        monkeypatch.chdir(tmp_path)
        assert from_paths(["-rf.mp4"])[0].path == tmp_path / "-rf.mp4"

    @pytest.mark.parametrize("name", ["gone.mp4", "x" * 300 + ".mp4", "zero\0byte.mp4"])
    def test_what_is_not_there(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(SourceUnavailable, match="not there"):
            from_paths([f"{tmp_path}/{name}"])

    def test_a_folder_without_videos(self, tmp_path: Path) -> None:
        with pytest.raises(SourceUnavailable, match="no video"):
            from_paths([tmp_path])

    def test_subtitles_without_a_video(self, folder: Path) -> None:
        stray = folder / "stray.srt"
        stray.write_text("x")
        with pytest.raises(SourceRefused, match=r"stray\.srt.*same name"):
            from_paths([stray, folder / "b knots.mp4", folder / "a wounds.MKV"])
        with pytest.raises(SourceRefused, match="stray"):
            from_paths([stray])

    def test_a_name_that_is_no_text(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
        try:
            Path(os.fsdecode(path)).write_text("x")
        except OSError:
            pytest.skip("this file system takes only names that are text")
        with pytest.raises(SourceRefused, match="Rename"):
            from_paths([tmp_path])

    def test_nothing_gives_nothing(self) -> None:
        assert from_paths([]) == []


class TestFromUploads:
    def test_they_are_paired_by_the_visitor_s_names(self, tmp_path: Path) -> None:
        uploads = [
            (tmp_path / "tmp1", "C:\\Videos\\Knots.mp4"),
            (tmp_path / "tmp2", "../../etc/Wounds.webm"),
            (tmp_path / "tmp3", "knots.EN.srt"),
        ]
        knots, wounds = from_uploads(uploads)
        assert (knots.kind, knots.title, knots.original_name) == ("upload", "Knots", "Knots.mp4")
        assert knots.subtitles == (tmp_path / "tmp3",)
        assert (wounds.title, wounds.original_name) == ("Wounds", "Wounds.webm")
        assert wounds.subtitles == () and wounds.path == tmp_path / "tmp2"

    def test_two_of_one_name_are_two(self, tmp_path: Path) -> None:
        sources = from_uploads([(tmp_path / "1", "a.mp4"), (tmp_path / "2", "a.mp4")])
        assert [source.path for source in sources] == [tmp_path / "1", tmp_path / "2"]

    def test_one_video_takes_the_one_subtitle_file(self, tmp_path: Path) -> None:
        (source,) = from_uploads([(tmp_path / "1", "a.mp4"), (tmp_path / "2", "subtitles (1).vtt")])
        assert source.subtitles == (tmp_path / "2",)

    def test_only_subtitles(self, tmp_path: Path) -> None:
        with pytest.raises(SourceRefused, match="add the video"):
            from_uploads([(tmp_path / "1", "a.srt")])

    @pytest.mark.parametrize(
        ("name", "title"),
        [
            ('😀 it\'s "50%" #1.mp4', '😀 it\'s "50%" #1'),
            ("-rf.mp4", "-rf"),
            ("<script>alert(1)<!--script>.mp4", "<script>alert(1)<!--script>"),
            ("new\nline\tand\x1b[31m.mp4", "new line and [31m"),
            ("caf\udce9.mp4", "caf?"),
            ("x" * 200 + ".mp4", "x" * 200),
            ("x" * 2000 + ".mp4", "x" * 300),
            ("", "tmp"),
            (".mp4", ".mp4"),
            ("   .mp4", "Untitled"),
        ],
    )
    def test_every_name_gives_a_title(self, name: str, title: str) -> None:
        (source,) = from_uploads([("/somewhere/tmp", name)])
        assert source.title == title
        source.original_name.encode()

    @given(st.text(max_size=300))
    def test_no_name_breaks_a_title(self, name: str) -> None:
        (source,) = from_uploads([("/somewhere/tmp", name + ".mp4")])
        assert 0 < len(source.title) <= 300
        assert "\n" not in source.title and source.title == source.title.strip()
        source.title.encode()


class TestSource:
    @given(
        st.builds(
            Source,
            kind=st.just("link"),
            url=st.text(min_size=1),
            title=st.text(),
            subtitles=st.lists(st.just(Path("/a/b.srt")), max_size=2).map(tuple),
            tags=st.lists(st.text(), max_size=3).map(tuple),
            language=st.text(),
            site=st.text(),
            site_id=st.text(),
        )
        | st.builds(Source, kind=st.sampled_from(["file", "upload"]), path=st.just(Path("/a/b.mp4")))
    )
    def test_it_survives_json(self, source: Source) -> None:
        assert Source.from_dict(json.loads(json.dumps(source.as_dict()))) == source

    def test_fields_of_later_versions_are_passed_over(self) -> None:
        values = Source("link", url="https://a.example/1").as_dict() | {"later": 1}
        assert Source.from_dict(values).url == "https://a.example/1"

    @pytest.mark.parametrize("values", [{"kind": "ftp"}, {"kind": "link"}, {"kind": "file"}])
    def test_what_makes_no_sense_is_refused(self, values: dict) -> None:
        with pytest.raises(ValueError):
            Source(**values)

    def test_from_an_item_of_a_link(self) -> None:
        item = LinkItem("https://a.example/1", "Example", "1", "Knots", 60.0)
        source = from_item(item, tags=("rope",))
        assert (source.kind, source.url, source.site, source.site_id) == (
            "link",
            "https://a.example/1",
            "Example",
            "1",
        )
        assert source.title == "Knots" and source.tags == ("rope",)
        refused = LinkItem("https://a.example/1", "Example", "1", "Knots", live=True, refused="It is live.")
        with pytest.raises(SourceRefused, match=r"Knots.*live"):
            from_item(refused)
