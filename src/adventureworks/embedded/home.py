"""The folder that holds all state (`ADVENTUREWORKS_HOME`): its parts, file modes, secrets and locks.

Databases, logs and secrets are for their owner alone; the folder itself may be passed through, because PostgreSQL runs
under an account of its own where the platform runs as root.
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
"""Less free space than this is a full disk that has not said so yet."""
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
        """Creates what is missing. Raises PlatformError if the folder cannot be used."""
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._check_owner()
            for folder in (self.secrets, self.logs, self.locks):
                folder.mkdir(mode=0o700, exist_ok=True)
            _probe_writing(self.locks)
        except OSError as error:
            raise home_error(self.path, error) from None
        self.check_space()

    def check_space(self) -> None:
        """Raises PlatformError if the disk is nearly full."""
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_BYTES:
            raise disk_full(self.path, free)

    def _check_owner(self) -> None:
        owner = self.path.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise PlatformError(f"The folder {self.path} belongs to {_user_name(owner)}, not to you.", ANOTHER_HOME)

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
        """The secret of this name, made at its first use and kept with mode 0600."""
        file = self.secrets / name
        if not file.exists():
            write_private(file, make())
        return file.read_text(encoding="utf-8")

    def remembered(self, name: str) -> Any:
        """What was remembered under this name; None if nothing was."""
        try:
            return json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None

    def remember(self, name: str, value: Any) -> None:
        """Keeps a JSON value for the next start."""
        write_private(self.path / f"{name}.json", json.dumps(value))

    def forget(self, name: str) -> None:
        """Drops what was remembered under this name."""
        (self.path / f"{name}.json").unlink(missing_ok=True)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Waits until nobody else holds this lock, then holds it. The system frees it when a process dies."""
        with (self.locks / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def try_lock(self, name: str, how: int = fcntl.LOCK_EX) -> IO[str] | None:
        """Holds the lock for as long as the file that is returned stays open; None if another process holds it."""
        file = (self.locks / name).open("a")
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def hold(self, name: str, note: Mapping[str, str]) -> IO[str] | None:
        """The same, with a note for those who find it held: see `holder`."""
        while (lock := self.try_lock(name)) is None:
            if self.holder(name):
                return None
            # Somebody only looked, which takes an instant.
            time.sleep(0.01)
        write_note(lock, note)
        return lock

    def holder(self, name: str) -> dict[str, str] | None:
        """The process (`pid`) that holds a lock, and what it noted; None if none does."""
        if not self.locks.exists():
            return None
        # Shared: those who look are in nobody's way but the holder's.
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
        """Counts this process among the users of something, until the file that is returned is closed."""
        file = (self.locks / name).open("a")
        fcntl.flock(file, fcntl.LOCK_SH)
        return file


def write_note(lock: IO[str], note: Mapping[str, str]) -> None:
    """Notes in a lock that this process holds it, and what for."""
    lock.truncate(0)
    lock.write(json.dumps({"pid": str(os.getpid()), **note}))
    lock.flush()


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)


def open_log(file: Path) -> IO[bytes]:
    """Opens a service's log for appending, for its owner alone."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def limit_log(file: Path) -> None:
    """Moves a log that has grown too long to `<name>.1`. Its writer appends, so it goes on in the emptied file."""
    if file.exists() and file.stat().st_size > LOG_LIMIT_BYTES:
        older = file.with_name(f"{file.name}.1")
        shutil.copyfile(file, older)
        older.chmod(0o600)
        os.truncate(file, 0)


def home_error(path: Path, error: OSError) -> PlatformError:
    """The error of the system, said for people."""
    if error.errno == errno.ENOSPC:
        return disk_full(path, 0)
    reason = {errno.EROFS: "it is read-only", errno.EACCES: "you may not write there", errno.ENOTDIR: "it is no folder"}
    why = reason.get(error.errno or 0, (error.strerror or str(error)).lower())
    return PlatformError(f"The folder {path} cannot be used: {why}.", ANOTHER_HOME)


def disk_full(path: Path, free: int) -> PlatformError:
    """The disk has no room left."""
    return PlatformError(
        f"The disk that holds {path} is full: {free / 1e6:,.0f} MB free, {LEAST_FREE_BYTES / 1e6:,.0f} MB needed.",
        "Free some space, or choose another disk: ADVENTUREWORKS_HOME=DIR",
    )


def _probe_writing(folder: Path) -> None:
    probe = folder / f".probe.{os.getpid()}"
    probe.write_text("probe", encoding="utf-8")
    probe.unlink()


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
