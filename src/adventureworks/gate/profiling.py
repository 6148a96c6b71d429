"""Measurement of staged changes in SQL, their evaluation by `gate.profile`, and the stored profiles of versions.

A change is measured together with the published rows, so a table is scanned at each of its changes. A large candidate
is profiled only if much of it changes, or if no version has a profile yet. Every statement returns counts, ranges and
shares, never rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import polars as pl

from adventureworks.columns import Column, digest_of_columns
from adventureworks.errors import TableBlocked
from adventureworks.gate import profile, proofs, summaries
from adventureworks.gate.check_files import references
from adventureworks.gate.checks import CheckOutcome
from adventureworks.gate.containment import contained
from adventureworks.gate.profile import (
    Cell,
    Days,
    Distance,
    Emptied,
    Finding,
    Group,
    Groups,
    Leap,
    Order,
    Paired,
    Profile,
    ShapeRule,
    Values,
)
from adventureworks.gate.whole import published_rows
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse, publication
from adventureworks.warehouse.candidate import Attempt, require
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import equal, names, table
from adventureworks.warehouse.staging import StagedTable, count

SMALL = 10_000
"""Number of rows up to which a whole table is profiled at every change."""
MUCH = 0.05
"""Share of changed rows above which a table of any size is profiled."""
MOST_CATEGORIES = 300
"""Number of distinct values up to which a column divides its table into segments."""
FEW_CATEGORIES = 20
"""Number of distinct values up to which each of them is expected to keep occurring."""
LONGEST_CATEGORY = 60
"""Maximum number of characters of a text that may be a category."""
MESSAGES = 3
"""Maximum number of findings of one rule in its message."""

_DIMENSIONS: Mapping[ShapeRule, str] = {
    "columns_stay_filled": "completeness",
    "columns_are_not_swapped": "consistency",
    "columns_stay_diverse": "consistency",
    "values_stay_in_range": "validity",
    "values_keep_their_format": "validity",
    "rows_are_unique": "uniqueness",
    "few_rows_are_deleted": "volume",
    "segments_keep_occurring": "volume",
}


def judge_changes(
    settings: Settings,
    attempt: Attempt,
    tables: Sequence[StagedTable],
    accepted: Collection[str],
    batch: Mapping[str, StagedTable],
) -> list[CheckOutcome]:
    """Compare the staged changes of these tables with their published versions; return an outcome per broken rule.

    Changes of `accepted` tables only warn. `batch`: all tables whose candidates contain a staged change. The profiles
    of the candidates are stored until `publish_profiles` assigns them a version. A table that cannot be measured gets
    only a warning, because its rows passed contract and checks. Raises ServiceUnavailable if the warehouse does not
    answer, and Overtaken if another attempt has begun.
    """
    outcomes: list[CheckOutcome] = []
    with open_warehouse(settings).connect("check") as session:
        # Committed, because a table may have been judged before, and the next measurement may fail.
        require(session.records, attempt)
        summaries.discard(session.records, [staged.asset for staged in tables])
    for staged in tables:
        try:
            with (
                contained(staged.asset, "change_can_be_compared", "compared with its versions"),
                open_warehouse(settings).connect("check") as session,
            ):
                require(session.records, attempt, staged.asset)
                change = _Change(session, settings.checks_folder / "source", staged, batch, settings.lost_limit)
                found = list(change.outcomes())
                outcomes += [replace(one, outcome="warn") if staged.asset in accepted else one for one in found]
                change.keep_profiles(attempt.run_id)
                change.keep_summary(attempt.run_id)
        except TableBlocked as fault:
            outcomes.append(CheckOutcome(staged.asset, fault.rule, "warn", None, fault.detail, (), "consistency"))
    return outcomes


def publish_profiles(records: Connection, asset: str, run_id: str) -> None:
    """Assign the profiles measured by a run to the version that it published, and delete those of old versions."""
    records.execute(
        "update ops.column_profile set version = (select max(version) from ops.publication where asset = %(asset)s)"
        " where asset = %(asset)s and run_id = %(run)s and version is null",
        {"asset": asset, "run": run_id},
    )
    records.execute(
        "delete from ops.column_profile where asset = %(asset)s and version not in (select version from ("
        "select distinct version from ops.column_profile where asset = %(asset)s and version is not null"
        " order by version desc limit %(kept)s) as kept)",
        {"asset": asset, "kept": profile.VERSIONS},
    )
    summaries.publish(records, asset, run_id)


def withdraw(records: Connection, asset: str, version: int) -> None:
    """Delete the profiles of the versions of a table after this one."""
    records.execute("delete from ops.column_profile where asset = %s and version > %s", (asset, version))


@dataclass(frozen=True)
class _Columns:
    """The columns of a table, by how they can be profiled."""

    staged: StagedTable
    folder: Path

    def __iter__(self) -> Iterator[Column]:
        """Iterate over the informative columns: not a single-column key, a UUID or the modification date."""
        modified = self.staged.entry.modified
        for column in self.staged.columns:
            if column.name != modified and not column.is_guid and (column.name,) != self.staged.key:
                yield column

    def is_private(self, column: Column) -> bool:
        return column.name in self.staged.entry.personal or column.name in self.staged.entry.protected

    def can_be_category(self, column: Column) -> bool:
        """Return whether a column can be a category; a personal column cannot, because messages quote values."""
        short = not (column.is_hex or column.is_xml) and (column.longest or 0) <= LONGEST_CATEGORY
        continuous = isinstance(column.dtype, pl.Decimal | pl.Datetime | pl.Time)
        return short and not continuous and not self.is_private(column)

    def numbers(self) -> list[Column]:
        """Return amounts and quantities, without keys and references."""
        referring = {name for one in references(self.folder, self.staged.asset) for name in one.columns}
        excluded = {*referring, *self.staged.key}
        return [c for c in self if c.dtype.is_numeric() and c.name not in excluded and not c.name.endswith("ID")]

    def ordered_pairs(self) -> list[tuple[Column, Column]]:
        """Return pairs of amounts, or of dates, of the same type."""
        pairs = [*combinations(self.numbers(), 2), *combinations(self.dates(), 2)]
        return [(one, other) for one, other in pairs if type(one.dtype) is type(other.dtype)]

    def texts(self) -> list[Column]:
        """Return text columns, including codes, without keys."""
        texts = [c for c in self if c.dtype == pl.String and not (c.is_xml or c.is_hex)]
        return [c for c in texts if c.name not in self.staged.key]

    def dates(self) -> list[Column]:
        """Return dates that may have a time of day."""
        return [c for c in self if isinstance(c.dtype, pl.Datetime)]

    def zero_when_empty(self) -> set[str]:
        """Return the names of amounts that are zero when empty."""
        return {c.name for c in self if isinstance(c.dtype, pl.Decimal) and not c.nullable}

    def pairs(self) -> list[tuple[Column, Column]]:
        """Return all pairs of columns of the same type, which could contain each other's values."""
        own = [c for c in self if c.name not in self.staged.key and not (c.is_hex or c.is_xml)]
        return [(one, other) for one, other in combinations(own, 2) if type(one.dtype) is type(other.dtype)]


class _Change:
    """One staged table, and how it differs from its published rows."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        staged: StagedTable,
        batch: Mapping[str, StagedTable],
        lost_limit: float,
    ) -> None:
        self.session = session
        self.batch = batch
        self.data = session.data
        self.records = session.records
        self.lost_limit = lost_limit
        self.staged = staged
        self.entry = staged.entry
        self.columns = _Columns(staged, folder)
        self.key = staged.key
        self.published = staged.published
        self.candidate = staged.candidate
        self.changed = staged.changed
        self.history = self._recorded_profiles()
        self.has_profiles = bool(self.history)
        self.changed_count, self.inserted_count = self._numbers(
            f"select count(*), sum(case when p.{quoted(self.key[0])} is null then 1 else 0 end)"
            f" from {self.changed} as r left join {self.published} as p on {equal(self.key, 'r', 'p')}"
        )
        self.published_count = published_rows(session, staged)
        same_key = equal(self.key, "g", "p")
        self.vanished = f"(select p.* from {self.published} as p join {staged.gone} as g on {same_key})"
        self.vanished_count = count(self.data, staged.gone)
        self.summary: tuple[int, Groups] | None = None
        """The published version and the groups of the candidate, of a table that is too large to measure each time."""

    @property
    def updated_count(self) -> int:
        """The number of published rows that change."""
        return self.changed_count - self.inserted_count

    @property
    def changes_little(self) -> bool:
        """Whether few rows of a large table change."""
        return self.published_count > SMALL and self.changed_count < MUCH * self.published_count

    def outcomes(self) -> Iterator[CheckOutcome]:
        """Yield one outcome for each rule with findings."""
        by_rule: dict[ShapeRule, list[Finding]] = {}
        for finding in self.findings():
            by_rule.setdefault(finding.rule, []).append(finding)
        for rule, found in by_rule.items():
            found.sort(key=lambda one: (one.outcome != "fail", -(one.failed or 0)))
            more = f"; and {len(found) - MESSAGES} more" if len(found) > MESSAGES else ""
            message = "; ".join(one.message for one in found[:MESSAGES]) + more + "."
            failed = found[0].failed
            yield CheckOutcome(self.staged.asset, rule, found[0].outcome, failed, message, (), _DIMENSIONS[rule])

    def findings(self) -> Iterator[Finding]:
        """Yield what is new about the change compared with earlier versions; nothing if nothing is published yet."""
        if not self.published_count or not (self.changed_count or self.vanished_count):
            return
        if not self.history:
            self.history = {one.column: [one] for one in self._profiles(self.published)}
        if self.vanished_count >= profile.NOTICED:
            yield from self._vanished_findings()
        if not self.changed_count:
            return
        changed = self._groups(self.changed)
        published = self._published_groups(changed)
        paired = self._paired() if self.updated_count >= 3 else None
        emptied = self._emptied_findings(published, changed, paired)
        yield from emptied.values()
        if paired:
            yield from self._update_findings(published, changed, paired, emptied.keys())
        yield from profile.mirrored(published, changed, self._distances)
        if self.changed_count >= profile.NOTICED and self.columns.dates():
            yield from profile.times_of_day(self._times(self.published), self._times(self.changed))
        integers = frozenset(c.name for c in self.columns if c.dtype.is_integer())
        for leap in profile.leaps(published, changed, integers):
            shown = leap.column not in self.entry.personal
            finding = profile.leap_finding(leap, self._count_of(leap), shown=shown)
            if finding:
                yield finding
        if self.inserted_count:
            yield from self._duplicated()
            yield from self._silent_findings()

    def keep_profiles(self, run_id: str) -> None:
        """Profile the candidate for its future version, if that is cheap or much of it changed."""
        asset = self.staged.asset
        self.records.execute("delete from ops.column_profile where asset = %s and version is null", (asset,))
        if self.changes_little and self.has_profiles:
            return
        records = [{**asdict(one), "shares": json.dumps(dict(one.shares))} for one in self._profiles(self.candidate)]
        self.records.execute(
            "insert into ops.column_profile (asset, run_id, column_name, rows, nulls, blanks, distinct_values, least,"
            " most, mean, spread, shares) select %s, %s, p.* from jsonb_to_recordset(%s::jsonb) as p"
            ' ("column" varchar, rows bigint, nulls bigint, blanks bigint, "distinct" bigint, least varchar,'
            " most varchar, mean float8, spread float8, shares varchar)",
            (asset, run_id, json.dumps(records)),
        )

    def keep_summary(self, run_id: str) -> None:
        """Store the groups of the candidate for its future version."""
        if self.summary is not None:
            version, groups = self.summary
            summaries.store(self.records, self.staged.asset, run_id, version, self._summarized(), groups)

    def _published_groups(self, changed: Groups) -> Groups:
        """Return the groups of the published rows; of a large table, from its summary if there is one.

        Ranges of private numbers are not stored.
        """
        is_private = any(self.columns.is_private(column) for column in self.columns.numbers())
        if not self.changes_little or is_private or not proofs.are_possible(self.session):
            return self._groups(self.published)
        asset = self.staged.asset
        # Read before the rows: if both change in the meantime, the summary is not used.
        version = publication.newest_versions(self.records, [asset]).get(asset, 0)
        stored = summaries.stored(self.records, asset, version, self._summarized())
        published = self._groups(self.published) if stored is None else stored
        removed: Groups = {}
        if self.updated_count or self.vanished_count:
            removed = self._groups(f"(select p.* from {self.published} as p where {self.staged.replaced})")
        groups = summaries.changed(published, removed, changed)
        self.summary = None if groups is None else (version, groups)
        return published

    def _summarized(self) -> str:
        """Return a digest of what the groups of this table contain."""
        measured = [self.columns.numbers(), *self.columns.ordered_pairs()]
        contents = [self._segments(MOST_CATEGORIES), *([column.name for column in part] for part in measured)]
        text = json.dumps([digest_of_columns(self.entry), MOST_CATEGORIES, *contents])
        return hashlib.sha256(text.encode()).hexdigest()

    def _recorded_profiles(self) -> dict[str, list[Profile]]:
        """Return the profiles of the last versions by column, newest first."""
        rows = self.records.execute(
            "select column_name, rows, nulls, blanks, distinct_values, least, most, mean, spread, shares"
            " from ops.column_profile where asset = %s and version is not null order by version desc",
            (self.staged.asset,),
        ).fetchall()
        found: dict[str, list[Profile]] = {}
        for *measured, shares in rows:
            found.setdefault(measured[0], []).append(replace(Profile(*measured), shares=json.loads(shares)))
        return {column: versions[: profile.VERSIONS] for column, versions in found.items()}

    def _segments(self, most: int) -> list[str]:
        """Return the columns that divide the table into at most `most` segments, based on the last version."""
        found = []
        for column in self.columns:
            versions = self.history.get(column.name)
            last = versions[0] if versions else None
            if last and last.distinct and last.distinct <= min(most, max(2, last.rows // 10)):
                found.append(column.name)
        return found

    def _numbers(self, query: str, parameters: Any = None) -> tuple[int, ...]:
        row = self.data.execute(query, parameters).fetchone()
        return tuple(int(value or 0) for value in row or ())

    def _profiles(self, relation: str) -> list[Profile]:
        """Profile all columns in one scan, and the shares of columns with few values in another."""
        columns = list(self.columns)
        parts = ["count(*)"]
        for column in columns:
            name = quoted(column.name)
            public = not self.columns.is_private(column)
            number = public and column.dtype.is_numeric()
            ordered = public and column.dtype != pl.Boolean and not (column.is_hex or column.is_xml)
            double = f"cast({name} as double precision)"
            parts += [
                f"sum(case when {name} is null then 1 else 0 end)",
                f"sum(case when {_filled(column)} then 0 else 1 end)",
                f"count(distinct {name})" if self.columns.can_be_category(column) else "null",
                f"cast(min({name}) as varchar)" if ordered else "null",
                f"cast(max({name}) as varchar)" if ordered else "null",
                f"avg({double})" if number else "null",
                f"stddev_pop({double})" if number else "null",
            ]
        row = self.data.execute(f"select {', '.join(parts)} from {relation} as t").fetchone() or ()
        rows, found = int(row[0] or 0), []
        for place, column in enumerate(columns):
            nulls, blanks, distinct, least, most, mean, spread = row[1 + 7 * place : 8 + 7 * place]
            counted = None if distinct is None else int(distinct)
            found.append(
                Profile(
                    column.name,
                    rows,
                    int(nulls or 0),
                    int(blanks or 0),
                    counted,
                    least,
                    most,
                    _float(mean),
                    _float(spread),
                )
            )
        return self._with_shares(relation, found)

    def _with_shares(self, relation: str, profiles: list[Profile]) -> list[Profile]:
        divided = [one.column for one in profiles if one.rows and one.distinct and one.distinct <= FEW_CATEGORIES]
        shares: dict[str, dict[str, float]] = {name: {} for name in divided}
        total = profiles[0].rows if profiles else 0
        for name, value, rows in self._counts(relation, divided):
            if value is not None:
                shares[name][value] = round(rows / total, 6)
        return [replace(one, shares=shares.get(one.column, {})) for one in profiles]

    def _counts(self, relation: str, segments: Sequence[str], by: str = "") -> Iterator[tuple[Any, ...]]:
        """Yield row counts as (column, value, rows), preceded by the value of the expression `by` if it is given."""
        if not segments:
            return
        first = [by] if by else []
        sets = ", ".join(f"({', '.join([*first, quoted(name)])})" for name in segments)
        query = (
            f"select {', '.join([*first, *_grouping(segments)])}, count(*) from {relation} as t group by grouping sets"
            f" ({sets})"
        )
        for row in self.data.execute(query):
            *front, rows = row
            name, value = _segment(segments, front[len(first) :])
            yield (*front[: len(first)], name, value, int(rows))

    def _groups(self, relation: str) -> Groups:
        """Measure in one scan filled values, ranges and comparisons of columns, in total and by segment.

        The rows are summarized by all segments together first. There are few such combinations, so that it costs little
        to summarize them again by each segment.
        """
        segments, columns = self._segments(MOST_CATEGORIES), list(self.columns)
        numbers, pairs = self.columns.numbers(), self.columns.ordered_pairs()
        # Each part: the aggregate over rows, and the one over its results.
        parts = [("count(*)", "sum")]
        parts += [(f"count(case when {_filled(column)} then 1 end)", "sum") for column in columns]
        for column in numbers:
            positive = f"case when {quoted(column.name)} > 0 then {quoted(column.name)} end"
            # Cast afterwards, because PostgreSQL converts a decimal by way of text.
            parts += [(f"cast({most}({positive}) as double precision)", most) for most in ("min", "max")]
        for one, other in pairs:
            a, b = quoted(one.name), quoted(other.name)
            parts += [(_counted(f"{a} > {b}"), "sum"), (_counted(f"{a} < {b}"), "sum")]
        by = [quoted(name) for name in segments]
        inner = ", ".join([*by, *(f"{part} as part_{place}" for place, (part, _) in enumerate(parts))])
        summaries = f"select {inner} from {relation} as t{' group by ' if by else ''}{', '.join(by)}"
        front = _grouping(segments)
        outer = ", ".join([*front, *(f"{total}(part_{place})" for place, (_, total) in enumerate(parts))])
        sets = ", ".join(["()", *(f"({name})" for name in by)])
        query = f"select {outer} from ({summaries}) as t group by grouping sets ({sets})"
        groups = {}
        for row in self.data.execute(query):
            segment, value = _segment(segments, row[: len(front)])
            rows, *measured = row[len(front) :]
            filled = {c.name: int(n or 0) for c, n in zip(columns, measured, strict=False)}
            ranges = measured[len(columns) :]
            values = {name: Values(count) for name, count in filled.items()}
            for place, column in enumerate(numbers):
                least, most = ranges[2 * place : 2 * place + 2]
                values[column.name] = Values(filled[column.name], _float(least), _float(most))
            compared = ranges[2 * len(numbers) :]
            orders = {
                (one.name, other.name): Order(int(larger or 0), int(smaller or 0))
                for (one, other), larger, smaller in zip(pairs, compared[::2], compared[1::2], strict=True)
            }
            groups[segment, value] = Group(segment, value, int(rows or 0), values, orders)
        return groups

    def _distances(self, one: str, other: str) -> tuple[Distance, Distance]:
        """Return how far apart two numbers or dates are, in the published and in the changed rows."""
        a, b = quoted(one), quoted(other)
        is_number = next(column for column in self.columns if column.name == one).dtype.is_numeric()
        ratio = f"ln(cast({a} as double precision) / cast({b} as double precision))"
        days = f"cast(cast({a} as date) - cast({b} as date) as double precision)"
        distance = f"case when {a} > 0 and {b} > 0 then {ratio} end" if is_number else days

        def of(relation: str) -> Distance:
            row = self.data.execute(f"select avg({distance}) from {relation} as t").fetchone()
            mean = _float(row[0] if row else None) or 0.0
            return Distance(log_ratio=mean) if is_number else Distance(days=mean)

        return of(self.published), of(self.changed)

    def _emptied_findings(self, published: Groups, changed: Groups, paired: Paired | None) -> dict[str, Finding]:
        """Return a finding for each column that is newly empty, the certain one if there is one."""
        quantities = {column.name for column in self.columns.numbers()}
        found: dict[str, Finding] = {}
        if paired:
            found |= profile.emptied_by_updates(paired, self.history, self.columns.zero_when_empty(), quantities)
        blankable = [c.name for c in self.columns if not isinstance(c.dtype, pl.Datetime | pl.Time | pl.Date)]
        whole = self.updated_count >= 0.9 * self.published_count
        for emptied in profile.emptied(blankable, published, changed):
            column = emptied.column
            if (column in found and found[column].outcome == "fail") or profile.is_explained(
                emptied, self._cells(emptied)
            ):
                continue
            found[column] = profile.emptied_finding(
                emptied,
                self.history.get(column, ()),
                cleared=paired.emptied.get(column, 0) if paired else 0,
                whole=whole
                and (self.changed_count >= profile.CERTAINLY_EMPTY or column not in self.columns.zero_when_empty()),
            )
        return found

    def _update_findings(
        self, published: Groups, changed: Groups, paired: Paired, empty: Collection[str]
    ) -> Iterator[Finding]:
        """Yield findings that need rows before and after; columns known to be empty get no further finding."""
        yield from profile.exchanged(paired, self.published_count)
        yield from profile.rewritten(paired)
        yield from profile.scaled(paired, self._distinct)
        for column in profile.may_have_moved(paired):
            finding = profile.moved(paired, column, *self._moved_values(column))
            if finding:
                yield finding
        filled = {name: values.filled for name, values in published["", None].values.items()}
        quantities = {column.name for column in self.columns.numbers()}
        yield from profile.collapsed(paired, filled, self._rows_with_new_value, quantities)
        # A quantity or a status may legitimately change in many rows, unless it always had the same value.
        numbers = {c.name for c in self.columns.numbers() if not self._is_constant(c.name)}
        few = [name for name in self._segments(FEW_CATEGORIES) if name not in {*empty, *numbers}]
        before = f"(select p.* from {self.published} as p join {self.changed} as r on {equal(self.key, 'r', 'p')})"
        moved = {(name, value): rows for name, value, rows in self._counts(before, few)}
        yield from profile.vanished(published, moved, changed, few)

    def _vanished_findings(self) -> Iterator[Finding]:
        """Yield findings about rows that vanish without a counterpart in the table's archive."""
        if self.entry.month is None:
            candidate = self.published_count - self.vanished_count + self.inserted_count
            yield from profile.shrunk(self.published_count, candidate, self.lost_limit)
        gone = self.vanished
        if self.entry.archive:
            archive = table("staging", self.entry.archive)
            match = equal(self.key, "a", "v")
            gone = f"(select v.* from {gone} as v where not exists (select 1 from {archive} as a where {match}))"
        yield from profile.cleared(
            self._rows_of_segments(self.published),
            self._rows_of_segments(self.candidate),
            self._rows_of_segments(gone),
            self.published_count,
        )

    def _rows_of_segments(self, relation: str) -> dict[tuple[str, str | None], int]:
        """Count rows by category, by day, and by empty column."""
        numbers = {column.name for column in self.columns.numbers()}
        few = [name for name in self._segments(FEW_CATEGORIES) if name not in numbers]
        rows = {(name, value): count for name, value, count in self._counts(relation, few)}
        nullable = [c for c in self.columns if c.nullable and c.name not in few]
        if nullable:
            sums = [f"sum(case when {quoted(c.name)} is null then 1 else 0 end)" for c in nullable]
            empty = self._numbers(f"select {', '.join(sums)} from {relation} as t")
            rows |= {(column.name, None): count for column, count in zip(nullable, empty, strict=True)}
        month = self.entry.month
        if month and not month.parent:
            day = f"cast({quoted(month.column)} as date)"
            first = f"(select min({day}) from {self.candidate})"
            # The oldest days may vanish together, because the source keeps a limited number of days.
            found = self.data.execute(
                f"select {day}, count(*) from {relation} as t where {day} >= {first} group by {day}"
            )
            rows |= {(month.column, str(of_day)): int(count) for of_day, count in found}
        return rows

    def _times(self, relation: str) -> dict[str, profile.Times]:
        names_of = [column.name for column in self.columns.dates()]
        parts = []
        for name in map(quoted, names_of):
            timed = f"{name} <> cast(cast({name} as date) as timestamp)"
            parts += [f"count({name})", f"sum(case when {timed} then 1 else 0 end)"]
        counts = self._numbers(f"select {', '.join(parts)} from {relation} as t")
        return {
            name: profile.Times(filled, timed)
            for name, filled, timed in zip(names_of, counts[::2], counts[1::2], strict=True)
        }

    def _distinct(self, column: str) -> int:
        """Return the number of distinct values of a column in the published rows."""
        return self._numbers(f"select count(distinct {quoted(column)}) from {self.published} as t")[0]

    def _moved_values(self, column: str) -> tuple[int, ...]:
        """Return the number of distinct values of updated rows, and of rows whose value none of them had before."""
        join = f"{self.changed} as r join {self.published} as p on {equal(self.key, 'r', 'p')}"
        both = " union all ".join(
            f"(select {side}.{quoted(column)} as of_column, {sign} as side from {join})"
            for side, sign in (("p", 1), ("r", -1))
        )
        by_value = f"(select of_column, sum(side) as surplus from ({both}) as b group by of_column)"
        over = "sum(case when surplus > 0 then surplus else 0 end)"
        return self._numbers(f"select count(of_column), {over} from {by_value} as v")

    def _is_constant(self, column: str) -> bool:
        """Return whether a column had a single value in the last version."""
        versions = self.history.get(column)
        return versions is not None and versions[0].distinct == 1

    def _rows_with_new_value(self, column: str) -> int:
        """Count the published rows whose value of a column is one that updated rows have now."""
        (rows,) = self._numbers(
            f"select count(*) from {self.published} as t where t.{quoted(column)} in (select r.{quoted(column)}"
            f" from {self.changed} as r join {self.published} as p on {equal(self.key, 'r', 'p')})"
        )
        return rows

    def _paired(self) -> Paired:
        columns, pairs = [c for c in self.columns if c.name not in self.key], self.columns.pairs()
        texts = self.columns.texts()
        countable = [c for c in columns if (self.columns.can_be_category(c) or c in texts) and c.dtype != pl.Boolean]
        divided = [c.name for c in countable]
        amounts = [c.name for c in self.columns.numbers()]
        compared = [c.name for c in columns if c.dtype != pl.Boolean and not (c.is_xml or c.dtype.is_temporal())]
        parts = ["count(*)"]
        for column in columns:
            was = _filled(column, "p")
            parts.append(f"sum(case when {was} then 1 else 0 end)")
            parts.append(f"sum(case when {was} and not coalesce({_filled(column, 'r')}, false) then 1 else 0 end)")
        for one, other in pairs:
            a, b = quoted(one.name), quoted(other.name)
            parts.append(f"sum(case when r.{a} = p.{b} and r.{b} = p.{a} and p.{a} <> p.{b} then 1 else 0 end)")
            parts.append(f"sum(case when p.{a} <> p.{b} then 1 else 0 end)")
        for name in divided:
            # Zeros do not count: all stock may legitimately be used up.
            values = [
                f"nullif({side}.{quoted(name)}, 0)" if name in amounts else f"{side}.{quoted(name)}" for side in "pr"
            ]
            parts += [f"count(distinct {value})" for value in values]
        parts += [_counted(f"r.{quoted(name)} <> p.{quoted(name)}") for name in compared]
        parts += [_counted(way) for column in texts for way in _text_changes(column.name).values()]
        parts += [_counted(factor) for name in amounts for factor in _factors(name).values()]
        rows, *found = self._numbers(
            f"select {', '.join(parts)} from {self.changed} as r join {self.published} as p"
            f" on {equal(self.key, 'r', 'p')}"
        )
        measured = iter(found)

        def by(*keys: str) -> dict[str, int]:
            return {key: next(measured) for key in keys}

        own, crossed = list(islice(measured, 2 * len(columns))), list(islice(measured, 2 * len(pairs)))
        kinds = list(islice(measured, 2 * len(divided)))
        both = [(one.name, other.name) for one, other in pairs]
        return Paired(
            rows,
            filled=dict(zip([c.name for c in columns], own[::2], strict=True)),
            emptied=dict(zip([c.name for c in columns], own[1::2], strict=True)),
            swapped=dict(zip(both, crossed[::2], strict=True)),
            swappable=dict(zip(both, crossed[1::2], strict=True)),
            kinds=dict(zip(divided, zip(kinds[::2], kinds[1::2], strict=True), strict=True)),
            altered=by(*compared),
            rewritten={column.name: by(*_text_changes(column.name)) for column in texts},
            scaled={name: by(*_factors(name)) for name in amounts},
        )

    def _cells(self, found: Emptied) -> list[Cell]:
        """Count published and newly blank rows of an emptied segment by each column that could explain the blanks."""
        column = next(c for c in self.columns if c.name == found.column)
        others = [n for n in self._segments(MOST_CATEGORIES) if n not in (found.column, found.group.segment)]
        dates = [c.name for c in self.columns if c.nullable and isinstance(c.dtype, pl.Datetime)]
        if not others and not dates:
            return []
        within, parameters = _group_condition(found.group)
        inner = [f"cast({quoted(n)} as varchar) as {quoted(n)}" for n in others]
        inner += [f"case when {quoted(n)} is null then 'empty' else 'given' end as {quoted(n)}" for n in dates]
        inner.append(f"case when {_filled(column)} then 0 else 1 end as is_blank")
        both = [*others, *dates]
        sets = ", ".join(f"({quoted(name)})" for name in both)

        def by_value(relation: str) -> dict[tuple[str, str | None], tuple[int, int]]:
            query = (
                f"select {', '.join(_grouping(both))}, count(*), sum(t.is_blank) from (select {', '.join(inner)}"
                f" from {relation} as t where {within}) as t group by grouping sets ({sets})"
            )
            rows = self.data.execute(query, parameters).fetchall()
            return {_segment(both, row[:-2]): (int(row[-2]), int(row[-1] or 0)) for row in rows}

        before, now = by_value(self.published), by_value(self.changed)
        return [
            Cell(name, *before.get((name, value), (0, 0)), emptied=blanks, novel=value is not None)
            for (name, value), (_, blanks) in now.items()
        ]

    def _count_of(self, leap: Leap) -> int:
        within, parameters = _group_condition(leap.group)
        value = f"cast({quoted(leap.column)} as double precision)"
        beyond = ">=" if leap.value > leap.limit else "<="
        factor = profile.LEAP if leap.tight else profile.WIDE_LEAP
        limit = leap.limit * factor if leap.value > leap.limit else leap.limit / factor
        (rows,) = self._numbers(
            f"select count(*) from {self.changed} as t where {within} and {quoted(leap.column)} > 0"
            f" and {value} {beyond} cast(%(limit)s as double precision)",
            {**parameters, "limit": limit},
        )
        return rows

    def _duplicated(self) -> Iterator[Finding]:
        """Yield findings about new rows that repeat the content of another row under a new key."""
        content = self._content_columns() if self.inserted_count >= profile.NOTICED else []
        if not content:
            return
        # A row that vanishes may reappear under a new key, because a source that is refilled may renumber its rows.
        kept = (
            f"(select p.* from {self.published} as p where not exists (select 1 from {self.staged.gone} as g"
            f" where {equal(self.key, 'g', 'p')}))"
        )
        inserted = (
            f"(select r.* from {self.changed} as r where not exists (select 1 from {self.published} as p"
            f" where {equal(self.key, 'p', 'r')}))"
        )
        # Comparing rows as text allows a hash join, which is impossible on columns that may all be NULL. Only few rows
        # are converted to text: those that match a new row in the columns that are never NULL.
        row, certain = _row_as_text(content), [c.name for c in content if not c.nullable]
        alike = f" where ({names(certain, 't')}) in (select {names(certain)} from {inserted} as i)" if certain else ""
        old = f"(select {row} as content from {kept} as t{alike})"
        new = f"(select {row} as content from {inserted} as t)"

        def common(one: str, other: str) -> int:
            where = f"exists (select 1 from {other} as b where b.content = a.content)"
            (rows,) = self._numbers(f"select count(*) from {one} as a where {where}")
            return rows

        (among,) = self._numbers(f"select count(*) - count(distinct n.content) from {new} as n")
        repeated = max(common(new, old), among)
        if repeated < 0.4 * self.inserted_count:
            return
        kept_count = count(self.data, f"{kept} as t")
        (usual,) = self._numbers(f"select count(*) - count(distinct {row}) from {self.published} as t")
        yield from profile.duplicated(
            self.inserted_count, repeated, kept_count, common(old, new), usual / self.published_count
        )

    def _content_columns(self) -> list[Column]:
        """Return the columns that do not identify a row: neither unique like the key nor derived from it."""
        identifying = set()
        if len(self.key) > 1:
            last = {name: versions[0] for name in self.key if (versions := self.history.get(name))}
            identifying = {name for name, one in last.items() if one.distinct == one.rows}
            # Those that are not profiled, such as dates, are counted now.
            if unknown := [name for name in self.key if name not in last or last[name].distinct is None]:
                counts = ", ".join(f"count(distinct {quoted(name)})" for name in unknown)
                total, *distinct = self._numbers(f"select count(*), {counts} from {self.published}")
                identifying |= {name for name, count in zip(unknown, distinct, strict=True) if count == total}
            if not identifying:
                return []
        elif texts := [c.name for c in self.columns if c.dtype == pl.String and c.name != self.key[0]]:
            key = f"'%' || cast({quoted(self.key[0])} as varchar)"
            sums = ", ".join(f"sum(case when {quoted(name)} like {key} then 1 else 0 end)" for name in texts)
            counts_of = self._numbers(f"select {sums} from {self.published}")
            identifying = {t for t, count in zip(texts, counts_of, strict=True) if count >= 0.9 * self.published_count}
        return [c for c in self.columns if c.name not in identifying]

    def _silent_findings(self) -> Iterator[Finding]:
        # Single quantities or statuses may stop occurring, but references, flags and codes should continue.
        numbers = {column.name for column in self.columns.numbers()}
        month, few = self.entry.month, [n for n in self._segments(FEW_CATEGORIES) if n not in numbers]
        if month is None or not few:
            return
        day = f"cast(d.{quoted(month.column)} as date)"
        if month.parent:
            parent, join = table("staging", month.parent), equal([str(month.parent_key)], "d", "x")
            dated = f"{self.candidate} as x join {parent} as d on {join}"
            if month.parent in self.batch:
                parent = self.batch[month.parent].candidate_of(str(month.parent_key), self.changed)
            dated_change = f"{self.changed} as x join {parent} as d on {join}"
        else:
            dated, dated_change = f"{self.candidate} as d", f"{self.changed} as d"
        row = self.data.execute(f"select max({day}) from {dated_change}").fetchone()
        newest: date | None = row[0] if row else None
        if newest is None:
            return
        span = max(length * (count + 1) for length, count in profile.WINDOWS)
        alias = "x" if month.parent else "d"
        recent = (
            f"(select {names(few, alias)}, {day} as of_day from {dated}"
            f" where d.{quoted(month.column)} >= cast('{newest - timedelta(days=span)}' as timestamp)"
            f" and d.{quoted(month.column)} < cast('{newest + timedelta(days=1)}' as timestamp))"
        )
        days: dict[str, dict[date, dict[str, int]]] = {name: {} for name in few}
        for of_day, name, value, rows in self._counts(recent, few, by="of_day"):
            if value is not None:
                days[name].setdefault(of_day, {})[value] = rows
        found: Days = days
        yield from profile.silent(found, newest)
        yield from profile.concentrated(found, newest)


def _filled(column: Column, alias: str = "t") -> str:
    """Return the condition that a value is not empty and not an amount of zero; it is NULL if the value is NULL.

    A quantity of zero counts as filled, since stock can run out.
    """
    name = f"{alias}.{quoted(column.name)}" if alias else quoted(column.name)
    if column.dtype == pl.String:
        return f"{name} <> ''"
    return f"{name} <> 0" if isinstance(column.dtype, pl.Decimal) else f"{name} is not null"


def _counted(condition: str) -> str:
    return f"sum(case when {condition} then 1 else 0 end)"


_PUNCTUATION = " \u00a0-_/()"


def _text_changes(name: str) -> dict[str, str]:
    """Return, by kind of change, the conditions that a program changed a text in an update."""
    old, new = f"p.{quoted(name)}", f"r.{quoted(name)}"
    mark = "chr(63)"
    simplified = [f"lower(translate({text}, '{_PUNCTUATION}', ''))" for text in (old, new)]
    return {
        profile.QUESTION_MARKS: f"length({new}) = length({old}) and replace({new}, {mark}, '') <> {new}"
        f" and replace({old}, {mark}, '') = {old}",
        profile.SHORTER: f"{new} <> '' and length({new}) < length({old}) and left({old}, length({new})) = {new}",
        profile.NO_ZEROS: f"{new} <> {old} and ltrim({old}, '0') = {new}",
        profile.REFORMATTED: f"{new} <> {old} and {' = '.join(simplified)}",
    }


def _factors(name: str) -> dict[str, str]:
    """Return the conditions that an update exactly multiplied or divided a number by a power of ten, by factor."""
    old, new = (f"cast({side}.{quoted(name)} as decimal(38, 6))" for side in "pr")
    conditions = {}
    for power in profile.POWERS:
        conditions[f"{power} times"] = f"{old} <> 0 and {new} = {old} * {power}"
        conditions[f"a {power}th of"] = f"{new} <> 0 and abs({old} - {new} * {power}) <= {power} * 0.00005"
    return conditions


def _grouping(segments: Sequence[str]) -> list[str]:
    """Return two columns for each segment: whether a result row belongs to it (0 if it does), and its value."""
    return [part for name in segments for part in (f"grouping({quoted(name)})", f"cast({quoted(name)} as varchar)")]


def _segment(segments: Sequence[str], row: Sequence[Any]) -> tuple[str, str | None]:
    for place, name in enumerate(segments):
        if row[2 * place] == 0:
            return name, row[2 * place + 1]
    return "", None


def _group_condition(group: Group) -> tuple[str, Mapping[str, Any]]:
    if not group.segment:
        return "true", {}
    if group.value is None:
        return f"{quoted(group.segment)} is null", {}
    return f"cast({quoted(group.segment)} as varchar) = %(value)s", {"value": group.value}


def _row_as_text(columns: Sequence[Column]) -> str:
    return " || '|' || ".join(f"coalesce(cast({quoted(c.name)} as varchar), '')" for c in columns)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
