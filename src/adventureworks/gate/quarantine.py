"""Reading the quarantine: which rows are set aside, by which rule. How they come and go: `warehouse/quarantine.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.errors import PlatformError

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was set aside; values as text, secret columns as the warehouse may hold them."""

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
    """How many rows of a table are set aside by one rule."""

    asset: str
    rule: str
    message: str
    rows: int
    first_seen: datetime
    last_seen: datetime


def rows(connection: Connection, table: str, limit: int = 20) -> list[QuarantinedRow]:
    """The rows of a table that are set aside, those of a blocked reading too, newest first.

    Raises PlatformError where there is no such table.
    """
    if table not in SOURCE_TABLES and table not in MARTS:
        raise PlatformError(f"There is no table {table}.", "See the tables: adventureworks status")
    query = (
        "select asset, row_key, rule, message, row_data, run_id, first_seen, last_seen from ops.quarantined_row"
        f" where asset = %s and status in ('open', 'blocked') order by last_seen desc, rule, row_key limit {int(limit)}"
    )
    return [_row(*found) for found in connection.execute(query.encode(), (table,)).fetchall()]


def summary(connection: Connection) -> list[QuarantineCount]:
    """The rows that are set aside, those of blocked readings too, counted by table and rule.

    Tables come by name, the rule with the most rows first.
    """
    query = (
        "select asset, rule, min(message) as message, count(*) as rows, min(first_seen) as first_seen,"
        " max(last_seen) as last_seen from ops.quarantined_row where status in ('open', 'blocked')"
        " group by asset, rule order by asset, rows desc, rule"
    )
    return [QuarantineCount(*found) for found in connection.execute(query).fetchall()]


def _row(
    asset: str, key: str, rule: str, message: str, data: str, run_id: str, first_seen: datetime, last_seen: datetime
) -> QuarantinedRow:
    return QuarantinedRow(asset, json.loads(key), rule, message, json.loads(data), run_id, first_seen, last_seen)
