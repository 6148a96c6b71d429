"""Another Git revision of the project: its files, and programs that run with them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from adventureworks.errors import PlatformError, Step
from adventureworks.settings import PROJECT_ROOT

FOLDERS = ("src", "contracts", "checks")


class NoBase(PlatformError):
    """There is no revision to compare with."""


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Provide a temporary folder with code, contracts and checks of a revision. Raises `PlatformError` without it."""
    archived = git("archive", "--end-of-options", revision, *FOLDERS)
    if archived.returncode:
        raise PlatformError(
            f"The revision {revision} cannot be read: {reason_of(archived)}.", "List revisions: git log --oneline"
        )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archived.stdout)) as files:
            # The parameter `filter` is unknown to Python before 3.11.4, such as Debian 12's.
            files.extraction_filter = getattr(tarfile, "data_filter", None)
            files.extractall(folder)  # noqa: S202 - filtered where Python can, and made by git
        yield Path(folder)


def printed_by(program: str, revision: str, path: Sequence[Path], *arguments: str) -> str:
    """Return what a Python program prints that imports from the folders of `path` first.

    Raises `PlatformError` if it fails: the revision may be too old for it.
    """
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=path[-1],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PlatformError(f"The revision {revision} cannot be read: {reason}", "Choose a later revision.")
    return done.stdout


def base_revision() -> str:
    """Return the commit where this branch left `origin/main` (or `main`); on that branch, the commit before.

    Raises `NoBase` if there is none, as in a shallow clone or outside a repository.
    """
    head = _commit("HEAD")
    for branch in ("origin/main", "main"):
        if _commit(branch):
            base = git("merge-base", "HEAD", branch).stdout.decode().strip()
            if base and base != head:
                return base
            break
    before = _commit("HEAD~1")
    if not before:
        reason = "there is no earlier commit, as in a shallow clone" if head else "this is not a Git repository"
        raise NoBase(
            f"Nothing to compare with: {reason}.", Step("Name a revision:", "adventureworks contract diff REV")
        )
    return before


def _commit(name: str) -> str:
    return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").stdout.decode().strip()


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a Git command on the project and return its result. Raises `NoBase` if Git is not installed."""
    try:
        return subprocess.run(["git", "-C", str(PROJECT_ROOT), *arguments], check=False, capture_output=True)
    except FileNotFoundError:
        raise NoBase("Git is not installed.", "Install it, then try again.") from None


def reason_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the last line of what a failed Git command says."""
    return done.stderr.decode(errors="replace").strip().split("\n")[-1]
