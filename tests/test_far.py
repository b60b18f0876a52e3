"""What the table of far questions counts."""

from benchmarks import far


def test_a_report_counts_refusals_of_own_and_of_foreign_questions_apart():
    rows = [(0.9, True), (0.2, True), (0.8, True), (0.1, False), (0.6, False)]
    found = far.report(rows, 0.5)
    assert found == {"auroc": 0.833, "wrong_refusals": 33.3, "caught": 50.0}
    assert far.markdown({"a asked of b": found}).splitlines()[-1] == "| a asked of b | 0.833 | 33.3 | 50.0 |"
