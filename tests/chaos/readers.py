"""Readers that query the published tables all the while, and a checker of what they saw.

Each version is recorded with a digest of its rows, in the transaction that publishes it. So every single read can be
compared with the versions: a mix of two versions has the digest of neither. As in Jepsen's checkers, the readers only
write down what they see, and the history is judged afterwards.
"""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import psycopg

from adventureworks.catalog import MARTS, SOURCE_TABLES, marts_of, unit_of
from tests.chaos.platform import read

PAUSE_SECONDS = (0.05, 0.3)
"""Least and greatest pause between two reads of a reader."""
MOST_IN_SNAPSHOT = 5
"""How many publish units a reader reads in one transaction."""


@dataclass(frozen=True)
class Seen:
    """The rows of the tables of one publish unit, as a reader saw them at one moment."""

    reader: str
    assets: tuple[str, ...]
    contents: tuple[tuple[int, str], ...]
    """By asset: number and digest of the rows."""
    versions: tuple[int, ...] | None = None
    """By asset: the version in the records at the same moment; None: the reader did not look."""


def unit_with(asset: str) -> tuple[str, ...]:
    """Return the assets that are published together with this one, including itself."""
    together = unit_of(asset) if asset in SOURCE_TABLES else {mart.name for mart in marts_of(MARTS[asset].dag)}
    return tuple(sorted(together))


class Reader(ABC, threading.Thread):
    """A user's tool with a connection of its own, which it opens again when it is lost."""

    def __init__(self, name: str, url: str, tables: Mapping[str, str], seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.seen: list[Seen] = []
        self.failure = ""
        """An error other than a lost connection."""
        self._url, self._tables, self._chance = url, tables, random.Random(seed)
        self._units = sorted({unit_with(asset) for asset in tables})
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, application_name=self.name) as connection:
                    while not self._end.wait(self._chance.uniform(*PAUSE_SECONDS)):
                        self.seen += self.read(connection)
            except psycopg.OperationalError:
                self._end.wait(PAUSE_SECONDS[1])
            except Exception as error:
                self.failure = f"{self.name}: {error!r}"
                return

    def stop(self) -> None:
        self._end.set()
        self.join()

    @abstractmethod
    def read(self, connection: psycopg.Connection) -> list[Seen]:
        """Read something and return what was there."""

    def any_unit(self) -> tuple[str, ...]:
        return self._chance.choice(self._units)

    def any_units(self) -> list[tuple[str, ...]]:
        return self._chance.sample(self._units, min(MOST_IN_SNAPSHOT, len(self._units)))

    def contents(self, connection: psycopg.Connection, asset: str) -> tuple[int, str]:
        return read(connection, self._tables[asset], asset)


class PlainReader(Reader):
    """Reads one table after another, each in a transaction of its own, as BI tools do."""

    def read(self, connection: psycopg.Connection) -> list[Seen]:
        return [Seen(self.name, (asset,), (self.contents(connection, asset),)) for asset in self.any_unit()]


class SnapshotReader(Reader):
    """Reads several publish units, and their versions in the records, in one repeatable-read transaction."""

    def read(self, connection: psycopg.Connection) -> list[Seen]:
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            newest: dict[str, int] = dict(
                connection.execute("select asset, max(version) from ops.publication group by asset").fetchall()
            )
            return [
                Seen(
                    self.name,
                    unit,
                    tuple(self.contents(connection, asset) for asset in unit),
                    tuple(newest[asset] for asset in unit),
                )
                for unit in self.any_units()
            ]


class JoiningReader(Reader):
    """Reads all tables of a publish unit with one statement, as a join does."""

    def read(self, connection: psycopg.Connection) -> list[Seen]:
        unit = self.any_unit()
        parts = [
            f'(select count(*) from {self._tables[asset]}."{asset}"), (select coalesce(sum(hash_record_extended(t, 0))'
            f"::varchar, '') from {self._tables[asset]}.\"{asset}\" as t)"
            for asset in unit
        ]
        row = connection.execute(f"select {', '.join(parts)}".encode()).fetchone()
        assert row is not None
        return [Seen(self.name, unit, tuple(zip(row[::2], row[1::2], strict=True)))]


READERS: tuple[type[Reader], ...] = (PlainReader, PlainReader, SnapshotReader, JoiningReader)


@dataclass(frozen=True)
class Version:
    """A version of an asset, and the rows that belong to it."""

    asset: str
    number: int
    content: tuple[int, str]
    transaction: str
    """Identifies the transaction that published it."""


def violations(seen: Sequence[Seen], published: Sequence[Version]) -> Iterator[str]:
    """Yield each observation that is not exactly one state of its unit, or is older than an earlier one of its reader.

    `published`: all versions in the order in which they were published; `seen`: each reader's observations in order.
    """
    states: dict[tuple[str, ...], list[dict[str, Version]]] = {}
    last: dict[tuple[str, tuple[str, ...]], int] = {}
    for one in seen:
        if one.assets not in states:
            states[one.assets] = _states(one.assets, published)
        known = states[one.assets]
        begin = last.get((one.reader, one.assets), 0)
        place = next((place for place in range(begin, len(known)) if _is(one, known[place])), None)
        if place is not None:
            last[one.reader, one.assets] = place
            continue
        shown = ", ".join(
            f"{asset} with {rows} rows" for asset, (rows, _) in zip(one.assets, one.contents, strict=True)
        )
        what = "an older state than before" if any(_is(one, state) for state in known[:begin]) else "a mix of versions"
        yield f"{one.reader} saw {what}: {shown}{f' as versions {one.versions}' if one.versions else ''}"


def _states(assets: tuple[str, ...], published: Sequence[Version]) -> list[dict[str, Version]]:
    """Return the states of a unit, by asset: one after each transaction, once every asset has a version."""
    own = [version for version in published if version.asset in assets]
    state: dict[str, Version] = {}
    found = []
    for _, together in groupby(own, key=lambda version: version.transaction):
        state = {**state, **{version.asset: version for version in together}}
        if len(state) == len(assets):
            found.append(state)
    return found


def _is(one: Seen, state: Mapping[str, Version]) -> bool:
    return all(state[asset].content == content for asset, content in zip(one.assets, one.contents, strict=True)) and (
        one.versions is None or one.versions == tuple(state[asset].number for asset in one.assets)
    )
