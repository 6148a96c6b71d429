"""The account that PostgreSQL runs under, since it refuses to run as root, and the commands that start its programs.

Parent folders (root's own home, for example) are never opened up for the account. Where it may not pass through them,
its programs keep one capability, to pass through folders and to read, and no other right of root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adventureworks.embedded import launch
from adventureworks.embedded.home import ANOTHER_HOME
from adventureworks.errors import PlatformError

ACCOUNT = "adventureworks-pg"
_AS_USER = "Run the command as an ordinary user."


@dataclass(frozen=True)
class Account:
    """The account that runs PostgreSQL; with `uid` None, the user of this process."""

    uid: int | None = None
    gid: int | None = None
    capability: str | None = None

    def own(self, path: Path) -> None:
        """Make the account the owner of a file or folder."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def command(self, program: Sequence[str | Path], folder: Path, tied: signal.Signals | None = None) -> list[str]:
        """Return the command line of a program in a folder; `tied`: the signal that it gets when this process dies."""
        options: list[str] = []
        if self.uid is not None:
            options += ["--uid", str(self.uid), "--gid", str(self.gid)]
        if self.capability:
            options += ["--capability", self.capability]
        if tied is not None:
            options += ["--parent", str(os.getpid()), "--signal", str(int(tied))]
        starter = [sys.executable, "-I", "-S", launch.__file__, *options, "--folder", str(folder), "--"]
        return [*starter, *(str(part) for part in program)]


def account_for(folder: Path, probe: Sequence[str | Path]) -> Account:
    """Return the account for a PostgreSQL with its files in an existing folder, and make it the folder's owner.

    `probe` is a program that must succeed there. Raises `PlatformError` if it cannot be run.
    """
    if os.geteuid() != 0:
        _check_probe(Account(), folder, probe)
        return Account()
    entry = _entry_for(folder)
    try:
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    except OSError as error:
        raise PlatformError(f"{folder} cannot be given to {entry.pw_name}: {error.strerror}.", _AS_USER) from None
    for capability in (None, "dac_read_search", "dac_override"):
        account = Account(entry.pw_uid, entry.pw_gid, capability)
        outcome = _probe(account, folder, probe)
        if outcome.returncode == 0:
            return account
        _raise_if_library_is_missing(outcome)
    raise PlatformError(
        f"PostgreSQL does not run as root, and its account {entry.pw_name} may not enter {folder}"
        f" ({_last_line(outcome)}).",
        f"{ANOTHER_HOME} (for example below /var/lib or /tmp), or run as an ordinary user.",
    )


def _entry_for(folder: Path) -> pwd.struct_passwd:
    """Return the folder's owner if it is an ordinary account, else the account created for this purpose."""
    owner = folder.stat().st_uid
    if owner != 0:
        return pwd.getpwuid(owner)
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return _create_account()


def _create_account() -> pwd.struct_passwd:
    tool = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    reason = "useradd is missing"
    if tool:
        options = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        made = subprocess.run([tool, *options, ACCOUNT], check=False, capture_output=True, text=True)
        reason = _last_line(made)
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise PlatformError(
            f"PostgreSQL does not run as root, and its account {ACCOUNT} cannot be created: {reason}.",
            f"{_AS_USER} Or create the account: useradd --system {ACCOUNT}",
        ) from None


def _probe(account: Account, folder: Path, probe: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(account.command(probe, folder), check=False, capture_output=True, text=True)


def _check_probe(account: Account, folder: Path, probe: Sequence[str | Path]) -> None:
    outcome = _probe(account, folder, probe)
    if outcome.returncode != 0:
        _raise_if_library_is_missing(outcome)
        raise PlatformError(
            f"PostgreSQL cannot be started here: {_last_line(outcome)}.",
            "Remove .venv and run the command again, to reinstall it.",
        )


def _raise_if_library_is_missing(outcome: subprocess.CompletedProcess[str]) -> None:
    line = _last_line(outcome)
    if "shared libraries" in line or "GLIBC" in line:
        raise PlatformError(
            f"This system lacks a library that PostgreSQL needs: {line}.",
            "Install it with the system's package manager, or set ADVENTUREWORKS_WAREHOUSE_URL to another PostgreSQL.",
        )


def _last_line(outcome: subprocess.CompletedProcess[str]) -> str:
    lines = (outcome.stderr or outcome.stdout).strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"exit status {outcome.returncode}"
