"""Why a clip was taken: what the words and the picture gave, and how the chance is spread over spans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ask import Asker
from pipeline.errors import BadQuestion, VideoNotFound
from pipeline.library.store import Library
from pipeline.localize import LOCALIZERS, NETWORKS, Candidate, Localizer, Request, load_localizer
from pipeline.localize.evidence import MOST_CELLS, SpanChances, told_apart
from pipeline.localize.learned import LearnedLocalizer
from pipeline.localize.windows import WindowsLocalizer
from pipeline.settings import Settings
from pipeline.types import Contributions, Filters, ScoredSpan, Span, mean_in, thinned
from tests import planted
from tests.asking import SCRIPTS, add, fill, id_of
from tests.fake_encoder import FakeEncoder
from tests.learned_parts import CONFIG, tiny_network
from tests.test_localize import request, video

ENCODER = FakeEncoder()
QUESTION = "how do I make a small loop in the rope"


@pytest.fixture(params=sorted(LOCALIZERS))
def localizer(request):
    """The untrained one, and the trained ones with random weights."""
    return LearnedLocalizer(tiny_network(request.param)) if request.param in NETWORKS else load_localizer()


def ready(localizer: Localizer, candidate: Candidate) -> Candidate:
    """The video with what the localizer reads of its cues at ingest."""
    if not localizer.reading:
        return candidate
    return replace(candidate, read=localizer.read([cue.text for cue in candidate.cues]))


# What every localizer must hold to


def test_curves_lie_in_0_to_1_and_there_is_no_picture_where_none_was_read(localizer):
    candidate = ready(localizer, video("a", "tie the knot", range(20, 30)))
    found = localizer.contributions(request("how to tie the knot", candidate), candidate)
    assert found.picture is None and found.words
    assert all(0 <= value <= 1 for _, value in found.words) and max(v for _, v in found.words) > 0
    assert [second for second, _ in found.words] == sorted(second for second, _ in found.words)


@pytest.mark.parametrize("cues", [1, 7, 60, 90])
def test_the_matrix_is_square_sums_to_1_and_has_nothing_that_ends_before_it_begins(localizer, cues):
    candidate = ready(localizer, video("a", "tie the knot", range(cues // 3, cues // 2 + 1), cues=cues))
    found = localizer.matrix(request("how to tie the knot", candidate), candidate)
    count = len(found.chances)
    assert found.chances.shape == (count, count) and count <= min(MOST_CELLS, cues * 3)
    assert found.chances.sum() == pytest.approx(1) and found.chances.min() >= 0
    assert not np.tril(found.chances, -1).any()
    assert len(found.edges) == count + 1 and found.edges[0] == 0 and found.edges[-1] >= candidate.duration
    assert found.trained == (localizer.name != "windows")


def test_the_matrix_is_darkest_where_the_clip_is():
    localizer = WindowsLocalizer()
    candidate = video("a", "tie the knot with this rope", range(20, 32))
    asked = request("how to tie the knot", candidate)
    found, best = localizer.matrix(asked, candidate), localizer.spans(asked, candidate)[0].span
    first, last = np.unravel_index(found.chances.argmax(), found.chances.shape)
    assert found.edges[first] == pytest.approx(best.start, abs=10)
    assert found.edges[last + 1] == pytest.approx(best.end, abs=10)
    assert localizer.span_chances(asked, candidate).near(best) > 0.5


def test_fewer_cells_hold_the_same_chance(localizer):
    candidate = ready(localizer, video("a", "tie the knot", range(20, 30)))
    asked = request("how to tie the knot", candidate)
    fine, coarse = localizer.matrix(asked, candidate), localizer.matrix(asked, candidate, cells=4)
    assert coarse.chances.shape == (4, 4) and coarse.chances.sum() == pytest.approx(fine.chances.sum())


def test_of_a_long_video_the_map_shows_the_stretch_about_the_clip():
    seconds = np.array([[t, t + 20.0] for t in range(0, 3600, 10)])
    chances = np.where(seconds[:, 0] == 1200, 0.641, 0.001)
    found = SpanChances(seconds, chances)
    near = found.pooled(3620.0)
    assert (near.edges[0], near.edges[-1]) == pytest.approx((1120, 1300)) and len(near.chances) == 17
    assert near.chances.sum() == pytest.approx(0.641 + 16 * 0.001) and near.chances.argmax() == 7 * 17 + 9
    about = found.pooled(3620.0, around=Span(3500, 3600))
    assert (about.edges[0], about.edges[-1]) == (3300, 3620) and about.likeliest == Span(1200, 1220)
    whole = found.pooled(3620.0, around=Span(1000, 1400))  # more than half of it
    assert (whole.edges[0], whole.edges[-1]) == (0, 3620) and whole.chances.sum() == pytest.approx(1)
    assert found.pooled(3620.0, around=Span(9000, 9100)).edges[0] == 1120  # no place in the video
    silent = SpanChances(seconds[:3], np.full(3, 1 / 3)).pooled(3620.0, around=Span(2000, 2010))
    assert silent.edges[0] == 1920 and not silent.chances.any()
    short = SpanChances(seconds[:30], chances[:30])
    assert short.pooled(320.0).edges[-1] == 320


def test_what_nothing_speaks_of_has_no_matrix():
    candidate = video("a", "tie the knot", range(20, 30), vectors=False)
    asked = request("zebra crossing", candidate, dense=False)
    assert WindowsLocalizer().matrix(asked, candidate) is None
    assert not any(value for _, value in WindowsLocalizer().contributions(asked, candidate).words)


def test_a_localizer_that_says_nothing_of_itself_shows_the_words_as_the_untrained_one_reads_them():
    class First(Localizer):
        name = "first"

        def spans(self, request: Request, candidate: Candidate) -> list[ScoredSpan]:
            return []

    candidate = video("a", "tie the knot", range(20, 30))
    asked = request("how to tie the knot", candidate)
    plain = WindowsLocalizer().contributions(asked, candidate)
    assert First().contributions(asked, candidate) == plain and First().matrix(asked, candidate) is None


def test_without_vectors_a_trained_one_shows_what_the_untrained_one_says():
    candidate = video("a", "tie the knot", range(20, 30), vectors=False)
    asked = request("tie the knot", candidate, dense=False)
    trained = LearnedLocalizer(tiny_network("spanbase"))
    assert trained.contributions(asked, candidate) == WindowsLocalizer().contributions(asked, candidate)
    assert not trained.matrix(asked, candidate).trained


# Words and picture


@pytest.fixture(scope="module")
def hinted():
    """A network that needs the picture to tell which of two places is meant, and questions of that kind."""
    network = planted.network("ccgs", visual="i3d")
    planted.fit(network, planted.corpus("hint", 200, seed=0), steps=120)
    return LearnedLocalizer(network, "argmax", "cpu"), planted.corpus("hint", 20, seed=1)


def test_a_planted_picture_shows_in_the_picture_curve(hinted):
    localizer, asked = hinted
    inside, outside = [], []
    for each in asked:
        found = localizer.contributions(each.request(*each.candidates), each.candidates[0])
        assert max(v for curve in (found.words, found.picture) for _, v in curve) == pytest.approx(1)
        inside.append(found.picture_in(each.answer))
        outside.append(np.mean([v for t, v in found.picture if not each.answer.start <= t < each.answer.end]))
    assert np.mean(inside) > 0.2 and np.mean(inside) > 5 * np.mean(outside)


def test_words_are_what_is_read_without_the_picture(hinted):
    localizer, asked = hinted
    candidate = asked[0].candidates[0]
    bare = replace(candidate, visual=None)
    seen = localizer.contributions(asked[0].request(candidate), candidate)
    unseen = localizer.contributions(asked[0].request(bare), bare)
    assert unseen.picture is None
    most = max(v for _, v in seen.words)
    assert [v / most for _, v in seen.words] == pytest.approx([v for _, v in unseen.words], abs=1e-5)


def test_picture_rows_of_another_width_are_none(hinted):
    localizer, asked = hinted
    candidate = replace(asked[0].candidates[0], visual=np.ones((24, 7), np.float32))
    assert localizer.contributions(asked[0].request(candidate), candidate).picture is None


def test_a_network_that_cannot_do_without_pictures_tells_nothing_apart():
    asked = planted.corpus("picture", 1, seed=0)[0]
    localizer = LearnedLocalizer(planted.network("vslnet"), device="cpu")
    found = localizer.contributions(asked.request(*asked.candidates), asked.candidates[0])
    assert found == Contributions(None, None)
    assert localizer.matrix(asked.request(*asked.candidates), asked.candidates[0]).trained


def test_both_curves_are_over_the_same_highest_value():
    found = told_apart(np.arange(3.0), np.array([0.2, 0.9, 0.1]), np.array([0.4, 0.5, 0.1]))
    assert np.array(found.words) == pytest.approx(np.array([[0, 0.8], [1, 1.0], [2, 0.2]]))
    assert np.array(found.picture) == pytest.approx(np.array([[0, 0.0], [1, 0.8], [2, 0.0]]))


# The numbers


def test_the_chance_about_a_clip_is_that_of_the_spans_that_overlap_it_by_half():
    spans = SpanChances(np.array([[0, 10], [5, 15], [6, 12], [40, 50]]), np.array([0.4, 0.3, 0.2, 0.1]))
    assert spans.near(Span(0, 10)) == pytest.approx(0.4)
    assert spans.near(Span(5, 15)) == pytest.approx(0.5)
    assert spans.near(Span(20, 30)) == 0


def test_a_span_lies_in_the_cells_that_it_touches():
    spans = SpanChances(np.array([[0.0, 10.0], [10.0, 20.0], [20.0, 40.0], [39.0, 40.0]]), np.full(4, 0.25))
    found = spans.pooled(40.0)
    assert [tuple(map(int, cell)) for cell in np.argwhere(found.chances)] == [(0, 0), (1, 1), (2, 3), (3, 3)]
    assert list(found.edges) == [0, 10, 20, 30, 40] and found.likeliest == Span(0, 10)


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0.01, 400)), min_size=1, max_size=60))
def test_no_chance_is_lost_between_the_cells(pieces):
    seconds = np.array([[start, start + length] for start, length in pieces])
    chances = np.full(len(pieces), 1 / len(pieces))
    found = SpanChances(seconds, chances).pooled(0.0, 16)
    shown = (seconds[:, 0] >= found.edges[0]) & (seconds[:, 1] <= found.edges[-1])
    assert found.chances.sum() == pytest.approx(chances[shown].sum()) and shown.any()
    assert not np.tril(found.chances, -1).any() and len(found.chances) <= 16
    assert shown.all() or found.edges[-1] - found.edges[0] < seconds[:, 1].max() / 2


def test_a_long_curve_is_thinned_and_keeps_its_peak():
    curve = tuple((float(i), 1.0 if i == 4321 else 0.1) for i in range(9000))
    found = thinned(curve)
    assert len(found) == 300 and (4321.0, 1.0) in found
    assert thinned(curve[:300]) == curve[:300] and thinned(()) == ()


def test_the_mean_in_a_span_counts_each_value_as_long_as_it_lasts():
    curve = ((0.0, 0.0), (10.0, 0.5), (20.0, 1.0))
    assert mean_in(curve, Span(10, 20)) == 0.5
    assert mean_in(curve, Span(15, 35)) == pytest.approx(0.875)
    assert mean_in(((30.0, 1.0),), Span(1, 5)) == 0 == mean_in((), Span(1, 5))


# On demand


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with Library.open(tmp_path_factory.mktemp("evidence") / "library") as opened:
        fill(opened, ENCODER)
        add(opened, "Silent", [], ENCODER)
        yield opened


@pytest.fixture
def asker(library):
    return Asker(library, ENCODER, Settings.model_validate({}))


def test_an_answer_is_explained_by_what_found_it(asker):
    best = asker.ask(QUESTION).answers[0]
    found = asker.explain(QUESTION, best.video_id, best.span)
    assert (found.question, found.video_id, found.method) == (QUESTION, best.video_id, "untrained")
    assert found.matrix.chances.sum() == pytest.approx(1) and not found.matrix.trained
    assert len(found.contributions.words) == len(SCRIPTS["Tie a bowline"]) and found.near > 0.3
    assert asker.explain(QUESTION, best.video_id).near is None
    assert asker.explain(QUESTION, best.video_id, Span(30, 35)).near < found.near


def test_explaining_is_refused_in_words(asker):
    video = id_of("Boil an egg")
    with pytest.raises(VideoNotFound):
        asker.explain(QUESTION, "../../etc/passwd")
    with pytest.raises(BadQuestion, match="no method “magic”"):
        asker.explain(QUESTION, video, method="magic")
    with pytest.raises(BadQuestion, match="Type a question"):
        asker.explain(" ?! ", video)
    with pytest.raises(BadQuestion, match="Nothing is said"):
        asker.explain(QUESTION, id_of("Silent"))
    for filters in (Filters(tags=("sea",)), Filters(video_ids=("x",)), Filters(language="de")):
        with pytest.raises(BadQuestion, match="leave this video out"):
            asker.explain(QUESTION, video, filters=filters)
    assert "only its first" in asker.explain("egg " * 1000, video).notice


def test_a_method_that_is_not_there_or_fails_gives_way(library, tmp_path):
    settings = Settings(checkpoints_dir=tmp_path)
    found = Asker(library, ENCODER, settings).explain(QUESTION, id_of("Boil an egg"), method="ccgs")
    assert found.method == "untrained" and "not trained yet" in found.notice and found.matrix is not None
    tiny_network("ccgs", encoder_dim=32).save_pretrained(tmp_path / "ccgs")  # of another encoder
    found = Asker(library, ENCODER, settings).explain(QUESTION, id_of("Boil an egg"), method="ccgs")
    assert found.method == "untrained" and "cannot read" in found.notice
    tiny_network("ccgs").save_pretrained(tmp_path / "ccgs")
    found = Asker(library, ENCODER, settings).explain(QUESTION, id_of("Boil an egg"), method="ccgs")
    assert (found.method, found.notice, found.matrix.trained) == ("ccgs", "", True)


def test_what_the_picture_added_is_evidence_of_the_clip(tmp_path):
    with Library.open(tmp_path / "library") as library:
        fill(library, ENCODER)
        settings = Settings(checkpoints_dir=tmp_path, threshold=0.0)
        tiny_network("ccgs", visual="i3d", visual_dim=16).save_pretrained(tmp_path / "ccgs")
        asker = Asker(library, ENCODER, settings)
        assert {a.evidence.picture for a in asker.ask(QUESTION, method="ccgs").answers} == {None}
        seen = id_of("Tie a bowline")
        library.set_picture_features(seen, "fake", np.random.default_rng(0).standard_normal((40, 16)))
        answers = asker.ask(QUESTION, method="ccgs").answers
        for answer in answers:
            read = answer.evidence.picture is not None
            assert read == (answer.video_id == seen) and (not read or 0 <= answer.evidence.picture <= 1)
        assert any(answer.video_id == seen for answer in answers)
        assert {a.evidence.picture for a in asker.ask(QUESTION, method="untrained").answers} == {None}
        found = asker.explain(QUESTION, seen, method="ccgs").contributions
        assert found.picture is not None and len(found.picture) == len(found.words)


assert CONFIG["encoder_dim"] == ENCODER.dim
