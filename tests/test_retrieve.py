"""Retrieval: stems and stop words, each retriever on a real library, and how scores are fused."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import CheckpointMissing
from pipeline.library.search import to_match
from pipeline.library.store import Library
from pipeline.localize.base import Candidate
from pipeline.retrieve import RETRIEVERS, TRAINED, Hit, Query, load_retriever
from pipeline.retrieve.bm25 import BM25Retriever
from pipeline.retrieve.dense import DenseRetriever
from pipeline.retrieve.fusion import FusedRetriever
from pipeline.retrieve.lexical import LexicalRetriever
from pipeline.retrieve.phrases import phrases, saying, without_quotes
from pipeline.retrieve.words import guess_language, stem, terms
from pipeline.types import Filters, ScoredSpan, Span
from tests.asking import SCRIPTS, add, cues_of, fill, id_of
from tests.fake_encoder import FakeEncoder

ENCODER = FakeEncoder()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with Library.open(tmp_path_factory.mktemp("retrieve") / "library") as opened:
        fill(opened, ENCODER)
        yield opened


def query(question: str, filters: Filters | None = None) -> Query:
    return Query(question, ENCODER.encode([question])[0], ENCODER.name, filters or Filters())


@pytest.fixture(scope="module")
def load(library, tmp_path_factory):
    """Any retriever over the library; the trained ones with weights as they are before training."""
    from pipeline.retrieve.dpr import DPR

    folder = tmp_path_factory.mktemp("checkpoints")
    DPR(dim=ENCODER.dim, library_model=ENCODER.name).save_pretrained(folder / "dpr")
    return lambda name: load_retriever(library, name, checkpoints=folder)


@pytest.mark.parametrize("name", sorted(RETRIEVERS))
def test_every_retriever_keeps_the_contract(load, name):
    retriever = load(name)
    hits = retriever.search(query("press the patch on the tube"), 10)
    assert retriever.name == name
    assert getattr(retriever, "unordered", False) or hits[0].video_id == id_of("Mend a bicycle tube")
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert all(0 <= h.score <= 1 for h in hits) and len({h.video_id for h in hits}) == len(hits)
    assert retriever.search(query("press the patch on the tube"), 10) == hits
    assert len(retriever.search(query("the tyre, the egg and the rope"), 1)) == 1
    eggs = Filters(video_ids=(id_of("Boil an egg"),))
    assert {h.video_id for h in retriever.search(query("hold the rope", eggs), 10)} <= {id_of("Boil an egg")}


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_a_trained_retriever_says_how_to_get_its_weights(library, tmp_path, name):
    with pytest.raises(CheckpointMissing, match=f"--method {name}"):
        load_retriever(library, name, checkpoints=tmp_path)


def test_weights_are_for_trained_retrievers_only(library, tmp_path):
    with pytest.raises(ValueError, match="takes no checkpoint"):
        load_retriever(library, "bm25", tmp_path)


def test_bm25_is_the_librarys_own_over_whole_transcripts(library):
    found = library.search_transcripts(to_match("rope in the harbour"), 10, Filters())
    hits = BM25Retriever(library).search(query("rope in the harbour"), 10)
    assert [h.video_id for h in hits] == [video for video, _ in found]
    assert [h.score for h in hits] == pytest.approx([score / found[0][1] for _, score in found])
    assert BM25Retriever(library).search(query("xylophone"), 10) == []
    assert BM25Retriever(library).search(query("?!"), 10) == []


def test_all_lists_every_ready_video_of_the_filters(library, load):
    every = load("all").search(query("xylophone"), 10)
    assert [h.video_id for h in every] == sorted(id_of(title) for title in SCRIPTS)
    assert {h.score for h in every} == {1.0}
    at_sea = load("all").search(query("xylophone", Filters(tags=("sea",))), 10)
    assert [h.video_id for h in at_sea] == [id_of("Tie a bowline")]


def test_all_leaves_out_what_cannot_be_searched_yet(tmp_path):
    with Library.open(tmp_path / "library") as opened:
        ready = add(opened, "Ready", ["one two"], ENCODER)
        add(opened, "Waiting", ["three four"], None)
        assert [h.video_id for h in load_retriever(opened, "all").search(query("x"), 10)] == [ready]


def test_words_without_a_match_find_nothing(library):
    assert LexicalRetriever(library).search(query("xylophone"), 10) == []


def test_dense_needs_a_vector(library):
    assert DenseRetriever(library).search(Query("egg"), 10) == []
    assert {h.video_id for h in load_retriever(library).search(Query("egg"), 10)} == {id_of("Boil an egg")}


def test_a_library_of_one_is_searched_like_others(tmp_path):
    with Library.open(tmp_path / "library") as library:
        fill(library, ENCODER, {"Only": ["Turn the key to the left.", "Then open the door."]})
        (hit,) = load_retriever(library).search(query("turn the key"), 5)
        assert hit.words == 1.0 and 0 < hit.meaning <= 1


class Fixed:
    name = "fixed"

    def __init__(self, hits: list[Hit]) -> None:
        self.hits = hits

    def search(self, query: Query, limit: int) -> list[Hit]:
        return self.hits[:limit]


def test_fusion_weighs_and_keeps_what_each_said():
    words = Fixed([Hit("a", 1.0, words=1.0), Hit("b", 0.5, words=0.5)])
    dense = Fixed([Hit("b", 0.8, Span(0, 30), meaning=0.8), Hit("c", 0.6, meaning=0.6)])
    hits = {h.video_id: h for h in FusedRetriever(((words, 1.0), (dense, 3.0))).search(Query("x"), 5)}
    assert list(hits) == ["b", "c", "a"]
    assert hits["b"].score == pytest.approx(0.25 * 0.5 + 0.75 * 0.8)
    assert (hits["b"].words, hits["b"].meaning, hits["b"].span) == (0.5, 0.8, Span(0, 30))
    assert hits["a"].score == pytest.approx(0.25) and hits["c"].words is None


def test_a_retriever_that_found_nothing_does_not_lower_the_others():
    (hit,) = FusedRetriever(((Fixed([]), 1.0), (Fixed([Hit("a", 0.8)]), 3.0))).search(Query("x"), 5)
    assert hit.score == pytest.approx(0.8)
    assert FusedRetriever(((Fixed([]), 1.0),)).search(Query("x"), 5) == []


def test_stems_join_forms_of_a_word():
    for forms in (
        ["tie", "ties", "tied"],
        ["bandage", "bandages", "bandaging"],
        ["stop", "stopped", "stopping"],
    ):
        assert len({stem(form) for form in forms}) <= 2, forms
    assert stem("press") == "press" and stem("bus") == "bus"


def test_terms_drop_stop_words_unless_nothing_is_left():
    assert terms("How do I tie the knot, the knot?") == ["tie", "knot"]
    assert terms("what is the") == ["what", "is", "the"]
    assert terms("") == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("how do I stop a nosebleed", "en"),
        ("nosebleed", ""),
        ("CPR for a baby", "en"),
        ("wie stoppe ich das Nasenbluten", "de"),
        ("comment est-ce que je fais un nœud", "fr"),
        ("¿cómo se hace un nudo en la cuerda?", "es"),
        ("как остановить кровь", "?"),
        ("どうやって結ぶ", "?"),
        ("", ""),
        ("12345", ""),
    ],
)
def test_guess_language(text, language):
    assert guess_language(text) == language


def test_phrases_of_any_quotation_marks():
    assert phrases('say "one Two" and \u201cthree\u201d \u201evier f\u00fcnf\u201c') == [
        ["one", "two"],
        ["three"],
        ["vier", "f\u00fcnf"],
    ]
    assert phrases('"" and "?!"') == []
    assert "egg" in without_quotes('"egg"') and '"' not in without_quotes('"egg"')


def test_spans_without_the_phrase_give_way_to_where_it_is_said():
    lines = ["nothing here"] * 10 + ["push the red", "button now"] + ["nothing here"] * 10
    candidate = Candidate("a", cues_of(lines), duration=200.0)
    spans = [ScoredSpan("a", Span(0, 20), 0.9)]
    (found,) = saying(spans, [Hit("a", 0.8)], {"a": candidate}, [["red", "button"]])
    assert found.span.overlap(Span(50, 59.6)) > 9
    assert saying(spans, [Hit("a", 0.8)], {"a": candidate}, [["blue", "button"]]) == spans


def test_unknown_retriever_lists_the_known_ones(library):
    with pytest.raises(ValueError, match="lexical, dense, fused"):
        load_retriever(library, "magic")


def test_search_results_do_not_depend_on_vector_length(library):
    vector = ENCODER.encode(["press the patch on"])[0]
    hits = DenseRetriever(library).search(Query("press the patch on", vector, ENCODER.name), 3)
    assert np.isclose(np.linalg.norm(vector), 1) and hits[0].meaning > hits[-1].meaning
