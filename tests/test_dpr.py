"""DPR: its loss against plain NumPy, what counts as a negative, the identity at the start, a planted corpus
that training solves, and checkpoints, friendly and hostile."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pipeline.datasets.base import Dataset, Narration, Question
from pipeline.errors import CheckpointMissing
from pipeline.library.store import Library
from pipeline.retrieve import Query, load_retriever
from pipeline.retrieve.dense import DenseRetriever
from pipeline.retrieve.dpr import DPR, DPRRetriever
from pipeline.retrieve.dpr_examples import DPRBatch, collate, dev_scores, make_examples, window_table
from pipeline.types import Cue, Span
from tests.asking import SCRIPTS, fill, id_of
from tests.fake_encoder import FakeEncoder

ENCODER = FakeEncoder()
DIM = ENCODER.dim


def cues(words: list[str]) -> tuple[Cue, ...]:
    """Each text for 30 s: one window each, and those between."""
    return tuple(Cue(30 * i + 1, 30 * i + 29, text) for i, text in enumerate(words))


def narrated(*videos: tuple[str, list[str]]) -> dict[str, Narration]:
    return {name: Narration(name, name, 30.0 * len(words), cues(words)) for name, words in videos}


@pytest.fixture
def data():
    videos = narrated(
        ("a", ["boat rope", "sail wind", "anchor chain"]),
        ("b", ["egg pot", "spoon water", "salt pepper"]),
        ("c", ["sail wind", "tyre glue"]),
    )
    asked = (
        Question("1", "the rope", "a", Span(0, 30)),
        Question("2", "what rope", "a", Span(2, 28)),
        Question("3", "the egg", "b", Span(0, 30)),
        Question("4", "the wind", "a", Span(30, 60)),
        Question("5", "nothing", "b", None),
    )
    return Dataset("tiny", "all", videos, asked)


def some_heads() -> DPR:
    torch.manual_seed(3)
    heads = DPR(dim=DIM, library_model=ENCODER.name, dropout=0.0)
    for head in (heads.question, heads.passage):
        torch.nn.init.normal_(head.change, std=0.1)
    return heads.eval()


def test_the_loss_is_the_papers(data):
    heads = some_heads()
    batch = heads.batch(make_examples(data, ENCODER))
    q = batch.question.numpy() @ (np.eye(DIM) + heads.question.change.detach().numpy()).T
    p = batch.passage.numpy() @ (np.eye(DIM) + heads.passage.change.detach().numpy()).T
    similar = q @ p.T / 0.05
    each = []
    for i in range(len(q)):
        wrong = np.exp(similar[i][batch.negative[i].numpy()]).sum()
        right = [np.exp(similar[i, j]) for j in np.flatnonzero(batch.positive[i].numpy())]
        each.append(np.mean([-np.log(r / (r + wrong)) for r in right]))
    loss, log = heads.loss(batch)
    assert loss.item() == pytest.approx(np.mean(each), rel=1e-4)
    assert log["loss"] == pytest.approx(loss.item()) and 0 <= log["first"] <= 1


def test_a_question_without_negatives_costs_nothing():
    only = torch.tensor([[True]])
    row = torch.ones(1, DIM, requires_grad=True)
    loss, _ = some_heads().loss(DPRBatch(only, ~only, row, row))
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(row.grad).all()


def test_what_is_a_negative(data):
    table = window_table(data, ENCODER)
    examples = make_examples(data, ENCODER, table)
    batch = collate(examples)
    columns = list(dict.fromkeys(row for e in examples for row in (*e.positives, *e.hard)))
    texts = [table.texts[row] for row in columns]
    assert len(texts) == len(set(columns)) == batch.positive.shape[1]
    first, second, _, wind = batch.positive.tolist()
    assert first == second and [t for t, yes in zip(texts, first, strict=True) if yes] == ["boat rope"]
    assert not (batch.positive & batch.negative).any()
    for text, yes in zip(texts, batch.negative[0].tolist(), strict=True):
        assert yes == ("rope" not in text), text  # the window that only overlaps the answer is neither
    for text, yes in zip(texts, batch.negative[3].tolist(), strict=True):
        assert yes == ("wind" not in text), text  # another video says the same words
    assert sum(wind) == 1


def test_hard_negatives_are_near_and_of_other_videos(data):
    table = window_table(data, ENCODER)
    for example in make_examples(data, ENCODER, table, hard=2):
        own = table.video[example.positives[0]]
        assert len(example.hard) == 2
        assert all(table.video[row] != own and row not in example.near for row in example.hard)
    assert all(not e.hard for e in make_examples(data, ENCODER, table, hard=0))


def test_a_long_answer_has_several_positives_and_a_silent_one_its_neighbour():
    videos = narrated(("long", [f"part {i}" for i in range(9)]), ("silent", ["hello", "bye"]))
    asked = (
        Question("1", "all of it", "long", Span(0, 270)),
        Question("2", "silence", "silent", Span(80, 90)),
    )
    table = window_table(data := Dataset("x", "all", videos, asked), ENCODER)
    everything, silence = make_examples(data, ENCODER, table)
    assert len(everything.positives) == 4 and len(everything.near) == (table.video == 0).sum()
    assert len(silence.positives) == 1 and table.times[silence.positives[0]][1] == pytest.approx(59)


def test_order_of_the_batch_changes_nothing(data):
    heads, examples = some_heads(), make_examples(data, ENCODER)
    one = heads.loss(heads.batch(examples))[0]
    other = heads.loss(heads.batch(examples[::-1]))[0]
    assert float(one) == pytest.approx(float(other), rel=1e-5)


def test_vectors_of_the_library_are_used_as_they_are(data):
    class Refusing(FakeEncoder):
        def encode(self, texts):
            assert not texts
            return super().encode(texts)

    from pipeline.features.text import text_vectors

    known = {name: text_vectors(video.cues, ENCODER) for name, video in data.videos.items()}
    made, kept = window_table(data, ENCODER), window_table(data, Refusing(), known)
    assert np.array_equal(made.vectors, kept.vectors) and made.texts == kept.texts


def test_untrained_heads_are_dense_retrieval(tmp_path):
    heads = DPR(dim=DIM, library_model=ENCODER.name)
    with Library.open(tmp_path / "library") as library:
        fill(library, ENCODER)
        dpr, dense = DPRRetriever(library, heads), DenseRetriever(library, second=0.0)
        for lines in SCRIPTS.values():
            for line in lines:
                query = Query(line, ENCODER.encode([line])[0], ENCODER.name)
                found, known = dpr.search(query, 3), dense.search(query, 3)
                order = [hit.video_id for hit in found]
                assert order[0] == known[0].video_id and found[0].span == known[0].span
                assert heads.vector(line, query.vector) == pytest.approx(query.vector, abs=1e-6)


def test_the_moved_head_gives_the_same_order_as_both_towers(data):
    """W_p^T W_q q over the library's vectors is what the two towers say."""
    heads, table = some_heads(), window_table(data, ENCODER)
    rows = ENCODER.encode(["the rope", "egg and salt"])
    with torch.inference_mode():
        towers = heads.question(torch.from_numpy(rows)) @ heads.passage(torch.from_numpy(table.vectors)).T
    moved = heads.vectors(["the rope", "egg and salt"], rows) @ table.vectors.T
    wanted, found = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (towers.numpy(), moved))
    assert np.allclose(found, wanted, rtol=0, atol=1e-5)  # but for the unit length of the question


def planted() -> Dataset:
    """What the question says never stands in its answer: each word has to be learned to mean another."""
    videos = narrated(*((f"v{i}", [f"answer{i} filler{i}", f"other{i} noise{i}"]) for i in range(8)))
    asked = tuple(Question(str(i), f"question{i} please", f"v{i}", Span(0, 30)) for i in range(8))
    return Dataset("planted", "all", videos, asked)


def trained(model: DPR, data: Dataset, encoder: FakeEncoder, steps: int, rate: float) -> DPR:
    torch.manual_seed(0)
    batch = model.train().batch(make_examples(data, encoder))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(batch)[0].backward()
        optimizer.step()
    return model.eval()


def test_training_solves_a_planted_corpus():
    encoder = FakeEncoder(dim=1024)  # no two words alike
    heads = DPR(dim=1024, library_model="fake")
    before = dev_scores(heads, planted(), encoder)
    after = dev_scores(trained(heads, planted(), encoder, 40, 1e-2), planted(), encoder)
    assert before["r1"] <= 0.5 and after == {"r1": 1.0, "mrr": 1.0}


# Checkpoints


def test_saved_and_loaded_heads_are_the_same(tmp_path, capsys):
    heads = some_heads()
    heads.save_pretrained(tmp_path / "dpr")
    loaded = DPR.load(tmp_path / "dpr")
    rows = ENCODER.encode(["the rope"])
    assert loaded.config == heads.config and not loaded.training
    assert np.array_equal(loaded.vectors(["the rope"], rows), heads.vectors(["the rope"], rows))
    assert capsys.readouterr().out == ""


def _without(folder, name):
    (folder / name).unlink()


def _other_keys(folder, name):
    from safetensors.torch import save_file

    save_file({"foreign": torch.zeros(3)}, folder / name)


def _pickle(folder, name):
    torch.save(some_heads().state_dict(), folder / name)


def _as_bin(folder, name):
    torch.save(some_heads().state_dict(), folder / "pytorch_model.bin")
    (folder / name).unlink()


def _config(**change):
    def write(folder, name):
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | change))

    return write


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("config.json", _without),
        ("model.safetensors", _without),
        ("model.safetensors", _other_keys),
        ("model.safetensors", _pickle),
        ("model.safetensors", _as_bin),
        ("config.json", _config(method="ccgs")),
        ("config.json", _config(dim=32)),
        ("config.json", _config(dim=10**9)),
        ("config.json", _config(train="magic")),
        ("config.json", _config(surprise=1)),
        ("config.json", lambda folder, name: (folder / name).write_text("{")),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused_in_words(tmp_path, name, damage):
    some_heads().save_pretrained(tmp_path / "dpr")
    damage(tmp_path / "dpr", name)
    with pytest.raises(CheckpointMissing, match="pipeline train --method dpr"):
        DPR.load(tmp_path / "dpr")


def test_vectors_of_another_encoder_are_refused(tmp_path):
    some_heads().save_pretrained(tmp_path / "dpr")
    with Library.open(tmp_path / "library") as library:
        fill(library, ENCODER)
        retriever = load_retriever(library, "dpr", tmp_path / "dpr")
        with pytest.raises(CheckpointMissing, match="ANSWERCLIP_TEXT_ENCODER"):
            retriever.search(Query("egg", np.ones(8, np.float32), "another"), 3)
        assert retriever.search(Query("egg"), 3) == []


# Towers that are encoders themselves


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory):
    """A BERT of one layer with random weights, and a tokenizer of the words of the planted corpus."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    texts = [c.text for n in planted().videos.values() for c in n.cues] + [
        q.text for q in planted().questions
    ]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({w for text in texts for w in text.split()})]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("train", ["question", "both"])
def test_trained_encoders_solve_the_planted_corpus_and_are_kept(tiny_encoder, tmp_path, train):
    encoder = FakeEncoder(dim=32)
    model = DPR(dim=32, library_model="fake", train=train, encoder=str(tiny_encoder))
    trained(model, planted(), encoder, 60, 3e-3)
    assert dev_scores(model, planted(), encoder)["r1"] >= 0.85
    model.save_pretrained(tmp_path / "dpr")
    loaded = DPR.load(tmp_path / "dpr")
    assert np.allclose(loaded.vectors(["question1 please"]), model.vectors(["question1 please"]), atol=1e-6)
    assert loaded.config == model.config


def test_padding_changes_no_vector(tiny_encoder):
    model = DPR(dim=32, train="question", encoder=str(tiny_encoder)).eval()
    alone = model.vectors(["question1"])[0]
    beside = model.vectors(["question1", "question2 please question3 please question4 please"])[0]
    assert np.allclose(alone, beside, atol=1e-6)


def test_the_passage_tower_becomes_the_librarys_encoder(tiny_encoder, tmp_path):
    from pipeline.features.text import load_encoder

    model = DPR(dim=32, train="both", encoder=str(tiny_encoder))
    model.save_pretrained(tmp_path / "dpr")
    first = model.config.library_model
    trained(model, planted(), FakeEncoder(dim=32), 20, 3e-3).save_pretrained(tmp_path / "dpr")
    (folder,) = (tmp_path / "dpr").glob("passages-*")
    encoder = load_encoder(str(folder))
    assert encoder.name == model.config.library_model != first
    assert encoder.name.startswith(folder.name)
    texts = ["answer1 filler1", "other2"]
    assert np.allclose(encoder.encode(texts), model.passage_vectors(texts, np.zeros((2, 32))), atol=1e-5)
    with Library.open(tmp_path / "library") as library:
        fill(library, encoder, {"one": ["answer1 filler1"], "two": ["answer2 filler2"]})
        retriever = load_retriever(library, "dpr", tmp_path / "dpr")
        query = Query("question1 please", encoder.encode(["question1 please"])[0], encoder.name)
        assert retriever.search(query, 2)[0].video_id == id_of("one")


def test_only_the_passage_tower_of_the_best_epoch_is_kept(tiny_encoder, tmp_path):
    from pipeline.features.text import encoder_name
    from pipeline.training.loop import keep

    model = DPR(train="both", encoder=str(tiny_encoder), dim=32)

    class Task:
        def save(self, folder):
            model.save_pretrained(folder)

    for _ in range(2):
        with torch.no_grad():
            next(model.passage.parameters()).add_(1)
        keep(Task(), tmp_path)
    (folder,) = tmp_path.glob("passages-*")
    assert encoder_name(str(folder)) == DPR.load(tmp_path).config.library_model


def test_bf16_gives_nearly_the_same_loss(data):
    heads, examples = some_heads(), make_examples(data, ENCODER)
    exact = float(heads.loss(heads.batch(examples))[0])
    with torch.autocast("cpu", torch.bfloat16):
        loss = heads.loss(heads.batch(examples))[0]
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(exact, rel=0.05)


def test_the_limit_is_reached_even_when_one_video_holds_the_nearest_windows(tmp_path):
    heads = DPR(dim=DIM, library_model=ENCODER.name)
    with Library.open(tmp_path / "library") as library:
        long = ["tie the rope"] * 900  # 300 windows, all nearer than any of another video
        fill(library, ENCODER, {"long": long, "one": ["boil the egg"], "two": ["mend the tube"]})
        query = Query("tie the rope", ENCODER.encode(["tie the rope"])[0], ENCODER.name)
        assert len(DPRRetriever(library, heads).search(query, 3)) == 3
