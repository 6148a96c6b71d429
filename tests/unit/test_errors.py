"""The commands that messages name."""

from __future__ import annotations

import re

import pytest

from adventureworks.errors import COMMAND_VARIABLE, PlatformError, Step, as_typed
from tests.conftest import REPOSITORY

STATUS = "adventureworks status daily_sales"


def test_commands_are_shown_as_they_are_called_unless_a_variable_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(COMMAND_VARIABLE, raising=False)
    assert str(Step("See:", STATUS)) == f"See: {STATUS}"
    for program in ("adventureworks tour", "ADVENTUREWORKS_HOME=/data adventureworks tour"):
        monkeypatch.setenv(COMMAND_VARIABLE, program)
        typed = f"{program} status daily_sales"
        assert str(PlatformError("It is late.", Step("See:", STATUS))) == f"It is late. See: {typed}"
        assert as_typed(typed) == typed, "it is not written twice"
        assert as_typed(program) == program
        assert as_typed("GRANT SELECT ON t TO reader;") == "GRANT SELECT ON t TO reader;"


def test_pages_name_commands_as_users_of_the_platform_type_them() -> None:
    templates = sorted((REPOSITORY / "src" / "adventureworks").rglob("templates/*"))
    assert len(templates) > 10
    for path in templates:
        without = re.sub(r"as_typed\([^)]*\)", "", path.read_text(encoding="utf-8"))
        found = re.findall(r"\badventureworks [a-z]+", without)
        assert found == [], f"{path.name}: put the command into as_typed()"
