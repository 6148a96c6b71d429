"""What a contributor starts with: the hooks of pre-commit and the devcontainer."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.conftest import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
HOOKS = [
    hook
    for repository in yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
]


@pytest.mark.parametrize("hook", HOOKS, ids=[hook["id"] for hook in HOOKS])
def test_a_hook_runs_a_command_of_make_lint(hook: dict[str, str]) -> None:
    assert f"@{hook['entry'].replace('.venv/bin', '$(BIN)')}" in MAKEFILE


def test_the_devcontainer_has_a_python_that_fits_and_the_programs_for_the_tests() -> None:
    folder = REPOSITORY / ".devcontainer"
    settings = json.loads(re.sub(r"^\s*//.*$", "", (folder / "devcontainer.json").read_text(), flags=re.MULTILINE))
    dockerfile = (folder / settings["build"]["dockerfile"]).read_text()
    assert settings["postCreateCommand"] == "make .venv/.ready"
    for package in re.findall(r'missing="\$\$missing ([\w-]+)"', MAKEFILE):
        assert f" {package} " in dockerfile
    [image] = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    [platform] = set(re.findall(r"^FROM (\S+)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE))
    assert image == platform, "development and operation use the same Python"
    assert f"USER {settings['remoteUser']}" in dockerfile
