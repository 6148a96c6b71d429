"""Reading one table from a snapshot of the source, with a bound on every wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.errors import ServiceUnavailable, TableBlocked
from adventureworks.gate.containment import NO_ANSWER, NoAnswer, in_time
from adventureworks.source import Snapshot

T = TypeVar("T")


class SourceLost(ServiceUnavailable):
    """The connection to the source was lost while a table was read."""


class TableReading:
    """What a snapshot tells of one table, as `Snapshot` describes it.

    Raises TableBlocked where the next rows take longer than `minutes`, SourceLost where the connection is lost.
    """

    def __init__(self, snapshot: Snapshot, entry: SourceTable, minutes: float) -> None:
        self._snapshot = snapshot
        self._entry = entry
        self._minutes = minutes

    def rows(self, since: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """The rows changed at or after `since`; all rows where that is None."""
        return self._each(lambda: self._snapshot.rows(self._entry, since))

    def key_batches(self) -> Iterator[pa.RecordBatch]:
        """Key columns and modification date of every row."""
        return self._each(lambda: self._snapshot.keys(self._entry))

    def rows_by_key(self, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """The rows with these keys."""
        return self._each(lambda: self._snapshot.rows_by_key(self._entry, keys))

    def tracks(self) -> bool:
        """Whether the source itself knows which rows changed."""
        return self._snapshot.tracks(self._entry)

    def changed_keys(self, known: str, most: int) -> pa.Table | None:
        """Keys of rows that changed since the state with the fingerprint `known`; None where it cannot tell."""
        return self._in_time(lambda: self._snapshot.changed_keys(self._entry, known, most))

    def _each(self, question: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        batches = self._in_time(question)
        while (batch := self._in_time(lambda: next(batches, None))) is not None:
            yield batch

    def _in_time(self, work: Callable[[], T]) -> T:
        try:
            return in_time(work, self._minutes * 60)
        except NoAnswer:
            cause = f"the source gave nothing of it for {self._minutes:g} minutes."
            raise TableBlocked(self._entry.asset, NO_ANSWER, cause) from None
        except ServiceUnavailable as error:
            raise SourceLost(error.cause, error.next_step) from error
