"""Loading of changed rows from the source into staging, batch by batch; bad rows go to quarantine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks import key_ranges
from adventureworks.catalog import INGESTION, SOURCE_TABLES, SourceTable
from adventureworks.errors import Overtaken, ServiceUnavailable, TableBlocked
from adventureworks.gate import approval
from adventureworks.gate.approved_texts import admit_published
from adventureworks.gate.containment import NO_ANSWER, concerns_every_table, contained
from adventureworks.gate.contract import ValidatedBatch, read_column, validate, without_null_keys
from adventureworks.gate.conversion import parsed
from adventureworks.gate.corrections import Corrections, take_back
from adventureworks.gate.pseudonyms import belongs, is_left_out, without_forgotten
from adventureworks.gate.reading import SourceLost, TableReading
from adventureworks.gate.row_text import as_json, as_text, row_key
from adventureworks.gate.verdict import FEW_ROWS_ARE_SET_ASIDE
from adventureworks.settings import Settings
from adventureworks.source import Snapshot, open_source
from adventureworks.warehouse import (
    Warehouse,
    candidate,
    decisions,
    forgotten,
    layout,
    open_warehouse,
    publication,
    quarantine,
)
from adventureworks.warehouse.postgres import Append, Connection, reuse_connections
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.staging import SAME, StagedTable, require_rows

# With more rows than this in quarantine the table is blocked anyway, and further rows would only fill the disk.
MOST_BAD_ROWS = 100_000

# With more keys than this to look up individually, reading the whole table is faster and needs no memory for keys.
MOST_LATE_ROWS = 50_000

MOST_LOSSES = 2
"""Number of times a reading of a table may end with a lost connection; the next time, the table is blocked."""

_abandoned: list[ExitStack] = []
"""Snapshots of the source that a hanging driver still uses; they are released when the process ends."""

FIXED_ELSEWHERE = frozenset(
    {
        "all_rows_are_visible",
        "can_be_checked",
        "can_be_loaded",
        "can_be_published",
        "checks_are_evaluated",
        "checks_are_readable",
        "table_answers",
        "table_is_readable",
    }
)
"""Rules fixed by a grant, a disk or a release: while one is broken, the table is read again at growing intervals."""

_NUMBER_OR_DATE = re.compile(r"-?\d{1,10}(?:[-: T.]\d{1,6})*")


@reuse_connections()
def load(settings: Settings, run_id: str, assets: Sequence[str]) -> dict[str, int]:
    """Stage the changes of these tables, read from one snapshot, and return the number of rows read per table.

    A table is marked as blocked if it does not have the form that its contract demands, cannot be loaded for any other
    reason, or times out at the source; the others are still loaded. If the connection is lost, the others are loaded
    first, then ServiceUnavailable is raised: a retry stages the tables from the beginning.
    """
    warehouse, source = open_warehouse(settings), open_source(settings)
    with warehouse.connect("load") as session:
        layout.prepare(session)
    with warehouse.connect("load") as session:
        attempt = begin(session.records, run_id, assets)
    counts: dict[str, int] = {}
    lost: ServiceUnavailable | None = None
    waiting = list(assets)
    while waiting:
        with ExitStack() as stack, warehouse.bulk_loader() as append:
            snapshot = stack.enter_context(source.snapshot())
            for asset in list(waiting):
                waiting.remove(asset)
                try:
                    with contained(asset, "can_be_loaded", "loaded"):
                        loading = _TableLoad(settings, warehouse, snapshot, append, attempt, SOURCE_TABLES[asset])
                        counts[asset] = loading.run()
                except TableBlocked as blocked:
                    note_blocked(warehouse, attempt, blocked)
                    if blocked.rule == NO_ANSWER and not snapshot.spent:
                        # A thread still waits in the driver: closing this snapshot would crash the process.
                        _abandoned.append(stack.pop_all())
                        break
                    if snapshot.spent or blocked.rule == "can_be_loaded":
                        # Snapshot and loader may be unusable, so the remaining tables get new ones.
                        break
                except SourceLost as error:
                    if _times_lost(warehouse, attempt, asset) > MOST_LOSSES:
                        cause = f"reading it failed {MOST_LOSSES + 1} times: {error.cause}"
                        note_blocked(warehouse, attempt, TableBlocked(asset, "can_be_loaded", cause))
                    else:
                        lost = error
                    break
    if lost is not None:
        raise lost
    return counts


def begin(records: Connection, run_id: str, assets: Collection[str]) -> candidate.Attempt:
    """Begin an attempt at these tables of a run, and withdraw the verdict on the run.

    Raises Overtaken if another attempt has published the run.
    """
    attempt = candidate.begin(records, run_id, assets)
    done = records.execute(
        "select 1 from ops.change where run_id = %s and (status in ('published', 'unchanged') or to_conclude) limit 1",
        (run_id,),
    ).fetchone()
    if done:
        raise Overtaken(f"Another attempt of {run_id} has published the batch.", "No action is needed.")
    withdraw_verdict(records, run_id)
    return attempt


def note_blocked(warehouse: Warehouse, attempt: candidate.Attempt, blocked: TableBlocked) -> None:
    """Mark a table of this run as blocked, regardless of the later verdict on the batch."""
    with warehouse.connect("load") as session:
        candidate.require(session.records, attempt, blocked.table)
        # The other tables were judged as if this one were published.
        withdraw_verdict(session.records, attempt.run_id)
        mark_blocked(session.records, attempt.run_id, blocked)


def _times_lost(warehouse: Warehouse, attempt: candidate.Attempt, asset: str) -> int:
    """Count a reading of a table that lost the connection, and return the number of such readings in this run."""
    with warehouse.connect("load") as session:
        candidate.require(session.records, attempt, asset)
        row = session.records.execute(
            "update ops.change set times_lost = times_lost + 1 where run_id = %s and asset = %s returning times_lost",
            (attempt.run_id, asset),
        ).fetchone()
    return int(row[0]) if row else 0


def mark_blocked(records: Connection, run_id: str, blocked: TableBlocked, *, judged: bool = False) -> None:
    """Record why a table of this run must not be published; `judged`: by the verdict on the batch."""
    records.execute(
        "update ops.change set status = 'blocked', blocked_rule = %(rule)s, blocked_cause = %(cause)s,"
        # A fault outside the data may be fixed without a change of the data, so the table must not count as read.
        " judged = %(judged)s, fingerprint = case when %(again)s then '' else fingerprint end,"
        " columns_digest = case when %(again)s then '' else columns_digest end,"
        " mark = case when not %(again)s then mark end"
        " where run_id = %(run)s and asset = %(asset)s and status not in ('published', 'unchanged')",
        {
            "rule": blocked.rule,
            "cause": blocked.detail,
            "judged": judged,
            "again": blocked.rule in FIXED_ELSEWHERE,
            "run": run_id,
            "asset": blocked.table,
        },
    )


def withdraw_verdict(records: Connection, run_id: str) -> None:
    """Record that the staged tables of a run must be judged, or judged again, before any of them is published."""
    records.execute(
        "update ops.change set status = 'staged', judged = false, blocked_rule = null, blocked_cause = null"
        " where run_id = %s and judged and status in ('staged', 'blocked')",
        (run_id,),
    )


@dataclass(frozen=True)
class _Reading:
    """The state of a table when its rows were last published."""

    newest_change: datetime
    fingerprint: str | None
    """None if the recorded fingerprint is that of a later state, which could not be published."""


@dataclass(frozen=True)
class _TrackedChanges:
    """The changes of a table since it was last published, as the source tracks them; keys in the contract's types."""

    present: pl.DataFrame
    """Keys of rows to read: they changed, or they are in quarantine and were not deleted."""
    deleted: pl.DataFrame
    wanted: pa.Table
    """The keys of `present` in the source's types."""


class _TableLoad:
    """The loading of one table's changes from a snapshot of the source."""

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        snapshot: Snapshot,
        append: Append,
        attempt: candidate.Attempt,
        entry: SourceTable,
    ) -> None:
        self.settings = settings
        self.warehouse = warehouse
        self.snapshot = snapshot
        self.append = append
        self.attempt = attempt
        self.run_id = attempt.run_id
        self.entry = entry
        self.staged = StagedTable(entry)
        self.reading = TableReading(snapshot, entry, settings.table_timeout_minutes)
        self.lacks = snapshot.lacks(entry)
        """The contract's columns that the source does not offer."""
        self.staged_rows: Counter[str] = Counter()
        """By staging table: the number of rows appended so far."""
        self.seen: set[tuple[str, str]] = set()
        """The keys and values of the rows set aside so far: a row that is read twice is set aside once."""
        self.forgotten_ids: frozenset[int] = frozenset()
        self.of_forgotten = 0
        """The number of rows read so far that belong to forgotten people."""
        self.ranges: frozenset[int] | None = None
        """The ranges of keys whose keys were staged, if not all were: the other ranges are as published."""
        self.compared_rows: int | None = None
        """The number of rows at the source, whose keys were compared; None if the table was read whole."""

    def run(self) -> int:
        """Stage the changes, and return the number of rows read."""
        with self._session() as session:
            quarantine.discard_unpublished(session.data, self.entry.asset, self.settings.keep_days)
            self.staged.start(session.data)
            latest = self._note_latest_change(session.records)
            last = None if self.snapshot.complete else self._last_reading(session.records, latest)
            self.forgotten_ids = forgotten.ids_in(forgotten.of_anyone(session.records), self.entry)
            found = decisions.corrections(session.records, self.entry.asset)
            corrections = Corrections(self.entry, found, self.forgotten_ids, self.lacks)
            admitted = approval.admitted_rules(session.records, self.run_id, self.entry.asset)
        tracked = None
        if last and self.reading.tracks():
            tracked = self._tracked_changes(last.fingerprint)
            last = last if tracked else None
        since = last.newest_change - timedelta(minutes=self.settings.overlap_minutes) if last else None
        read = bad = 0
        keys_unknown = False
        for delivered in self._batches(since, tracked):
            with self._contained("read", partial(self._unreadable_column, delivered)):
                batch, of_forgotten = without_forgotten(self.entry, delivered, self.forgotten_ids)
                validated = validate(self.entry, batch, admitted=admitted, lacks=self.lacks)
            read += delivered.num_rows
            self.of_forgotten += of_forgotten
            admissible = admit_published(self.warehouse, self.staged, batch, validated, self.lacks)
            for part in (part for one in admissible for part in corrections.applied(one, batch.schema.names)):
                good = protected(self.entry, part.good).with_columns(pl.lit(False).alias(SAME))
                with self._contained("stored", partial(self._refused_column, good)):
                    self._stage(self.staged.rows_table, good)
                bad += part.bad.height
                if part.rejections:
                    with self._session() as session:
                        keys_unknown |= self._put_in_quarantine(session.data, part)
                    if bad > MOST_BAD_ROWS:
                        cause = f"{bad:,} of {read:,} rows break the contract."
                        raise TableBlocked(self.entry.asset, FEW_ROWS_ARE_SET_ASIDE, cause)
        with self.warehouse.connect("load") as session:
            publication.lock(session.records, INGESTION, shared=True)
            candidate.require(session.records, self.attempt, self.entry.asset)
            withdraw_verdict(session.records, self.run_id)
            if forgotten.ids_in(forgotten.of_anyone(session.records), self.entry) != self.forgotten_ids:
                raise ServiceUnavailable(f"A person was forgotten while {self.entry.asset} was read.", "Try again.")
            require_rows(session.data, self.staged_rows)
            if tracked:
                self.compared_rows = tracked.present.height + self.staged.add_unchanged_keys(session.data)
            self.staged.set_aside_modified_later(session.data, latest, self.run_id)
            self.staged.set_aside_duplicates(session.data, self.run_id)
            self.staged.settle(session.data, whole=since is None, find_gone=not keys_unknown, within=self.ranges)
            take_back(session, self.staged)
            quarantine.set_next_status(session.data, self.entry, whole=since is None, keys_unknown=keys_unknown)
            candidate.record(session, self.attempt, self.entry)
            decisions.end(
                session.records, self.entry.asset, decisions.CORRECTED, corrections.outdated, "source changed"
            )
            session.records.execute(
                "update ops.change set status = 'staged', rows_read = %s, forgotten = %s, compared_rows = %s,"
                " blocked_rule = null, blocked_cause = null where run_id = %s and asset = %s",
                (read, self.of_forgotten, self.compared_rows, self.run_id, self.entry.asset),
            )
        return read

    def _contained(self, step: str, details: Callable[[], str]) -> AbstractContextManager[None]:
        return contained(self.entry.asset, "can_be_loaded", step, details)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """Open a session that writes, unless another attempt has begun."""
        with self.warehouse.connect("load") as session:
            candidate.require(session.records, self.attempt, self.entry.asset)
            yield session

    def _append(self, name: str, rows: pl.DataFrame) -> None:
        # On a connection of its own, while this one keeps other attempts from beginning.
        with self._session():
            self.append("staging", name, rows)

    def _stage(self, name: str, rows: pl.DataFrame) -> None:
        self._append(name, rows)
        self.staged_rows[name] += rows.height

    def _note_latest_change(self, records: Connection) -> datetime | None:
        """Record and return the moment after which no row of this reading can have been modified, in UTC.

        Models and checks must not read the clock, because their results would differ from day to day. A clock is
        justified here, because a row must have been written before it was read. A false date in the future would become
        the watermark, and every correct delivery would then look stale. The later of two clocks counts, that of the
        source and that of the records at detection, so that a slow clock sets no rows aside; one day is added for time
        zones.
        """
        row = records.execute(
            "update ops.change set latest_change = greatest(cast(detected_at as timestamp), cast(%s as timestamp))"
            " + interval '1 day' where run_id = %s and asset = %s returning latest_change",
            (self.snapshot.clock, self.run_id, self.entry.asset),
        ).fetchone()
        return row[0] if row else None

    def _last_reading(self, records: Connection, latest: datetime | None) -> _Reading | None:
        """Return the last reading, or None if the whole table must be read. A watermark after `latest` is false."""
        row = records.execute(
            "select w.newest_change, w.fingerprint, w.blocked from ops.watermark as w"
            " join ops.change as c using (asset) where c.run_id = %s and c.asset = %s and not c.whole",
            (self.run_id, self.entry.asset),
        ).fetchone()
        if row is None or row[0] is None or (latest and row[0] > latest):
            return None
        if any(
            column.is_padded or column.is_hierarchy or column.name in self.lacks for column in self.staged.key_columns
        ):
            # Some keys would be looked up individually, and not every source knows them without padding, or encoded,
            # or has all of their columns.
            return None
        newest, fingerprint, blocked = row
        return _Reading(newest, None if blocked else fingerprint)

    def _unreadable_column(self, batch: pa.RecordBatch) -> str:
        """Describe the columns that cannot be read, trying each one separately; empty if all of them can."""
        found = [name for name in batch.schema.names if not _succeeds(partial(read_column, self.entry, batch, name))]
        types = ", ".join(f"column {name} ({batch.schema.field(name).type})" for name in found)
        return f"{types} cannot be read. See the task's log for details." if found else ""

    def _refused_column(self, rows: pl.DataFrame) -> str:
        """Name the columns that the warehouse refuses, trying each one separately; empty if it accepts all of them."""
        # The table is blocked, so rows that the trials leave in its staging table are never published.
        trial = partial(self._append, self.staged.rows_table)
        found = [name for name in self.staged.column_names if not _succeeds(partial(trial, rows.select(name, SAME)))]
        columns = ", ".join(found)
        return f"the warehouse refuses values of column {columns}. See the task's log for details." if found else ""

    def _tracked_changes(self, known: str | None) -> _TrackedChanges | None:
        """Return the changes since the fingerprint `known`, or None if the whole table must be read."""
        changed = self.reading.changed_keys(known, MOST_LATE_ROWS) if known is not None else None
        if changed is None:
            return None
        with self.warehouse.connect("load") as session:
            held = quarantine.held_keys(session.data, self.entry, MOST_LATE_ROWS)
        texts = pl.DataFrame(held, schema=dict.fromkeys(self.staged.key, pl.String), orient="row")
        typed = pl.DataFrame([_parsed_key(texts[column.name], column.dtype) for column in self.staged.key_columns])
        if len(held) > MOST_LATE_ROWS or len(typed.drop_nulls()) < len(held):
            return None
        deleted = self._kept_keys(self._keys(pl.DataFrame(changed.deleted)))
        present = self._kept_keys(pl.concat([self._keys(pl.DataFrame(changed.present)), typed]).unique())
        present = present.join(deleted, on=list(self.staged.key), how="anti")
        wanted = present.select(changed.present.column_names).to_arrow().cast(changed.present.schema)
        return _TrackedChanges(present, deleted, wanted)

    def _batches(self, since: datetime | None, tracked: _TrackedChanges | None) -> Iterator[pa.RecordBatch]:
        """Yield all rows, or only the changed ones.

        Changed are the rows that the source tracks as changed, or else those modified since `since` and those that the
        comparison of keys finds in addition.
        """
        if since is None:
            yield from self.reading.rows()
            return
        if tracked is not None:
            self._stage(self.staged.keys_table, tracked.present)
            self._stage(self.staged.gone_table, tracked.deleted)
            if tracked.wanted.num_rows:
                yield from self.reading.rows_by_key(tracked.wanted)
            return
        recent = self._compare_ranges(since)
        if self.ranges != frozenset():
            for batch in self.reading.key_batches(self.ranges):
                with self._contained("read", partial(self._unreadable_column, batch)):
                    self._stage(self.staged.keys_table, self._dated_keys(pl.DataFrame(batch)))
        if self.compared_rows is None:
            self.compared_rows = self.staged_rows[self.staged.keys_table]
        with self.warehouse.connect("load") as session:
            late = self.staged.keys_to_read(session.data, since.isoformat(sep=" "), MOST_LATE_ROWS, self.ranges)
        if late is None:
            yield from self.reading.rows()
            return
        if recent != frozenset():
            yield from self.reading.rows(since, recent)
        if late.num_rows:
            yield from self.reading.rows_by_key(late)

    def _compare_ranges(self, since: datetime) -> frozenset[int] | None:
        """Find the ranges of keys to read, and return those that have rows modified since `since`.

        None if rows of any range may be. Keys of forgotten people are at the source only, so ranges say nothing then.
        """
        query = self.staged.ranges_query(since.isoformat(sep=" "))
        if self.forgotten_ids or query is None:
            return None
        with self.warehouse.connect("load") as session:
            held = quarantine.held_keys(session.data, self.entry, key_ranges.MOST)
            if not session.data.digests_key_ranges or len(held) > key_ranges.MOST:
                return None
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(self.reading.key_ranges, since)
                published = key_ranges.summarized(session.data.execute(query).fetchall())
                found = asked.result()
        if published is None or found is None:
            return None
        # A row in quarantine is read again, whether its key is published or not.
        texts = [str(first) for first, *_ in held]
        differing = found.differing(published) | {key_ranges.range_of(int(text)) for text in texts if _is_number(text)}
        if len(differing) > key_ranges.MOST:
            return None
        self.ranges, self.compared_rows = frozenset(differing), found.rows
        return found.recent if len(found.recent) <= key_ranges.MOST else None

    def _dated_keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return keys and modification dates in the contract's types. Raises TableBlocked if a key has another type."""
        keys = self._keys(frame).with_columns(frame[self.entry.modified].alias("__modified"))
        return self._kept_keys(without_null_keys(self.entry, keys))

    def _kept_keys(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return keys in the contract's types, without those that identify forgotten people."""
        return keys.filter(~belongs(self.entry, keys, self.forgotten_ids)) if is_left_out(self.entry) else keys

    def _keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the keys in the contract's types. Raises TableBlocked if a key has another type."""
        columns = []
        for column in self.staged.key_columns:
            series = frame[column.name]
            values = series.cast(column.dtype, strict=False) if series.dtype != pl.String else series
            if values.dtype != column.dtype:
                cause = f"the key column {column.name} is now {series.dtype}."
                raise TableBlocked(self.entry.asset, "column_types_are_kept", cause)
            columns.append(values)
        return pl.DataFrame(columns)

    def _put_in_quarantine(self, data: Data, validated: ValidatedBatch) -> bool:
        """Write the bad rows of a batch to quarantine; return whether the key of any of them is unknown."""
        readable = {column.name: column.dtype for column in self.staged.columns}
        rows = []
        found = zip(validated.bad.iter_rows(named=True), validated.bad_keys(), validated.rejections, strict=True)
        for row, bad_key, rejection in found:
            # In the contract's type a key can be compared with those of good rows, however the source writes it.
            identity = {name: self._shown(value, readable[name]) for name, value in bad_key.items()}
            values = {name: self._shown(value, readable[name]) for name, value in row.items()}
            key, content = row_key(identity), as_json(values)
            if (key, content) not in self.seen:
                self.seen.add((key, content))
                rows.append((self.entry.asset, key, rejection.rule, rejection.message, content, self.run_id, "staged"))
        data.executemany(
            "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
        return any(validated.keys.null_count().row(0))

    def _shown(self, value: Any, dtype: pl.DataType) -> str | None:
        """Return a value of a bad row as the quarantine may store it.

        In a table with secret columns, a shifted row may have a secret in any column, so only short numbers and dates
        are kept.
        """
        text = as_text(value)
        if text is None or not self.entry.protected:
            return text
        harmless = dtype != pl.String and _NUMBER_OR_DATE.fullmatch(text)
        return text if harmless else f"({len(text)} characters withheld)"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}", text) is not None


def _succeeds(trial: Callable[[], object]) -> bool:
    try:
        trial()
    except BaseException as error:
        if concerns_every_table(error):
            raise
        return False
    return True


def _parsed_key(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    return texts if dtype == pl.String else parsed(texts, dtype)


def protected(entry: SourceTable, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with secret columns masked as the catalogue demands."""
    columns = []
    for name, protection in entry.protected.items():
        text = pl.col(name).cast(pl.String)
        shown = pl.concat_str(pl.lit("…"), text.str.tail(4)) if protection == "last_four" else pl.lit("withheld")
        columns.append(pl.when(text.is_null()).then(None).otherwise(shown).alias(name))
    return frame.with_columns(columns) if columns else frame
