"""The addresses of files, pictures and words: ranges, caching, whom they answer, and what they never give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from pipeline import media, subtitles
from pipeline.library.store import Library
from tests.app_parts import ATTACK, TEA, Served, filled, served


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return filled(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def site(library: Library) -> Iterator[Served]:
    with served(library) as running:
        yield running


def address(site: Served, title: str = "tea") -> str:
    return f"video/{site.library.videos(search=title)[0].id}"


def test_the_whole_file_comes_as_it_is(site: Served) -> None:
    video = site.library.videos(search="tea")[0]
    reply = site.get(f"video/{video.id}/play")
    assert reply.status == 200 and reply.body == video.path.read_bytes()
    assert reply.header("content-type") == "video/mp4" and reply.header("accept-ranges") == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"), [("0-99", 0, 99), ("1000-", 1000, None), ("-50", -50, None)]
)
def test_ranges(site: Served, asked: str, first: int, last: int | None) -> None:
    video = site.library.videos(search="tea")[0]
    whole = video.path.read_bytes()
    reply = site.get(f"video/{video.id}/play", {"Range": f"bytes={asked}"})
    assert reply.status == 206 and reply.body == whole[first : None if last is None else last + 1]
    assert reply.header("content-range").endswith(f"/{len(whole)}")


def test_a_range_behind_the_end_is_refused(site: Served) -> None:
    assert site.get(f"{address(site)}/play", {"Range": "bytes=999999999-"}).status == 416


def test_head_gives_the_size_without_the_file(site: Served) -> None:
    reply = site.get(f"{address(site)}/play", method="HEAD")
    assert reply.status == 200 and not reply.body and int(reply.header("content-length")) > 1000


@pytest.mark.parametrize(
    "name", ["play", "thumbnail.jpg", "strip.jpg", "frame.jpg?t=7", "captions.vtt", "transcript.json"]
)
def test_what_has_not_changed_is_not_sent_again(site: Served, name: str) -> None:
    first = site.get(f"{address(site)}/{name}")
    again = site.get(f"{address(site)}/{name}", {"If-None-Match": first.header("etag")})
    assert first.status == 200 and first.header("etag")
    assert again.status == 304 and not again.body


def test_a_stale_if_range_gets_the_whole_file(site: Served) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert site.get(f"{address(site)}/play", headers).status == 200


def test_nothing_but_ids_of_the_library(site: Served) -> None:
    for name in ("0" * 16, "..%2f..%2fetc%2fpasswd", "%2e%2e", "library.db", "../library.db", "A" * 16):
        for file in ("play", "thumbnail.jpg", "transcript.json"):
            assert site.get(f"video/{name}/{file}").status == 404, name
    assert site.get(f"{address(site)}/library.db").status == 404


def test_every_answer_is_data_and_belongs_to_this_page(site: Served) -> None:
    for name in ("play", "frame.jpg", "captions.vtt", "transcript.json", "subtitles.srt", "nothing"):
        reply = site.get(f"{address(site)}/{name}")
        if name != "nothing":
            assert reply.header("x-content-type-options") == "nosniff"
            assert reply.header("cross-origin-resource-policy") == "same-origin"
            assert reply.header("content-security-policy").startswith("default-src 'none'")
        assert "text/html" not in reply.header("content-type")


def test_pages_of_other_sites_get_nothing(site: Served) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert site.get(f"{address(site)}/play", elsewhere).status == 403
    assert site.get(f"{address(site)}/play", {"Origin": "https://elsewhere.example"}).status == 403
    assert site.get(f"{address(site)}/play", {"Sec-Fetch-Site": "same-origin"}).status == 200
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert site.get(f"{address(site)}/subtitles.srt", followed).status == 200


def test_a_login_closes_every_address(library: Library) -> None:
    with served(library, username="ann", password="secret") as site:
        for name in ("play", "thumbnail.jpg", "transcript.json", "subtitles.srt", "clip.mp4?s=1&e=3"):
            assert site.get(f"{address(site)}/{name}").status == 401
        assert site.get("archive/token.zip").status == 401
        cookie = _sign_in(site)
        assert site.get(f"{address(site)}/play", {"Cookie": cookie}).status == 200
        assert site.get(f"{address(site)}/play", {"Cookie": "access-token=guessed"}).status == 401


def _sign_in(site: Served) -> str:
    import urllib.request

    request = urllib.request.Request(f"{site.url}/login", b"username=ann&password=secret")
    with urllib.request.urlopen(request) as reply:
        return "; ".join(cookie.split(";")[0] for cookie in reply.headers.get_all("Set-Cookie"))


def test_a_frame_shows_that_second(site: Served) -> None:
    early, late = (site.get(f"{address(site)}/frame.jpg?t={t}") for t in (1, 30))
    assert early.header("content-type") == "image/jpeg" and early.body[:2] == b"\xff\xd8"
    assert early.body != late.body
    assert site.get(f"{address(site)}/frame.jpg?t=99999").status == 200
    assert site.get(f"{address(site)}/frame.jpg?t=-1").status == 400
    assert site.get(f"{address(site)}/frame.jpg?t=nan").status == 400


def test_captions_keep_hostile_words_as_words(site: Served) -> None:
    words = site.get(f"{address(site, 'window.hacked')}/captions.vtt").body.decode()
    assert "<script" not in words and "<img" not in words and "burglar" in words


def test_the_transcript_is_what_is_stored(site: Served) -> None:
    told = json.loads(site.get(f"{address(site)}/transcript.json").body)
    assert [cue[2] for cue in told["cues"]] == [text for _, _, text in TEA]
    assert "given with the file" in told["origin"].lower()


def test_subtitles_of_the_whole_and_of_a_clip(site: Served, tmp_path: Path) -> None:
    whole = site.get(f"{address(site)}/subtitles.srt")
    assert "How%20to%20make%20a%20pot%20of%20tea.srt" in whole.header("content-disposition")
    part = site.get(f"{address(site)}/subtitles.vtt?s=22&e=29")
    (tmp_path / "part.vtt").write_bytes(part.body)
    cues = subtitles.read(tmp_path / "part.vtt")
    assert [cue.text for cue in cues] == [
        "Let it steep for exactly four minutes, no longer, or it gets bitter."
    ]
    assert cues[0].start == pytest.approx(0.5, abs=0.01)
    assert "0.22-0.29.vtt" in part.header("content-disposition")


def test_a_clip_is_exact(site: Served, tmp_path: Path) -> None:
    reply = site.get(f"{address(site)}/clip.mp4?s=11.3&e=16.5")
    assert reply.status == 200 and reply.header("content-type") == "video/mp4"
    assert reply.header("content-disposition").startswith("attachment")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(reply.body)
    found = media.probe(clip)
    assert found.duration == pytest.approx(5.2, abs=0.1) and found.video_codec == "h264"
    with av.open(str(clip)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("query", ["s=9&e=3", "s=500&e=600", "s=x&e=3", "s=-4&e=3", "s=inf&e=3"])
def test_clips_that_are_none(site: Served, query: str) -> None:
    reply = site.get(f"{address(site)}/clip.mp4?{query}")
    assert reply.status == 400 and reply.body.decode()


def test_a_hostile_title_makes_a_harmless_file_name(site: Served) -> None:
    header = site.get(f"{address(site, 'window.hacked')}/subtitles.srt").header("content-disposition")
    assert header.startswith('attachment; filename="clip.srt"') and "<" not in header and ATTACK not in header


def test_a_file_that_is_gone_is_said_to_be_gone(site: Served, tmp_path: Path) -> None:
    video = site.library.videos(search="Mending")[0]
    shutil.move(video.path, tmp_path / "moved.mp4")
    try:
        for name in ("play", "clip.mp4?s=1&e=2", "frame.jpg?t=12"):
            reply = site.get(f"video/{video.id}/{name}")
            assert reply.status == 410 and b"not where it was" in reply.body
            assert str(video.path.parent).encode() not in reply.body
        assert site.get(f"video/{video.id}/transcript.json").status == 200
    finally:
        shutil.move(tmp_path / "moved.mp4", video.path)
