"""What everybody starts with: the environment that make creates, the hooks of pre-commit, the devcontainer."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

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


PYTHON = """#!/bin/sh
case "$*" in
    -c*) exit 0 ;;
    "-m venv --clear"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    --version|"-m pip --version"|"-m pip config"*) ;;
    *requirements-uv.lock) ln -sf ../../uv .venv/bin/uv ;;
    *"--no-build-isolation -e .") ;;
    *) exit 1 ;;
esac
"""
"""A Python without an index: it creates an environment, and pip installs nothing but uv and this project."""
UV = """#!/bin/sh
echo "$UV_HTTP_TIMEOUT $PIP_DEFAULT_TIMEOUT $UV_SYSTEM_CERTS" >>asked
exit 1
"""
"""A uv that notes how it was called, and installs nothing."""
INTERRUPTED_UV = """#!/bin/sh
ls .venv >>asked
touch .venv/half
test -e interrupted && exit 0
touch interrupted
kill -TERM 0
sleep 60
"""
"""A uv that notes what the environment contains. The first one installs half a package, then everything is stopped."""
SLOW_UV = """#!/bin/sh
echo called >>asked
while ! test -e finish; do sleep 0.1; done
"""
"""A uv that installs until it may finish."""


def start_make(folder: Path, *arguments: str, uv: str = UV, **variables: str) -> subprocess.Popen[str]:
    """Start make in a folder with what the environment is created from."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-uv.lock"):
        if not (folder / name).exists():
            (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    for name, text in (("python", PYTHON), ("uv", uv)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "MAKE"))}
    return subprocess.Popen(
        ["make", ".venv/.ready", *arguments],
        cwd=folder,
        env={**kept, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def make(folder: Path, *arguments: str, uv: str = UV, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder with what the environment is created from."""
    with start_make(folder, *arguments, uv=uv, **variables) as running:
        printed, errors = running.communicate()
    return subprocess.CompletedProcess(running.args, running.returncode, printed, errors)


def test_packages_that_cannot_be_installed_are_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    done = make(tmp_path, "PYTHONS=./python")
    assert done.returncode != 0
    assert "Behind a proxy, set HTTPS_PROXY; for an index of your own, PIP_INDEX_URL." in done.stderr
    assert not (tmp_path / ".venv" / ".ready").exists()


def test_uv_waits_for_a_slow_index_as_long_as_pip_is_told_to(tmp_path: Path) -> None:
    make(tmp_path, "PYTHONS=./python", PIP_DEFAULT_TIMEOUT="300")
    assert (tmp_path / "asked").read_text() == "300 300 true\n"


def test_uv_trusts_the_authorities_of_the_machine_unless_told_otherwise(tmp_path: Path) -> None:
    make(tmp_path, "PYTHONS=./python")
    make(tmp_path, "PYTHONS=./python", UV_SYSTEM_CERTS="false")
    assert (tmp_path / "asked").read_text() == "120 120 true\n120 120 false\n"


def test_a_machine_without_a_fitting_python_is_told_which_one_to_install(tmp_path: Path) -> None:
    done = make(tmp_path, "PYTHONS=no-such-python")
    assert done.returncode != 0
    assert "No Python from 3.11 to 3.13 was found" in done.stderr


def test_an_interrupted_installation_is_repeated_in_an_empty_environment(tmp_path: Path) -> None:
    stopped = make(tmp_path, "PYTHONS=./python", uv=INTERRUPTED_UV)
    assert stopped.returncode != 0
    assert "Stopped. The same command goes on with what is downloaded." in stopped.stderr
    assert "cannot install" not in stopped.stdout + stopped.stderr, "nobody asked for another way to install"
    assert not (tmp_path / ".venv" / ".ready").exists()
    assert make(tmp_path, "PYTHONS=./python", uv=INTERRUPTED_UV).returncode == 0
    assert (tmp_path / "asked").read_text() == "bin\nbin\n", "neither found what the other had left"
    assert (tmp_path / ".venv" / ".ready").exists()


def test_a_changed_lock_file_keeps_what_else_is_installed_unless_the_update_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "interrupted").touch()
    for _ in range(2):
        assert make(tmp_path, "PYTHONS=./python", uv=INTERRUPTED_UV).returncode == 0
        os.utime(tmp_path / ".venv" / ".ready", (0, 0))
    assert (tmp_path / "asked").read_text() == "bin\nbin\nhalf\n"
    (tmp_path / "interrupted").unlink()
    assert make(tmp_path, "PYTHONS=./python", uv=INTERRUPTED_UV).returncode != 0
    assert make(tmp_path, "PYTHONS=./python", uv=INTERRUPTED_UV).returncode == 0
    assert (tmp_path / "asked").read_text() == "bin\nbin\nhalf\nbin\nhalf\nbin\n"


def test_of_two_makes_only_one_installs(tmp_path: Path) -> None:
    with start_make(tmp_path, "PYTHONS=./python", uv=SLOW_UV) as first:
        assert first.stdout is not None
        assert any(line.startswith("Installing") for line in first.stdout)
        with start_make(tmp_path, "PYTHONS=./python", uv=SLOW_UV) as second:
            assert second.stdout is not None
            told = second.stdout.readline()
            (tmp_path / "finish").touch()
    assert told.startswith("Waiting for another make")
    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "asked").read_text() == "called\n"


def test_make_and_the_readme_agree_on_the_size_of_the_download() -> None:
    [size] = re.findall(r"up to (\d+ MB) to download", MAKEFILE)
    assert f"These are {size} to download" in (REPOSITORY / "README.md").read_text()
