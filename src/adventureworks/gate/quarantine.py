"""Reading the quarantine: which rows are set aside, and by which rule; `warehouse/quarantine.py` writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.errors import PlatformError
from adventureworks.warehouse.session import Data

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was set aside; values are text, secret columns are masked as the catalogue demands."""

    asset: str
    key: Mapping[str, str | None]
    rule: str
    message: str
    values: Mapping[str, str | None]
    run_id: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True)
class QuarantineCount:
    """The number of rows of a table that one rule sets aside."""

    asset: str
    rule: str
    message: str
    rows: int
    first_seen: datetime
    last_seen: datetime


def rows(data: Data, table: str, limit: int = 20) -> list[QuarantinedRow]:
    """Return the rows of a table that are set aside, including those of a blocked reading, newest first.

    Raises PlatformError if there is no such table.
    """
    if table not in SOURCE_TABLES and table not in MARTS:
        raise PlatformError(f"There is no table {table}.", "See the tables: adventureworks status")
    query = (
        "select asset, row_key, rule, message, row_data, run_id, first_seen, last_seen from ops.quarantined_row"
        f" where asset = %s and status in ('open', 'blocked') order by last_seen desc, rule, row_key limit {int(limit)}"
    )
    return [_row(*found) for found in data.execute(query, (table,)).fetchall()]


def summary(data: Data) -> list[QuarantineCount]:
    """Count the rows that are set aside, including those of blocked readings, by table and rule.

    Sorted by table, then by number of rows, largest first.
    """
    query = (
        "select asset, rule, min(message) as message, count(*) as rows, min(first_seen) as first_seen,"
        " max(last_seen) as last_seen from ops.quarantined_row where status in ('open', 'blocked')"
        " group by asset, rule order by asset, rows desc, rule"
    )
    return [QuarantineCount(*found) for found in data.execute(query).fetchall()]


def _row(
    asset: str, key: str, rule: str, message: str, data: str, run_id: str, first_seen: datetime, last_seen: datetime
) -> QuarantinedRow:
    return QuarantinedRow(asset, json.loads(key), rule, message, json.loads(data), run_id, first_seen, last_seen)
