"""Local copies of files that cannot be read where they are: in an archive, an object store, or compressed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO

from adventureworks.errors import PlatformError

KEEP_SECONDS = 3 * 3600.0
"""How long a copy is kept after its last use: longer than it takes to read the largest table."""
LEAST_FREE_BYTES = 1_000_000_000
"""Disk space that copies leave free."""
CHUNK_BYTES = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that say that the disk, or this user's part of it, is full."""
_MORE_SPACE = "Free some space, or choose another folder: ADVENTUREWORKS_HOME=DIR"


class Copies:
    """A folder of copies, each in a folder of its own. A copy never changes: other content has another key."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is created when it is needed; without one, a temporary folder is used while the object exists."""
        self._given = folder

    @cached_property
    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="adventureworks-")

    @property
    def _folder(self) -> Path:
        return self._given or Path(self._temporary.name)

    def copy(self, key: str, make: Callable[[Path], None]) -> Path:
        """Return the folder for this key; if there is none, `make` fills it. Two processes do not make the same copy.

        If `make` fails, nothing is left behind. Raises `PlatformError` if the folder of copies cannot be written to.
        """
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        try:
            # The home lets other accounts pass (`embedded/home.py`); the copies do not.
            self._folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            lock = self._locked(name)
        except OSError as error:
            raise PlatformError(f"Files cannot be copied to {self._folder}: {error.strerror}.", _MORE_SPACE) from error
        with lock:
            found = self._folder / name
            if not found.exists():
                self._prune()
                self._make(found, make)
            os.utime(found)
        return found

    def _locked(self, name: str) -> IO[str]:
        """Return the lock of a copy, held until it is closed."""
        while True:
            lock = (self._folder / f"{name}.lock").open("a")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:
                return lock
            # Another process deleted the copy and its lock in the meantime.
            lock.close()

    def _make(self, folder: Path, make: Callable[[Path], None]) -> None:
        draft = folder.with_name(f"{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        try:
            make(draft)
            draft.rename(folder)
        except OSError as error:
            if error.errno in FULL:
                raise PlatformError(f"The disk filled up while files were copied to {folder}.", _MORE_SPACE) from error
            raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _prune(self) -> None:
        """Delete copies that have not been used for a while, except for those that a process is making or opening."""
        oldest = time.time() - KEEP_SECONDS
        for entry in list(self._folder.iterdir()):
            # Another process may delete the entry, or hold its lock.
            with suppress(FileNotFoundError, BlockingIOError):
                if entry.suffix == ".lock" or entry.stat().st_mtime > oldest:
                    continue
                path = self._folder / f"{entry.name.removesuffix('.draft')}.lock"
                with path.open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if entry.stat().st_mtime <= oldest:
                        shutil.rmtree(entry, ignore_errors=True)
                        path.unlink()


def require_space(folder: Path, size: int, what: str) -> None:
    """Raise `PlatformError` if a file of `size` bytes would fill the disk."""
    free = shutil.disk_usage(folder).free
    if size > free - LEAST_FREE_BYTES:
        raise PlatformError(
            f"There is no room for {what}: it takes {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free.",
            _MORE_SPACE,
        )
