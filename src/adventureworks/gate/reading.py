"""Reading one table from a snapshot of the source, with a timeout for every wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import TypeVar

import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.errors import ServiceUnavailable, TableBlocked
from adventureworks.gate.containment import NO_ANSWER, NoAnswer, with_timeout
from adventureworks.key_ranges import KeyRanges
from adventureworks.source import ChangedKeys, Snapshot

T = TypeVar("T")


class SourceLost(ServiceUnavailable):
    """The connection to the source was lost while a table was being read."""


class TableReading:
    """The methods of `Snapshot` for one table, with timeouts.

    They raise TableBlocked if the next rows take longer than `minutes`, and SourceLost if the connection is lost.
    """

    def __init__(self, snapshot: Snapshot, entry: SourceTable, minutes: float) -> None:
        self._snapshot = snapshot
        self._entry = entry
        self._minutes = minutes

    def rows(self, since: datetime | None = None, within: Collection[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Return the rows changed at or after `since`, or all if it is None; only `within` these ranges, if given."""
        return self._batches(lambda: self._snapshot.rows(self._entry, since, within))

    def key_ranges(self, since: datetime) -> KeyRanges | None:
        """Return a summary of the keys of every row by range, or None if the source cannot compute it."""
        return self._with_timeout(lambda: self._snapshot.key_ranges(self._entry, since))

    def key_batches(self, within: Collection[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Return the key columns and the modification date of every row; only `within` these ranges, if given."""
        return self._batches(lambda: self._snapshot.keys(self._entry, within))

    def rows_by_key(self, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Return the rows with these keys."""
        return self._batches(lambda: self._snapshot.rows_by_key(self._entry, keys))

    def tracks(self) -> bool:
        """Return whether the source itself tracks which rows changed."""
        return self._snapshot.tracks(self._entry)

    def changed_keys(self, known: str, most: int) -> ChangedKeys | None:
        """Return the keys of rows changed since the fingerprint `known`, or None if the source does not know."""
        return self._with_timeout(lambda: self._snapshot.changed_keys(self._entry, known, most))

    def _batches(self, query: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        batches = self._with_timeout(query)
        while (batch := self._with_timeout(lambda: next(batches, None))) is not None:
            yield batch

    def _with_timeout(self, work: Callable[[], T]) -> T:
        try:
            return with_timeout(work, self._minutes * 60)
        except NoAnswer:
            cause = f"the source returned no rows of it within {self._minutes:g} minutes."
            raise TableBlocked(self._entry.asset, NO_ANSWER, cause) from None
        except ServiceUnavailable as error:
            raise SourceLost(error.cause, error.next_step) from error
