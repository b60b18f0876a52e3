"""The page's functions without a browser: endpoints over HTTP and MCP, taking in, steering, keeping."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from app import News, ask_tab, create_app, evidence, is_shared, library_tab, method_menu, wording
from app.add_videos import Adding, with_options
from app.keep import Keeper
from benchmarks.serving import ROOT, answers, call, free_port, wait_for
from pipeline.ask import Asker
from pipeline.library import jobs
from pipeline.library.store import Library
from pipeline.methods import METHODS
from pipeline.settings import Settings
from pipeline.sources import LinkItem, Source
from pipeline.types import Span
from tests.app_parts import ATTACK, TEA, Served, filled, served
from tests.asking import add
from tests.fake_asker import FakeAsker
from tests.media_factory import make_video
from tests.work_parts import wait_until, work

QUESTION = "For how many minutes do I let it steep?"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return filled(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def site(library: Library) -> Iterator[Served]:
    with served(library) as running:
        yield running


@pytest.fixture
def settings(library: Library) -> Settings:
    return Settings(library_dir=library.root)


@pytest.fixture
def asker(library: Library) -> FakeAsker:
    return FakeAsker(library)


# Endpoints


def test_ask_over_http_with_the_question_alone(site: Served) -> None:
    reply = call(site.url, "ask", QUESTION)
    assert isinstance(reply, dict)
    first = reply["answers"][0]
    assert "four minutes" in first["text"] and first["title"] == "How to make a pot of tea"
    assert first["start"] <= 22.5 and first["end"] >= 28 and first["play"].startswith("?v=")
    assert str(site.library.root) not in json.dumps(reply)


def test_ask_within_one_video_or_tag(site: Served) -> None:
    tyre = site.library.videos(search="Mending")[0]
    for arguments in ((5, tyre.id), (5, "", "bicycle")):
        reply = call(site.url, "ask", "glue and water", *arguments)
        assert {found["video_id"] for found in reply["answers"]} == {tyre.id}  # type: ignore[index]


@pytest.mark.parametrize(
    "question", ["", "   ", "?", "x" * 5000, '" OR 1=1 --', "NEAR(a b", "the of and", "茶"]
)
def test_odd_questions_are_answered_in_words(site: Served, question: str) -> None:
    reply = call(site.url, "ask", question)
    assert isinstance(reply, dict) and "answered" in reply
    assert reply["answers"] or reply["message"]


def test_ask_says_what_speaks_for_each_clip(site: Served) -> None:
    first = call(site.url, "ask", QUESTION)["answers"][0]  # type: ignore[index]
    assert first["evidence"] == {"words": 1.0, "meaning": 0.5, "picture": None}


def test_explain_over_http(site: Served) -> None:
    first = call(site.url, "ask", QUESTION)["answers"][0]  # type: ignore[index]
    found = call(site.url, "explain", QUESTION, first["video_id"], first["start"], first["end"])
    matrix = found["matrix"]
    size = len(matrix["chances"])
    assert [len(row) for row in matrix["chances"]] == [size] * size and len(matrix["seconds"]) == size + 1
    assert sum(map(sum, matrix["chances"])) == pytest.approx(1, abs=1e-3)
    assert max(found["words"], key=lambda point: point[1])[0] == first["start"]
    assert found["picture"] is None and found["near"] > 0.3 and found["message"] == ""
    assert call(site.url, "explain", QUESTION, first["video_id"])["near"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", "TEA"), "Type a question"),
        ((QUESTION, "0" * 16), "no video"),
        ((QUESTION, "../../etc/passwd"), "no video"),
        ((QUESTION, "TEA", 9, 3), "end after that"),
        ((QUESTION, "TEA", -1, 3), "end after that"),
        ((QUESTION, "TEA", 1, 1e999), "end after that"),
        ((QUESTION, "TEA", 1, 2, "", "magic"), "no method"),
    ],
)
def test_what_cannot_be_explained_is_said(site: Served, arguments: tuple, says: str) -> None:
    tea = site.library.videos(search="tea")[0].id
    reply = call(site.url, "explain", *(tea if value == "TEA" else value for value in arguments))
    assert says in reply["message"].lower() or says in reply["message"]  # type: ignore[index]
    assert reply["matrix"] is None and str(site.library.root) not in json.dumps(reply)  # type: ignore[index]


def test_the_page_is_told_why_and_nonsense_is_refused(library: Library, asker: FakeAsker) -> None:
    tea = library.videos(search="tea")[0].id
    asked = {"question": QUESTION, "video": tea, "start": 22.5, "end": 28.5, "language": "", "method": ""}
    view = evidence.answer_page(asker, asked)
    assert view["ok"] and [lane["name"] for lane in view["lanes"]] == ["Words"] and view["map"]["cells"]
    assert "x" * 400 not in json.dumps(evidence.answer_page(asker, asked | {"method": "x" * 4000}))
    for odd in ({"video": None}, {"video": ["a"]}, {"question": {}}, {"start": "soon"}, {"end": float("nan")},
                {"start": [1]}, {"method": {"a": 1}}):  # fmt: skip
        refused = evidence.answer_page(asker, asked | odd)
        assert not refused["ok"] and refused["message"], odd
    assert not evidence.answer_page(asker, {})["ok"]


def test_listing_and_transcript(site: Served) -> None:
    listed = call(site.url, "list_videos")
    assert isinstance(listed, dict) and listed["total"] == 3
    tea = call(site.url, "list_videos", "pot of tea")["videos"][0]  # type: ignore[index]
    assert (
        tea["state"] == "ready" and tea["origin"] == "given" and tea["duration"] == pytest.approx(40, abs=0.2)
    )
    words = call(site.url, "get_transcript", tea["video_id"])
    assert [cue["text"] for cue in words["cues"]] == [text for _, _, text in TEA]  # type: ignore[index]
    assert "no video" in call(site.url, "get_transcript", "nothing")["message"].lower()  # type: ignore[index]


def test_a_refused_link_is_a_message(site: Served) -> None:
    for url in ("file:///etc/passwd", "http://169.254.169.254/latest", "http://127.0.0.1:1/x", "nonsense"):
        reply = call(site.url, "add_link", url)
        assert reply["message"] and not reply["jobs"], url  # type: ignore[index]


def test_the_published_endpoints_are_four_and_described(site: Served) -> None:
    info = json.loads(site.get("gradio_api/info").body)
    assert set(info["named_endpoints"]) == {"/ask", "/list_videos", "/add_link", "/get_transcript"}
    for endpoint in info["named_endpoints"].values():
        assert len(endpoint["description"]) > 20


def test_mcp_lists_the_same_four(site: Served) -> None:
    tools = json.loads(site.get("gradio_api/mcp/schema").body)
    assert {tool["name"].rpartition("answerclip_")[2] for tool in tools} >= {"ask", "get_transcript"}
    assert len(tools) == 4


def test_fifty_clients_at_once(site: Served) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(50) as clients:
        replies = list(clients.map(lambda n: call(site.url, "ask", f"{QUESTION} {n}"), range(50)))
    assert all("four minutes" in reply["answers"][0]["text"] for reply in replies)  # type: ignore[index]
    assert time.monotonic() - began < 30


# Asking from the page


def test_the_page_gets_a_view(library: Library, asker: FakeAsker) -> None:
    view = ask_tab.Asking(library, asker, Settings()).from_box(QUESTION, [], [], "")
    assert view["answers"][0]["title"] == "How to make a pot of tea"
    assert set(view["videos"]) >= {view["answers"][0]["video"]}


def test_filters_that_fit_nothing_are_said(library: Library, asker: FakeAsker) -> None:
    view = ask_tab.Asking(library, asker, Settings()).from_box(QUESTION, [], ["no such tag"], "")
    assert view["kind"] == "error" and "filters" in view["headline"]


def test_a_link_names_its_clip(library: Library) -> None:
    video = library.videos(search="tea")[0]
    found = ask_tab.linked_answer(library, {"v": video.id, "s": "22.5", "e": "28.5"})
    assert found and "four minutes" in found.text and (found.span.start, found.span.end) == (22.5, 28.5)


@pytest.mark.parametrize(
    "named",
    [{}, {"v": "0" * 16, "s": "1", "e": "2"}, {"s": "a"}, {"s": "9", "e": "3"}, {"s": "nan", "e": "3"}],
)
def test_links_that_name_no_clip(library: Library, named: dict) -> None:
    tea = library.videos(search="tea")[0].id
    assert ask_tab.linked_answer(library, {"v": tea} | named if named else {}) is None


def rows_of(tmp_path: Path, *rows: tuple[str, str | None]) -> Path:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{"question": question, "video": video} for question, video in rows]))
    return path


def test_examples_are_questions_of_the_videos_that_are_there(library: Library, tmp_path: Path) -> None:
    asked = [("How long?", "tea.mp4"), ("Again?", "tea.mp4"), ("Gone?", "gone.mp4"), ("Patch?", "tyre.mp4")]
    path = rows_of(tmp_path, *asked, ("Nowhere?", None))
    found = [question for question, _ in ask_tab.example_questions(library.videos(), path)]
    assert found == ["How long?", "Patch?", "Again?"]


def test_without_the_demo_titles_give_examples(library: Library, tmp_path: Path) -> None:
    found = list(ask_tab.example_questions(library.videos(), tmp_path / "none.json"))
    assert found == [("How do I make a pot of tea?", library.videos(search="tea")[0])]


def test_only_questions_that_are_answered_are_shown_off(library: Library, tmp_path: Path) -> None:
    path = rows_of(tmp_path, (QUESTION, "tea.mp4"), ("Which vaccine saves quantum penguins?", "tyre.mp4"))
    asker = FakeAsker(library)
    shown = ask_tab.Invitation(library, asker, path).view()["questions"]
    assert [example["question"] for example in shown] == [QUESTION]
    assert shown[0]["picture"].endswith("/thumbnail.jpg")


def test_an_empty_library_invites_to_add(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    asker = FakeAsker(library)
    invitation = ask_tab.Invitation(library, asker)
    assert invitation.view() == {"questions": [], "words": "Your library is empty.", "add": True}
    jobs.submit(library, [Source("file", path=tmp_path / "x.mp4", title="x")])
    assert "1 video being prepared" in invitation.view()["words"]


def test_feedback_is_stored_with_the_library(library: Library) -> None:
    video = library.videos(search="tea")[0].id
    data = {"question": QUESTION, "video": video, "start": 22.5, "end": 28.5, "verdict": "corrected",
            "corrected_start": 17.0, "corrected_end": 28.5, "confidence": 0.7}  # fmt: skip
    assert ask_tab.store_feedback(library, data)["ok"]
    kept = library.feedback()[-1]
    assert (kept.question, kept.verdict, kept.corrected.start) == (QUESTION, "corrected", 17.0)  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", [{"verdict": "odd"}, {"start": "x"}, {"video": "0" * 16}, {"end": 0.0}])
def test_feedback_that_is_none_is_refused(library: Library, wrong: dict) -> None:
    video = library.videos(search="tea")[0].id
    data = {"question": "?", "video": video, "start": 1.0, "end": 2.0, "verdict": "right"} | wrong
    before = len(library.feedback())
    assert not ask_tab.store_feedback(library, data)["ok"]
    assert len(library.feedback()) == before


def test_a_read_only_library_is_asked_but_not_changed(library: Library) -> None:
    with served(library, read_only=True) as site:
        config = json.loads(site.get("config").body)
        refused = call(site.url, "add_link", "https://v.example/1")
        found = call(site.url, "ask", QUESTION)
    calls = {
        part["props"].get("elem_id"): part["props"].get("server_fns") or [] for part in config["components"]
    }
    assert calls["videos"] == ["listing"] and not calls["jobs"]
    assert calls["player"] == ["explain"]  # which only reads
    assert not {"add", "import", "export"} & set(calls)
    assert refused == {"message": wording.READ_ONLY, "jobs": []}
    assert found["answers"]


def test_a_read_only_library_takes_no_uploads(library: Library) -> None:
    with served(library, read_only=True) as site:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nabcd\r\n--x--\r\n'
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        request = urllib.request.Request(f"{site.url}/gradio_api/upload", body, headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 413


def test_an_empty_read_only_library_invites_nobody_to_add(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    shown = ask_tab.Invitation(library, FakeAsker(library), may_add=False).view()
    assert shown["words"] and not shown["add"]


# Taking in


def adding(library: Library, shared: bool = False) -> dict:
    settings = Settings(library_dir=library.root)
    return {function.__name__: function for function in Adding(library, settings, shared).calls()}


def an_upload(name: str, seed: int) -> Path:
    return make_video(Path(get_upload_folder()) / f"answerclip-test-{seed}" / name, seconds=2, seed=seed)


def test_uploads_keep_the_visitors_names_and_pair_their_subtitles(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    video = an_upload("0.mp4", seed=41)
    words = video.with_name("1.srt")
    words.write_text("1\n00:00:00,100 --> 00:00:01,500\nHello there.\n")
    files = [{"path": str(video), "name": "Ünï 🎬 #1.mp4"}, {"path": str(words), "name": "Ünï 🎬 #1.srt"}]
    done = adding(library)["uploads"]({"files": files, "tags": "a, b", "language": "en"})
    assert done == {"ok": True, "message": "1 video on the way."}
    work(library)
    kept = library.videos()[0]
    assert (kept.title, kept.tags, kept.owned) == ("Ünï 🎬 #1", ("a", "b"), True)
    assert library.transcript(kept.id).text == "Hello there."


def test_what_is_wrong_with_an_upload_is_said_of_the_name_its_giver_knows(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    page = Path(get_upload_folder()) / "answerclip-test-page" / "0.mp4"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<html><body>Not found</body></html>")
    adding(library)["uploads"]({"files": [{"path": str(page), "name": "holiday.mp4"}]})
    work(library)
    assert jobs.jobs(library)[0].message.startswith("“holiday.mp4” is a web page")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "", "/"])
def test_only_uploads_can_be_handed_over(library: Library, path: str) -> None:
    done = adding(library)["uploads"]({"files": [{"path": path, "name": "x.mp4"}]})
    assert not done["ok"] and "did not arrive" in done["message"]


def test_a_folder_is_refused_where_strangers_come(library: Library, tmp_path: Path) -> None:
    assert "shared server" in adding(library, shared=True)["folder"]({"path": str(tmp_path)})["message"]


@pytest.mark.parametrize("typed", ["", "/no/such/folder"])
def test_folders_that_are_none(library: Library, typed: str) -> None:
    done = adding(library)["folder"]({"path": typed})
    assert not done["ok"] and done["message"]


def test_an_empty_folder_says_so(library: Library, tmp_path: Path) -> None:
    assert not adding(library)["folder"]({"path": str(tmp_path)})["ok"]


def test_a_playlist_is_picked_from(library: Library, settings: Settings) -> None:
    taking = Adding(library, settings, shared=False)
    items = [LinkItem(f"https://v.example/{n}", "Site", str(n), f"Part {n}", 60.0) for n in range(3)]
    items[1] = LinkItem("https://v.example/1", "Site", "1", "Part 1", refused="It is private.")
    taking._playlists["token"] = items
    calls = {function.__name__: function for function in taking.calls()}
    assert not calls["pick"]({"token": "another", "numbers": [0]})["ok"]
    assert not calls["pick"]({"token": "token", "numbers": [1]})["ok"]
    assert calls["pick"]({"token": "token", "numbers": [0, 1]})["message"] == "1 video on the way."
    queued = [job for job in jobs.jobs(library, active_only=True) if job.title == "Part 0"]
    assert len(queued) == 1
    jobs.cancel(library, queued[0].id)


def test_tags_and_language_typed_beside_go_with_the_source() -> None:
    source = with_options(Source("link", url="https://v.example/1", title="x"), " a ,, b", "de")
    assert (source.tags, source.language) == (("a", "b"), "de")


# The library tab


def test_the_list_searches_sorts_and_counts(library: Library) -> None:
    rows = library_tab.list_rows(library, {"order": "duration", "limit": 2})
    assert rows["total"] == 3 and len(rows["videos"]) == 2
    assert rows["videos"][0]["title"] == "How to make a pot of tea"
    assert [video["title"] for video in library_tab.list_rows(library, {"tag": "bicycle"})["videos"]] == [
        "Mending a tyre"
    ]
    assert library_tab.list_rows(library, {"search": "nothing like it"})["videos"] == []
    assert library_tab.list_rows(library, {"order": "; drop table"})["total"] == 3
    assert [ATTACK, ATTACK] in rows["tags"] and "in the library folder" in rows["use"]


def test_rename_tag_and_delete(tmp_path: Path) -> None:
    library = filled(tmp_path)
    calls = {function.__name__: function for function in library_tab.listing_calls(library)}
    video = library.videos(search="tea")[0]
    assert calls["edit"]({"id": video.id, "title": "  Brewing \n tea ", "tags": ["new"]})["ok"]
    assert (library.video(video.id).title, library.video(video.id).tags) == ("Brewing tea", ("new",))
    assert "transcribed anew" in calls["retranscribe"]({"id": video.id})["message"]
    jobs.cancel(library, jobs.jobs(library, active_only=True)[0].id)
    assert calls["remove"]({"id": video.id})["ok"]
    assert library.count() == 2 and video.path.is_file()  # the user's own file stays
    assert not calls["remove"]({"id": video.id})["ok"]


def test_jobs_are_listed_and_steered(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    jobs.submit(library, [Source("file", path=tmp_path / "broken.mp4", title="Broken")])
    steer = library_tab.steering(library)
    cancelled = steer({"act": "cancel", "id": 1})
    assert cancelled["jobs"][0]["status"] == "cancelled"
    steer({"act": "retry", "id": 1})
    work(library)
    failed = library_tab.jobs_value(library)["jobs"][0]
    assert failed["status"] == "failed" and failed["message"] and failed["can_retry"]
    assert "nothing to cancel" in steer({"act": "cancel", "id": 1})["message"]
    assert steer({"act": "dismiss", "id": 1})["jobs"] == []
    assert steer({"act": "format the disk", "id": 1})["message"] == "There is nothing to do."


def test_the_page_hears_of_changes_only(library: Library, asker: FakeAsker) -> None:
    news = News(library, asker, Keeper(library), ask_tab.Invitation(library, asker))
    first = news.since({})
    again = news.since(first[0])
    assert len(first) == len(again) == 7
    assert first[5] == {"revision": library.revision()}
    assert all(isinstance(part, dict) and part.get("__type__") == "update" for part in again)
    video = library.videos(search="Mending")[0]
    library.update(video.id, notice="")
    assert news.since(first[0])[5] == {"revision": library.revision()}


def test_the_endpoint_takes_a_method_and_says_which_answered(site: Served) -> None:
    reply = call(site.url, "ask", QUESTION, 5, "", "", "", "ccgs")
    assert reply["method"] == "ccgs"


def test_the_menu_lists_what_can_be_chosen_and_how_to_get_the_rest(tmp_path: Path) -> None:
    settings = Settings(checkpoints_dir=tmp_path, method="ccgs")
    menu = method_menu.menu_view(settings)
    assert menu["default"] == "untrained"  # the setting's own is not trained
    assert [bool(row["commands"]) for row in menu["methods"]] == [False] + [True] * (len(METHODS) - 1)
    assert str(tmp_path) not in json.dumps(menu)
    (tmp_path / "ccgs").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "ccgs" / name).write_text("{}")
    assert method_menu.menu_view(settings)["default"] == "ccgs"


@pytest.mark.parametrize("sent", [None, "ccgs", {"chosen": ["ccgs"]}, {"chosen": "<b>"}, {"chosen": None}])
def test_nonsense_in_place_of_a_choice_means_the_default(
    library: Library, asker: FakeAsker, sent: object
) -> None:
    view = ask_tab.Asking(library, asker, Settings(method="untrained")).from_box(QUESTION, [], [], "", sent)
    assert view["kind"] == "answer" and view["method"] == "" and view["answered_by"] == ""


def test_a_library_goes_out_and_comes_back(library: Library, tmp_path: Path) -> None:
    with served(library) as site:
        keeper = Keeper(library)
        assert site.get("archive/guess.zip").status == 404
        keeper.export()
        wait_until(lambda: keeper.kept.state == "ready", 30)
        path = keeper._file(keeper.kept.token, "zip")
        other = Library.open(tmp_path / "other")
        taking = Keeper(other)
        taking.take_in(Path(path.rename(tmp_path / "in.zip")))
        wait_until(lambda: taking.kept.state != "busy", 30)
        assert taking.kept.state == "ready" and other.count() == 3, taking.kept.words
        assert not (tmp_path / "in.zip").exists()


def test_rated_answers_come_out_as_a_data_set(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    egg = add(library, "Boil an egg", ["Good morning.", "Six minutes make a soft egg."], None)
    with served(library) as site:
        keeper = site.keeper
        keeper.give_feedback(wait=30)
        assert "nothing to measure with" in keeper.kept.words and not keeper.kept.view()["link"]
        for verdict in ("right", "wrong"):
            library.add_feedback(f"is this {verdict}", egg, Span(5, 9.6), verdict)
        keeper.give_feedback(wait=30)
        kept = keeper.kept.view()
        assert "1 rated answer. Left out: 1 rated wrong" in kept["words"] and "rated answers" in kept["name"]
        reply = site.get(kept["link"])
        assert reply.header("Content-Type") == "application/json"
        assert reply.header("Content-Disposition").endswith("''rated-answers.json")
        assert kept["words"].endswith("--split rated-answers")
        (row,) = json.loads(reply.body)
        assert row["question"] == "is this right" and row["video_sub_title"][0]["text"] == "Good morning."
        assert site.get(kept["link"].replace(".json", ".zip")).status == 404
        assert site.get("archive/" + kept["link"].split("/")[1].upper()).status == 404


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library")
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    keeper = Keeper(library)
    keeper.take_in(tmp_path / "x.zip")
    wait_until(lambda: keeper.kept.state != "busy")
    assert keeper.kept.state == "failed" and keeper.kept.words


# Where it runs


@pytest.mark.parametrize(
    ("environment", "shared"),
    [
        ({}, False),
        ({"GRADIO_SERVER_NAME": "127.0.0.1"}, False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, True),
        ({"GRADIO_SERVER_NAME": "box.lan"}, True),
        ({"SPACE_ID": "a/b"}, True),
        ({"GRADIO_SHARE": "True"}, True),
    ],
)
def test_whether_strangers_come(monkeypatch: pytest.MonkeyPatch, environment: dict, shared: bool) -> None:
    for name in ("GRADIO_SERVER_NAME", "SPACE_ID", "GRADIO_SHARE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_shared(Settings()) is shared
    assert is_shared(Settings(shared=not shared)) is not shared


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({}, True),
        ({"read_only": True}, False),
        ({"username": "a", "password": "b"}, False),
        ({"shared": False}, False),
    ],
)
def test_a_page_that_strangers_may_change_says_so_at_start(
    library: Library, caplog: pytest.LogCaptureFixture, values: dict, warned: bool
) -> None:
    with served(library, **({"shared": True} | values)):
        assert ("ANSWERCLIP_READ_ONLY" in caplog.text) == warned


def test_building_the_page_starts_nothing(library: Library, settings: Settings, asker: FakeAsker) -> None:
    create_app(library, settings, Asker(library, None, settings))
    assert not Asker(library, None, settings).ready


def test_the_page_itself_names_no_other_host(site: Served) -> None:
    page = site.get("").body.decode()
    config = page[page.index("window.gradio_config") :]
    assert "fonts.googleapis.com" not in page and "fonts.gstatic.com" not in page
    assert '"analytics_enabled": false' in config or '"analytics_enabled":false' in config


def test_mcp_answers_a_call(site: Served) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "get_transcript", "arguments": {"video_id": "nothing"}}}  # fmt: skip
    tools = json.loads(site.get("gradio_api/mcp/schema").body)
    body["params"]["name"] = next(t["name"] for t in tools if "get_transcript" in t["name"])  # type: ignore[index]
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"{site.url}/gradio_api/mcp/", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert "no video" in reply.read().decode().lower()


def test_other_sites_change_nothing_in_a_visitors_name(site: Served) -> None:
    config = json.loads(site.get("config").body)
    videos = next(part for part in config["components"] if part["props"].get("elem_id") == "videos")
    tea = site.library.videos(search="tea")[0]
    body = {"data": {"id": tea.id}, "component_id": videos["id"], "fn_name": "remove", "session_hash": "x"}

    def post(headers: dict) -> dict:
        address = f"{site.url}/gradio_api/component_server/"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}):
        assert not post(headers | {"Content-Type": "application/json"})["ok"]
    assert site.library.video(tea.id)
    body["data"] = {"id": "0" * 16}
    answer = post({"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"})
    assert "no video" in answer["message"].lower()


def test_the_entry_point_tells_of_itself_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"LIBRARY_DIR": str(tmp_path / "library")}
        command = [sys.executable, "app.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert "environment variables" in run("--help").stdout
    refused = run("--port", "7861")
    assert refused.returncode == 2 and "--port" in refused.stderr
    assert not (tmp_path / "library").exists()


def test_the_entry_point_serves_the_page(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {
        "LIBRARY_DIR": str(tmp_path / "library"),
        "GRADIO_SERVER_PORT": str(port),
        "ANSWERCLIP_DEMO": "false",
    }
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for("the page", lambda: answers(f"http://127.0.0.1:{port}"), 60)
        assert call(f"http://127.0.0.1:{port}", "list_videos") == {"total": 0, "videos": []}
    finally:
        app.terminate()
        app.wait(20)
