"""Exports survive a round trip through a file, and spreadsheets execute none of their content."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import PlatformError
from adventureworks.gate.quarantine_file import Format, format_of, read, written
from adventureworks.gate.row_text import canonical, digest, key_text

TEXTS = [None, "", " ", "NULL", "\\", "\\N", "=1+1", "+49 30", "@x", "-", "-7.50", "007", 'a "b"\r\nc;,', "é漢😀\u2028"]


@pytest.mark.parametrize("kind", get_args(Format))
def test_every_text_comes_back_as_it_was(tmp_path: Path, kind: Format) -> None:
    rows = [{"first": text, "second": str(number)} for number, text in enumerate(TEXTS)]
    file = tmp_path / f"rows.{kind}"
    file.write_bytes(written(["first", "second"], rows, kind))
    assert read(file) == rows


def test_a_spreadsheet_sees_no_formula() -> None:
    rows = [{"text": text} for text in ("=1+1", "+1+1", "-1+1", "@sum(1)", "\t=1+1", "-7.50")]
    lines = written(["text"], rows, "csv").decode("utf-8-sig").split("\r\n")
    assert lines[1:-1] == ["\\=1+1", "\\+1+1", "\\-1+1", "\\@sum(1)", "\\\t=1+1", "-7.50"]


def test_semicolons_and_empty_lines_of_a_spreadsheet_are_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a;b\r\n1,5;\r\n;\r\n", encoding="utf-8-sig")
    assert read(file) == [{"a": "1,5", "b": None}]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("rows.csv", b"a,b\r\n1\r\n", "row 2 has 1 cells, the header has 2"),
        ("rows.csv", "é".encode("cp1252"), "cannot be read as CSV"),
        ("rows.json", b'[{"a": 1}]', "whose values are text or null"),
        ("rows.json", b"[", "cannot be read as JSON"),
        ("rows.parquet", b"PAR", "cannot be read as PARQUET"),
        ("rows.xlsx", b"", "not a CSV, JSON or Parquet file"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PlatformError, match=cause):
        read(tmp_path / name)


def test_the_format_follows_the_name() -> None:
    assert format_of(Path("Rows.CSV")) == "csv"


def test_a_row_has_one_text_however_it_was_delivered() -> None:
    entry = SOURCE_TABLES["Sales_SalesOrderDetail"]
    typed = {
        "SalesOrderID": "43659",
        "SalesOrderDetailID": "17",
        "CarrierTrackingNumber": None,
        "OrderQty": "2",
        "ProductID": "776",
        "SpecialOfferID": "1",
        "UnitPrice": "2024.9940",
        "UnitPriceDiscount": "0.0000",
        "LineTotal": "4049.988000",
        "rowguid": "B207C96D-D9E6-402B-8470-2CC176C42283",
        "ModifiedDate": "2011-05-31 00:00:00",
    }
    as_csv = {**typed, "SalesOrderDetailID": "017", "UnitPrice": "2024.994", "ModifiedDate": "2011-05-31T00:00:00.000"}
    del as_csv["LineTotal"]
    bad = {**typed, "OrderQty": "two"}
    first, second, third = canonical(entry, [typed, as_csv, bad])
    assert first == second == typed
    assert digest(first) == digest(second) != digest(third)
    assert key_text(entry, second) == '{"SalesOrderID": "43659", "SalesOrderDetailID": "17"}'
    assert third["OrderQty"] == "two"
