"""Detects the kind of a file by its first bytes, so that errors can name what the file really is."""

from __future__ import annotations

import codecs
from pathlib import Path

from adventureworks.catalog import SourceTable
from adventureworks.errors import TableBlocked

PARQUET = "a Parquet file"
SQL_SERVER_BACKUP = "a backup of SQL Server"
POSTGRESQL_DUMP = "a dump of PostgreSQL"

_HEAD_BYTES = 512
_KINDS = {
    b"PAR1": PARQUET,
    b"PARE": "an encrypted Parquet file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "a file compressed with gzip",
    b"BZh": "a file compressed with bzip2",
    b"\xfd7zXZ": "a file compressed with xz",
    b"\x28\xb5\x2f\xfd": "a file compressed with zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"TAPE": SQL_SERVER_BACKUP,
    b"MSSQLBAK": SQL_SERVER_BACKUP,
    b"PGDMP": POSTGRESQL_DUMP,
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"%PDF": "a PDF",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"version https://git-lfs": "a Git LFS pointer (run git lfs pull to fetch the file)",
}


def require_kind(path: Path, table: SourceTable, *, parquet: bool) -> None:
    """Raise `TableBlocked` if the file is empty, or evidently of another kind than Parquet or text."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise TableBlocked(table.asset, "file_is_not_empty", f"{path.name} is empty (0 bytes).")
    found = _kind(head)
    if found == PARQUET and parquet:
        return
    if found is None and not parquet:
        return
    wanted = PARQUET if parquet else "a CSV file"
    actual = found or ("a text file" if _is_text(head) else "an unknown file")
    if found is None and not _is_text(head):
        # Unknown content may be a Parquet file with a damaged header.
        raise TableBlocked(
            table.asset,
            "file_is_whole",
            f"{path.name} is not a complete Parquet file; it appears to be damaged.",
            f"Deliver a complete {path.name}.",
        )
    raise TableBlocked(
        table.asset,
        "file_has_the_expected_format",
        f"{path.name} is {actual}, not {wanted}.",
        f"Deliver {wanted} under this name, or rename the file to match its format.",
    )


def kind_of_file(path: Path) -> str | None:
    """Return what a file is, or None if it is unknown."""
    with path.open("rb") as file:
        return _kind(file.read(_HEAD_BYTES))


def _kind(head: bytes) -> str | None:
    known = next((kind for start, kind in _KINDS.items() if head.startswith(start)), None)
    if known:
        return known
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page (perhaps a login or error page)"
    if text.startswith(b"<?xml"):
        return "an XML file"
    return "a JSON file" if text.startswith((b"{", b"[")) else None


def _is_text(head: bytes) -> bool:
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or not any(byte < 9 for byte in head)
