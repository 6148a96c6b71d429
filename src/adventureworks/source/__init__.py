"""The interface to the source: which tables changed, and the rows of one table as Arrow batches.

There are three kinds of source: `postgres` (a URL; also the embedded source database), `sqlserver` (a URL) and `files`
(in a folder, an archive or an object store). A source is never written to, and the login needs read access only. What
the rows mean and whether they are valid is up to the gate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

import pyarrow as pa
from pydantic import SecretStr

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, Step, TableBlocked
from adventureworks.key_ranges import KeyRanges
from adventureworks.settings import Settings
from adventureworks.source.files_addresses import STORES

ABSENT = frozenset({"table_is_there", "file_is_there"})
"""The rules of a `TableBlocked` that say that the source has no such table."""


@dataclass(frozen=True)
class TableState:
    """What one cheap query reveals about a table.

    `fingerprint` is opaque; if it equals an earlier one, the table has not changed since. `newest_change` is the latest
    modification date by the source's own clock, or None if the table is empty or the source does not know.
    """

    fingerprint: str
    rows: int | None
    newest_change: datetime | None
    mark: str | None = field(default=None, compare=False, repr=False)
    """What tells whether the table may have been written since, where the source counts that; also opaque."""


@dataclass(frozen=True)
class ChangedKeys:
    """The keys of the rows that changed, typed as in `Snapshot.keys()`. No other row changed."""

    present: pa.Table
    """Of rows that were inserted or updated."""
    deleted: pa.Table


GRANT = "Add the tables, or grant SELECT on them to the login"
"""What a user does so that a database offers tables that it lacks."""


class Snapshot(Protocol):
    """One consistent view of the source, for the tables that are read together.

    Batches have the source's columns under their own names, in any order, including keys and modification date. A batch
    has at most `batch_rows` rows. Values without an Arrow type (UUIDs, bytes and XML) arrive as strings.
    """

    complete: bool
    """True if `rows` always returns the whole table, whatever `since` is (files); False if it honours `since`."""

    spent: bool
    """True once the server has refused a query and this view is unusable. Read the remaining tables in a new one."""

    @property
    def clock(self) -> datetime | None:
        """The source's own time when the view was opened, in UTC without a zone; None if it has no clock (files)."""
        ...

    def rows(
        self, table: SourceTable, since: datetime | None = None, within: Collection[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Return the rows changed at or after `since`, or all rows if it is None. Raises `TableBlocked`.

        `within`: only rows in these ranges of keys, where `key_ranges` found any.
        """
        ...

    def lacks(self, table: SourceTable) -> frozenset[str]:
        """Return the contract's columns that this edition of the source does not offer; `rows` leaves them out."""
        ...

    def key_ranges(self, table: SourceTable, since: datetime) -> KeyRanges | None:
        """Return a summary of the keys of every row by range; `since`: what counts as recent.

        None if the source cannot compute it, or if the key does not start with an integer.
        """
        ...

    def keys(self, table: SourceTable, within: Collection[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Return key columns and modification date of every row; `within`: as in `rows`.

        Only if `complete` is False, and if no column of the key is lacking; the same holds for the methods below.
        """
        ...

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Return the rows with these keys (the key columns, typed as in `keys()`)."""
        ...

    def tracks(self, table: SourceTable) -> bool:
        """Return whether the source itself tracks which rows changed, independently of their modification dates."""
        ...

    def changed_keys(self, table: SourceTable, known: str, most: int) -> ChangedKeys | None:
        """Return the keys of the rows that changed since the fingerprint `known`.

        None if the source does not know, or if there are more than `most`: read the whole table. Only if `tracks()`.
        """
        ...


class Source(Protocol):
    """Where the tables come from."""

    description: str
    """For users and logs; never contains a secret."""

    @property
    def how_to_offer(self) -> str:
        """What a user does so that the source offers tables that it lacks, as a clause without a full stop."""
        ...

    def identity(self) -> str:
        """Return an identifier of this source. Fingerprints from a different source do not apply to this one.

        A reloaded database counts as a different source. Raises `ServiceUnavailable` if the source does not answer.
        """
        ...

    def relations(self) -> list[str]:
        """Return `schema.name` of every table and view that the source shows, the platform's and others."""
        ...

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """Return the current state of the table; `known` is the last fingerprint, which may make the query cheaper.

        Raises `TableBlocked` if the table cannot be read as a table (no such file, truncated, dropped) and
        `ServiceUnavailable` if the source does not answer.
        """
        ...

    def states(
        self,
        tables: Iterable[SourceTable],
        known: Mapping[str, str] | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> dict[str, TableState | TableBlocked]:
        """Return the state of many tables at once, by asset: cheaper than one by one.

        `known` maps assets to their last fingerprints, and `marks` to the marks of the same states: a table whose mark
        is still the same need not be read to know that its fingerprint is, too. If `state` would raise `TableBlocked`
        for a table, the error is returned in its place; `ServiceUnavailable` is raised.
        """
        ...

    def awaits_write(self, pause: float, seconds: float) -> bool | None:
        """Wait until something may have been written since `states` last scanned tables in this process.

        Return True then, but not before the scan is `pause` seconds ago. Return False after at most `seconds`, maybe
        earlier. Return None, without waiting, if the source cannot tell without a look at each table. Raises
        `ServiceUnavailable` if the source does not answer.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Open one consistent view."""
        ...


AIRFLOW = "airflow:"
"""Prefix of a source that names an Airflow connection; the connection's name follows."""

CHOICES = (
    "Give sample, a folder or an archive of files, s3://…, gs://…, abfs://…, https://….zip, postgresql://…, mssql://…,"
    " or airflow:connection"
)


class Kind(Enum):
    """What an address names."""

    POSTGRESQL = "postgresql"
    SQL_SERVER = "mssql"
    CONNECTION = "airflow"
    FILES = "files"


_KINDS = {
    "postgresql": Kind.POSTGRESQL,
    "postgres": Kind.POSTGRESQL,
    "mssql": Kind.SQL_SERVER,
    **dict.fromkeys(("file", "http", "https", *STORES), Kind.FILES),
}


def kind_of(address: str) -> Kind | None:
    """Return what a path, a URL or `airflow:connection` names; None for a URL that is not supported.

    A URL of a database may name a driver, as SQLAlchemy's URLs do: `postgresql+psycopg2://`.
    """
    if address.startswith(AIRFLOW):
        return Kind.CONNECTION
    scheme, separator, _ = address.partition("://")
    if not separator:
        return Kind.FILES
    kind = _KINDS.get(scheme.lower().partition("+")[0])
    return None if kind is Kind.FILES and "+" in scheme else kind


def address_of(settings: Settings) -> SecretStr | None:
    """Return the URL of the source database, with its password; None for files or an Airflow connection."""
    if settings.source_url is not None and "://" not in settings.source_url.get_secret_value():
        # A connection string of libpq.
        return settings.source_url
    address = _address(settings)
    return SecretStr(address) if kind_of(address) in (Kind.POSTGRESQL, Kind.SQL_SERVER) else None


def files_address_of(settings: Settings) -> str | None:
    """Return the path or URL of the files, which may hold a secret; None if the source is not files."""
    address = _address(settings)
    is_files = bool(address) and address_of(settings) is None and kind_of(address) is Kind.FILES
    return address if is_files else None


def _address(settings: Settings) -> str:
    return settings.source_url.get_secret_value() if settings.source_url is not None else settings.source


def open_source(settings: Settings) -> Source:
    """Return the configured source: files, a PostgreSQL or SQL Server URL, or the embedded database."""
    url = address_of(settings)
    if url is not None and kind_of(url.get_secret_value()) is Kind.SQL_SERVER:
        from adventureworks.source.sqlserver import SqlServerSource

        return SqlServerSource(url, batch_rows=settings.batch_rows, password=settings.source_password)
    if url is not None:
        from adventureworks.source.postgres import PostgresSource

        return PostgresSource(url, batch_rows=settings.batch_rows)
    files = files_address_of(settings)
    if files is not None:
        from adventureworks.source.files_opening import open_files

        return open_files(files, settings.home, settings.batch_rows, settings.file_rest_seconds)
    address = _address(settings)
    if not address:
        raise PlatformError(
            "No source is configured.", Step("Set ADVENTUREWORKS_SOURCE_URL, or run:", "adventureworks run")
        )
    if kind_of(address) is Kind.CONNECTION:
        raise PlatformError(
            f"The Airflow connection {address.removeprefix(AIRFLOW)} is only available inside Airflow.",
            "Outside Airflow, set ADVENTUREWORKS_SOURCE_URL.",
        )
    raise unsupported(address)


def unsupported(address: str) -> PlatformError:
    """Return the error for a URL of a scheme that is not supported."""
    return PlatformError(f"A source with a {address.partition('://')[0]}:// URL is not supported.", CHOICES)
