"""Opens the files that an address names: a folder, an archive, or a folder in an object store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from adventureworks.errors import PlatformError, ServiceUnavailable, Step
from adventureworks.source.files import FileSource
from adventureworks.source.files_addresses import is_in_store, local_path, open_store, parts_of_url, require_store
from adventureworks.source.files_archives import Archive, archive_kind
from adventureworks.source.files_copies import Copies
from adventureworks.source.files_kind import POSTGRESQL_DUMP, SQL_SERVER_BACKUP, kind_of_file
from adventureworks.source.files_places import FileState, Folder, Place, reason_of, state_of
from adventureworks.source.files_remote import Download, Store

COPIES_FOLDER = "source-files"
"""The folder of a home that holds copies of files from archives and object stores."""
WEB_SCHEMES = ("https://", "http://")
_RESTORED = {
    SQL_SERVER_BACKUP: "Restore it in SQL Server, and name that database: docs/operate/sql-server.md",
    POSTGRESQL_DUMP: "Restore it with pg_restore, and name that database: docs/operate/local.md#sources",
}
"""What to do with files that only a database server can read."""


def open_files(address: str, home: Path, batch_rows: int, rest_seconds: float) -> FileSource:
    """Return the files at a path, a `file://` or web address, or in an object store.

    Raises `PlatformError` if there are none, and `ServiceUnavailable` if an archive is still being written.
    """
    copies = Copies(home.expanduser().absolute() / COPIES_FOLDER)
    return FileSource(place_at(address, copies, rest_seconds), batch_rows, rest_seconds, copies)


def place_at(address: str, copies: Copies, rest_seconds: float) -> Place:
    """Return where the files of an address are. An archive elsewhere is copied to this machine."""
    if address.lower().startswith(WEB_SCHEMES):
        download = Download(address, copies)
        state = _at_rest(download.state, download.address, rest_seconds)
        return _archive(download.local(state), state, download.address, copies)
    if is_in_store(address):
        store = _store(address, copies)
        try:
            if not store.is_file():
                return store
            state = _at_rest(store.state, store.address, rest_seconds)
            return _archive(store.local("", state), state, store.address, copies)
        except OSError as error:
            raise PlatformError(
                f"{store.address} cannot be read: {reason_of(error)}.",
                "Check the address, and the permissions of its Airflow connection.",
            ) from error
    path = local_path(address)
    if path.is_dir():
        return Folder(path)
    try:
        state = _at_rest(lambda: state_of(path.stat()), str(path), rest_seconds)
        return _archive(path, state, str(path), copies)
    except OSError as error:
        raise PlatformError(
            f"The source {path} is neither a folder nor an archive: {reason_of(error)}.",
            Step("Choose a folder of files or an archive:", "adventureworks run --source DIR"),
        ) from error


def _store(address: str, copies: Copies) -> Store:
    require_store(address)
    parts = parts_of_url(address)
    place = parts.netloc.rpartition("@")[2]
    files, root = open_store(address)
    return Store(files, root.rstrip("/"), f"{parts.scheme}://{place}{parts.path.rstrip('/')}", copies)


def _archive(path: Path, state: FileState, address: str, copies: Copies) -> Archive:
    kind = archive_kind(path)
    if kind is None:
        found = kind_of_file(path) or "a file of an unknown format"
        next_step = _RESTORED.get(found, "Name a zip or tar archive, or the folder that contains the file.")
        raise PlatformError(f"The source {address} is {found}.", next_step)
    return Archive(path, state.stamp, kind, address, copies)


def _at_rest(look: Callable[[], FileState], address: str, rest_seconds: float) -> FileState:
    """Return the state of an archive that has not changed for a while, after waiting if it changed a moment ago."""
    state = look()
    age = max(0.0, time.time() - state.changed)
    if age < rest_seconds:
        time.sleep(rest_seconds - age)
        if look().stamp != state.stamp:
            raise ServiceUnavailable(f"{address} is still being written.", "It is read once it stops changing.")
    return state
