"""A folder of files as the source: which file contains a table, whether it changed, and how to read it consistently.

A table's file is `<Schema>_<Table>.parquet`, `<Schema>_<Table>.csv` (with a header), or `<Table>.csv` as Microsoft's
installer ships it; names are case-insensitive. A folder with such a name contains the table in part files, as Spark
writes it, with `_SUCCESS` once it is complete. Other files are ignored and logged. The formats themselves are read by
`files_parquet`, `files_csv` and `files_installer`.

A text file has no end marker, so one that is still being copied looks like a smaller table. It is therefore read only
after it has not changed for a while: longer if it has fewer lines than the table had rows before.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.source import TableState, files_csv, files_installer, files_parquet
from adventureworks.source.columns import matched
from adventureworks.source.files_kind import require_kind

log = logging.getLogger(__name__)

Reader = Callable[[Path, SourceTable, int], Iterator[pa.RecordBatch]]
Inspector = Callable[[Path, SourceTable], int | None]


SHRUNK_FILE_REST_SECONDS = 60.0
"""Seconds without a change before a text file with fewer lines than before is read; manual copies may pause."""

DONE = "_SUCCESS"
"""The marker file that Spark writes when a folder of part files is complete."""

_DIGEST_BYTES = 1 << 20
_LINES_IN_FINGERPRINT = re.compile(r"(?:^|-)(\d+)-[0-9a-f]{64}$")


class _Format(NamedTuple):
    """How to read one kind of file, and how to inspect it cheaply (which returns its number of rows, if known)."""

    file_name: Callable[[SourceTable], str]
    inspect: Inspector
    read: Reader
    is_parquet: bool = False


_FORMATS = (
    _Format(lambda table: f"{table.asset}.parquet", files_parquet.rows_in, files_parquet.read, is_parquet=True),
    _Format(lambda table: f"{table.asset}.csv", files_csv.inspect, files_csv.read),
    _Format(lambda table: f"{table.name}.csv", files_installer.inspect, files_installer.read),
)


class Delivery(NamedTuple):
    """The file of a table, or the part files of its folder."""

    path: Path
    parts: tuple[Path, ...]
    file_format: _Format

    def stamp(self) -> str:
        """Return size and last change of content and metadata (ns); together they differ after every write."""
        states = [part.stat() for part in self.parts]
        stamp = "-".join(
            str(number)
            for number in (
                sum(state.st_size for state in states),
                max((state.st_mtime_ns for state in states), default=0),
                max((state.st_ctime_ns for state in states), default=0),
            )
        )
        return stamp if len(self.parts) == 1 else f"{len(states)} parts {stamp}"

    def age(self) -> float:
        """Return the seconds since the last change; 0 if the file system's clock is ahead of ours."""
        changed = max((max(part.stat().st_mtime, part.stat().st_ctime) for part in self.parts), default=0.0)
        return max(0.0, time.time() - changed)


class FileSource:
    """All or some of the 71 tables as the files of one folder. Files are never written to."""

    def __init__(self, folder: Path, batch_rows: int, rest_seconds: float = 0.0) -> None:
        """`rest_seconds`: how long a text file must be unchanged before it is read; 0 reads it at once."""
        self.folder = folder
        self.description = f"files in {folder}"
        self._batch_rows = batch_rows
        self._rest_seconds = rest_seconds
        self._contents: dict[tuple[Path, str], str] = {}

    def identity(self) -> str:
        """Return the folder."""
        return f"files {self.folder.resolve()}"

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """Return the fingerprint of the table's file: the known one if the content is the same, even after a touch.

        Reads the whole file only if its size or times differ from the known fingerprint's. Waits for a text file that
        changed a moment ago to be at rest; one that keeps changing keeps its known fingerprint. Raises `TableBlocked`
        if there is no such file, if it is empty, truncated or lacks a column, or if it has no known fingerprint and
        keeps changing.
        """
        try:
            delivery, counted = self.inspected(table)
        except TableBlocked:
            # The file may look truncated, empty or of another kind because it is still being written.
            unfinished = self._unfinished(table)
            if unfinished is None:
                raise
            return _unfinished_state(table, unfinished, known)
        with _readable(delivery.path, table):
            if not self.is_at_rest(delivery, known):
                return _unfinished_state(table, delivery.path, known)
            return TableState(self._fingerprint(delivery, known, counted), counted, None)

    def states(
        self, tables: Iterable[SourceTable], known: Mapping[str, str] | None = None
    ) -> dict[str, TableState | TableBlocked]:
        """Return the state of each table, by asset; a blocked table's error takes its place."""
        states: dict[str, TableState | TableBlocked] = {}
        for table in tables:
            try:
                states[table.asset] = self.state(table, (known or {}).get(table.asset))
            except TableBlocked as blocked:
                states[table.asset] = blocked
        return states

    @contextmanager
    def snapshot(self) -> Iterator[FolderSnapshot]:
        """Open the files as they are; a file that changes while it is read raises `ServiceUnavailable`."""
        unknown = self.unknown_files()
        if unknown:
            log.warning("%s: files that belong to no table are ignored: %s", self.description, ", ".join(unknown))
        yield FolderSnapshot(self, self._batch_rows)

    def relations(self) -> list[str]:
        """Return `schema.name` of every table that has a file, and the names of other files."""
        from adventureworks.catalog import SOURCE_TABLES

        names = {
            kind.file_name(table): f"{table.schema}.{table.name}"
            for table in SOURCE_TABLES.values()
            for kind in _FORMATS
        }
        return [*sorted({names[name] for name in matched(names, self._entries())}), *self.unknown_files()]

    def unknown_files(self) -> list[str]:
        """Return the sorted names of the entries that hold no table, except for hidden ones."""
        from adventureworks.catalog import SOURCE_TABLES

        names = {kind.file_name(table).casefold() for table in SOURCE_TABLES.values() for kind in _FORMATS}
        return sorted(n for n in self._entries() if n.casefold() not in names and not n.startswith((".", "_")))

    def inspected(self, table: SourceTable) -> tuple[Delivery, int | None]:
        """Return the table's file after a cheap inspection, and its number of rows if known. Raises `TableBlocked`."""
        delivery = self.file_of(table)
        with _readable(delivery.path, table):
            rows = [delivery.file_format.inspect(part, table) for part in delivery.parts]
        return delivery, sum(count or 0 for count in rows) if None not in rows else None

    def file_of(self, table: SourceTable) -> Delivery:
        """Return the one file, or folder of part files, that holds the table. Raises `TableBlocked`."""
        names = {kind.file_name(table): kind for kind in _FORMATS}
        found = matched(names, self._entries())
        if not found:
            raise TableBlocked(table.asset, "file_is_there", f"{self.folder} has no file {' or '.join(names)}.")
        if len(found) > 1:
            raise TableBlocked(
                table.asset,
                "file_is_unambiguous",
                f"{' and '.join(found.values())} contain the same table.",
                "Keep only one of these files.",
            )
        ((name, entry),) = found.items()
        path, file_format = self.folder / entry, names[name]
        with _readable(path, table):
            parts = _parts(path, table) if path.is_dir() else (path,)
            for part in parts:
                require_kind(part, table, parquet=file_format.is_parquet)
        return Delivery(path, parts, file_format)

    def _entries(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.folder)]
        except OSError as error:
            raise PlatformError(
                f"The source folder {self.folder} cannot be read: {error.strerror}.", "Check ADVENTUREWORKS_SOURCE."
            ) from error

    def is_at_rest(self, delivery: Delivery, known: str | None = None) -> bool:
        """Return whether the file has not changed for a while, after waiting if it changed a moment ago."""
        before = delivery.stamp()
        if delivery.file_format.is_parquet or not self._rest_seconds or (known or "").startswith(f"{before}-"):
            return True
        rest_seconds = self._rest_seconds
        if delivery.age() < SHRUNK_FILE_REST_SECONDS and _lines(self._content(delivery, before, None)) < _lines(known):
            rest_seconds = SHRUNK_FILE_REST_SECONDS
        time.sleep(max(0.0, rest_seconds - delivery.age()))
        return delivery.stamp() == before

    def _unfinished(self, table: SourceTable) -> Path | None:
        """Return the table's file if it changed a moment ago and changes again after a wait, else None."""
        for entry in matched([kind.file_name(table) for kind in _FORMATS], self._entries()).values():
            path = self.folder / entry
            with _readable(path, table):
                before = path.stat()
                age = max(0.0, time.time() - max(before.st_mtime, before.st_ctime))
                if age < self._rest_seconds:
                    time.sleep(self._rest_seconds - age)
                    after = path.stat()
                    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                        return path
        return None

    def _fingerprint(self, delivery: Delivery, known: str | None, rows: int | None) -> str:
        """Return stamp, number of lines (or of rows, if known) and hash of the content."""
        stamp = delivery.stamp()
        if known is not None and known.startswith(f"{stamp}-"):
            return known
        content = self._content(delivery, stamp, rows)
        return known if known is not None and known.endswith(f"-{content}") else f"{stamp}-{content}"

    def _content(self, delivery: Delivery, stamp: str, rows: int | None) -> str:
        """Return the number of lines or rows and the hash, cached until the file changes."""
        if (delivery.path, stamp) not in self._contents:
            digest = hashlib.sha256()
            lines = 0
            for part in delivery.parts:
                with part.open("rb") as file:
                    while data := file.read(_DIGEST_BYTES):
                        digest.update(data)
                        lines += data.count(b"\n") if rows is None else 0
            self._contents[delivery.path, stamp] = f"{lines if rows is None else rows}-{digest.hexdigest()}"
        return self._contents[delivery.path, stamp]


def _unfinished_state(table: SourceTable, path: Path, known: str | None) -> TableState:
    """Return the known state of a table whose file is still being written. Raises `TableBlocked` if there is none."""
    log.warning("%s: %s is still being written. It is read once it stops changing.", table.asset, path.name)
    if known is None:
        raise TableBlocked(table.asset, "file_is_at_rest", f"{path.name} is still being written.")
    return TableState(known, None, None)


class FolderSnapshot:
    """The files of a folder, each read as one whole table."""

    complete = True
    spent = False
    clock = None

    def __init__(self, source: FileSource, batch_rows: int) -> None:
        self._source = source
        self._batch_rows = batch_rows

    def rows(self, table: SourceTable, since: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """Return all rows, whatever `since` is. Raises `TableBlocked` if the file turns out to be damaged."""
        delivery = self._source.file_of(table)
        with _readable(delivery.path, table):
            if not self._source.is_at_rest(delivery):
                raise ServiceUnavailable(f"{table.asset}: {delivery.path.name} is still being written.", "Try again.")
            before = delivery.stamp()
            for part in delivery.parts:
                delivery.file_format.inspect(part, table)
                yield from delivery.file_format.read(part, table, self._batch_rows)
            after = delivery.stamp()
        if after != before:
            raise ServiceUnavailable(f"{table.asset}: {delivery.path.name} changed while it was read.", "Try again.")

    def keys(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """Raise `TypeError`: files are always read whole."""
        raise TypeError("A snapshot of a folder is complete: use rows().")

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Raise `TypeError`: files are always read whole."""
        raise TypeError("A snapshot of a folder is complete: use rows().")

    def tracks(self, table: SourceTable) -> bool:
        """Return False: files do not record their changes."""
        return False

    def changed_keys(self, table: SourceTable, known: str, most: int) -> pa.Table | None:
        """Raise `TypeError`: files are always read whole."""
        raise TypeError("A snapshot of a folder is complete: use rows().")


@contextmanager
def _readable(path: Path, table: SourceTable) -> Iterator[None]:
    """Turn the system's errors into errors that name the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise TableBlocked(table.asset, "file_is_there", f"{path.name} was removed from {path.parent}.") from error
    except OSError as error:
        raise TableBlocked(
            table.asset,
            "file_is_readable",
            f"{path.name} cannot be read: {error.strerror}.",
            f"Give this user read permission on {path}.",
        ) from error


def _lines(fingerprint: str | None) -> int:
    """Return the number of lines or rows in a fingerprint; 0 if there is none or an error was recorded instead."""
    found = _LINES_IN_FINGERPRINT.search(fingerprint or "")
    return int(found[1]) if found else 0


def _parts(folder: Path, table: SourceTable) -> tuple[Path, ...]:
    """Return the part files of a folder. Raises `TableBlocked` if it is incomplete or nested."""
    names = sorted(entry.name for entry in os.scandir(folder))
    if DONE not in names:
        raise TableBlocked(
            table.asset,
            "file_is_whole",
            f"{folder.name} is a folder without {DONE}, so its part files are incomplete.",
            f"Deliver a single file {folder.name}, or a complete Spark output folder with {DONE}.",
        )
    parts = tuple(folder / name for name in names if not name.startswith(("_", ".")))
    nested = [part.name for part in parts if part.is_dir()]
    if nested or not parts:
        reason = f"contains folders ({nested[0]})" if nested else "contains no part files"
        raise TableBlocked(
            table.asset, "file_is_whole", f"{folder.name} {reason}.", "Deliver one file, or a folder of part files."
        )
    return tuple(part for part in parts if part.stat().st_size) or parts[:1]
