"""Quoting for PostgreSQL, which is also the dialect in which the platform's own statements are written."""

from __future__ import annotations


def quoted(name: str) -> str:
    """Return an identifier in quotes, exactly as written."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL literal (the session has standard_conforming_strings on)."""
    return "'" + text.replace("'", "''") + "'"
