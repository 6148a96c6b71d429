"""A business day's work on the database: reading, writing with the business time, and a record of what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import psycopg

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import key_of
from adventureworks.source.postgres_columns import quoted, relation
from adventureworks.source.sample.draw import Draw

Row = dict[str, Any]
Key = tuple[Any, ...]
Changes = dict[str, dict[Key, str]]
"""Per table the rows that differ from before, by key: `inserted`, `updated` or `deleted`."""

T = TypeVar("T")
_OPENS = time(8)
_TICK = timedelta(milliseconds=250)


def money(ten_thousandths: int) -> Decimal:
    """Dollars."""
    return Decimal(ten_thousandths).scaleb(-4)


def ten_thousandths(amount: Decimal) -> int:
    """A column of type money as a whole number."""
    return int(amount.scaleb(4))


class Dice:
    """Chance, one throw at a time."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def below(self, high: int) -> int:
        """A whole number from 0 to `high` − 1."""
        return int(self.draw.below(1, high)[0])

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, per_10000: int) -> bool:
        """True with the given share in ten-thousandths."""
        return self.below(10_000) < per_10000

    def one_of(self, choices: Sequence[T]) -> T:
        """One of these."""
        return choices[self.below(len(choices))]

    def some_of(self, choices: Sequence[T], number: int) -> list[T]:
        """At most `number` of these, each once."""
        return [choices[place] for place in self.draw.shuffled(len(choices))[:number].tolist()]

    def weighted(self, weights: Sequence[int]) -> int:
        """A position in `weights`, as often as its weight says."""
        return int(self.draw.index(1, weights)[0])

    def guid(self) -> str:
        """A uuid."""
        return str(self.draw.guids(1)[0].as_py())


class Journal:
    """What one day does. Each row that is written gets the business time as its modification date, later each time."""

    def __init__(self, connection: psycopg.Connection[Row], today: date, seed: int) -> None:
        self.today = today
        self.changes: Changes = {}
        self._connection = connection
        self._seed = seed
        self._now = datetime.combine(today, _OPENS)
        self._next_ids: dict[tuple[str, str], int] = {}

    @property
    def midnight(self) -> datetime:
        """The day as business dates have it."""
        return datetime.combine(self.today, time())

    @property
    def is_working_day(self) -> bool:
        """Monday to Friday."""
        return self.today.weekday() < 5

    def dice(self, purpose: str) -> Dice:
        """Chance for one purpose of this day."""
        return Dice(Draw(self._seed, f"{purpose} {self.today.isoformat()}"))

    def days_ago(self, days: int) -> datetime:
        """Midnight some days before."""
        return self.midnight - timedelta(days=days)

    def rows(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query; it orders them, or the day would depend on how the table lies on disk."""
        return self._connection.execute(query.encode(), values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """The only value of a query."""
        return next(iter(self.rows(query, *values)[0].values()))

    def next_id(self, asset: str, column: str) -> int:
        """The next free number."""
        place = (asset, column)
        if place not in self._next_ids:
            highest = self.value(f"select coalesce(max({quoted(column)}), 0) from {_name(asset)}")
            self._next_ids[place] = int(highest) + 1
        self._next_ids[place] += 1
        return self._next_ids[place] - 1

    def insert(self, asset: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """New rows; a modification date that they bring stays."""
        table = SOURCE_TABLES[asset]
        stamped = [{table.modified: self._tick(), **row} for row in rows]
        if not stamped:
            return
        names = list(stamped[0])
        statement = (
            f"insert into {_name(asset)} ({', '.join(map(quoted, names))}) values ({', '.join(['%s'] * len(names))})"
        )
        self._run(statement, [[row[name] for name in names] for row in stamped])
        for row in stamped:
            self._note(asset, tuple(row[name] for name in key_of(table)), "inserted")

    def update(self, asset: str, changes: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """Pairs of a row's key and its new values; all name the same columns."""
        table = SOURCE_TABLES[asset]
        stamped = [(key, {table.modified: self._tick(), **values}) for key, values in changes]
        if not stamped:
            return
        key_names, names = list(stamped[0][0]), list(stamped[0][1])
        settings = ", ".join(f"{quoted(name)} = %s" for name in names)
        condition = " and ".join(f"{quoted(name)} = %s" for name in key_names)
        self._run(
            f"update {_name(asset)} set {settings} where {condition}",
            [[*(values[name] for name in names), *(key[name] for name in key_names)] for key, values in stamped],
        )
        for key, _ in stamped:
            self._note(asset, tuple(key[name] for name in key_of(table)), "updated")

    def delete(self, asset: str, keys: Iterable[Mapping[str, Any]]) -> None:
        """Rows that go, by key."""
        listed = list(keys)
        names = list(key_of(SOURCE_TABLES[asset]))
        condition = " and ".join(f"{quoted(name)} = %s" for name in names)
        self._run(f"delete from {_name(asset)} where {condition}", [[key[name] for name in names] for key in listed])
        for key in listed:
            self._note(asset, tuple(key[name] for name in names), "deleted")

    def _run(self, statement: str, values: list[list[Any]]) -> None:
        if values:
            self._connection.cursor().executemany(statement.encode(), values)

    def _tick(self) -> datetime:
        self._now += _TICK
        return self._now

    def _note(self, asset: str, key: Key, event: str) -> None:
        note(self.changes, asset, key, event)


def note(changes: Changes, asset: str, key: Key, event: str) -> None:
    """Adds an event to what is known of a row: inserted and then deleted is no change at all."""
    known = changes.setdefault(asset, {})
    before = known.get(key)
    if before == "inserted" and event == "deleted":
        del known[key]
    elif before == "inserted":
        known[key] = "inserted"
    elif before == "deleted" and event == "inserted":
        known[key] = "updated"
    else:
        known[key] = event


def _name(asset: str) -> str:
    return relation(SOURCE_TABLES[asset])
