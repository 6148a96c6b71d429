"""`adventureworks quarantine …`: show the rows that were set aside, and why."""

from __future__ import annotations

from collections.abc import Mapping

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli.output import console, moment, table
from adventureworks.cli.reading import reading
from adventureworks.errors import PlatformError
from adventureworks.gate import quarantine
from adventureworks.settings import Settings
from adventureworks.warehouse.state import is_laid_out

EMPTY = "There are no rows in quarantine."


def count(settings: Settings) -> None:
    """Print how many rows are set aside, by table and rule."""
    with reading(settings) as session:
        found = quarantine.summary(session.data) if is_laid_out(session.records) else []
    if not found:
        console().print(EMPTY)
        return
    rows = [(item.asset, item.rule, f"{item.rows:,}", moment(item.last_seen), item.message) for item in found]
    console().print(table(("table", "rule", "rows", "last seen", "message"), rows, right=("rows",)))
    console().print("Show the rows: adventureworks quarantine show TABLE")


def show(settings: Settings, name: str, limit: int) -> None:
    """Print a table's rows in quarantine. Raises `PlatformError` for an unknown table."""
    if name not in SOURCE_TABLES:
        raise PlatformError(f"There is no source table {name}.", "List the tables: adventureworks quarantine list")
    with reading(settings) as session:
        found = quarantine.rows(session.data, name, limit) if is_laid_out(session.records) else []
    out = console()
    if not found:
        out.print(f"{name}: {EMPTY.lower()}")
    for row in found:
        out.print(f"{_pairs(row.key)}  {row.rule}: {row.message}", markup=False, style="bold")
        out.print(f"  {_pairs(row.values)}", markup=False)


def _pairs(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {'null' if value is None else value}" for name, value in values.items())
