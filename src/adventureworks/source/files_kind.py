"""What a file is by its first bytes, so that a file of another kind is told for what it is."""

from __future__ import annotations

import codecs
from pathlib import Path

from adventureworks.catalog import SourceTable
from adventureworks.errors import TableBlocked

PARQUET = "a Parquet file"

_HEAD_BYTES = 512
_KINDS = {
    b"PAR1": PARQUET,
    b"PARE": "an encrypted Parquet file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"%PDF": "a PDF",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"version https://git-lfs": "a pointer of Git LFS: the file itself was not fetched (git lfs pull)",
}


def require_kind(path: Path, table: SourceTable, *, parquet: bool) -> None:
    """Raises TableBlocked where the file is empty, or plainly of another kind than Parquet, or than text."""
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
    said = found or ("a text file" if _is_text(head) else "no Parquet file")
    if found is None and not _is_text(head):
        # Something unknown: it may be a Parquet file that lost its head.
        raise TableBlocked(
            table.asset,
            "file_is_whole",
            f"{path.name} is no whole Parquet file; it seems to be damaged.",
            f"Deliver {path.name} again, complete.",
        )
    raise TableBlocked(
        table.asset,
        "file_is_of_its_kind",
        f"{path.name} is {said}, not {wanted}.",
        f"Deliver {wanted} under this name, or name the file for what it is.",
    )


def _kind(head: bytes) -> str | None:
    known = next((kind for start, kind in _KINDS.items() if head.startswith(start)), None)
    if known:
        return known
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page (of a login or an error, perhaps)"
    if text.startswith(b"<?xml"):
        return "an XML file"
    return "a JSON file" if text.startswith((b"{", b"[")) else None


def _is_text(head: bytes) -> bool:
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or not any(byte < 9 for byte in head)
