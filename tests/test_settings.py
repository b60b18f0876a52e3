"""Settings come from the environment, and a half-made login is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settings import Settings


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBRARY_DIR", "elsewhere")
    monkeypatch.setenv("ANSWERCLIP_MAX_HOURS", "2.5")
    settings = Settings()
    assert settings.library_dir == Path("elsewhere")
    assert settings.max_hours == 2.5


@pytest.mark.parametrize("half", [{"username": "me"}, {"password": "secret"}])
def test_half_a_login_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="ANSWERCLIP_PASSWORD"):
        Settings.model_validate(half)


def test_a_whole_login_or_none() -> None:
    assert Settings.model_validate({}).auth is None
    assert Settings.model_validate({"username": "me", "password": "secret"}).auth == ("me", "secret")
