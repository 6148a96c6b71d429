"""Where files are: the interface that folders, archives and object stores share, and folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

Wanted = Callable[[str], bool]
"""Returns whether a file or folder of this name is to be listed."""


class FileState(NamedTuple):
    """A file as a listing shows it. `stamp` differs after every change; `changed` is in seconds since 1970."""

    size: int
    stamp: str
    changed: float


class Place(Protocol):
    """A tree of files. Names are relative to its root, with slashes; the root itself is the empty name."""

    @property
    def kind(self) -> str:
        """What it is, for messages: a folder, a zip archive."""
        ...

    @property
    def address(self) -> str:
        """Where it is, for messages; never contains a secret."""
        ...

    @property
    def identity(self) -> str:
        """An identifier that stays the same when files change."""
        ...

    def entries(self, folder: str, wanted: Wanted) -> Mapping[str, FileState | None]:
        """Return the wanted files in a folder, by their names in it, and None for folders.

        Raises `OSError` if the folder cannot be read.
        """
        ...

    def local(self, name: str, state: FileState) -> Path:
        """Return the file on this machine: itself, or a copy of the content that had this state. Raises `OSError`."""
        ...


class Folder:
    """A folder on this machine."""

    kind = "folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = str(path)

    @property
    def identity(self) -> str:
        """The folder's path without symbolic links."""
        return f"files {self.path.resolve()}"

    def entries(self, folder: str, wanted: Wanted) -> dict[str, FileState | None]:
        """Return the wanted files of a folder by name, and None for folders."""
        found: dict[str, FileState | None] = {}
        with os.scandir(self.path / folder) as listed:
            for entry in listed:
                if not wanted(entry.name):
                    continue
                try:
                    found[entry.name] = None if entry.is_dir() else state_of(entry.stat())
                except FileNotFoundError:
                    # It was removed meanwhile, or it is a link to a file that does not exist.
                    continue
        return found

    def local(self, name: str, state: FileState) -> Path:
        """Return the file itself."""
        return self.path / name


def state_of(stat: os.stat_result) -> FileState:
    """Return size and last change of content and metadata (ns); together they differ after every write."""
    stamp = f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}"
    return FileState(stat.st_size, stamp, max(stat.st_mtime, stat.st_ctime))


def reason_of(error: OSError) -> str:
    """Return why a file cannot be read; the libraries of object stores often leave the system's text out."""
    missing = "it does not exist" if isinstance(error, FileNotFoundError) else "access was denied"
    return error.strerror or missing
