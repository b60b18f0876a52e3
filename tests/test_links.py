"""Links against servers of the test's own: what is found and fetched, and what may not be reached."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.extractor.common import InfoExtractor

from pipeline import media
from pipeline.addresses import Guard, is_public
from pipeline.errors import Cancelled, DiskFull, SourceGone, SourceRefused, SourceUnavailable
from pipeline.formats import pick_captions, pick_formats
from pipeline.settings import Settings
from pipeline.site import explain, javascript_runtime
from pipeline.sources import LinkItem, Links, Source, check_address, from_item
from pipeline.types import Origin
from tests import media_factory as factory

TYPES = {
    ".mp4": "video/mp4",
    ".m4a": "audio/mp4",
    ".html": "text/html",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
}


class Server:
    """A web server of the test: `pages` maps a path to bytes, or to a status and headers."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | tuple[int, dict[str, str]]] = {}
        self.hits: list[str] = []
        handler = type("Handler", (_Handler,), {"site": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = ("127.0.0.1", self._server.server_port)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Server

    def do_GET(self) -> None:
        self.site.hits.append(self.path)
        page = self.site.pages.get(self.path, (404, {}))
        if isinstance(page, tuple):
            self.send_response(page[0])
            for key, value in page[1].items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(Path(self.path).suffix, "text/plain"))
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command == "GET":
            try:
                self.wfile.write(page)
            except OSError:  # the other side has seen enough
                self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def inner() -> Iterator[Server]:
    """The server inside the private network, which nobody may reach."""
    one = Server()
    one.pages["/secret.mp4"] = one.pages["/"] = b"secret"
    yield one
    one.close()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("links") / "a.mp4"
    return factory.make_video(path, 2).read_bytes()


@pytest.fixture
def links() -> Links:
    return Links(Settings(allow_private_addresses=True))


def outside(server: Server, **more: Any) -> Links:
    """Links on a shared server, for which `server` stands for the open web."""
    return Links(Settings(), exempt=frozenset({server.address}), **more)


def link(url: str, **more: Any) -> Source:
    return Source("link", url=url, **more)


class FakeSiteIE(InfoExtractor):
    """A site whose answer the test gives: `made-up:NAME` links look it up in `answers`."""

    _VALID_URL = r"https?://127\.0\.0\.1:\d+/made-up/(?P<id>.+)"
    IE_NAME = "default:fake"

    def __init__(self, answers: dict[str, dict]) -> None:
        super().__init__()
        self.answers = answers

    def _real_extract(self, url: str) -> dict:
        return {"id": self._match_id(url), "title": "Made up"} | self.answers[self._match_id(url)]


def fake(answer: dict | Exception, **settings: Any) -> Links:
    site = FakeSiteIE({"1": answer} if isinstance(answer, dict) else {})
    if isinstance(answer, Exception):

        def fail(url: str) -> dict:
            raise answer

        site._real_extract = fail  # type: ignore[method-assign]
    return Links(Settings(allow_private_addresses=True, **settings), extractors=(site,))


MADE_UP = "http://127.0.0.1:9/made-up/1"


class TestProbe:
    def test_a_plain_file(self, server: Server, links: Links, video: bytes) -> None:
        server.pages["/how to tie.mp4"] = server.pages["/how%20to%20tie.mp4"] = video
        (item,) = links.probe(f"  {server.url}/how%20to%20tie.mp4 ")
        assert item.title == "how to tie" and item.refused == "" and not item.live
        assert (item.site, item.site_id) == ("Generic", f"{server.url}/how%20to%20tie.mp4")

    def test_two_files_of_one_name_are_two_videos(self, server: Server, links: Links, video: bytes) -> None:
        server.pages["/a/video.mp4"] = server.pages["/b/video.mp4"] = video
        one, other = (links.probe(f"{server.url}/{place}/video.mp4")[0] for place in "ab")
        assert (one.site, one.site_id) != (other.site, other.site_id)

    def test_a_page_with_a_video(self, server: Server, links: Links, video: bytes) -> None:
        page = b"<html><title>Knots &amp; &lt;b&gt;</title><video src='a.mp4'></video></html>"
        server.pages |= {"/page.html": page, "/a.mp4": video}
        (item,) = links.probe(f"{server.url}/page.html")
        assert item.title == "Knots & <b>"

    def test_a_page_with_several_gives_each_its_own_link(
        self, server: Server, links: Links, video: bytes, tmp_path: Path
    ) -> None:
        page = b"<title>Knots</title><video src='a.mp4'></video><video src='b.mp4'></video>"
        server.pages |= {"/page.html": page, "/a.mp4": video, "/b.mp4": video + b"\0" * 9}
        items = links.probe(f"{server.url}/page.html")
        assert [item.url for item in items] == [f"{server.url}/a.mp4", f"{server.url}/b.mp4"]
        done = [links.download(from_item(item), tmp_path / str(n)) for n, item in enumerate(items)]
        assert [one.path.stat().st_size for one in done] == [len(video), len(video) + 9]
        known = [(item.site, item.site_id) for item in items]
        assert [(one.info["site"], one.info["site_id"]) for one in done] == known

    def test_a_playlist_is_capped(self) -> None:
        entries = [
            {
                "_type": "url",
                "ie_key": "Tube",
                "id": str(n),
                "url": f"https://a.example/{n}",
                "title": f"T{n}",
            }
            for n in range(100)
        ]
        items = fake({"_type": "playlist", "entries": entries}, max_playlist=7).probe(MADE_UP)
        assert [item.site_id for item in items] == [str(n) for n in range(7)]
        assert (items[0].site, items[0].url, items[0].title) == ("Tube", "https://a.example/0", "T0")

    def test_what_a_site_says(self) -> None:
        answer = {
            "url": "https://cdn.example/1.mp4",
            "duration": 61,
            "title": "  Knots\n for all ",
            "thumbnail": "javascript:alert(1)",
        }
        (item,) = fake(answer).probe(MADE_UP)
        assert item == LinkItem(MADE_UP, "FakeSite", "1", "Knots for all", 61.0)

    @pytest.mark.parametrize(
        ("answer", "word"),
        [
            ({"is_live": True}, "live broadcast"),
            ({"live_status": "is_upcoming"}, "not been shown yet"),
            ({"duration": 13 * 3600}, "longer than 12 hours"),
            ({"filesize": 9 << 30}, "larger than 8 GB"),
        ],
    )
    def test_limits_are_said_before_anything_is_fetched(
        self, answer: dict, word: str, tmp_path: Path
    ) -> None:
        site = fake({"url": "http://127.0.0.1:9/1.mp4"} | answer)
        (item,) = site.probe(MADE_UP)
        assert word in item.refused
        with pytest.raises(SourceRefused, match=word):
            site.download(link(MADE_UP), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_copy_protection(self) -> None:
        formats = [{"format_id": "1", "url": "https://cdn.example/1.mp4", "has_drm": True}]
        with pytest.raises(SourceRefused, match="DRM"):
            fake({"formats": formats}).probe(MADE_UP)

    @pytest.mark.parametrize(
        ("page", "word"), [((404, {}), "no video at this link"), ((410, {}), "no video")]
    )
    def test_a_dead_link(self, server: Server, links: Links, page: tuple, word: str) -> None:
        server.pages["/a.mp4"] = page
        with pytest.raises(SourceUnavailable, match=word):
            links.probe(f"{server.url}/a.mp4")

    def test_other_answers_of_a_server(self, server: Server, links: Links) -> None:
        for status, word in ((403, "refuses"), (429, "too many"), (500, "fault"), (401, "sign in")):
            server.pages["/a.mp4"] = (status, {})
            with pytest.raises(SourceUnavailable, match=word):
                links.probe(f"{server.url}/a.mp4")

    def test_a_dead_server(self, server: Server, links: Links) -> None:
        server.close()
        with pytest.raises(SourceUnavailable, match="cannot be reached"):
            links.probe(f"{server.url}/a.mp4")

    def test_a_page_without_a_video(self, server: Server, links: Links) -> None:
        server.pages["/page.html"] = b"<html><title>Hello</title></html>"
        with pytest.raises(SourceUnavailable, match="No video was found"):
            links.probe(f"{server.url}/page.html")

    def test_links_can_be_switched_off(self) -> None:
        with pytest.raises(SourceRefused, match="switched off"):
            Links(Settings(links=False)).probe("https://a.example/1")

    def test_only_allowed_sites(self, server: Server, video: bytes) -> None:
        server.pages["/a.mp4"] = video
        only = Links(Settings(allow_private_addresses=True, allowed_sites=("youtube", "vimeo")))
        with pytest.raises(SourceRefused, match="not allowed here"):
            only.probe(f"{server.url}/a.mp4")


class TestDownload:
    def test_a_plain_file(self, server: Server, links: Links, video: bytes, tmp_path: Path) -> None:
        server.pages["/a.mp4"] = video
        fractions: list[float] = []
        done = links.download(link(f"{server.url}/a.mp4"), tmp_path, fractions.append)
        assert done.path.parent == tmp_path and done.path.read_bytes() == video
        assert done.subtitles == () and json.dumps(done.info)
        assert fractions == sorted(fractions) and 0 <= fractions[0] <= fractions[-1] <= 1

    def test_a_broken_download_goes_on(
        self, server: Server, links: Links, video: bytes, tmp_path: Path
    ) -> None:
        server.pages["/a.mp4"] = video
        name = links.download(link(f"{server.url}/a.mp4"), tmp_path / "first").path.name
        (tmp_path / "second").mkdir()
        (tmp_path / "second" / f"{name}.part").write_bytes(video[:1000])
        assert links.download(link(f"{server.url}/a.mp4"), tmp_path / "second").path.read_bytes() == video

    def test_hostile_names_stay_in_the_folder(self, server: Server, video: bytes, tmp_path: Path) -> None:
        server.pages["/1.mp4"] = video
        for name in ("../../escaped", "/etc/passwd", "x" * 500, "-i", "a%(id)sb", "😀"):
            answer = {"id": name, "title": name, "url": f"{server.url}/1.mp4", "ext": "mp4"}
            folder = tmp_path / "job"
            path = fake(answer).download(link(MADE_UP), folder).path
            assert path.parent == folder and path.read_bytes() == video
            path.unlink()
        assert list(tmp_path.iterdir()) == [folder]

    def test_picture_and_sound_apart_are_joined(self, server: Server, tmp_path: Path) -> None:
        picture = factory.make_video(tmp_path / "p.mp4", 2, audio=False)
        sound = factory.make_sound(tmp_path / "s.m4a")
        server.pages |= {"/p.mp4": picture.read_bytes(), "/s.m4a": sound.read_bytes()}
        formats = [
            {"format_id": "s", "url": f"{server.url}/s.m4a", "vcodec": "none", "acodec": "mp4a.40.2"},
            {
                "format_id": "p",
                "url": f"{server.url}/p.mp4",
                "vcodec": "avc1",
                "acodec": "none",
                "height": 180,
            },
        ]
        done = fake({"formats": formats}).download(link(MADE_UP), tmp_path / "job")
        found = media.probe(done.path)
        assert found.playable and found.has_audio and found.height == 180
        assert found.duration == pytest.approx(2, abs=0.2)

    def test_pieces_of_hls(self, server: Server, links: Links, tmp_path: Path) -> None:
        pieces = factory.make_video(tmp_path / "a.ts", 2).read_bytes()
        server.pages["/a.m3u8"] = hls("0.ts")
        server.pages["/0.ts"] = pieces
        done = links.download(link(f"{server.url}/a.m3u8"), tmp_path / "job")
        assert media.probe(done.path).duration == pytest.approx(2, abs=0.2)

    def test_cancelling(self, server: Server, links: Links, video: bytes, tmp_path: Path) -> None:
        server.pages["/a.mp4"] = video * 40
        with pytest.raises(Cancelled):
            links.download(link(f"{server.url}/a.mp4"), tmp_path, cancelled=lambda: True)
        assert server.hits == []
        begun = threading.Event()
        with pytest.raises(Cancelled):
            links.download(link(f"{server.url}/a.mp4"), tmp_path, lambda part: begun.set(), begun.is_set)

    def test_too_large_is_stopped_whatever_the_site_said(
        self, server: Server, video: bytes, tmp_path: Path
    ) -> None:
        server.pages["/1.mp4"] = video
        site = fake({"url": f"{server.url}/1.mp4", "filesize": 10}, max_file_gb=len(video) / 2 / (1 << 30))
        with pytest.raises(SourceRefused, match="larger than"):
            site.download(link(MADE_UP), tmp_path)

    def test_captions_come_with_it(self, server: Server, video: bytes, tmp_path: Path) -> None:
        server.pages |= {"/1.mp4": video, "/h.vtt": b"WEBVTT\n", "/a.json3": b"{}"}
        answer = {
            "url": f"{server.url}/1.mp4",
            "language": "de",
            "subtitles": {
                "live_chat": [{"ext": "json", "url": f"{server.url}/chat"}],
                "en": [{"ext": "vtt", "url": f"{server.url}/wrong.vtt"}],
                "de": [{"ext": "vtt", "url": f"{server.url}/h.vtt"}],
            },
            "automatic_captions": {
                "de-orig": [
                    {"ext": "vtt", "url": f"{server.url}/a.vtt"},
                    {"ext": "json3", "url": f"{server.url}/a.json3"},
                ],
                "en": [{"ext": "json3", "url": f"{server.url}/t.json3?tlang=en"}],
            },
        }
        done = fake(answer).download(link(MADE_UP), tmp_path)
        assert [(origin, language) for _, origin, language in done.subtitles] == [
            (Origin.SITE_HUMAN, "de"),
            (Origin.SITE_AUTOMATIC, "de"),
        ]
        assert [path.read_bytes() for path, *_ in done.subtitles] == [b"WEBVTT\n", b"{}"]
        assert done.info["language"] == "de"

    def test_captions_that_fail_do_not_matter(self, server: Server, video: bytes, tmp_path: Path) -> None:
        server.pages |= {"/1.mp4": video, "/h.vtt": (429, {})}
        tracks = {"en": [{"ext": "vtt", "url": f"{server.url}/h.vtt"}]}
        done = fake({"url": f"{server.url}/1.mp4", "subtitles": tracks}).download(link(MADE_UP), tmp_path)
        assert done.subtitles == () and done.path.read_bytes() == video

    def test_a_full_disk(self, tmp_path: Path) -> None:
        with pytest.raises(DiskFull, match="Free some"):
            fake(OSError(28, "No space left on device")).download(link(MADE_UP), tmp_path)


def hls(segment: str, more: str = "#EXT-X-MEDIA-SEQUENCE:0") -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", more, "#EXTINF:2.0,", segment]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()


class TestPrivateAddresses:
    REFUSED = (
        "http://127.0.0.1/a.mp4",
        "http://localhost/a.mp4",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0/",
        "http://0.0.0.0:8000/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "https://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://user:password@127.0.0.1/",
        "http://8.8.8.8@127.0.0.1/",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///etc/passwd",
        "ftp://example.com/a.mp4",
        "gopher://127.0.0.1/",
        "javascript:alert(1)",
        "data:text/html,hello",
        "ytsearch:knots",
        "-i",
        "",
        "http://",
        "http://[::1",
        "http://example.com:99999/",
        "http://exa mple.com/",
        "http://example.com/\r\nHost: a",
    )

    @pytest.mark.parametrize("url", REFUSED)
    def test_they_are_refused(self, url: str) -> None:
        with pytest.raises(SourceRefused):
            check_address(url)
        with pytest.raises(SourceRefused):
            Links(Settings()).probe(url)

    @pytest.mark.parametrize("found", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["fd00::1"]])
    def test_so_are_names_that_stand_for_them(self, found: list[str]) -> None:
        with pytest.raises(SourceRefused, match=r"evil\.example"):
            check_address("https://evil.example/a.mp4", resolver=lambda *a, **k: answers(*found))

    def test_public_ones_are_fine(self) -> None:
        for found in ("93.184.216.34", "2606:2800:220:1::1"):
            check_address("https://fine.example/a.mp4", resolver=lambda *a, f=found, **k: answers(f))
        assert is_public("8.8.8.8") and not is_public("nonsense")

    def test_a_name_that_nobody_knows(self) -> None:
        def unknown(*arguments: Any, **keywords: Any) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        with pytest.raises(SourceUnavailable, match="No server"):
            check_address("https://gone.example/", resolver=unknown)

    def test_they_can_be_allowed(self) -> None:
        check_address("http://192.168.1.1/a.mp4", allow_private=True)
        with pytest.raises(SourceRefused):
            check_address("file:///etc/passwd", allow_private=True)

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_a_redirect_to_one(self, server: Server, inner: Server, code: int, tmp_path: Path) -> None:
        server.pages["/a.mp4"] = (code, {"Location": f"{inner.url}/secret.mp4"})
        with pytest.raises(SourceRefused, match="private network"):
            outside(server).probe(f"{server.url}/a.mp4")
        with pytest.raises(SourceRefused, match="private network"):
            outside(server).download(link(f"{server.url}/a.mp4"), tmp_path)
        assert server.hits and inner.hits == [] and list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "target",
        [
            "http://169.254.169.254/latest/meta-data/",
            "http://localhost:22/",
            "//127.0.0.1:22/",
            "http://[::ffff:127.0.0.1]/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/a.mp4",
        ],
    )
    def test_a_redirect_to_other_forms(self, server: Server, target: str) -> None:
        server.pages["/a.mp4"] = (302, {"Location": target})
        with pytest.raises(SourceRefused):
            outside(server).probe(f"{server.url}/a.mp4")

    def test_a_chain_of_redirects(self, server: Server, inner: Server) -> None:
        server.pages["/a.mp4"] = (302, {"Location": "/b.mp4"})
        server.pages["/b.mp4"] = (302, {"Location": f"{inner.url}/secret.mp4"})
        with pytest.raises(SourceRefused):
            outside(server).probe(f"{server.url}/a.mp4")
        assert "/b.mp4" in server.hits and inner.hits == []

    def test_a_page_that_embeds_one(self, server: Server, inner: Server, tmp_path: Path) -> None:
        server.pages["/page.html"] = f"<video src='{inner.url}/secret.mp4'></video>".encode()
        with pytest.raises(SourceRefused):
            outside(server).download(link(f"{server.url}/page.html"), tmp_path)
        assert inner.hits == [] and list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("more", ["#EXT-X-MEDIA-SEQUENCE:0", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"'])
    def test_a_playlist_of_pieces_inside(
        self, server: Server, inner: Server, tmp_path: Path, more: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second form is what yt-dlp would hand to an ffmpeg on the PATH, which asks nobody."""
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("ffmpeg", "ffprobe"):
            (tools / name).write_text(f"#!/bin/sh\necho ffmpeg version 7.0\necho $@ >> {tmp_path}/ran\n")
            (tools / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tools), prepend=":")
        server.pages["/a.m3u8"] = hls(f"{inner.url}/secret.mp4", more)
        with pytest.raises((SourceRefused, SourceUnavailable)):
            outside(server).download(link(f"{server.url}/a.m3u8"), tmp_path / "job")
        ran = (tmp_path / "ran").read_text() if (tmp_path / "ran").exists() else ""
        assert inner.hits == [] and "http" not in ran

    def test_captions_inside(self, server: Server, inner: Server, video: bytes, tmp_path: Path) -> None:
        server.pages["/1.mp4"] = video
        tracks = {"en": [{"ext": "vtt", "url": f"{inner.url}/secret.mp4"}]}
        site = FakeSiteIE({"1": {"url": f"{server.url}/1.mp4", "subtitles": tracks}})
        done = outside(server, extractors=(site,)).download(link(f"{server.url}/made-up/1"), tmp_path)
        assert done.subtitles == () and inner.hits == []

    def test_a_name_that_changes_its_address(self, inner: Server) -> None:
        """The check is told a public address, the connection goes to a private one."""
        rebinding = Links(Settings(), resolver=lambda *a, **k: answers("93.184.216.34"))
        with pytest.raises(SourceRefused, match="private network"):
            rebinding.probe(f"http://localhost:{inner.address[1]}/secret.mp4")
        assert inner.hits == []

    def test_other_threads_and_later_connections_are_free(self, inner: Server) -> None:
        guard = Guard()
        with guard.watching():
            with pytest.raises(SourceRefused):
                socket.create_connection(inner.address)
            free: list[bool] = []
            thread = threading.Thread(target=lambda: free.append(connects(inner)))
            thread.start()
            thread.join()
        assert free == [True] and connects(inner)
        assert isinstance(guard.refusal, SourceRefused)


def answers(*addresses: str) -> list[tuple]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]


def connects(server: Server) -> bool:
    with socket.create_connection(server.address):
        return True


SOUND = {"format_id": "sound", "vcodec": "none", "acodec": "mp4a.40.2", "abr": 128}
OPUS = {"format_id": "opus", "vcodec": "none", "acodec": "opus", "abr": 160}
WHOLE = {"format_id": "whole", "vcodec": "avc1.42", "acodec": "mp4a.40.2", "height": 360}
HD = {"format_id": "hd", "vcodec": "avc1.4d", "acodec": "none", "height": 720, "tbr": 1500}
VP9 = {"format_id": "vp9", "vcodec": "vp9", "acodec": "none", "height": 720, "tbr": 900}
UHD = {"format_id": "uhd", "vcodec": "avc1.64", "acodec": "none", "height": 2160, "tbr": 15000}


class TestChoices:
    def pick(self, *formats: dict) -> list[str]:
        return [one["format_id"] for one in pick_formats({"formats": list(formats)})]

    def test_h264_up_to_720_with_aac(self) -> None:
        formats = (SOUND, OPUS, WHOLE, VP9, HD, UHD)
        assert self.pick(*formats) == ["hd", "sound"]

    def test_what_is_left_when_that_is_missing(self) -> None:
        assert self.pick(OPUS, VP9, UHD) == ["vp9", "opus"]
        assert self.pick(SOUND, UHD) == ["uhd", "sound"]
        assert self.pick(WHOLE, HD) == ["whole"]  # no sound for the better picture
        assert self.pick(HD) == ["hd"]
        assert self.pick(SOUND) == []

    def test_a_plain_file_that_says_nothing(self) -> None:
        assert self.pick({"format_id": "0", "url": "https://a.example/a.mp4"}) == ["0"]

    def test_the_speaker_s_own_language(self) -> None:
        dubbed = SOUND | {"format_id": "dubbed", "abr": 256, "language_preference": -5}
        spoken = SOUND | {"format_id": "spoken", "language_preference": 10}
        assert self.pick(dubbed, spoken, HD) == ["hd", "spoken"]

    def test_nothing_that_needs_other_programs(self) -> None:
        assert self.pick(WHOLE | {"protocol": "rtmp"}) == []
        assert self.pick(WHOLE | {"has_drm": True}) == []

    def test_captions_of_the_language_asked_for(self) -> None:
        tracks = {
            key: [{"ext": "srt", "url": key}, {"ext": "vtt", "url": key}] for key in ("en-GB", "de", "fr")
        }
        assert pick_captions({"subtitles": tracks}, "de")[0][0] == "de"
        assert pick_captions({"subtitles": tracks})[0][0] == "en-GB"
        assert pick_captions({"subtitles": tracks})[0][2]["ext"] == "vtt"
        assert pick_captions({}) == []


class TestPlainWords:
    @pytest.mark.parametrize(
        ("words", "kind", "meaning"),
        [
            (
                "[youtube] x: Private video. Sign in if you've been granted access",
                SourceGone,
                "private",
            ),
            ("Join this channel to get access to members-only content", SourceGone, "members"),
            ("Sign in to confirm your age. This video may be inappropriate", SourceGone, "adults"),
            ("The uploader has not made this video available in your country", SourceGone, "country"),
            ("This live event will begin in 3 hours.", SourceRefused, "live broadcast"),
            ("Premieres in 2 days", SourceRefused, "not been shown yet"),
            ("This video is DRM protected", SourceRefused, "DRM"),
            ("HTTP Error 429: Too Many Requests", SourceUnavailable, "too many requests"),
            ("Sign in to confirm you\u2019re not a bot. Use --cookies", SourceUnavailable, "robot"),
            ("Unsupported URL: https://a.example", SourceUnavailable, "No video was found"),
            ("Unsupported URL: http://a.example:42913/private", SourceUnavailable, "No video was found"),
            ("Video unavailable. This video has been removed by the uploader", SourceGone, "no video"),
            ("This video is only available for registered users", SourceUnavailable, "sign in"),
            ("Requested format is not available", SourceUnavailable, "yt-dlp"),
            ("<urlopen error [Errno -2] getaddrinfo failed>", SourceUnavailable, "cannot be reached"),
            ("The read operation timed out", SourceUnavailable, "cannot be reached"),
            ("unable to write data: [Errno 28] No space left on device", DiskFull, "Free some"),
            ("something nobody has seen before", SourceUnavailable, "add the file"),
        ],
    )
    def test_each_error_says_what_to_do(self, words: str, kind: type, meaning: str) -> None:
        error = explain(f"ERROR: {words}")
        assert type(error) is kind and meaning in str(error)
        assert "ERROR" not in str(error)

    def test_the_javascript_runtime_is_named_or_not(self) -> None:
        found = javascript_runtime()
        assert found == "" or found.split()[0] in ("deno", "node", "bun")
