"""The order in which records were written: by `number`, because the clock may step back."""

from __future__ import annotations

from adventureworks.warehouse.postgres import Connection, WarehouseConnection

NUMBER = "number"
_TIMES = {"change": "detected_at", "check_result": "checked_at", "publication": "published_at"}
"""The columns that ordered these records before they were numbered."""


def order_of(records: Connection, name: str) -> str:
    """Return the column that orders the records in `ops.name`; a command may read those of the previous release."""
    if isinstance(records, WarehouseConnection) and records.layout:
        # The layout of this release was found on this connection.
        return NUMBER
    columns = records.execute(f"select * from ops.{name} limit 0".encode()).description or ()
    return NUMBER if any(column.name == NUMBER for column in columns) else _TIMES[name]


def number_by_time(name: str) -> str:
    """Return SQL for the number of a record of the previous release in `ops.name`.

    It follows the record's time, in microseconds, and is below the numbers of all records that have one.
    """
    return f"(extract(epoch from {_TIMES[name]}) * 1000000)::bigint - {1 << 60}"
