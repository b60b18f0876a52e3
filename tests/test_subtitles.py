"""Subtitles: what real and broken files say, what is written, and where sentences are cut."""

# Letters of many scripts look like Latin ones; here they are meant.
# ruff: noqa: RUF001

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import captions, subtitles
from pipeline.errors import SubtitlesFailed
from pipeline.subtitles import clip, parse_json3, parse_srt, parse_vtt, read, recut, sentence_bounds
from pipeline.types import Cue, Span, Word

SRT = "1\n00:00:01,000 --> 00:00:02,500\n{}\n\n2\n00:00:03,000 --> 00:00:04,000\nEnd\n"


def one(timing: str, text: str = "words") -> list[tuple[float, float]]:
    return [(cue.start, cue.end) for cue in parse_srt(f"1\n{timing}\n{text}\n")]


def texts(cues: tuple[Cue, ...]) -> list[str]:
    return [cue.text for cue in cues]


# Encodings

RUSSIAN = "Снимите крышку и положите её рядом. Потом ослабьте винты."
FRENCH = "Enlevez le couvercle, ça vous aidera à éviter les problèmes d’été."


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8-sig", RUSSIAN),
        ("utf-16", RUSSIAN),
        ("utf-16-le", RUSSIAN),
        ("utf-16-be", FRENCH),
        ("utf-32", FRENCH),
        ("cp1252", FRENCH),
        ("latin-1", "Größe wählen, für später"),
        ("cp1250", "Odkręć śrubę i zdejmij pokrywę, żeby się otworzyła."),
        ("cp1251", RUSSIAN),
        ("koi8-r", RUSSIAN),
        ("cp1253", "Βγάλτε το καπάκι και αφήστε το στην άκρη"),
        ("gb18030", "我们现在要把这个盖子打开,你就可以看到里面的东西了"),
        ("shift_jis", "ふたをあけて、ねじをゆっくりまわしてください"),
        ("euc_kr", "이제 뚜껑을 열고 나사를 천천히 돌리는 것이다"),
    ],
)
def test_every_usual_encoding_is_read(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(SRT.format(text).encode(encoding))
    assert texts(read(path)) == [text, "End"]


def test_utf8_with_one_damaged_byte_is_still_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    data = SRT.format(RUSSIAN).encode()
    path.write_bytes(data.replace("ё".encode(), "ё".encode()[:1]))
    assert read(path)[0].text == RUSSIAN.replace("ё", "\ufffd")


def test_line_ends_of_old_machines(tmp_path: Path) -> None:
    for end in ("\r\n", "\r"):
        path = tmp_path / "a.srt"
        path.write_bytes(SRT.format("Begin").replace("\n", end).encode())
        assert texts(read(path)) == ["Begin", "End"]


# Times


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ("00:00:01,50 --> 00:00:02,5", (1.5, 2.5)),  # two and one digits are fractions
        ("00:00:01.000 --> 00:00:02.000", (1.0, 2.0)),
        ("0:00:01,000-->0:00:02,000", (1.0, 2.0)),
        ("00:01 --> 00:02", (1.0, 2.0)),
        ("00:00:01,000 -> 00:00:02,000", (1.0, 2.0)),
        ("00:00:01:000 --> 00:00:02:000", (1.0, 2.0)),
        ("00: 00: 01, 000 --> 00: 00: 02, 000", (1.0, 2.0)),
        ("00:00:01,000 --> 00:00:02,000 X1:0 X2:100 Y1:0 Y2:20", (1.0, 2.0)),
        ("00:00:01,123456 --> 00:00:02,000", (1.123, 2.0)),
        ("123:00:01,000 --> 123:00:02,000", (442801.0, 442802.0)),
        ("-00:00:01,000 --> 00:00:02,000", (0.0, 2.0)),  # begins before the video
        ("00:00:05,000 --> 00:00:02,000", (2.0, 5.0)),  # reversed
        ("00:10:00,000 --> 00:00:02,000", (600.0, 601.0)),  # reversed, and the end surely wrong
        ("00:00:05,000 --> 00:00:05,000", (5.0, 6.0)),  # no duration
    ],
)
def test_odd_times(timing: str, expected: tuple[float, float]) -> None:
    assert one(timing) == [expected]


def test_cue_wholly_before_the_video_is_dropped() -> None:
    assert one("-00:00:05,000 --> -00:00:02,000") == []


def test_overlapping_and_unsorted_cues_are_kept_in_order() -> None:
    text = (
        "1\n00:00:05,000 --> 00:00:09,000\nlater\n\n2\n00:00:01,000 --> 00:00:06,000\nfirst\n\n"
        "3\n00:00:01,000 --> 00:00:06,000\nfirst\n"
    )
    assert texts(parse_srt(text)) == ["first", "later"]


def test_zero_duration_ends_where_the_next_begins() -> None:
    cues = parse_srt("00:00:05,000 --> 00:00:05,000\none\n\n00:00:05,400 --> 00:00:07,000\ntwo\n")
    assert (cues[0].start, cues[0].end) == (5.0, 5.4)


# Markup


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("<b>Bold</b> and <font color='#fff'>red</font>", "Bold and red"),
        ("<script>alert(1)</script>Hello", "alert(1)Hello"),
        ("<img src=x onerror=alert(1)>Hello", "Hello"),
        ("5 &lt; 6 &amp; 7 &#62; 6&nbsp;!", "5 < 6 & 7 > 6 !"),
        ("&lt;script&gt; is literal", "<script> is literal"),
        ("AT&T, R&D & I <3 it", "AT&T, R&D & I <3 it"),
        (r"{\an8}Above {\i1}all{\i0}", "Above all"),
        ("one<br/>two\n\nthree", "one two three"),
        ("zero\u200bwidth \u202fand\x00nul", "zerowidth andnul"),
        ("<c.yellow.bg_blue>class</c> <00:00:01.500>time", "class time"),
    ],
)
def test_markup_becomes_plain_text(written: str, said: str) -> None:
    assert parse_srt(SRT.format(written))[0].text == said


def test_a_number_as_the_words_is_not_the_next_cues_number() -> None:
    assert texts(parse_srt(SRT.format("42"))) == ["42", "End"]
    assert texts(parse_srt(SRT.format("The answer is\n42"))) == ["The answer is 42", "End"]


def test_no_blank_lines_between_cues() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:03,000 --> 00:00:04,000\ntwo"
    assert texts(parse_srt(text)) == ["one", "two"]


# WebVTT


def test_vtt_notes_styles_regions_settings_and_names() -> None:
    text = (
        "WEBVTT - title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:a\n\n"
        "intro\n00:01.000 --> 00:02.000 line:0 align:start\n<v Ann>Hi &amp; bye</v>\n\n"
        "NOTE a comment\nof two lines\n\nsecond name\n00:00:03.000 --> 00:00:04.000\n- Two\n- lines\n"
    )
    cues = parse_vtt(text)
    assert texts(cues) == ["Hi & bye", "- Two - lines"]
    assert (cues[0].start, cues[0].end) == (1.0, 2.0)


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
{blank}
take<00:00:00.500><c> the</c><00:00:01.000><c> lid</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
take the lid
{blank}

00:00:02.010 --> 00:00:04.000 align:start position:0%
take the lid
off<00:00:02.500><c> the</c><00:00:03.000><c> jar</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
off the jar
{blank}

00:00:04.010 --> 00:00:06.000 align:start position:0%
off the jar
now
"""


@pytest.mark.parametrize("blank", [" ", ""])
def test_rolling_captions_say_everything_once_with_word_times(blank: str) -> None:
    cues = parse_vtt(ROLLING.format(blank=blank))
    assert texts(cues) == ["take the lid", "off the jar", "now"]
    assert cues[1].words == (
        Word(2.01, 2.5, "off"),
        Word(2.5, 3.0, "the"),
        Word(3.0, 4.0, "jar"),
    )


def test_rolling_captions_saved_as_srt() -> None:
    lines = ["one two", "one two\nthree four", "three four\nfive six", "five six\nseven eight"]
    text = "".join(
        f"{i}\n00:00:{i:02d},000 --> 00:00:{i + 1:02d},000\n{x}\n\n" for i, x in enumerate(lines, 1)
    )
    assert texts(parse_srt(text)) == ["one two", "three four", "five six", "seven eight"]


def test_a_chorus_is_not_rolling() -> None:
    lines = ["la la la", "la la la", "la la la", "la la la oh", "bye"]
    text = "".join(
        f"{i}\n00:00:{i:02d},000 --> 00:00:{i + 1:02d},000\n{x}\n\n" for i, x in enumerate(lines, 1)
    )
    assert texts(parse_srt(text)) == lines


def test_word_times_that_run_backwards_are_not_used() -> None:
    cue = parse_vtt("WEBVTT\n\n00:01.000 --> 00:05.000\na<00:00:04.000> b<00:00:02.000> c\n")[0]
    assert (cue.text, cue.words) == ("a b c", ())


def test_json3_with_word_times() -> None:
    text = """{"wireMagic": "pb3", "events": [
        {"tStartMs": 0, "dDurationMs": 9000, "id": 1},
        {"tStartMs": 1000, "dDurationMs": 4000,
         "segs": [{"utf8": "take"}, {"utf8": " the", "tOffsetMs": 400}, {"utf8": " lid", "tOffsetMs": 900}]},
        {"tStartMs": 2500, "dDurationMs": 100, "aAppend": 1, "segs": [{"utf8": "\\n"}]},
        {"tStartMs": 2510, "dDurationMs": 1000, "segs": [{"utf8": "off <b>\\ud800"}]}]}"""
    cues = parse_json3(text)
    assert texts(cues) == ["take the lid", "off"]
    assert (cues[0].start, cues[0].end) == (1.0, 2.51)
    assert cues[0].words[1] == Word(1.4, 1.9, "the")


@pytest.mark.parametrize(
    "text",
    [
        '{"events": 5}',
        '{"events": [1, null, {"tStartMs": "x", "segs": []}, {"tStartMs": NaN, "segs": [{"utf8": "a"}]}]}',
        '{"events": [{"tStartMs": 1e300, "segs": [{"utf8": "a"}]}, {"tStartMs": 1, "segs": [5]}]}',
        '{"events":' + "[" * 100_000,
        "[]",
    ],
)
def test_hostile_json3_holds_nothing(text: str) -> None:
    assert parse_json3(text) == ()


# Files that are no subtitles


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 5000, bytes(range(256)) * 40, b"<html><body>404</body></html>", b"WEBVTT\n\n"]
)
def test_what_holds_no_subtitles_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.srt"
    path.write_bytes(data)
    with pytest.raises(SubtitlesFailed, match=r"bad\.srt.*\.srt.*\.vtt"):
        read(path)


def test_missing_file_and_folder_are_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.srt", tmp_path):
        with pytest.raises(SubtitlesFailed, match="cannot be read"):
            read(path)


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.srt"
    with path.open("wb") as file:
        file.truncate(subtitles.MAX_BYTES + 1)
    with pytest.raises(SubtitlesFailed, match="50 MB"):
        read(path)


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really-vtt.srt"
    path.write_text("WEBVTT\n\nname\n00:01.000 --> 00:02.000\nHi\n\nname 2\n00:03.000 --> 00:04.000\nHo\n")
    assert texts(read(path)) == ["Hi", "Ho"]


@pytest.mark.parametrize(
    "hostile",
    [
        "<" * 300_000,
        "<a" * 150_000,
        "&" * 300_000,
        "{\\" * 150_000,
        "1:" * 150_000 + ">",
        "0" * 300_000 + ":>",
        " " * 300_000 + "-->",
        "00:00:01,000 --> " * 20_000,
        "<00:00:01.000" * 20_000,
        "a " * 150_000,
        "." * 300_000,
        "。" * 100_000,
    ],
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    began = time.monotonic()
    cues = parse_srt(SRT.format(hostile)) + parse_vtt("WEBVTT\n\n" + SRT.format(hostile))
    recut(cues)
    assert time.monotonic() - began < 5


def test_many_cues_are_quick() -> None:
    text = "".join(
        f"{i}\n{i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d},000 --> "
        f"{i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d},900\nSome words, number {i}, are said.\n\n"
        for i in range(20_000)
    )
    began = time.monotonic()
    assert len(parse_srt(text)) == 20_000
    assert time.monotonic() - began < 8


# Writing


@st.composite
def cue_lists(draw: st.DrawFn) -> tuple[Cue, ...]:
    characters = st.one_of(
        st.sampled_from("ab &<>;-,.'\"{}\\/1:#\u00e9"),
        st.characters(exclude_categories=("C", "Z")),
        st.just(" "),
    )
    words = st.text(characters, min_size=1, max_size=90).map(lambda text: " ".join(text.split()))
    cues, clock = [], 0
    for _ in range(draw(st.integers(1, 5))):
        # A second apart: what follows at once and repeats words is read as rolling captions.
        start = clock + draw(st.integers(1000, 10_000_000))
        clock = start + draw(st.integers(1, 100_000))
        text = draw(words.filter(lambda text: text and not captions.NOT_SHOWN.search(text)))
        cues.append(Cue(start / 1000, clock / 1000, text))
    return tuple(cues)


@given(cue_lists())
def test_what_to_srt_writes_parse_srt_reads(cues: tuple[Cue, ...]) -> None:
    assert parse_srt(subtitles.to_srt(cues)) == cues


@given(cue_lists())
def test_what_to_vtt_writes_parse_vtt_reads(cues: tuple[Cue, ...]) -> None:
    assert parse_vtt(subtitles.to_vtt(cues)) == cues


@given(st.text(), st.binary())
def test_no_text_and_no_bytes_break_the_readers(text: str, data: bytes) -> None:
    for parse in (parse_srt, parse_vtt, parse_json3):
        for cue in parse(text) + parse(subtitles.decode(data)) + parse(SRT.format(text)):
            cue.text.encode()
            assert (
                cue.text == captions.plain(cue.text) or "<" in cue.text or "&" in cue.text or "{" in cue.text
            )


def test_written_files() -> None:
    cues = [Cue(3661.5, 3662.0, "R&D: a < b & <i>"), Cue(3663, 3663.0001, "x " * 30 + "end")]
    srt, vtt = subtitles.to_srt(cues), subtitles.to_vtt(cues)
    assert srt.startswith("1\n01:01:01,500 --> 01:01:02,000\nR&D: a < b & &lt;i>\n\n2\n")
    assert vtt.startswith("WEBVTT\n\n01:01:01.500 --> 01:01:02.000\nR&amp;D: a &lt; b &amp; &lt;i&gt;\n\n")
    assert "01:01:03,000 --> 01:01:03,001" in srt
    assert max(map(len, srt.splitlines())) <= 42
    assert subtitles.to_srt([]) == "" and subtitles.to_vtt([]) == "WEBVTT\n"


def test_clip_moves_cues_and_words_to_its_own_start() -> None:
    words = (Word(9, 10.5, "cut"), Word(10.5, 11, "it"))
    cues = [Cue(1, 2, "before"), Cue(9, 11, "cut it", words), Cue(19.5, 25, "end"), Cue(20, 30, "after")]
    inside = clip(cues, Span(10, 20))
    assert texts(inside) == ["cut it", "end"]
    assert (inside[0].start, inside[0].end, inside[1].start, inside[1].end) == (0.0, 1.0, 9.5, 10.0)
    assert inside[0].words == (Word(0.0, 0.5, "cut"), Word(0.5, 1.0, "it"))


# Sentences


def test_recut_joins_and_splits_at_sentence_ends() -> None:
    cues = [
        Cue(0, 2, "First remove the"),
        Cue(2, 4, "lid. Then pour the water"),
        Cue(4, 6, "out slowly. Dr. Smith uses 2.5 cups."),
    ]
    new = recut(cues)
    assert texts(new) == [
        "First remove the lid.",
        "Then pour the water out slowly.",
        "Dr. Smith uses 2.5 cups.",
    ]
    assert new[0].start == 0 and new[-1].end == 6
    assert 2.2 < new[0].end == new[1].start < 2.6  # in proportion to the characters


def test_recut_uses_the_words_own_times() -> None:
    words = tuple(Word(i, i + 0.5, text) for i, text in enumerate(["Peel", "it.", "Slice", "it."]))
    new = recut([Cue(0, 9, "Peel it. Slice it.", words)])
    assert [(cue.start, cue.end, cue.text) for cue in new] == [(0, 1.5, "Peel it."), (2, 3.5, "Slice it.")]
    assert new[1].words == words[2:]


def test_recut_unpunctuated_text_at_pauses() -> None:
    starts = [0, 0.4, 0.8, 2.0, 2.4, 2.8]  # silence before the fourth word
    said = ["take", "the", "lid", "pour", "the", "water"]
    words = tuple(Word(s, s + 0.35, text) for s, text in zip(starts, said, strict=True))
    assert texts(recut([Cue(0, 4, " ".join(said), words)])) == ["take the lid", "pour the water"]


def test_recut_keeps_its_limits_and_loses_no_word() -> None:
    said = [f"word{i}" + ("," if i % 9 == 8 else "") for i in range(200)]
    words = tuple(Word(i * 0.5, i * 0.5 + 0.4, text) for i, text in enumerate(said))
    new = recut([Cue(0, 100, " ".join(said), words)], max_chars=80, max_seconds=8)
    assert " ".join(texts(new)).split() == said
    assert all(len(cue.text) <= 80 and cue.end - cue.start <= 8 for cue in new)
    assert sum(cue.text.endswith(",") for cue in new) >= len(new) / 2


def test_recut_text_without_blanks() -> None:
    new = recut([Cue(0, 4, "打开盖子。然后倒水,"), Cue(4, 6, "慢慢地倒。")])
    assert texts(new) == ["打开盖子。", "然后倒水, 慢慢地倒。"]


def test_recut_leaves_sounds_and_speakers_alone() -> None:
    cues = [Cue(0, 1, "[Music]"), Cue(1, 2, "and now"), Cue(2, 3, "- Who?"), Cue(3, 4, "- Me.")]
    assert texts(recut(cues)) == ["[Music]", "and now", "- Who?", "- Me."]


def test_a_word_alone_goes_with_what_follows() -> None:
    assert texts(recut([Cue(0, 3, "Okay. Now we begin with the first step.")])) == [
        "Okay. Now we begin with the first step."
    ]
    assert len(sentence_bounds([Cue(0, 3, "Okay. Now we begin with the first step.")])) == 2


timed_cues = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(1, 9000), st.text("ab.,!? ", min_size=1, max_size=60)),
    max_size=12,
)


@given(timed_cues)
def test_recut_and_bounds_are_sorted_and_say_the_same(rows: list[tuple[int, int, str]]) -> None:
    cues = [Cue(s / 100, (s + d) / 100, text) for s, d, text in rows if text.strip()]
    cues.sort(key=lambda cue: cue.start)
    new = recut(cues)
    assert " ".join(texts(new)).split() == " ".join(cue.text for cue in cues).split()
    assert all(before.end <= after.start for before, after in pairwise(new))
    bounds = sentence_bounds(cues)
    assert bounds == sorted(bounds) and all(start < end for start, end in bounds)
    assert (recut(new) and new) or not cues


# Tracks inside a video


def with_tracks(path: Path, codec: str, *tracks: str, languages: Sequence[str] = ()) -> Path:
    """A video with SubRip text as tracks inside, which name these languages."""
    ffmpeg = pytest.importorskip("ffmpeg")
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    inputs = [ffmpeg.input("testsrc=size=64x64:duration=5:rate=5", f="lavfi")]
    for number, text in enumerate(tracks):
        file = path.parent / f"{number}.srt"
        file.write_text(text)
        inputs.append(ffmpeg.input(str(file)))
    named = {f"metadata:s:s:{number}": f"language={name}" for number, name in enumerate(languages)}
    made = ffmpeg.output(*inputs, str(path), **{"c:v": "libx264", "c:s": codec}, **named)
    made.run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), quiet=True)
    return path


@pytest.mark.parametrize("codec", ["mov_text", "subrip", "ass", "webvtt"])
def test_embedded_text_tracks(tmp_path: Path, codec: str) -> None:
    name = "v.mp4" if codec == "mov_text" else "v.mkv"
    path = with_tracks(tmp_path / name, codec, SRT.format("<b>Open</b>\nthe lid"))
    cues, _ = subtitles.embedded(path, SimpleNamespace(start_time=0.0))
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(1.0, 2.5, "Open the lid"), (3.0, 4.0, "End")]
    moved, _ = subtitles.embedded(path, SimpleNamespace(start_time=0.5))
    assert moved[0].start == 0.5


def test_the_first_full_track_is_taken(tmp_path: Path) -> None:
    signs, english, german = "1\n00:00:01,000 --> 00:00:02,000\nEXIT\n", SRT.format("Open the lid"), SRT
    texts_in = (signs, english, german.format("Den Deckel aufmachen"))
    path = with_tracks(tmp_path / "v.mkv", "subrip", *texts_in, languages=("ger", "eng", "ger"))
    cues, language = subtitles.embedded(path, SimpleNamespace(start_time=0.0))
    assert (texts(cues), language) == (["Open the lid", "End"], "eng")  # not what the signs' track names
    bare = with_tracks(tmp_path / "bare.mkv", "subrip")
    assert subtitles.embedded(bare, SimpleNamespace(start_time=0.0)) == ((), "")


def test_embedded_of_what_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(SubtitlesFailed, match=r"v\.mp4"):
        subtitles.embedded(path, SimpleNamespace(start_time=0.0))


def test_real_subtitles_of_a_recogniser(shared: Path) -> None:
    cues = read(shared / "media" / "subsai_test1.srt")
    assert len(cues) >= 2
    assert " ".join(texts(recut(cues))).split() == " ".join(texts(cues)).split()
