"""Files as the source: which of them contain a table, whether they changed, and how to read them consistently.

They are in a folder, an archive or an object store (`files_places`); `files_names` maps their names to tables. Other
files are ignored and logged. The formats themselves are read by `files_parquet`, `files_csv` and
`files_installer`, always from this machine: what is elsewhere, packed or compressed is copied first.

A text file has no end marker, so one that is still being copied looks like a smaller table. It is therefore read only
after it has not changed for a while: longer if it has fewer lines than the table had rows before. The same goes for a
folder of part files without a marker that says that it is complete.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import re
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.source import ChangedKeys, TableState, files_csv, files_installer, files_parquet
from adventureworks.source.files_archives import LimitExceeded, decompress
from adventureworks.source.files_copies import Copies
from adventureworks.source.files_kind import require_kind
from adventureworks.source.files_names import SUCCESS, Candidate, Recognized, may_concern, may_hold, recognized
from adventureworks.source.files_places import FileState, Folder, Place, reason_of

log = logging.getLogger(__name__)

SHRUNK_FILE_REST_SECONDS = 60.0
"""Seconds without a change before a text file with fewer lines than before, or a folder of parts without a marker, is
read; manual copies may pause."""

_DIGEST_BYTES = 1 << 20
_LINES_IN_FINGERPRINT = re.compile(r"(?:^|-)(\d+)-[0-9a-f]{64}$")

_contents: dict[tuple[str, str], tuple[str, str]] = {}
"""Stamp and content (lines or rows, and hash) of each file that this process has read, by place and name."""


class _Format(NamedTuple):
    """How to read one kind of file, and how to inspect it cheaply (which returns its number of rows, if known)."""

    inspect: Callable[[Path, SourceTable], int | None]
    read: Callable[[Path, SourceTable, int], Iterator[pa.RecordBatch]]
    columns: Callable[[Path, SourceTable], Mapping[str, str]]
    """Returns the contract's columns that the file has, by name, each with its type or place."""


_PARQUET = _Format(files_parquet.rows_in, files_parquet.read, files_parquet.columns_in)
_CSV = _Format(files_csv.inspect, files_csv.read, files_csv.columns_in)
_INSTALLER = _Format(files_installer.inspect, files_installer.read, lambda _path, _table: {})
_FORMAT_NAMES = {".parquet": "Parquet", ".csv": "CSV", ".csv.gz": "compressed CSV"}


class Delivery(NamedTuple):
    """The file of a table, or the part files of its folder, as a listing showed them."""

    candidate: Candidate
    states: tuple[FileState, ...]

    @property
    def name(self) -> str:
        """Its name for messages, relative to the source's root."""
        return self.candidate.name

    @property
    def parts(self) -> tuple[tuple[str, FileState], ...]:
        """The files to read, by name; empty parts hold no rows and are left out."""
        parts = tuple(zip(self.candidate.parts, self.states, strict=True))
        return tuple((name, state) for name, state in parts if state.size) or parts[:1]

    @property
    def stamp(self) -> str:
        """A text that differs after every change."""
        if len(self.states) == 1:
            return self.states[0].stamp
        stamps = "\n".join(f"{name} {state.stamp}" for name, state in self.parts)
        return f"{len(self.states)} parts {hashlib.sha256(stamps.encode()).hexdigest()[:32]}"

    @property
    def is_parquet(self) -> bool:
        """Whether the files are Parquet files, whose footer shows that they are complete."""
        return self.candidate.suffix == ".parquet"

    def age(self) -> float:
        """Return the seconds since the last change; 0 if the file system's clock is ahead of ours."""
        return max(0.0, time.time() - max((state.changed for state in self.states), default=0.0))

    def matches(self, known: str | None) -> bool:
        """Return whether the fingerprint `known` was taken from these files as they are."""
        return known is not None and known.startswith(f"{self.stamp}-")


class _Listing(NamedTuple):
    """What the source's names stand for, the state of each file, and the folders that could not be listed."""

    recognized: Recognized
    states: Mapping[str, FileState]
    unreadable: Mapping[str, OSError]


class FileSource:
    """All or some of the 71 tables as files. Files are never written to."""

    how_to_offer = "Add their files, under names that are recognized (docs/operate/files.md#file-names)"

    def __init__(
        self, place: Place | Path, batch_rows: int, rest_seconds: float = 0.0, copies: Copies | None = None
    ) -> None:
        """`rest_seconds`: how long files must be unchanged before they are read; 0 reads them at once."""
        self.place: Place = Folder(place) if isinstance(place, Path) else place
        self.description = f"files in {self.place.address}"
        self._batch_rows = batch_rows
        self._rest_seconds = rest_seconds
        self._copies = copies or Copies()

    def identity(self) -> str:
        """Return the place of the files."""
        return self.place.identity

    def form(self) -> str:
        """Return what was recognized: `zip archive with 71 tables, Parquet`."""
        found = [one for candidates in self._listing().recognized.candidates.values() for one in candidates]
        formats = sorted(
            {_FORMAT_NAMES.get(one.suffix, "?") + (" in part files" if one.is_folder else "") for one in found}
        )
        count, all_tables = len({one.asset for one in found}), len(SOURCE_TABLES)
        some = "" if count == all_tables else f"{count} of "
        return f"{self.place.kind} with {some}{all_tables} tables{', ' if formats else ''}{' and '.join(formats)}"

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """Return the fingerprint of the table's file: the known one if the content is the same, even after a touch.

        Reads the whole file only if its size or times differ from the known fingerprint's. Waits for a text file that
        changed a moment ago to be at rest; one that keeps changing keeps its known fingerprint. Raises `TableBlocked`
        if there is no such file, if it is empty, truncated or lacks a column, or if it has no known fingerprint and
        keeps changing.
        """
        return self._state(table, known, self._listing(table))

    def states(
        self,
        tables: Iterable[SourceTable],
        known: Mapping[str, str] | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> dict[str, TableState | TableBlocked]:
        """Return the state of each table, by asset; a blocked table's error takes its place."""
        states: dict[str, TableState | TableBlocked] = {}
        listing = self._listing()
        for table in tables:
            try:
                states[table.asset] = self._state(table, (known or {}).get(table.asset), listing)
            except TableBlocked as blocked:
                states[table.asset] = blocked
        return states

    def awaits_write(self, pause: float, seconds: float) -> bool | None:
        """Return None: only a listing shows that a file changed."""
        return None

    def _state(self, table: SourceTable, known: str | None, listing: _Listing) -> TableState:
        try:
            delivery = self._delivery(table, listing)
            if known is not None and delivery.matches(known):
                return TableState(known, _lines(known) if delivery.is_parquet else None, None)
            # The listing may be older than the waits for other tables.
            delivery, counted = self.inspected(table)
        except TableBlocked:
            # The file may look truncated, empty or of another kind because it is still being written.
            unfinished = self._unfinished(table)
            if unfinished is None:
                raise
            return _unfinished_state(table, unfinished, known)
        if not self.is_at_rest(table, delivery, known):
            return _unfinished_state(table, delivery.name, known)
        content = self._content(table, delivery, counted)
        is_known = known is not None and known.endswith(f"-{content}")
        return TableState(str(known) if is_known else f"{delivery.stamp}-{content}", counted, None)

    @contextmanager
    def snapshot(self) -> Iterator[FilesSnapshot]:
        """Open the files as they are; a file that changes while it is read raises `ServiceUnavailable`."""
        unknown = self.unknown_files()
        if unknown:
            log.warning("%s: files that belong to no table are ignored: %s", self.description, ", ".join(unknown))
        yield FilesSnapshot(self)

    def relations(self) -> list[str]:
        """Return `schema.name` of every table that has a file, and the names of other files."""
        found = self._listing().recognized
        tables = (SOURCE_TABLES[asset] for asset in found.candidates)
        return [*sorted(f"{table.schema}.{table.name}" for table in tables), *found.unknown]

    def unknown_files(self) -> list[str]:
        """Return the sorted names of files and folders that hold no table, except for hidden ones."""
        return [name.rstrip("/") for name in self._listing().recognized.unknown]

    def inspected(self, table: SourceTable) -> tuple[Delivery, int | None]:
        """Return the table's file after a cheap inspection, and its number of rows if known. Raises `TableBlocked`."""
        delivery = self.file_of(table)
        with _readable(delivery.name, table):
            file_format, paths = self._opened(table, delivery)
            rows = [file_format.inspect(path, table) for path in paths]
        return delivery, sum(count or 0 for count in rows) if None not in rows else None

    def file_of(self, table: SourceTable) -> Delivery:
        """Return the one file, or folder of part files, that holds the table. Raises `TableBlocked`."""
        return self._delivery(table, self._listing(table))

    def _delivery(self, table: SourceTable, listing: _Listing) -> Delivery:
        candidates = listing.recognized.candidates.get(table.asset, ())
        unreadable = next((name for name in listing.unreadable if may_hold(name, table.asset)), None)
        if not candidates and unreadable:
            with _readable(unreadable, table):
                raise listing.unreadable[unreadable]
        if not candidates:
            raise TableBlocked(
                table.asset,
                "file_is_there",
                f"{self.place.address} has no file {table.asset}.parquet or {table.asset}.csv.",
                "Names that are recognized: docs/operate/files.md#file-names",
            )
        if len(candidates) > 1:
            raise TableBlocked(
                table.asset,
                "file_is_unambiguous",
                f"{' and '.join(one.name for one in candidates)} contain the same table.",
                "Keep only one of these files.",
            )
        (candidate,) = candidates
        if candidate.fault:
            raise TableBlocked(
                table.asset,
                "file_is_whole",
                f"{candidate.name} {candidate.fault}.",
                f"Deliver one file, or a complete folder of part files, best with {SUCCESS}.",
            )
        return _delivery_of(candidate, listing)

    def _listing(self, table: SourceTable | None = None) -> _Listing:
        """List the source: all that may hold a table, or only what may hold this one.

        Raises `PlatformError` if it cannot be listed.
        """
        names: list[str] = []
        states: dict[str, FileState] = {}
        unreadable: dict[str, OSError] = {}
        asset = table.asset if table else None
        folders = [""]
        while folders:
            folder = folders.pop()
            wanted = may_concern(asset) if asset and not folder else _any_name
            try:
                entries = self.place.entries(folder.rstrip("/"), wanted)
            except OSError as error:
                if not folder:
                    raise PlatformError(
                        f"The source {self.place.address} cannot be read: {reason_of(error)}.",
                        "Check ADVENTUREWORKS_SOURCE.",
                    ) from error
                unreadable[folder] = error
                continue
            for entry, state in entries.items():
                name = f"{folder}{entry}" if state else f"{folder}{entry}/"
                names.append(name)
                if state:
                    states[name] = state
                elif may_hold(name, asset):
                    folders.append(name)
        return _Listing(recognized(names), states, unreadable)

    def is_at_rest(self, table: SourceTable, delivery: Delivery, known: str | None = None) -> bool:
        """Return whether the files have not changed for a while, after waiting if they changed a moment ago."""
        is_marked = delivery.candidate.is_marked_complete or not delivery.candidate.is_folder
        if not self._rest_seconds or delivery.matches(known) or (delivery.is_parquet and is_marked):
            return True
        rest_seconds = self._rest_seconds
        if delivery.age() < SHRUNK_FILE_REST_SECONDS and (
            not is_marked or _lines(self._content(table, delivery, None)) < _lines(known)
        ):
            rest_seconds = SHRUNK_FILE_REST_SECONDS
        time.sleep(max(0.0, rest_seconds - delivery.age()))
        return self.file_of(table).stamp == delivery.stamp

    def _unfinished(self, table: SourceTable) -> str | None:
        """Return the table's file if a job is writing it or if it changes after a wait, else None."""

        def found() -> dict[str, Delivery]:
            listing = self._listing(table)
            candidates = listing.recognized.candidates.get(table.asset, ())
            return {one.name: _delivery_of(one, listing) for one in candidates}

        for name, before in found().items():
            if before.candidate.is_unfinished:
                return name
            age = before.age()
            if age < self._rest_seconds:
                time.sleep(self._rest_seconds - age)
                after = found().get(name)
                if after is None or after.stamp != before.stamp:
                    return name
        return None

    def opened(self, table: SourceTable, delivery: Delivery) -> Iterator[pa.RecordBatch]:
        """Return the rows of the files. Raises `TableBlocked` if a file turns out to be damaged."""
        file_format, paths = self._opened(table, delivery)
        for path in paths:
            file_format.inspect(path, table)
            yield from file_format.read(path, table, self._batch_rows)

    def _opened(self, table: SourceTable, delivery: Delivery) -> tuple[_Format, list[Path]]:
        """Return the format of the files, and their paths on this machine. Raises `TableBlocked` if they differ."""
        paths = [self._local(table, delivery, name, state) for name, state in delivery.parts]
        for path in paths:
            require_kind(path, table, parquet=delivery.is_parquet)
        if delivery.is_parquet:
            file_format = _PARQUET
        elif delivery.candidate.is_bare and not files_csv.has_header(paths[0], table):
            file_format = _INSTALLER
        else:
            file_format = _CSV
        _require_equal_columns(table, file_format, paths)
        return file_format, paths

    def _local(self, table: SourceTable, delivery: Delivery, name: str, state: FileState) -> Path:
        """Return a file on this machine, decompressed."""
        path = self.place.local(name, state)
        if delivery.candidate.suffix != ".csv.gz":
            return path
        plain = PurePosixPath(name).name[: -len(".gz")]
        try:
            copy = self._copies.copy(
                f"{self.identity()} {name} {state.stamp} decompressed",
                lambda folder: decompress(path, folder / plain, name),
            )
        except LimitExceeded as error:
            raise TableBlocked(table.asset, "file_is_readable", error.cause, error.next_step) from error
        except gzip.BadGzipFile as error:
            raise TableBlocked(
                table.asset, "file_has_the_expected_format", f"{name} is not a gzip file, or it is damaged."
            ) from error
        except (EOFError, zlib.error) as error:
            raise TableBlocked(
                table.asset, "file_is_whole", f"{name} appears to be truncated or damaged.", f"Deliver it again: {name}"
            ) from error
        return copy / plain

    def _content(self, table: SourceTable, delivery: Delivery, rows: int | None) -> str:
        """Return the number of lines or rows and the hash, which this process remembers until the files change."""
        key = (self.identity(), delivery.name)
        stamp, content = _contents.get(key, ("", ""))
        if stamp != delivery.stamp:
            with _readable(delivery.name, table):
                paths = [self._local(table, delivery, name, state) for name, state in delivery.parts]
                content = _content_of(paths, rows)
            _contents[key] = delivery.stamp, content
        return content


def _any_name(_: str) -> bool:
    return True


def _delivery_of(candidate: Candidate, listing: _Listing) -> Delivery:
    return Delivery(candidate, tuple(listing.states[part] for part in candidate.parts))


def _content_of(paths: Iterable[Path], rows: int | None) -> str:
    digest = hashlib.sha256()
    lines = 0
    for path in paths:
        with path.open("rb") as file:
            while data := file.read(_DIGEST_BYTES):
                digest.update(data)
                lines += data.count(b"\n") if rows is None else 0
    return f"{lines if rows is None else rows}-{digest.hexdigest()}"


def _require_equal_columns(table: SourceTable, file_format: _Format, paths: list[Path]) -> None:
    """Raise `TableBlocked` if part files have different columns or types."""
    if len(paths) < 2:
        return
    first = file_format.columns(paths[0], table)
    for path in paths[1:]:
        other = file_format.columns(path, table)
        different = sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name))
        if different:
            name = different[0]
            raise TableBlocked(
                table.asset,
                "parts_have_equal_columns",
                f"column {name} is {first.get(name, 'missing')} in {paths[0].name},"
                f" but {other.get(name, 'missing')} in {path.name}.",
                "Write all part files with the same columns and types.",
            )


def _unfinished_state(table: SourceTable, name: str, known: str | None) -> TableState:
    """Return the known state of a table whose file is still being written. Raises `TableBlocked` if there is none."""
    log.warning("%s: %s is still being written. It is read once it stops changing.", table.asset, name)
    if known is None:
        raise TableBlocked(table.asset, "file_is_stable", f"{name} is still being written.")
    return TableState(known, None, None)


class FilesSnapshot:
    """The files of a source, each read as one whole table."""

    complete = True
    spent = False
    clock = None

    def __init__(self, source: FileSource) -> None:
        self._source = source

    def rows(
        self, table: SourceTable, since: datetime | None = None, within: Collection[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Return all rows, whatever `since` is. Raises `TableBlocked` if the file turns out to be damaged."""
        delivery = self._source.file_of(table)
        with _readable(delivery.name, table):
            if not self._source.is_at_rest(table, delivery):
                raise ServiceUnavailable(f"{table.asset}: {delivery.name} is still being written.", "Try again.")
            yield from self._source.opened(table, delivery)
        if self._source.file_of(table).stamp != delivery.stamp:
            raise ServiceUnavailable(f"{table.asset}: {delivery.name} changed while it was read.", "Try again.")

    def lacks(self, table: SourceTable) -> frozenset[str]:
        """Return no column: files are those of the full database."""
        return frozenset()

    def key_ranges(self, table: SourceTable, since: datetime) -> None:
        """Return None: files are always read whole."""

    def keys(self, table: SourceTable, within: Collection[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Raise `TypeError`: files are always read whole."""
        raise TypeError("A snapshot of files is complete: use rows().")

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Raise `TypeError`: files are always read whole."""
        raise TypeError("A snapshot of files is complete: use rows().")

    def tracks(self, table: SourceTable) -> bool:
        """Return False: files do not record their changes."""
        return False

    def changed_keys(self, table: SourceTable, known: str, most: int) -> ChangedKeys | None:
        """Raise `TypeError`: files are always read whole."""
        raise TypeError("A snapshot of files is complete: use rows().")


@contextmanager
def _readable(name: str, table: SourceTable) -> Iterator[None]:
    """Turn the system's errors into errors that name the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise TableBlocked(table.asset, "file_is_there", f"{name} was removed.") from error
    except OSError as error:
        raise TableBlocked(
            table.asset,
            "file_is_readable",
            f"{name} cannot be read: {reason_of(error)}.",
            f"Give this user read permission on {name}.",
        ) from error


def _lines(fingerprint: str | None) -> int:
    """Return the number of lines or rows in a fingerprint; 0 if there is none or an error was recorded instead."""
    found = _LINES_IN_FINGERPRINT.search(fingerprint or "")
    return int(found[1]) if found else 0
