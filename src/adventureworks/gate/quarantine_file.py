"""Rows in quarantine as a file that a person can edit and hand back: CSV, JSON or Parquet.

All values are text, exactly as they were delivered. CSV cannot tell an empty text from a missing value, and
spreadsheets run texts that begin like a formula. So in CSV an empty cell is NULL, and a text that is empty, or begins
with one of `FIRST_CHARACTERS`, has a backslash in front.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from adventureworks.errors import PlatformError
from adventureworks.gate.row_text import RowText

Format = Literal["csv", "json", "parquet"]
FIRST_CHARACTERS = "\\=+@-\t\r"
_NUMBER = re.compile(r"[+-]?[0-9.]+")


def format_of(path: Path) -> Format:
    """Return a file's format, by its suffix. Raises `PlatformError` if it has another."""
    for known in get_args(Format):
        if path.suffix.lower() == f".{known}":
            return known
    raise PlatformError(f"{path.name} is not a CSV, JSON or Parquet file.", "Name it *.csv, *.json or *.parquet.")


def written(columns: Sequence[str], rows: Sequence[RowText], kind: Format) -> bytes:
    """Return the content of a file with these rows."""
    if kind == "json":
        return (json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=1) + "\n").encode()
    if kind == "parquet":
        content = io.BytesIO()
        frame = pl.DataFrame([dict(row) for row in rows], schema=dict.fromkeys(columns, pl.String))
        frame.write_parquet(content)
        return content.getvalue()
    lines = io.StringIO()
    cells = csv.writer(lines, lineterminator="\r\n")
    cells.writerow(columns)
    cells.writerows([csv_cell(row[column]) for column in columns] for row in rows)
    # With the mark, spreadsheets know that the file is UTF-8.
    return lines.getvalue().encode("utf-8-sig")


def read(path: Path) -> list[dict[str, str | None]]:
    """Return the rows of a file. Raises `PlatformError` if it cannot be read as the format of its suffix."""
    kind = format_of(path)
    try:
        content = path.read_bytes()
        if kind == "csv":
            return _read_csv(content.decode("utf-8-sig"))
        rows = json.loads(content) if kind == "json" else pl.read_parquet(io.BytesIO(content)).to_dicts()
    except OSError as error:
        raise PlatformError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, csv.Error, pl.exceptions.PolarsError) as error:
        raise PlatformError(
            f"{path.name} cannot be read as {kind.upper()}: {error}.",
            "Save it as UTF-8, with the columns of the export.",
        ) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_text(row) for row in rows):
        raise PlatformError(f"{path.name} must hold a list of rows whose values are text or null.", "Keep the quotes.")
    return rows


def _is_text(row: Mapping[Any, object]) -> bool:
    return all(value is None or isinstance(value, str) for value in row.values())


def _read_csv(text: str) -> list[dict[str, str | None]]:
    header = text.partition("\n")[0]
    # Spreadsheets write semicolons where the comma is the decimal separator.
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True))
    columns = lines[0] if lines else []
    for number, line in enumerate(lines[1:], 2):
        if line and len(line) != len(columns):
            raise ValueError(f"row {number} has {len(line)} cells, the header has {len(columns)}")
    # Spreadsheets may leave empty lines at the end.
    return [dict(zip(columns, map(_value, line), strict=True)) for line in lines[1:] if any(line)]


def csv_cell(value: str | None) -> str:
    """Return the cell of a CSV file for a value, which no spreadsheet takes for a formula."""
    if value is None:
        return ""
    is_plain = value and (value[0] not in FIRST_CHARACTERS or _NUMBER.fullmatch(value))
    return value if is_plain else f"\\{value}"


def _value(cell: str) -> str | None:
    return cell.removeprefix("\\") if cell else None
