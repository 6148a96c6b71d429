"""The folder that holds all state (`ADVENTUREWORKS_HOME`): its parts, file modes, secrets and locks.

Only their owner can read databases, logs and secrets. Other accounts may pass through the folder itself, because
PostgreSQL runs under its own account where the platform runs as root.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from adventureworks.errors import PlatformError

LEAST_FREE_BYTES = 1_000_000_000
"""With less free space than this, the disk counts as full."""
LOG_LIMIT_BYTES = 20_000_000
ANOTHER_HOME = "Choose another folder: ADVENTUREWORKS_HOME=DIR"


class Home:
    """The state folder and its parts. Nothing is created before `prepare()`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.secrets = self.path / "secrets"
        self.logs = self.path / "logs"
        self.locks = self.path / "locks"
        self.postgres = self.path / "postgres"

    def prepare(self) -> None:
        """Create what is missing. Raises `PlatformError` if the folder cannot be used."""
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._check_owner()
            for folder in (self.secrets, self.logs, self.locks):
                folder.mkdir(mode=0o700, exist_ok=True)
            _check_writable(self.locks)
        except OSError as error:
            raise unusable_home(self.path, error) from None
        self.check_space()

    def check_space(self) -> None:
        """Raise `PlatformError` if the disk is nearly full."""
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_BYTES:
            raise disk_full(self.path, free)

    def _check_owner(self) -> None:
        owner = self.path.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise PlatformError(f"The folder {self.path} belongs to {_user_name(owner)}, not to you.", ANOTHER_HOME)

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
        """Return the secret of this name, which is created at its first use and kept with mode 0600."""
        file = self.secrets / name
        if not file.exists():
            write_private(file, make())
        return file.read_text(encoding="utf-8")

    def remembered(self, name: str) -> Any:
        """Return the value that was remembered under this name, or None."""
        try:
            return json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None

    def remember(self, name: str, value: Any) -> None:
        """Keep a JSON value for the next start."""
        write_private(self.path / f"{name}.json", json.dumps(value))

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock, after waiting until it is free. The system frees it when its process dies."""
        with (self.locks / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def try_lock(self, name: str, how: int = fcntl.LOCK_EX) -> IO[str] | None:
        """Hold a lock until the returned file is closed. Return None if another process holds it."""
        file = (self.locks / name).open("a")
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def hold(self, name: str, note: Mapping[str, str]) -> IO[str] | None:
        """Hold a lock as `try_lock` does, with a note that `holder` shows to other processes."""
        while (lock := self.try_lock(name)) is None:
            if self.holder(name):
                return None
            # Another process is only checking who holds it, which takes an instant.
            time.sleep(0.01)
        write_note(lock, note)
        return lock

    def holder(self, name: str) -> dict[str, str] | None:
        """Return the process (`pid`) that holds a lock, with its note, or None if the lock is free."""
        if not self.locks.exists():
            return None
        # A shared lock, so that processes that only look do not exclude each other.
        lock = self.try_lock(name, fcntl.LOCK_SH)
        if lock is not None:
            lock.close()
            return None
        try:
            noted = json.loads((self.locks / name).read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            noted = {}
        return {"pid": "?", **{key: str(value) for key, value in noted.items()}}

    def share(self, name: str) -> IO[str]:
        """Count this process among the users of something until the returned file is closed."""
        file = (self.locks / name).open("a")
        fcntl.flock(file, fcntl.LOCK_SH)
        return file


def write_note(lock: IO[str], note: Mapping[str, str]) -> None:
    """Write into a lock which process holds it, and a note."""
    lock.truncate(0)
    lock.write(json.dumps({"pid": str(os.getpid()), **note}))
    lock.flush()


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, atomically."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)


def open_log(file: Path) -> IO[bytes]:
    """Open a service's log for appending, accessible only to its owner."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def limit_log(file: Path) -> None:
    """Move a log that is too long to `<name>.1`. Its writer appends, so it continues in the emptied file."""
    if file.exists() and file.stat().st_size > LOG_LIMIT_BYTES:
        older = file.with_name(f"{file.name}.1")
        shutil.copyfile(file, older)
        older.chmod(0o600)
        os.truncate(file, 0)


def unusable_home(path: Path, error: OSError) -> PlatformError:
    """Return the error for a home that cannot be used, with the cause and what to do."""
    if error.errno == errno.ENOSPC:
        return disk_full(path, 0)
    reason = {
        errno.EROFS: "it is read-only",
        errno.EACCES: "you may not write there",
        errno.ENOTDIR: "it is not a folder",
    }
    why = reason.get(error.errno or 0, (error.strerror or str(error)).lower())
    return PlatformError(f"The folder {path} cannot be used: {why}.", ANOTHER_HOME)


def disk_full(path: Path, free: int) -> PlatformError:
    """Return the error for a full disk."""
    return PlatformError(
        f"The disk that holds {path} is full: {free / 1e6:,.0f} MB free, {LEAST_FREE_BYTES / 1e6:,.0f} MB needed.",
        "Free some space, or choose another disk: ADVENTUREWORKS_HOME=DIR",
    )


def _check_writable(folder: Path) -> None:
    probe = folder / f".probe.{os.getpid()}"
    probe.write_text("probe", encoding="utf-8")
    probe.unlink()


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
