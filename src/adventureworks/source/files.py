"""A folder of files as the source: which file holds a table, whether it changed, and a consistent way to read it.

A table's file is `<Schema>_<Table>.parquet`, `<Schema>_<Table>.csv` (with a header), or `<Table>.csv` as Microsoft's
installer ships it; upper and lower case make no difference. A folder of that name holds the table in part files, as
Spark writes it, with `_SUCCESS` when it is complete. Other files are ignored, and named in the log. How each kind is
read lives in `files_parquet`, `files_csv`, `files_installer`.

A text file shows no end, so one that is still being copied looks like a smaller table. It is read when it has not
changed for a while: for a longer while where it has fewer lines than the table had rows before.
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


REST_OF_SMALLER_SECONDS = 60.0
"""How long a text file must rest that has fewer lines than the table had rows; people's copies pause for seconds."""

DONE = "_SUCCESS"
"""The file by which Spark says that a folder of part files is complete."""

_DIGEST_BYTES = 1 << 20
_NOTED_LINES = re.compile(r"(?:^|-)(\d+)-[0-9a-f]{64}$")


class _Format(NamedTuple):
    """How one kind of file is read, and looked over cheaply (which gives its rows, where known)."""

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
    form: _Format

    def stamp(self) -> str:
        """Size, and when content and file entry last changed, in nanoseconds: differs after every write."""
        states = [part.stat() for part in self.parts]
        stamp = "-".join(
            str(figure)
            for figure in (
                sum(state.st_size for state in states),
                max((state.st_mtime_ns for state in states), default=0),
                max((state.st_ctime_ns for state in states), default=0),
            )
        )
        return stamp if len(self.parts) == 1 else f"{len(states)} parts {stamp}"

    def age(self) -> float:
        """Seconds since the last change; none where the clock of the folder is ahead of ours."""
        changed = max((max(part.stat().st_mtime, part.stat().st_ctime) for part in self.parts), default=0.0)
        return max(0.0, time.time() - changed)


class FileSource:
    """The 71 tables, or some of them, as files of one folder. Files are only ever read."""

    def __init__(self, folder: Path, batch_rows: int, rest_seconds: float = 0.0) -> None:
        """`rest_seconds`: how long a text file must not have changed before it is read; 0 reads it at once."""
        self.folder = folder
        self.description = f"files in {folder}"
        self._batch_rows = batch_rows
        self._rest_seconds = rest_seconds
        self._contents: dict[tuple[Path, str], str] = {}

    def identity(self) -> str:
        """The folder."""
        return f"files {self.folder.resolve()}"

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """The fingerprint of the table's file; equal content gives the known one again, even if it was touched.

        Reads the whole file only where its size or its dates differ from the known fingerprint's. Waits until a text
        file rests that changed a moment ago; one that goes on changing keeps its known fingerprint. Raises TableBlocked
        where there is no such file, where it is empty, cut off or without a column, and where it is not known and still
        grows.
        """
        try:
            delivery, counted = self.inspected(table)
        except TableBlocked:
            # What looks cut off, empty or like another kind of file may be on its way.
            growing = self._growing(table)
            if growing is None:
                raise
            return _later(table, growing, known)
        with _readable(delivery.path, table):
            if not self.rests(delivery, known):
                return _later(table, delivery.path, known)
            return TableState(self._fingerprint(delivery, known, counted), counted, None)

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
        unknown = self.unknown_files()
        if unknown:
            log.warning("%s: no table is read from %s", self.description, ", ".join(unknown))
        yield FolderSnapshot(self, self._batch_rows)

    def unknown_files(self) -> list[str]:
        """The entries of the folder from which no table is read, in order; hidden ones aside."""
        from adventureworks.catalog import SOURCE_TABLES

        names = {form.file_name(table).casefold() for table in SOURCE_TABLES.values() for form in _FORMATS}
        return sorted(n for n in self._entries() if n.casefold() not in names and not n.startswith((".", "_")))

    def inspected(self, table: SourceTable) -> tuple[Delivery, int | None]:
        """The table's file after a cheap look at it, and its rows where that tells them. Raises TableBlocked."""
        delivery = self.file_of(table)
        with _readable(delivery.path, table):
            rows = [delivery.form.inspect(part, table) for part in delivery.parts]
        return delivery, sum(count or 0 for count in rows) if None not in rows else None

    def file_of(self, table: SourceTable) -> Delivery:
        """The one file, or folder of part files, that holds the table."""
        names = {form.file_name(table): form for form in _FORMATS}
        found = matched(names, self._entries())
        if not found:
            raise TableBlocked(table.asset, "file_is_there", f"{self.folder} has no file {' or '.join(names)}.")
        if len(found) > 1:
            raise TableBlocked(
                table.asset,
                "file_is_unambiguous",
                f"{' and '.join(found.values())} both hold this table.",
                "Keep one of the files.",
            )
        ((name, entry),) = found.items()
        path, form = self.folder / entry, names[name]
        with _readable(path, table):
            parts = _parts(path, table) if path.is_dir() else (path,)
            for part in parts:
                require_kind(part, table, parquet=form.is_parquet)
        return Delivery(path, parts, form)

    def _entries(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.folder)]
        except OSError as error:
            raise PlatformError(
                f"The source folder {self.folder} cannot be read: {error.strerror}.", "Check ADVENTUREWORKS_SOURCE."
            ) from error

    def rests(self, delivery: Delivery, known: str | None = None) -> bool:
        """Whether the file has not changed for a while, after waiting for it where it changed a moment ago."""
        before = delivery.stamp()
        if delivery.form.is_parquet or not self._rest_seconds or (known or "").startswith(f"{before}-"):
            return True
        wanted = self._rest_seconds
        if delivery.age() < REST_OF_SMALLER_SECONDS and _lines(self._content(delivery, before, None)) < _lines(known):
            wanted = REST_OF_SMALLER_SECONDS
        time.sleep(max(0.0, wanted - delivery.age()))
        return delivery.stamp() == before

    def _growing(self, table: SourceTable) -> Path | None:
        """The table's file if it changed a moment ago and changes again while it is looked at; None if it rests."""
        for entry in matched({form.file_name(table): form for form in _FORMATS}, self._entries()).values():
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
        """Stamp, number of lines (of rows where they are known) and hash of the content."""
        stamp = delivery.stamp()
        if known is not None and known.startswith(f"{stamp}-"):
            return known
        content = self._content(delivery, stamp, rows)
        return known if known is not None and known.endswith(f"-{content}") else f"{stamp}-{content}"

    def _content(self, delivery: Delivery, stamp: str, rows: int | None) -> str:
        """Number of lines or rows, and hash, remembered for as long as the file stays as it is."""
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


def _later(table: SourceTable, path: Path, known: str | None) -> TableState:
    """The known state of a table whose file still grows. Raises TableBlocked where none is known."""
    log.warning("%s: %s still grows. It is read when it rests.", table.asset, path.name)
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
        """All rows, whatever `since` says. Raises TableBlocked where the file turns out to be damaged."""
        delivery = self._source.file_of(table)
        with _readable(delivery.path, table):
            if not self._source.rests(delivery):
                raise ServiceUnavailable(f"{table.asset}: {delivery.path.name} still grows.", "Try again.")
            before = delivery.stamp()
            for part in delivery.parts:
                delivery.form.inspect(part, table)
                yield from delivery.form.read(part, table, self._batch_rows)
            after = delivery.stamp()
        if after != before:
            raise ServiceUnavailable(f"{table.asset}: {delivery.path.name} changed while it was read.", "Try again.")

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


def _lines(noted: str | None) -> int:
    """The number of lines or rows in a fingerprint; 0 where nothing, or a fault, was noted."""
    found = _NOTED_LINES.search(noted or "")
    return int(found[1]) if found else 0


def _parts(folder: Path, table: SourceTable) -> tuple[Path, ...]:
    """The part files of a folder. Raises TableBlocked where it is not complete, or is nested."""
    names = sorted(entry.name for entry in os.scandir(folder))
    if DONE not in names:
        raise TableBlocked(
            table.asset,
            "file_is_whole",
            f"{folder.name} is a folder without {DONE}: its part files are not complete.",
            f"Deliver one file {folder.name}, or a folder as Spark leaves it when it is done.",
        )
    parts = tuple(folder / name for name in names if not name.startswith(("_", ".")))
    nested = [part.name for part in parts if part.is_dir()]
    if nested or not parts:
        why = f"holds folders ({nested[0]})" if nested else "holds no part files"
        raise TableBlocked(
            table.asset, "file_is_whole", f"{folder.name} {why}.", "Deliver one file, or one folder of part files."
        )
    return tuple(part for part in parts if part.stat().st_size) or parts[:1]
