"""A session with the warehouse. It has two sides, and code names the side on which a statement runs.

`data` has the published tables, the candidates, and the quarantine with its rows (`ops.quarantined_row`). `records` has
all other tables of `ops`. They are one connection with PostgreSQL, and two databases with Snowflake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import polars as pl

from adventureworks.warehouse.dialect import Parameters

if TYPE_CHECKING:
    from adventureworks.warehouse.postgres import WarehouseConnection


Kind = Literal["table", "unlogged table", "view"]
"""A kind of relation. PostgreSQL empties an unlogged table when it crashes."""
Contents = list[int | str]
"""Row count and digest of a relation."""


class Rows(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """The number of rows that the statement changed."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None at the end."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all remaining rows."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class Data(Protocol):
    """The side with the data: what every engine offers. Statements are in PostgreSQL's dialect."""

    @property
    def target(self) -> str:
        """Where the tables are: the engine and the environment."""

    @property
    def enforces_keys(self) -> bool:
        """Whether the engine refuses rows that repeat the primary key of a table."""

    @property
    def digests_key_ranges(self) -> bool:
        """Whether the engine computes the digests of `adventureworks.key_ranges`, as a PostgreSQL source does."""

    def execute(self, query: str, parameters: Parameters = None, /) -> Rows:
        """Run a statement in the side's transaction, and return its rows."""

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run an INSERT for each row."""

    def frame(self, query: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a SELECT, with the types that `postgres.rows_of` describes."""

    def batches(self, query: str, most: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a SELECT in parts of at most `most` rows, so that memory stays bounded."""

    def frames(self, query: str, schema: Mapping[str, pl.DataType], most: int) -> Iterator[pl.DataFrame]:
        """Yield the rows of a SELECT with the columns of `schema`, in parts of at most `most` rows."""

    def fill(self, schema: str, name: str, frame: pl.DataFrame) -> None:
        """Append a frame to a table, in the side's transaction."""

    def contents(self, schema: str, name: str, columns: Iterable[str]) -> Contents:
        """Return row count and digest of a table or view. The digest does not depend on the order of the rows."""

    def written(self, schema: str, name: str, columns: Iterable[str]) -> Contents:
        """Return row count and digest of a table, which differ if other values of these columns were written."""

    def columns_in(self, schema: str) -> dict[str, set[str]]:
        """Return the columns of each table and view in a schema, as the contracts spell them."""

    def views_in(self, schema: str) -> set[str]:
        """Return the names of the views in a schema: in `raw` and `marts`, the assets of another environment."""

    def describe(self, schema: str, name: str, comment: str, columns: Mapping[str, str]) -> None:
        """Write the descriptions of a table and its columns to the warehouse, as comments."""

    def update_statistics(self, schema: str, name: str) -> None:
        """Update the planner's statistics of a table after a load, if the engine does not do so in time."""

    def avoid_nested_loops(self) -> None:
        """Let the planner join whole tables for the rest of the transaction, if it would rather join row by row."""

    def add_index(self, schema: str, name: str, columns: Sequence[str]) -> None:
        """Add an index to a table if it is missing and the engine has indexes."""

    def replace(self, kind: Kind, relation: str, definition: str, parameters: Parameters = None) -> None:
        """Create a table or view with this definition, in place of one of the same name."""

    def make_schemas(self, schemas: Iterable[str]) -> None:
        """Create the schemas that are missing."""

    def drop_schemas(self, schemas: Iterable[str]) -> None:
        """Drop the schemas of an environment and everything in them."""

    def environments(self) -> set[str]:
        """Return the names of the environments of which this side has schemas that this login may read."""

    def commit(self) -> None:
        """Commit the side's transaction."""

    def rollback(self) -> None:
        """Roll back the side's transaction."""


class Session:
    """A session with the warehouse, in a transaction on each side."""

    def __init__(self, data: Data, records: WarehouseConnection, *, commits_twice: bool = False) -> None:
        self.data = data
        self.records = records
        self.commits_twice = commits_twice
        """Whether data and records are in two databases, so that a process may die between the two commits."""

    def commit(self) -> None:
        """Commit both sides: first the data, then the records."""
        self.data.commit()
        self.records.commit()

    def rollback(self) -> None:
        """Roll back both sides to the last commit, except that tables and views created in Snowflake stay."""
        self.data.rollback()
        self.records.rollback()
