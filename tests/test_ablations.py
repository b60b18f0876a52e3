"""The ablations of the default: every change is one that a recipe takes, and their table."""

from __future__ import annotations

from benchmarks.ablations import ABLATIONS, WHOLE, table
from pipeline.train import config_of
from pipeline.training.recipe import load


def test_each_leaves_out_one_thing_that_a_recipe_knows():
    whole = load("default", config_of("default"))
    for ablation in ABLATIONS:
        changed = load("default", config_of("default"), changes=ablation.settings)
        ways = [bool(ablation.data), bool(ablation.decode), changed != whole]
        assert sum(ways) == (ablation.what != WHOLE), ablation.what
    assert len({ablation.what for ablation in ABLATIONS}) == len(ABLATIONS)


def line(title: str, data: str, overlaps: dict[str, list[float]]) -> dict:
    queries = [[video, iou, None] for video, values in overlaps.items() for iou in values]
    return {"set": data, "title": title, "steps": 7, "queries": queries}


def test_what_a_change_costs_is_counted_by_the_same_questions():
    rows = table(
        [
            line(WHOLE, "howto", {"a": [0.5, 0.5], "b": [0.9, 0.1]}),
            line("a loss", "howto", {"a": [0.4, 0.4], "b": [0.8, 0.0]}),
            line(WHOLE, "medvidqa", {"c": [1.0], "d": [0.0]}),
        ]
    ).splitlines()
    assert rows[0] == "| left out | howto | medvidqa | steps |"
    assert rows[2] == f"| {WHOLE} | 50.0 | 50.0 | 7 |"
    assert rows[3] == "| a loss | 40.0 (-10.0 to -10.0) |  | 7 |"
