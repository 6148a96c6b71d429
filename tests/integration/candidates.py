"""Candidates with a fault, and the results of their checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import psycopg
from pydantic import SecretStr

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.columns import columns_of
from adventureworks.gate.check_files import declared_rules
from adventureworks.gate.checks import CheckOutcome, run_checks
from adventureworks.settings import PROJECT_ROOT
from adventureworks.warehouse import layout
from adventureworks.warehouse.postgres import PostgresWarehouse, Records

SOURCE, MART = PROJECT_ROOT / "checks" / "source", PROJECT_ROOT / "checks" / "marts"
AS_OF = date(2014, 6, 30)


class Warehouse(NamedTuple):
    """A warehouse with the real data published and nothing staged."""

    url: str

    def check(self, *tables: str, folder: Path = SOURCE, **variables: str) -> list[CheckOutcome]:
        given = {"as_of": AS_OF.isoformat(), "declared_rules": declared_rules(PROJECT_ROOT / "checks")}
        for table in tables:
            given |= {f"least_rows_{table}": "0", f"stale_before_{table}": "0001-01-01 00:00:00"}
        return run_checks(PostgresWarehouse(Records(SecretStr(self.url))), folder, tables, given | variables)

    @contextmanager
    def candidate(self, table: str, select: str) -> Iterator[None]:
        """Replace the candidate view of a table by `select` within the context."""
        entry = SOURCE_TABLES.get(table) or MARTS[table]
        with psycopg.connect(self.url) as connection:
            connection.execute(f'create or replace view staging."{table}" as {select}')
        try:
            yield
        finally:
            with psycopg.connect(self.url) as connection:
                connection.execute(f'create or replace view staging."{table}" as {layout.published_rows(entry)}')

    def columns(self, table: str, **changed: str) -> str:
        """Return the columns of a table as SQL, some of them replaced by an expression."""
        entry = SOURCE_TABLES.get(table) or MARTS[table]
        names = [column.name for column in columns_of(entry)]
        return ", ".join(f'{changed[name]} as "{name}"' if name in changed else f'"{name}"' for name in names)


def broken(outcomes: Iterable[CheckOutcome]) -> dict[str, CheckOutcome]:
    """Return the outcomes that are not passes, by rule."""
    return {outcome.rule: outcome for outcome in outcomes if outcome.outcome != "pass"}
