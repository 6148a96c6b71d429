"""Reads docker-compose.yaml and the Dockerfile as Docker does: with variables substituted and anchors merged."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yaml"
DOCKERFILE = REPOSITORY / "Dockerfile"
SET_UP = REPOSITORY / "deploy" / "set-up.sh"

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<other>(?:[^{}]|\{[^}]*\})*))?\}")


class Unset(Exception):
    """A required variable is not set."""


class Compose:
    """The compose file with the variables of an `.env` file."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    @cached_property
    def content(self) -> dict[str, Any]:
        """The whole file with all variables substituted."""
        return dict(self._substituted(yaml.safe_load(COMPOSE_FILE.read_text())))

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services by name."""
        return dict(self.content["services"])

    def _substituted(self, value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(self._value, value)
        if isinstance(value, dict):
            return {name: self._substituted(part) for name, part in value.items()}
        return [self._substituted(part) for part in value] if isinstance(value, list) else value

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        value = self._variables.get(match["name"], "")
        if value or match["kind"] is None:
            return value
        if match["kind"] == ":?":
            raise Unset(match["name"])
        return str(self._substituted(match["other"]))


def set_up(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/set-up.sh as if this folder were the repository."""
    script = folder / "deploy" / SET_UP.name
    script.parent.mkdir(exist_ok=True)
    script.write_text(SET_UP.read_text())
    return subprocess.run(
        ["sh", script, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def variables(folder: Path) -> dict[str, str]:
    """Return the variables of the `.env` file in a folder."""
    pairs = (line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
    return {name: value[1:-1] for name, value in pairs}


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the instructions of the Dockerfile and their arguments, with continued lines joined and no comments."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, arguments = line.partition(" ")
        yield name, arguments.strip()


def image_environment() -> dict[str, str]:
    """Return the environment variables that the image's last stage sets, except PATH."""
    found: dict[str, str] = {}
    for name, arguments in instructions():
        if name == "FROM":
            found = {}
        elif name == "ENV":
            found |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
    found.pop("PATH")
    return found
