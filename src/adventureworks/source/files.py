"""A folder of files as the source: which file holds a table, whether it changed, and a consistent way to read it.

A table's file is `<Schema>_<Table>.parquet`, `<Schema>_<Table>.csv` (with a header), or `<Table>.csv` as Microsoft's
installer ships it; other files are ignored. How each is read lives in `files_parquet`, `files_csv`, `files_installer`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.source import TableState, files_csv, files_installer, files_parquet

Reader = Callable[[Path, SourceTable, int], Iterator[pa.RecordBatch]]
Inspector = Callable[[Path, SourceTable], int | None]


class _Format(NamedTuple):
    """How one kind of file is read, and looked over cheaply (which gives its rows, where known)."""

    file_name: Callable[[SourceTable], str]
    inspect: Inspector
    read: Reader


_FORMATS = (
    _Format(lambda table: f"{table.asset}.parquet", files_parquet.rows_in, files_parquet.read),
    _Format(lambda table: f"{table.asset}.csv", files_csv.inspect, files_csv.read),
    _Format(lambda table: f"{table.name}.csv", files_installer.inspect, files_installer.read),
)


class FileSource:
    """The 71 tables, or some of them, as files of one folder. Files are only ever read."""

    def __init__(self, folder: Path, batch_rows: int) -> None:
        self.folder = folder
        self.description = f"files in {folder}"
        self._batch_rows = batch_rows
        self._digests: dict[tuple[Path, str], str] = {}

    def identity(self) -> str:
        """The folder."""
        return f"files {self.folder.resolve()}"

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """The fingerprint of the table's file; equal content gives the known one again, even if it was touched.

        Reads the whole file only where its size or its dates differ from the known fingerprint's. Raises TableBlocked
        where there is no such file, or it is empty, cut off, or without a column.
        """
        path, form = self.file_of(table)
        with _readable(path, table):
            rows = form.inspect(path, table)
            return TableState(self._fingerprint(path, known), rows, None)

    def states(
        self, tables: Iterable[SourceTable], known: Mapping[str, str] | None = None
    ) -> dict[str, TableState | TableBlocked]:
        """The state of each table, by asset; where `state` would raise TableBlocked, the error stands in its place."""
        states: dict[str, TableState | TableBlocked] = {}
        for table in tables:
            try:
                states[table.asset] = self.state(table, (known or {}).get(table.asset))
            except TableBlocked as blocked:
                states[table.asset] = blocked
        return states

    @contextmanager
    def snapshot(self) -> Iterator[FolderSnapshot]:
        """The files as they are; a file that changes while it is read raises ServiceUnavailable."""
        yield FolderSnapshot(self, self._batch_rows)

    def file_of(self, table: SourceTable) -> tuple[Path, _Format]:
        """The one file that holds the table, and its format."""
        try:
            present = {entry.name for entry in os.scandir(self.folder)}
        except OSError as error:
            raise PlatformError(
                f"The source folder {self.folder} cannot be read: {error.strerror}.", "Check ADVENTUREWORKS_SOURCE."
            ) from error
        found = [form for form in _FORMATS if form.file_name(table) in present]
        if not found:
            expected = " or ".join(form.file_name(table) for form in _FORMATS)
            raise TableBlocked(table.asset, "file_is_there", f"{self.folder} has no file {expected}.")
        if len(found) > 1:
            names = " and ".join(form.file_name(table) for form in found)
            raise TableBlocked(
                table.asset, "file_is_unambiguous", f"{names} both hold this table.", "Keep one of the files."
            )
        path = self.folder / found[0].file_name(table)
        with _readable(path, table):
            if path.stat().st_size == 0:
                raise TableBlocked(table.asset, "file_is_not_empty", f"{path.name} is empty (0 bytes).")
        return path, found[0]

    def _fingerprint(self, path: Path, known: str | None) -> str:
        stamp = _stamp(path)
        known_stamp, _, known_digest = (known or "").rpartition("-")
        if known is not None and known_stamp == stamp:
            return known
        digest = self._digest(path, stamp)
        return known if known is not None and known_digest == digest else f"{stamp}-{digest}"

    def _digest(self, path: Path, stamp: str) -> str:
        """Hash of the content, remembered for as long as the file stays as it is."""
        if (path, stamp) not in self._digests:
            with path.open("rb") as file:
                self._digests[path, stamp] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path, stamp]


class FolderSnapshot:
    """The files of a folder, each read as one whole table."""

    complete = True
    spent = False

    def __init__(self, source: FileSource, batch_rows: int) -> None:
        self._source = source
        self._batch_rows = batch_rows

    def rows(self, table: SourceTable, since: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, whatever `since` says. Raises TableBlocked where the file turns out to be damaged."""
        path, form = self._source.file_of(table)
        with _readable(path, table):
            before = _stamp(path)
            form.inspect(path, table)
            yield from form.read(path, table, self._batch_rows)
            after = _stamp(path)
        if after != before:
            raise ServiceUnavailable(f"{table.asset}: {path.name} changed while it was read.", "Try again.")

    def keys(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """Not offered: files are always read whole."""
        raise TypeError("A folder's snapshot is complete: read rows().")

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Not offered: files are always read whole."""
        raise TypeError("A folder's snapshot is complete: read rows().")

    def tracks(self, table: SourceTable) -> bool:
        """Files do not know what changed in them: never."""
        return False

    def changed_keys(self, table: SourceTable, known: str, most: int) -> pa.Table | None:
        """Not offered: files are always read whole."""
        raise TypeError("A folder's snapshot is complete: read rows().")


@contextmanager
def _readable(path: Path, table: SourceTable) -> Iterator[None]:
    """Turns the system's refusals into errors that name the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise TableBlocked(table.asset, "file_is_there", f"{path.name} vanished from {path.parent}.") from error
    except OSError as error:
        raise TableBlocked(
            table.asset,
            "file_is_readable",
            f"{path.name} cannot be read: {error.strerror}.",
            f"Let this user read {path}.",
        ) from error


def _stamp(path: Path) -> str:
    """Size, and when content and file entry last changed, in nanoseconds: differs after every write."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
