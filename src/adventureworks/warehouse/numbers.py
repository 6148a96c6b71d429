"""The order in which records were written: by `number`, because the clock may step back."""

from __future__ import annotations

from adventureworks.warehouse.postgres import Connection

NUMBER = "number"
_TIMES = {"change": "detected_at", "check_result": "checked_at"}
"""The columns that ordered these records before they were numbered."""


def order_of(records: Connection, name: str) -> str:
    """Return the column that orders the records in `ops.name`; a command may read those of the previous release."""
    columns = records.execute(f"select * from ops.{name} limit 0".encode()).description or ()
    return NUMBER if any(column.name == NUMBER for column in columns) else _TIMES[name]
