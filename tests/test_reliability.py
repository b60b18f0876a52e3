"""The reliability plot and its number."""

from xml.etree import ElementTree

import pytest

from benchmarks.reliability import calibration_error, plot


def test_the_error_weighs_by_questions_and_the_plot_has_a_dot_for_each_share():
    points = [(0.2, 0.1, 30), (0.8, 0.9, 10)]
    assert calibration_error(points) == pytest.approx(0.1)
    tree = ElementTree.fromstring(plot({"trained": points, "untrained": [(0.5, 0.5, 1)]}))
    assert len(tree.findall("{*}circle")) == 3
    assert {"trained", "untrained"} <= {text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")}
