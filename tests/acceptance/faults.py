"""Random realistic faults in a mart, such as a wrong join, a wrong month or a stale column would cause.

The generator uses only the mart's contract, so it also covers new marts and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

import polars as pl

from adventureworks.catalog import Mart
from adventureworks.columns import Column, columns_of, key_of
from adventureworks.postgres_sql import quoted

MAX_VALUES = 60
"""A column with more distinct values than this is not used as a dimension."""


@dataclass(frozen=True)
class Fault:
    """Statements that change a table `candidate`, and a description of the change."""

    kind: str
    words: str
    statements: tuple[str, ...]


class Faults:
    """Faults of one mart. `rows` are its published rows; the same seed yields the same faults."""

    def __init__(self, mart: Mart, rows: pl.DataFrame, seed: int) -> None:
        self._mart, self._rows = mart, rows
        self._random = Random(f"{mart.name} {seed}")
        self._key = key_of(mart)
        self._columns = {column.name: column for column in columns_of(mart)}
        self._distinct = {name: rows[name].drop_nulls().unique().sort() for name in self._columns}
        self._measures = [c.name for c in self._columns.values() if c.dtype.is_numeric() and not self._names(c)]
        self._labels = [name for name, c in self._columns.items() if self._names(c) and self._varies(name)]
        self._small = [
            name
            for name in self._columns
            if 1 < self._distinct[name].len() <= MAX_VALUES and name not in self._measures
        ]
        self._months = [name for name, c in self._columns.items() if c.dtype == pl.Date and self._varies(name)]

    def sample(self) -> Iterator[Fault]:
        """Yield an endless sequence of faults, with an equal share of each kind."""
        kinds: list[Callable[[], Fault | None]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("_fault_")
        ]
        while True:
            self._random.shuffle(kinds)
            for kind in kinds:
                if fault := kind():
                    yield fault

    def _names(self, column: Column) -> bool:
        """Return whether a column identifies or labels something: a label, a key, a flag."""
        return (not column.dtype.is_numeric() and column.dtype != pl.Date) or column.name.endswith(
            ("_id", "_score", "horizon", "fiscal_year", "months_since", "rank")
        )

    def _varies(self, name: str) -> bool:
        return self._distinct[name].len() > 1

    def _some(self, names: list[str]) -> str | None:
        return self._random.choice(names) if names else None

    def _row(self, where: pl.Expr | None = None) -> dict[str, Any]:
        rows = self._rows if where is None else self._rows.filter(where)
        return rows.row(self._random.randrange(rows.height), named=True)

    def _is(self, row: dict[str, Any], names: tuple[str, ...]) -> str:
        return " and ".join(
            f"{quoted(name)} {'is null' if row[name] is None else f'= {_literal(row[name])}'}" for name in names
        )

    def _segment(self, but: str = "", one_row: bool = True) -> str:
        """Return a condition for one row, or for all rows with a value of a dimension, in one month or in all."""
        row = self._row()
        dimensions = [name for name in self._small if name != but and row[name] is not None]
        months = [name for name in self._months if name != but and row[name] is not None]
        kind = self._random.randrange(4)
        if (kind == 0 and one_row) or not (dimensions or months):
            return self._is(row, self._key)
        chosen = [self._random.choice(dimensions)] if dimensions else []
        if months and (kind == 1 or not chosen):
            month = self._random.choice(months)
            if month not in chosen:
                chosen.append(month)
        return self._is(row, tuple(chosen))

    def _update(self, kind: str, name: str, value: str, where: str) -> Fault:
        column = quoted(name)
        statement = f"update candidate set {column} = {value} where {where}"
        return Fault(kind, f"{name} := {value} where {where}", (statement,))

    def _fault_two_values_swapped(self) -> Fault | None:
        name = self._some(self._labels)
        if name is None:
            return None
        one, other = (_literal(value) for value in self._random.sample(self._distinct[name].to_list(), 2))
        where = f"{quoted(name)} in ({one}, {other})"
        if self._months and self._random.random() < 0.5:
            month = self._random.choice(self._months)
            row = self._row(pl.col(name).cast(pl.String).is_in([one.strip("'"), other.strip("'")]))
            where += f" and {self._is(row, (month,))}"
        return self._update(
            "two values swapped", name, f"case when {quoted(name)} = {one} then {other} else {one} end", where
        )

    def _fault_a_label_changed(self) -> Fault | None:
        name = self._some([name for name in self._labels if name not in self._key])
        if name is None:
            return None
        value = _literal(self._random.choice(self._distinct[name].to_list()))
        return self._update("another label", name, value, self._segment(name))

    def _fault_one_label_throughout(self) -> Fault | None:
        name = self._some([name for name in self._labels if name not in self._key])
        if name is None:
            return None
        value = _literal(self._random.choice(self._distinct[name].to_list()))
        return self._update("one label throughout", name, value, "true")

    def _fault_a_month_shifted(self) -> Fault | None:
        dates = [name for name, column in self._columns.items() if column.dtype == pl.Date]
        name = self._some(dates)
        if name is None:
            return None
        months = self._random.choice([-12, -1, 1])
        where = self._segment() if self._random.random() < 0.5 else self._is(self._row(), (name,))
        return self._update("a date shifted", name, f"cast({quoted(name)} + interval '{months} month' as date)", where)

    def _fault_a_column_emptied(self) -> Fault | None:
        nullable = [name for name, column in self._columns.items() if column.nullable and self._distinct[name].len()]
        name = self._some(nullable or [name for name in self._columns if name not in self._key])
        return None if name is None else self._update("emptied", name, "null", self._segment(name))

    def _fault_a_measure_scaled(self) -> Fault | None:
        name = self._some(self._measures)
        if name is None:
            return None
        factor = self._random.choice(["1.1", "0.9", "2", "0.5"])
        return self._update("scaled", name, f"{quoted(name)} * {factor}", self._segment(name))

    def _fault_a_measure_wrong_throughout(self) -> Fault | None:
        name = self._some(self._measures)
        return None if name is None else self._update("scaled throughout", name, f"{quoted(name)} * 1.1", "true")

    def _fault_off_by_one(self) -> Fault | None:
        name = self._some([name for name in self._measures if self._columns[name].dtype.is_integer()])
        if name is None:
            return None
        return self._update(
            "off by one", name, f"{quoted(name)} {self._random.choice(['+', '-'])} 1", self._segment(name)
        )

    def _fault_rows_lost(self) -> Fault | None:
        where = self._segment()
        return Fault("rows lost", f"delete where {where}", (f"delete from candidate where {where}",))

    def _fault_rows_repeated(self) -> Fault | None:
        where = self._segment()
        return Fault(
            "rows repeated",
            f"repeat where {where}",
            (f"insert into candidate select * from candidate where {where}",),
        )

    def _fault_rows_of_another_key(self) -> Fault | None:
        """Replace the rows of one value of a key column with copies of another value's rows."""
        name = self._some([name for name in self._key if name in self._small])
        if name is None:
            return None
        one, other = (_literal(value) for value in self._random.sample(self._distinct[name].to_list(), 2))
        listed = ", ".join(quoted(column) for column in self._columns)
        copied = ", ".join(other if column == name else quoted(column) for column in self._columns)
        return Fault(
            "rows of another key",
            f"{name} {other} has the rows of {one}",
            (
                f"delete from candidate where {quoted(name)} = {other}",
                f"insert into candidate ({listed}) select {copied} from candidate where {quoted(name)} = {one}",
            ),
        )

    def _fault_an_amount_moved(self) -> Fault | None:
        """Move an amount from one row to another, so that the total stays the same."""
        name = self._some(self._measures)
        if name is None:
            return None
        one = self._row(pl.col(name).is_not_null()) if self._distinct[name].len() else None
        if one is None:
            return None
        other = self._row(pl.col(name).is_not_null())
        amount = f"greatest({quoted(name)} * 0.1, 1)" if one[name] > 1 else f"{quoted(name)} * 0.1"
        value = f"(select cast({amount} as numeric) from before where {self._is(one, self._key)})"
        if self._columns[name].dtype.is_integer():
            value = f"round({value})"
        column = quoted(name)
        return Fault(
            "an amount moved",
            f"{name} from {self._is(one, self._key)} to {self._is(other, self._key)}",
            (
                f"update candidate set {column} = {column} - {value} where {self._is(one, self._key)}",
                f"update candidate set {column} = {column} + {value} where {self._is(other, self._key)}",
            ),
        )

    def _fault_two_columns_exchanged(self) -> Fault | None:
        numeric = [name for name in self._measures if name not in self._key]
        pairs = [
            (one, other)
            for one in numeric
            for other in numeric
            if one < other and self._columns[one].dtype.is_integer() == self._columns[other].dtype.is_integer()
        ]
        if not pairs:
            return None
        one, other = self._random.choice(pairs)
        where = self._segment()
        return Fault(
            "two columns exchanged",
            f"{one} and {other} where {where}",
            (f"update candidate set {quoted(one)} = {quoted(other)}, {quoted(other)} = {quoted(one)} where {where}",),
        )

    def _fault_a_stale_value(self) -> Fault | None:
        """Give a column the value of the previous row, by key."""
        name = self._some([name for name in self._columns if name not in self._key and self._varies(name)])
        if name is None:
            return None
        keys = ", ".join(quoted(key) for key in self._key)
        where = self._segment(name)
        joined = " and ".join(f"candidate.{quoted(key)} = late.{quoted(key)}" for key in self._key)
        return Fault(
            "a stale value",
            f"{name} of the row before where {where}",
            (
                f"update candidate set {quoted(name)} = late.value from (select {keys}, lag({quoted(name)}) over"
                f" (order by {keys}) as value from before) as late where {joined} and late.value is not null"
                f" and ({' and '.join('candidate.' + part for part in where.split(' and '))})",
            ),
        )

    def _fault_a_wrong_denominator(self) -> Fault | None:
        """Replace the ratio of each of several rows with the mean of their ratios."""
        ratios = [
            name
            for name in self._measures
            if self._columns[name].dtype.is_decimal() and getattr(self._columns[name].dtype, "scale", 0) >= 10
        ]
        name = self._some(ratios)
        if name is None:
            return None
        where = self._segment(name, one_row=False)
        return self._update(
            "a wrong denominator",
            name,
            f"(select avg({quoted(name)}) from before where {where})",
            f"{quoted(name)} is not null and {where}",
        )


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return str(value).lower() if isinstance(value, bool) else str(value)
