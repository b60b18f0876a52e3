"""Fixtures that several test modules share, and the rule that makes the gate strict."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's own data and media folder, which users do not have."""
    if not (SHARED / "media").is_dir():
        pytest.skip("needs the shared folder beside the checkout")
    return SHARED


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The same for a module of browser tests that skips as a whole."""
    report = yield
    if report.skipped and "browser" in collector.nodeid and os.environ.get("ANSWERCLIP_REQUIRE_BROWSER"):
        report.outcome = "failed"
        report.longrepr = f"browser tests were skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """With ANSWERCLIP_REQUIRE_BROWSER set, a skipped browser test is a failed one."""
    report = yield
    if report.skipped and item.get_closest_marker("browser") and os.environ.get("ANSWERCLIP_REQUIRE_BROWSER"):
        report.outcome = "failed"
        report.longrepr = f"a browser test was skipped: {report.longrepr}"
    return report
