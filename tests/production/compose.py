"""docker-compose.yaml and the Dockerfile, read as Docker would: variables filled in, anchors merged."""

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
    """A variable that must be set is not."""


class Compose:
    """The compose file with the variables of an `.env`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    @cached_property
    def content(self) -> dict[str, Any]:
        """The whole file, everything filled in."""
        return dict(self._filled(yaml.safe_load(COMPOSE_FILE.read_text())))

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """What is started."""
        return dict(self.content["services"])

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(self._value, value)
        if isinstance(value, dict):
            return {name: self._filled(part) for name, part in value.items()}
        return [self._filled(part) for part in value] if isinstance(value, list) else value

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        value = self._variables.get(match["name"], "")
        if value or match["kind"] is None:
            return value
        if match["kind"] == ":?":
            raise Unset(match["name"])
        return str(self._filled(match["other"]))


def set_up(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs deploy/set-up.sh as if the repository were this folder."""
    script = folder / "deploy" / SET_UP.name
    script.parent.mkdir(exist_ok=True)
    script.write_text(SET_UP.read_text())
    return subprocess.run(
        ["sh", script, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def variables(folder: Path) -> dict[str, str]:
    """The variables of the `.env` in a folder."""
    pairs = (line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
    return {name: value[1:-1] for name, value in pairs}


def instructions() -> Iterator[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, arguments = line.partition(" ")
        yield name, arguments.strip()


def image_environment() -> dict[str, str]:
    """What the image itself sets, of its last stage, but for PATH."""
    found: dict[str, str] = {}
    for name, arguments in instructions():
        if name == "FROM":
            found = {}
        elif name == "ENV":
            found |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
    found.pop("PATH")
    return found
