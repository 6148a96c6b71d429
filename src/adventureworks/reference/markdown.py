"""Markdown of the generated pages."""

from __future__ import annotations

from collections.abc import Iterable


def table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; `|` and line breaks in cells are escaped."""
    lines = [headings, ("---",) * len(headings), *(tuple(_cell(text) for text in row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(text: str) -> str:
    """Return the text as code; empty for an empty text."""
    return f"`{text}`" if text else ""


def codes(names: Iterable[str]) -> str:
    """Return the names as code, separated by commas."""
    return ", ".join(map(code, names))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
