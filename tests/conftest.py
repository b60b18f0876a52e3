"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's own data and media folder, which users do not have."""
    if not (SHARED / "media").is_dir():
        pytest.skip("needs the shared folder beside the checkout")
    return SHARED
