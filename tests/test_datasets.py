"""The readers of published sets: tiny files in their formats, and the real ones where they are at hand."""

from __future__ import annotations

import json
import re

import pytest

from pipeline.datasets import READERS, read
from pipeline.datasets.tutorialvqa import SPLITS
from pipeline.datasets.vehiclevqa import FOLDS, parse_cues
from pipeline.errors import BadDataset
from pipeline.training.recipe import NARRATIONS

NARRATION = """# Two Knots
style: vlog
## intro
Hello and welcome, today we tie two knots with one rope.
## the first knot
Make a loop, pass the end through the loop and pull it tight until it holds well.
? How do I tie the loop
? what do I do with the end
## the second knot
Now cross both ends twice and pull, that is all there is to it really.
? how is the second one made
?? 2-3 how do I tie both
! can I use wire
"""


def test_howto_sections_become_spans(tmp_path):
    (tmp_path / "knots-01.txt").write_text(NARRATION)
    data = read("howto", tmp_path)
    (video,) = data.videos.values()
    spans = {q.text: q.span for q in data.questions}
    assert video.title == "Two Knots" and len(spans) == 5
    assert spans["How do I tie the loop"] == spans["what do I do with the end"]
    assert spans["how is the second one made"].start > spans["How do I tie the loop"].end
    assert spans["how do I tie both"].start == spans["How do I tie the loop"].start
    assert spans["how do I tie both"].end == spans["how is the second one made"].end
    assert spans["can I use wire"] is None and len(data.answerable) == 4
    said = [c.text for c in video.cues if spans["How do I tie the loop"].overlap(c.span)]
    assert "loop" in said[0] and "cross" not in " ".join(said)


def test_a_narrow_question_is_answered_by_the_words_it_names(tmp_path):
    narrow = "?: where does the end go // pass the end // and pull it"
    lines = NARRATION.replace("? what do I do with the end", narrow)
    (tmp_path / "knots-01.txt").write_text(lines)
    data = read("narrations", tmp_path)
    spans = {q.text: q.span for q in data.questions}
    whole, found = spans["How do I tie the loop"], spans["where does the end go"]
    second = whole.duration / 17  # words of the section
    assert (found.start, found.end) == pytest.approx((whole.start + 3 * second, whole.start + 12 * second))
    (tmp_path / "knots-01.txt").write_text(lines.replace("pass the end //", "pass an end //"))
    with pytest.raises(BadDataset, match="“pass an end” is not said there"):
        read("narrations", tmp_path)


def test_howto_times_are_the_same_every_time(tmp_path):
    (tmp_path / "knots-01.txt").write_text(NARRATION)
    assert read("howto", tmp_path) == read("howto", tmp_path)
    (video,) = read("howto", tmp_path).videos.values()
    pace = sum(len(c.text.split()) for c in video.cues) / sum(c.end - c.start for c in video.cues)
    assert 2.6 <= pace <= 3.2


def _twenty(folder):
    for i in range(20):
        (folder / f"knots-{i:02d}.txt").write_text(NARRATION)
    return folder


def test_parts_share_no_video_and_hold_only_their_own(tmp_path):
    parts = [read("howto", _twenty(tmp_path), f"{k}/3") for k in (1, 2, 3)]
    names = [set(part.videos) for part in parts]
    assert set.union(*names) == set(read("howto", tmp_path).videos)
    assert sum(map(len, names)) == 20 and all(names)
    for part in parts:
        assert {q.video_id for q in part.questions} == set(part.videos)
    assert parts[0].split == "1/3"
    with pytest.raises(ValueError, match="no narration"):
        read("howto", tmp_path, "nosuchgroup")


def test_all_parts_but_one_are_to_train_on(tmp_path):
    held_out, rest = read("howto", _twenty(tmp_path), "2/3"), read("howto", tmp_path, "-2/3")
    assert not set(held_out.videos) & set(rest.videos)
    assert len(held_out.videos) + len(rest.videos) == 20
    assert len(held_out.questions) + len(rest.questions) == 20 * 5


def test_a_part_may_be_of_a_published_split(tmp_path):
    _twenty(tmp_path)
    (tmp_path / "ropes-01.txt").write_text(NARRATION)
    assert read("howto", tmp_path, "ropes@1/1").videos.keys() == {"ropes-01"}
    both = [read("howto", tmp_path, f"knots@{part}").videos for part in ("1/2", "-1/2")]
    assert sum(map(len, both)) == 20 and "ropes-01" not in {*both[0], *both[1]}


@pytest.mark.parametrize("split", ["0/3", "4/3", "1/0", "1/1000", "-1/1"])
def test_parts_that_cannot_be_are_refused(tmp_path, split):
    (tmp_path / "knots-01.txt").write_text(NARRATION)
    with pytest.raises(ValueError, match="part"):
        read("howto", tmp_path, split)


def test_medvidqa_questions_share_a_video(tmp_path):
    cues = [{"text": "press here", "start": 1.0, "duration": 2.5}, {"text": " ", "start": 4, "duration": 0}]
    row = {"video_id": "a", "video_length": 30, "video_sub_title": cues, "question": "where? "}
    rows = [
        row | {"sample_id": 1, "answer_start_second": 3, "answer_end_second": 9},
        row | {"sample_id": 2, "answer_start_second": 5, "answer_end_second": 5},
    ]
    (tmp_path / "val.json").write_text(json.dumps(rows))
    data = read("medvidqa", tmp_path)
    assert list(data.videos) == ["a"] and [c.text for c in data.videos["a"].cues] == ["press here"]
    assert data.videos["a"].cues[0].end == 3.5
    first, second = data.questions
    assert (first.text, first.span.start, first.span.end) == ("where?", 3, 9)
    assert second.span.duration > 0  # published with no length, still a span


ORIGINAL = {
    "sample_id": 7,
    "question": "How to stop the bleed?",
    "answer_start": "01:05",
    "answer_end": "1:02:03",
    "video_length": 4000,
    "video_id": "-a_1",
    "video_url": "https://www.youtube.com/watch?v=-a_1",
}
VTT = "WEBVTT\n\n00:01.000 --> 00:03.000\npress on it\n"
SRT = "1\n00:00:01,000 --> 00:00:03,000\npress on it\n"
JSON3 = json.dumps({"events": [{"tStartMs": 1000, "dDurationMs": 2000, "segs": [{"utf8": "press on it"}]}]})


def _original(folder, *rows, split="val", **files):
    (folder / f"{split}.json").write_text(json.dumps(rows))
    (folder / "subtitles").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "subtitles" / ("-" + name.replace("__", "."))).write_text(text)
    return folder


@pytest.mark.parametrize(
    "files", [{"a_1__vtt": VTT}, {"a_1__srt": SRT}, {"a_1__json3": JSON3}, {"a_1__en__vtt": VTT}]
)
def test_the_original_annotations_take_their_words_from_files(tmp_path, files):
    data = read("medvidqa", _original(tmp_path, ORIGINAL, **files))
    (question,) = data.questions
    assert (question.id, question.span.start, question.span.end) == ("7", 65, 3723)
    video = data.videos["-a_1"]
    assert [(c.start, c.end, c.text) for c in video.cues] == [(1, 3, "press on it")]
    assert video.duration == 4000


def test_seconds_count_before_the_clock(tmp_path):
    row = ORIGINAL | {"answer_start_second": 4, "answer_end_second": "9.5"}
    (question,) = read("medvidqa", _original(tmp_path, row, split="test", a_1__vtt=VTT), "test").questions
    assert (question.span.start, question.span.end) == (4, 9.5)


def test_questions_without_words_are_left_out_and_counted(tmp_path, caplog):
    rows = [
        ORIGINAL,
        ORIGINAL | {"video_id": "gone"},
        {},
        ORIGINAL | {"video_id": "b", "video_sub_title": []},
    ]
    data = read("medvidqa", _original(tmp_path, *rows, a_1__vtt=VTT))
    assert [q.video_id for q in data.questions] == ["-a_1"] and list(data.videos) == ["-a_1"]
    assert "2 of 3 questions left out: 2 videos" in caplog.text


def test_an_unreadable_subtitle_file_gives_way_to_another(tmp_path, caplog):
    data = read("medvidqa", _original(tmp_path, ORIGINAL, a_1__vtt="WEBVTT\n\n", a_1__srt=SRT))
    assert len(data.videos["-a_1"].cues) == 1 and "holds no subtitles" in caplog.text


def test_without_any_subtitles_the_command_that_fetches_them_is_named(tmp_path):
    with pytest.raises(BadDataset, match="prepare medvidqa --data"):
        read("medvidqa", _original(tmp_path, ORIGINAL))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[{", "damaged or no JSON"),
        ('{"a": 1}', "no list of questions"),
        ("[1]", "Row 1 of “val.json” is no question"),
        (json.dumps([ORIGINAL, ORIGINAL | {"question": None}]), "question is missing or no text in row 2"),
        (json.dumps([ORIGINAL | {"video_id": 3}]), "video_id is missing"),
        (json.dumps([ORIGINAL | {"answer_start": "soon"}]), "answer_start is missing or no time in row 1"),
        (json.dumps([ORIGINAL | {"answer_end_second": float("nan")}]), "answer_end_second"),
        (json.dumps([ORIGINAL | {"video_sub_title": "press"}]), "no list of subtitles"),
        (json.dumps([ORIGINAL | {"video_sub_title": [{"text": "a", "start": 1}]}]), "duration is missing"),
    ],
)
def test_malformed_files_are_named_with_the_row(tmp_path, text, word):
    (tmp_path / "val.json").write_text(text)
    with pytest.raises(BadDataset, match=re.escape(word)):
        read("medvidqa", tmp_path)


def test_tutorialvqa_times_are_interpolated_by_words(tmp_path):
    video = {
        "video_id": "7",
        "video_title": "Crop",
        "transcript": ["one two", "three four five six", "seven eight", "nine ten"],
        "segments": [
            {
                "title": "x",
                "timestamps": {"start": "10", "end": "40"},
                "sentence_indexes": {"start": 1, "end": 2},
            }
        ],
    }
    (tmp_path / "videos.json").write_text(json.dumps([video]))
    for split in SPLITS:
        asked = [{"video_id": "7", "question": "how? ", "answer_start": 1, "answer_end": 1}]
        (tmp_path / f"{split}.json").write_text(json.dumps(asked))
    data = read("tutorialvqa", tmp_path, "dev")
    (question,) = data.questions
    assert (question.span.start, question.span.end) == (10.0, 30.0)
    cues = data.videos["7"].cues
    assert [round(c.start, 2) for c in cues] == [0.0, 10.0, 30.0, 40.0]
    assert cues[-1].end == pytest.approx(50.0)  # at the pace of the segment
    assert len(read("tutorialvqa", tmp_path).questions) == 3


def test_vehiclevqa_joins_the_segments_of_all_folds(tmp_path):
    head = "video_id,question_id,video_name,video_trans,video_link,question\n"
    one = '"WEBVTT\nKind: captions\n00:00:01.000 --> 00:00:03.500\nopen the\nlid"'
    two = '"00:00:04.000 --> 00:00:06.000\nclose it"'
    for fold in range(1, 11):
        rows = f"v_1_1,q_1,Lid _ Ford-Qrl3w8RBP6Q,{one},x,how to open?\n" if fold == 1 else ""
        rows += f"v_1_2,q_2,Lid _ Ford-Qrl3w8RBP6Q,{two},x,how to close?\n" if fold == 2 else ""
        (tmp_path / f"fold{fold}.csv").write_text(head + rows)
    data = read("vehiclevqa", tmp_path, "2")
    assert [q.text for q in data.questions] == ["how to close?"]
    assert (data.questions[0].span.start, data.questions[0].span.end) == (4.0, 6.0)
    assert [q.text for q in read("vehiclevqa", tmp_path, "-2").questions] == ["how to open?"]
    assert len(read("vehiclevqa", tmp_path, "-7").questions) == 2
    for unknown in ("11", "-11", "--7", "-all"):
        with pytest.raises(ValueError, match="no split"):
            read("vehiclevqa", tmp_path, unknown)
    assert data.videos["v_1"].title == "Lid | Ford"
    assert [c.text for c in data.videos["v_1"].cues] == ["open the lid", "close it"]


SENTENCES = {"video_id": "7", "video_title": "x", "transcript": ["one two"], "segments": []}
ASKED = {"video_id": "7", "question": "how?", "answer_start": 0, "answer_end": 0}
HEAD = "video_id,question_id,video_name,video_trans,question\n"


@pytest.mark.parametrize(
    ("name", "file", "text", "word"),
    [
        ("tutorialvqa", "videos.json", "[{", "“videos.json” is damaged or no JSON"),
        ("tutorialvqa", "videos.json", "{}", "“videos.json” is no list of videos"),
        (
            "tutorialvqa",
            "videos.json",
            json.dumps([SENTENCES | {"transcript": []}]),
            "Row 1 of “videos.json”",
        ),
        ("tutorialvqa", "videos.json", json.dumps([SENTENCES, 3]), "Row 2 of “videos.json”"),
        ("tutorialvqa", "dev.json", json.dumps([ASKED, ASKED | {"video_id": "8"}]), "Row 2 of “dev.json”"),
        ("tutorialvqa", "dev.json", json.dumps([ASKED | {"answer_end": 5}]), "Row 1 of “dev.json”"),
        ("tutorialvqa", "dev.json", json.dumps([ASKED | {"question": None}]), "Row 1 of “dev.json”"),
        ("vehiclevqa", "fold3.csv", HEAD + "v_1_1,q1,Lid,no cue here,why?\n", "Row 1 of “fold3.csv”"),
        ("vehiclevqa", "fold3.csv", "a,b\n1,2\n", "Row 1 of “fold3.csv”"),
        ("vehiclevqa", "fold3.csv", HEAD + "v_1_1,q1\n", "Row 1 of “fold3.csv”"),
        ("vehiclevqa", "fold3.csv", HEAD + "\udcff\n", "“fold3.csv” is damaged"),
        ("howto", "knots-01.txt", "? asked before anything\n", "“knots-01.txt” is no narration"),
        ("howto", "knots-01.txt", "# t\n## s\nwords\n?? 1-9 how\n", "“knots-01.txt” is no narration"),
        ("howto", "knots-01.txt", "# t\n## s\n\udcff\n", "“knots-01.txt” is no narration"),
    ],
)
def test_files_that_are_not_in_the_format_are_named(tmp_path, name, file, text, word):
    for split in SPLITS:
        (tmp_path / f"{split}.json").write_text(json.dumps([ASKED]))
    (tmp_path / "videos.json").write_text(json.dumps([SENTENCES]))
    for fold in FOLDS:
        (tmp_path / f"fold{fold}.csv").write_text(HEAD)
    (tmp_path / file).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadDataset, match=re.escape(word)):
        read(name, tmp_path)


def test_cues_without_words_or_length_do_no_harm():
    cues = parse_cues("00:00:01.000 --> 00:00:01.000\nhm\n00:00:02.000 --> 00:00:03.000\n\nno time here")
    assert [(c.text, c.end > c.start) for c in cues] == [("hm", True), ("no time here", True)]


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="medvidqa, tutorialvqa, vehiclevqa, howto, narrations"):
        read("squad", tmp_path)
    with pytest.raises(FileNotFoundError, match="name the folder"):
        read("medvidqa", tmp_path)


@pytest.mark.parametrize(
    ("name", "videos", "questions", "answerable"),
    [
        ("medvidqa", 31, 81, 81),
        ("tutorialvqa", 76, 6195, 6195),
        ("vehiclevqa", 107, 9482, 9482),
        ("howto", 198, 3550, 3154),
    ],
)
def test_published_sets_are_whole(shared, name, videos, questions, answerable):
    data = READERS[name](shared / "data" / name, "")
    assert (len(data.videos), len(data.questions), len(data.answerable)) == (videos, questions, answerable)
    for question in data.answerable:
        video = data.videos[question.video_id]
        assert question.span.start < video.duration
        assert any(cue.span.overlap(question.span) for cue in video.cues)


def test_our_narrations_are_whole_and_asked_about():
    data = read("narrations", NARRATIONS)
    assert (len(data.videos), len(data.questions), len(data.answerable)) == (278, 6592, 6027)
    assert {question.video_id for question in data.answerable} == {*data.videos}
    for video, narration in data.videos.items():
        asked = [question.text.lower() for question in data.questions if question.video_id == video]
        assert len(asked) == len(set(asked)) and len(narration.labels) > 2, video


@pytest.mark.parametrize("name", ["medvidqa", "tutorialvqa", "vehiclevqa", "howto"])
def test_parts_of_published_sets_make_them_whole_again(shared, name):
    folder = shared / "data" / name
    whole, one, rest = (read(name, folder, split) for split in ("", "1/5", "-1/5"))
    assert len(one.questions) + len(rest.questions) == len(whole.questions)
    assert {*one.videos} | {*rest.videos} == {*whole.videos} and not {*one.videos} & {*rest.videos}
    assert {q.video_id for q in one.questions} <= {*one.videos}
