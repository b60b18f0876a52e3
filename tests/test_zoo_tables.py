"""The tables of the trained methods: pooled over folds, question by question."""

from __future__ import annotations

from benchmarks.zoo_tables import tables


def line(fold, title, task, videos, queries, **groups):
    """A line of the benchmark; `queries` are (video, IoU of the best span, rank of the video)."""
    report = {"questions": len(queries), "videos": videos} | groups
    timing = {"train_seconds": 4.0, "steps": 10}
    where = {"set": "tutorialvqa", "protocol": "by video", "fold": fold, "title": title, "task": task}
    return where | timing | {"report": report, "queries": queries}


def test_folds_are_pooled_by_question_and_the_corpus_is_told():
    deep = {"rank10": {"miou": 20.0}, "rank100": {"miou": 40.0}}
    more = {"rank10": {"miou": 80.0}, "rank100": {"miou": 100.0}}
    text = tables(
        [
            line("1/5", "CCGS", "vcval", 13, [["a", 1.0, 1]], **deep),
            line("2/5", "CCGS", "vcval", 24, [["b", 0.0, 2], ["c", 0.0, None], ["c", 0.6, 1]], **more),
            line("1/5", "CCGS", "val", 13, [["a", 1.0, None], ["b", 0.5, None]]),
        ]
    )
    given, corpus = text.split("\n\n")
    assert "TutorialVQA, by video (1/5; 2 questions), one video given" in given
    assert "| CCGS | 100.0 (100.0-100.0) | 100.0 (" in given and "| 75.0 (" in given
    assert "(1/5, 2/5; 4 questions of 13 to 24 videos), whole corpus" in corpus
    row = corpus.splitlines()[-1]
    assert row.startswith("| CCGS | 50.0 (") and row.endswith("| 65.0 | 85.0 |")  # 1 and 3 questions
    assert " | 62.5 (" in row  # MRR: 1, 1/2, 0, 1
