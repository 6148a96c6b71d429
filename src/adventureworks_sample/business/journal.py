"""Database access for a simulated day: reads, writes with the business time, and a record of the changed rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import psycopg

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import key_of
from adventureworks.postgres_sql import quoted
from adventureworks.source.postgres_columns import relation
from adventureworks_sample.draw import Draw

Row = dict[str, Any]
Key = tuple[Any, ...]
Changes = dict[str, dict[Key, str]]
"""Changed rows by table and key: `inserted`, `updated` or `deleted`."""

T = TypeVar("T")
_OPENING_TIME = time(8)
_TICK = timedelta(milliseconds=250)


def money(ten_thousandths: int) -> Decimal:
    """Return an amount in US dollars."""
    return Decimal(ten_thousandths).scaleb(-4)


def ten_thousandths(amount: Decimal) -> int:
    """Return the value of a money column as a whole number of ten-thousandths."""
    return int(amount.scaleb(4))


class Dice:
    """Random draws of single values."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def below(self, high: int) -> int:
        """Return a whole number from 0 to `high` − 1."""
        return int(self.draw.below(1, high)[0])

    def between(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, per_10000: int) -> bool:
        """Return True with the given probability in ten-thousandths."""
        return self.below(10_000) < per_10000

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.below(len(choices))]

    def some_of(self, choices: Sequence[T], number: int) -> list[T]:
        """Return up to `number` of the choices, each at most once."""
        return [choices[place] for place in self.draw.shuffled(len(choices))[:number].tolist()]

    def weighted(self, weights: Sequence[int]) -> int:
        """Return a position in `weights`, with a probability in proportion to its weight."""
        return int(self.draw.index(1, weights)[0])

    def guid(self) -> str:
        """Return a UUID."""
        return str(self.draw.guids(1)[0].as_py())


class Journal:
    """The reads and writes of one day. Each written row is stamped with a business time that increases every time."""

    def __init__(self, connection: psycopg.Connection[Row], today: date, seed: int) -> None:
        self.today = today
        self.changes: Changes = {}
        self._connection = connection
        self._seed = seed
        self._now = datetime.combine(today, _OPENING_TIME)
        self._next_ids: dict[tuple[str, str], int] = {}

    @property
    def midnight(self) -> datetime:
        """The day as a business date, at midnight."""
        return datetime.combine(self.today, time())

    @property
    def is_working_day(self) -> bool:
        """Whether the day is a Monday to Friday."""
        return self.today.weekday() < 5

    def dice(self, purpose: str) -> Dice:
        """Return independent random draws for one purpose on this day."""
        return Dice(Draw(self._seed, f"{purpose} {self.today.isoformat()}"))

    def days_ago(self, days: int) -> datetime:
        """Return midnight of an earlier day."""
        return self.midnight - timedelta(days=days)

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Return the rows of a query. It must sort them, or the day would depend on the physical order of the table."""
        return self._connection.execute(query.encode(), values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """Return the only value of a query."""
        return next(iter(self.rows(query, *values)[0].values()))

    def next_id(self, asset: str, column: str) -> int:
        """Return the next free id of a column."""
        place = (asset, column)
        if place not in self._next_ids:
            highest = self.value(f"select coalesce(max({quoted(column)}), 0) from {_name(asset)}")
            self._next_ids[place] = int(highest) + 1
        self._next_ids[place] += 1
        return self._next_ids[place] - 1

    def insert(self, asset: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows; a modification date that is given is kept."""
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
        """Update rows, given as pairs of key and new values; all pairs have the same columns."""
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
        """Delete rows by key."""
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
    """Record an event of a row, combined with earlier ones: a row inserted and then deleted has not changed."""
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
