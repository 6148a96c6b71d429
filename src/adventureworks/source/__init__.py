"""The seam to the source: which tables changed, and the rows of one table as Arrow batches.

Three kinds live here: `postgres` (a URL, the embedded source database too), `sqlserver` (a URL) and `files` (a
folder). A source is only ever read, with a login that may do nothing else. What rows mean, and whether they are good,
is the gate's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pydantic import SecretStr

from adventureworks.catalog import SourceTable
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.settings import Settings


@dataclass(frozen=True)
class TableState:
    """What one cheap question tells of a table.

    `fingerprint` is opaque: equal to an earlier one means unchanged since. `newest_change` is the latest modification
    date, in the source's own clock, None for an empty table or where the source does not know.
    """

    fingerprint: str
    rows: int | None
    newest_change: datetime | None


class Snapshot(Protocol):
    """One consistent view of the source, for the tables that are read together.

    Batches carry the source's columns under their own names, in any order, keys and modification date included. Each is
    at most `batch_rows` rows. Text stands for what has no Arrow type: uuids, bytes and XML arrive as strings.
    """

    complete: bool
    """True: `rows` always gives the whole table, whatever it is asked for (files). False: it can give changed rows."""

    spent: bool
    """True: the server refused something, and answers nothing more in this view. Read what is left in another one."""

    @property
    def clock(self) -> datetime | None:
        """The source's own time in UTC when the view was opened, without a zone; None: it has no clock (files)."""
        ...

    def rows(self, table: SourceTable, since: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """The rows changed at or after `since`; all rows where that is None. Raises TableBlocked."""
        ...

    def keys(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """Key columns and modification date of every row. Only where `complete` is False."""
        ...

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """The rows with these keys (the key columns, typed as in `keys()`). Only where `complete` is False."""
        ...

    def tracks(self, table: SourceTable) -> bool:
        """Whether the source itself knows which rows changed, whatever their modification dates say."""
        ...

    def changed_keys(self, table: SourceTable, known: str, most: int) -> pa.Table | None:
        """Keys, typed as in `keys()`, of rows inserted or updated since the state with the fingerprint `known`.

        None where the source cannot tell, or there are more than `most`: read it whole. Only where `tracks` says so.
        """
        ...


class Source(Protocol):
    """Where the tables come from."""

    description: str
    """For people and logs; never holds a secret."""

    def identity(self) -> str:
        """Which source this is. What was read from another one says nothing of this one's changes.

        A database that was filled anew is another source. Raises ServiceUnavailable where the source does not answer.
        """
        ...

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """What the table looks like now; `known` is the last fingerprint, which may make the answer cheaper.

        Raises TableBlocked where the table cannot be read as a table (no such file, truncated, vanished) and
        ServiceUnavailable where the source does not answer.
        """
        ...

    def states(
        self, tables: Iterable[SourceTable], known: Mapping[str, str] | None = None
    ) -> dict[str, TableState | TableBlocked]:
        """The state of many tables at once, by asset: cheaper than one by one.

        `known` maps assets to their last fingerprints. Where `state` would raise TableBlocked for a table, the error
        stands in its place; ServiceUnavailable is raised.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Opens one consistent view."""
        ...


SQL_SERVER = ("mssql://", "mssql+pymssql://")
POSTGRESQL = ("postgresql://", "postgres://")
AIRFLOW = "airflow:"
"""How a source begins that an Airflow connection describes; its name follows."""


def address_of(settings: Settings) -> SecretStr | None:
    """The URL of the source database, with its password; None where the source is no database, or Airflow's to name."""
    if settings.source_url is None and settings.source.startswith((*SQL_SERVER, *POSTGRESQL)):
        return SecretStr(settings.source)
    return settings.source_url


def is_folder(settings: Settings) -> bool:
    """Whether the source is a folder of files."""
    names_a_server = "://" in settings.source or settings.source.startswith(AIRFLOW)
    return settings.source_url is None and bool(settings.source) and not names_a_server


def open_source(settings: Settings) -> Source:
    """The configured source: a folder, a PostgreSQL or SQL Server URL, or the embedded database."""
    from adventureworks.source.files import FileSource
    from adventureworks.source.postgres import PostgresSource

    url = address_of(settings)
    if url is not None and url.get_secret_value().startswith(SQL_SERVER):
        from adventureworks.source.sqlserver import SqlServerSource

        return SqlServerSource(url, batch_rows=settings.batch_rows, password=settings.source_password)
    if url is not None:
        return PostgresSource(url, batch_rows=settings.batch_rows)
    if settings.source.startswith(AIRFLOW):
        raise PlatformError(
            f"The Airflow connection {settings.source.removeprefix(AIRFLOW)} is only known to Airflow's own processes.",
            "Elsewhere, set ADVENTUREWORKS_SOURCE_URL.",
        )
    if "://" in settings.source:
        kind = settings.source.split("://")[0]
        raise PlatformError(f"A source of the kind {kind}:// cannot be read.", "Give postgresql://… or mssql://…")
    if settings.source:
        folder = Path(settings.source)
        if not folder.is_dir():
            raise PlatformError(
                f"The source {folder} is no folder.", "Give a folder of files: adventureworks run --source DIR"
            )
        return FileSource(folder, batch_rows=settings.batch_rows, rest_seconds=settings.file_rest_seconds)
    raise PlatformError("No source is configured.", "Set ADVENTUREWORKS_SOURCE_URL, or start: adventureworks run")
