"""Passages and cue windows by time, packing of their vectors, and the packaged encoder."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WeightsMissing
from pipeline.features.text import (
    SCALES,
    TextVectors,
    encoder_name,
    load_encoder,
    passage_vectors,
    passages,
    text_vectors,
    windows,
)
from pipeline.types import Cue
from tests.fake_encoder import FakeEncoder

CUES = tuple(Cue(i * 4.0, i * 4.0 + 3.5, f"line number {i}") for i in range(40))


def test_passages_cover_every_cue_and_overlap_by_half():
    found = passages(CUES)
    assert found[0].span.start == 0 and found[-1].span.end == CUES[-1].end
    for before, after in itertools.pairwise(found):
        assert before.span.overlap(after.span) > 5
    assert all(p.span.duration <= 36 for p in found)
    assert all(cue.text in " | ".join(p.text for p in found) for cue in CUES)


def test_folders_of_one_name_with_other_weights_are_other_encoders(tmp_path):
    folders = [tmp_path / place / "encoder" for place in "abc"]
    for folder, end in zip(folders, (b"1", b"2", b"1"), strict=True):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"the same" * 100_000 + end)
        (folder / "config.json").write_text(str(folder))
    names = [encoder_name(str(folder)) for folder in folders]
    assert names[0] != names[1] and names[0] == names[2] and names[0].startswith("encoder-")
    assert encoder_name("org/model") == "org/model"


def test_passages_of_nothing_and_of_one_cue():
    assert passages([]) == []
    (only,) = passages([Cue(100.0, 101.0, "hello")])
    assert (only.span.start, only.span.end, only.text) == (100.0, 101.0, "hello")


def test_a_long_silence_makes_no_windows():
    cues = [Cue(0.0, 2.0, "before"), Cue(90_000.0, 90_002.0, "after")]
    assert [p.text for p in passages(cues)] == ["before", "after"]


cue_lists = st.lists(
    st.tuples(st.floats(0, 500, allow_nan=False), st.floats(0.01, 90, allow_nan=False)), max_size=40
).map(lambda rows: [Cue(start, start + length, f"w{start}") for start, length in sorted(rows)])


@settings(max_examples=150, deadline=None)
@given(cue_lists, st.sampled_from(SCALES))
def test_windows_hold_every_cue_and_no_window_lies_in_another(cues, scale):
    first, last = windows(cues, *scale)
    assert {i for a, b in zip(first, last, strict=True) for i in range(a, b + 1)} == set(range(len(cues)))
    assert (np.diff([cues[a].start for a in first]) > 0).all()
    assert (np.diff(last) > 0).all()


@settings(max_examples=50, deadline=None)
@given(cue_lists)
def test_pack_round_trip(cues):
    made = text_vectors(cues, FakeEncoder())
    read = TextVectors.unpack(made.pack())
    assert (read.model, read.cue_count) == (made.model, len(cues))
    for a, b in zip(made.scales, read.scales, strict=True):
        assert a.length == b.length
        np.testing.assert_array_equal(a.first, b.first)
        np.testing.assert_array_equal(a.last, b.last)
        np.testing.assert_allclose(a.vectors, b.vectors, atol=1e-3)


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"ACTV01\xff\xff\xff\xff{}"])
def test_damaged_vectors_are_refused(damage):
    with pytest.raises(ValueError):
        TextVectors.unpack(damage)


def test_cut_off_vectors_are_refused():
    data = text_vectors(CUES, FakeEncoder()).pack()
    with pytest.raises(ValueError):
        TextVectors.unpack(data[:-10])


def test_passage_vectors_are_those_of_the_passages():
    encoder = FakeEncoder()
    made = text_vectors(CUES, encoder)
    np.testing.assert_allclose(
        passage_vectors(made), encoder.encode([p.text for p in passages(CUES)]), atol=1e-6
    )


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


def test_packaged_encoder_knows_what_is_alike(encoder):
    question, near, far = encoder.encode(
        [
            "how do I stop a nosebleed",
            "pinch the nose and lean forward until the blood stops",
            "save the file as PNG",
        ]
    )
    assert question.shape == (encoder.dim,)
    assert question @ near > question @ far + 0.3
    assert abs(question @ question - 1) < 1e-5


def test_rows_do_not_depend_on_their_neighbours(encoder):
    texts = ["a short one", "", "word " * 3000, "another of a different length, with more words in it"]
    together = encoder.encode(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], row, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_encoder_serves_threads_at_once(encoder):
    expected = encoder.encode(["question 1"])
    wrong: list[float] = []

    def work() -> None:
        for _ in range(5):
            difference = float(np.abs(encoder.encode(["question 1"]) - expected).max())
            if difference > 1e-5:
                wrong.append(difference)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_missing_encoder_says_what_to_do(tmp_path):
    with pytest.raises(WeightsMissing, match="leave the setting empty"):
        load_encoder(str(tmp_path))


def test_states_of_several_texts_are_those_of_each():
    encoder = load_encoder()
    texts = ["a much longer question about the state of things", "short", "a question of some words"]
    for text, states in zip(texts, encoder.states_of(texts), strict=True):
        alone = encoder.states(text)
        assert states.shape == alone.shape and np.allclose(states, alone, atol=1e-5)
        mean = states.mean(0)
        assert np.allclose(mean / np.linalg.norm(mean), encoder.encode([text])[0], atol=1e-5)
