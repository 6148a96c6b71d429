"""Quoting for SQL Server."""

from __future__ import annotations

from adventureworks.catalog import SourceTable


def quoted(name: str) -> str:
    """Return a name as a quoted identifier."""
    return "[" + name.replace("]", "]]") + "]"


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "N'" + text.replace("'", "''") + "'"


def relation(table: SourceTable) -> str:
    """Return the table's quoted name with its schema, as in the original AdventureWorks."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"
