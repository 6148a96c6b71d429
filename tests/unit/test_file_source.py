"""A folder of files as the source: rows are read exactly as they are in the files."""

import csv
import io
import os
import re
import shutil
import uuid
from contextlib import suppress
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli.doctor import check_files
from adventureworks.columns import source_columns_of
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.gate.contract import validate
from adventureworks.settings import Settings
from adventureworks.source import files_csv, files_installer
from adventureworks.source.files import FileSource

OFFER = SOURCE_TABLES["Sales_SpecialOffer"]
STORE = SOURCE_TABLES["Sales_Store"]
ROWGUID = "0290c4f5-191f-4337-ab6b-0a2dde03cbf9"


def offer(number=1, **values):
    """An offer as the gate expects it from a CSV file: text in canonical form, None for NULL."""
    row = {
        "SpecialOfferID": str(number),
        "Description": "Volume Discount 11 to 14",
        "DiscountPct": "0.02",
        "Type": "Volume Discount",
        "Category": "Reseller",
        "StartDate": "2011-05-31 00:00:00",
        "EndDate": "2014-05-30 00:00:00",
        "MinQty": "11",
        "MaxQty": "14",
        "rowguid": ROWGUID,
        "ModifiedDate": "2011-05-01 00:00:00",
    }
    return row | values


def read(folder, table=OFFER, batch_rows=1000):
    with FileSource(folder, batch_rows).snapshot() as snapshot:
        return [row for batch in snapshot.rows(table) for row in batch.to_pylist()]


def blocked(folder, table=OFFER):
    """Return the rule that blocks reading the table."""
    with pytest.raises(TableBlocked) as error:
        read(folder, table)
    return error.value.rule


def write_csv(folder, rows, table=OFFER, header=None, encoding="utf-8", **options):
    header = header or [column.name for column in source_columns_of(table)]
    text = io.StringIO(newline="")
    text.write(",".join(header) + "\n")
    for row in rows:
        cells = (None if row[name] is None else '"' + row[name].replace('"', '""') + '"' for name in header)
        text.write(",".join(cell or "" for cell in cells) + "\n")
    (folder / f"{table.asset}.csv").write_bytes(text.getvalue().encode(encoding))


def write_installer(folder, rows, pipes=True, encoding="utf-16", table=OFFER):
    between, end = ("+|", "&|\r\n") if pipes else ("\t", "\n")
    text = "".join(between.join(value or "" for value in row.values()) + end for row in rows)
    (folder / f"{table.name}.csv").write_bytes(text.encode(encoding))


def write_parquet(folder, rows=3):
    number = range(1, rows + 1)
    date = pa.array([datetime(2011, 5, 31)] * rows, pa.timestamp("us"))
    columns = {
        "ModifiedDate": date,
        "SpecialOfferID": pa.array(number, pa.int32()),
        "Description": pa.array([f"offer {n}" for n in number]).dictionary_encode(),
        "DiscountPct": pa.array([Decimal("0.0250")] * rows, pa.decimal128(10, 4)),
        "Type": ["Volume Discount"] * rows,
        "Category": ["Reseller"] * rows,
        "StartDate": date,
        "EndDate": date,
        "MinQty": pa.array(number, pa.int32()),
        "MaxQty": pa.array([None] * rows, pa.int32()),
        "rowguid": pa.array([uuid.UUID(ROWGUID).bytes] * rows, pa.uuid()),
        "NewColumn": ["unknown"] * rows,
    }
    pq.write_table(pa.table(columns), folder / "Sales_SpecialOffer.parquet", row_group_size=2)


def test_parquet_types_are_kept_and_uuids_become_text(tmp_path):
    write_parquet(tmp_path)
    source = FileSource(tmp_path, batch_rows=2)
    assert source.state(OFFER).rows == 3
    with source.snapshot() as snapshot:
        batches = list(snapshot.rows(OFFER))
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert set(batches[0].schema.names) == {column.name for column in source_columns_of(OFFER)}
    last = batches[1].to_pylist()[0]
    assert last["rowguid"] == ROWGUID
    assert (last["DiscountPct"], last["Description"], last["MaxQty"]) == (Decimal("0.0250"), "offer 3", None)


def test_parquet_bytes_become_upper_case_hexadecimal_text(tmp_path):
    photo = SOURCE_TABLES["Production_ProductPhoto"]
    columns = {column.name: pa.array([None], pa.string()) for column in source_columns_of(photo)}
    columns["LargePhoto"] = pa.array([b"GIF\xff"], pa.binary())
    pq.write_table(pa.table(columns), tmp_path / "Production_ProductPhoto.parquet")
    assert read(tmp_path, photo)[0]["LargePhoto"] == "474946FF"


def test_csv_columns_may_be_in_any_order_and_null_differs_from_empty_text(tmp_path):
    rows = [offer(1, MaxQty=None, Category=""), offer(2, Description='says "all, or\nnothing"\r\n')]
    header = [*reversed(rows[0])]
    write_csv(tmp_path, rows, header=header, encoding="utf-8-sig")
    assert read(tmp_path) == rows


def test_csv_columns_that_are_not_in_the_contract_are_ignored(tmp_path):
    rows = [offer(n) | {"New": "x"} for n in (1, 2)]
    write_csv(tmp_path, rows, header=[*rows[0]])
    assert read(tmp_path) == [offer(1), offer(2)]


@pytest.mark.parametrize("pipes", [True, False], ids=["pipes", "tabs"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-8-sig", "cp1252"])
def test_installer_formats(tmp_path, pipes, encoding):
    as_shipped = offer(
        1,
        Description="Rebate à la\ncarte",
        DiscountPct=".05",
        rowguid="{0290C4F5-191F-4337-AB6B-0A2DDE03CBF9}",
        StartDate="2011-05-31 13:20:24.150000000",
        MaxQty=None,
        Category="",
    )
    write_installer(tmp_path, [as_shipped, offer(2)], pipes, encoding)
    expected = as_shipped | {
        "DiscountPct": "0.05",
        "rowguid": ROWGUID,
        "StartDate": "2011-05-31 13:20:24.150000",
    }
    assert read(tmp_path) == [expected, offer(2)]


def test_installer_xml_loses_its_byte_order_mark_and_times_their_seventh_decimal(tmp_path):
    store = {"BusinessEntityID": "292", "Name": "Next-Door Bike Store", "SalesPersonID": "279"}
    store |= {"Demographics": "\ufeff<StoreSurvey/>", "rowguid": ROWGUID, "ModifiedDate": "2014-09-12 11:15:07"}
    write_installer(tmp_path, [store], table=STORE)
    shift = {"ShiftID": "1", "Name": "Day", "StartTime": "07:00:00.0000000", "EndTime": "15:00:00.0000000"}
    shift |= {"ModifiedDate": "2008-04-30 00:00:00"}
    write_installer(tmp_path, [shift], table=SOURCE_TABLES["HumanResources_Shift"])
    assert read(tmp_path, STORE) == [store | {"Demographics": "<StoreSurvey/>"}]
    assert read(tmp_path, SOURCE_TABLES["HumanResources_Shift"])[0]["StartTime"] == "07:00:00.000000"


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from('\n\r\t",;é€'), max_size=9
)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=6), block=st.integers(1, 99))
def test_any_text_is_read_back_from_csv_with_any_block_size(tmp_path_factory, texts, block):
    folder = tmp_path_factory.mktemp("csv")
    rows = [offer(n, Description=text) for n, text in enumerate(texts)]
    write_csv(folder, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_csv, "BLOCK_BYTES", block)
        assert read(folder, batch_rows=2) == rows


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(TEXT, min_size=1, max_size=6),
    block=st.integers(1, 99),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_any_text_is_read_back_from_the_installer_formats_with_any_block_size(tmp_path_factory, texts, block, encoding):
    rows = [offer(n, Description=text) for n, text in enumerate(texts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_installer, "BLOCK_BYTES", block)
        for pipes in (True, False):
            folder = tmp_path_factory.mktemp("installer")
            # Fields cannot contain the delimiters.
            clean = [
                row | {"Description": re.sub(r"\t|[+&]\|", " ", row["Description"]).lstrip("\ufeff")} for row in rows
            ]
            write_installer(folder, clean, pipes, encoding)
            assert read(folder, batch_rows=2) == clean


@pytest.mark.parametrize("kind", ["parquet", "csv", "pipes utf-16", "pipes utf-8", "tabs utf-16", "tabs cp1252"])
def test_a_file_truncated_anywhere_is_blocked_or_yields_complete_rows(tmp_path, kind):
    rows = [offer(n, Description="à la\ncarte", MaxQty=None) for n in range(1, 4)]
    if kind == "parquet":
        write_parquet(tmp_path)
    elif kind == "csv":
        write_csv(tmp_path, rows)
    else:
        write_installer(tmp_path, rows, kind.startswith("pipes"), kind.split()[1])
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    all_rows = read(tmp_path)
    for length in range(0, len(content), 97 if kind == "parquet" else 3):
        path.write_bytes(content[:length])
        with suppress(TableBlocked):
            remaining = read(tmp_path)
            assert kind != "parquet"
            assert remaining == all_rows[: len(remaining)]


def test_each_kind_of_invalid_file_breaks_its_own_rule(tmp_path):
    assert blocked(tmp_path) == "file_is_there"

    path = tmp_path / "Sales_SpecialOffer.csv"
    path.touch()
    assert blocked(tmp_path) == "file_is_not_empty"

    write_csv(tmp_path, [offer()], header=[name for name in offer() if name != "MinQty"])
    assert blocked(tmp_path) == "columns_are_there"

    write_csv(tmp_path, [offer(1), offer(2)])
    path.write_bytes(path.read_bytes().replace(b'"11","14"', b'"11"', 1))
    assert blocked(tmp_path) == "rows_have_all_fields"

    write_parquet(tmp_path)
    assert blocked(tmp_path) == "file_is_unambiguous"
    path.unlink()

    pq.write_table(pa.table({"SpecialOfferID": [1]}), tmp_path / "Sales_SpecialOffer.parquet")
    assert blocked(tmp_path) == "columns_are_there"


def test_a_row_with_an_extra_field_is_named_but_not_quoted(tmp_path):
    write_installer(tmp_path, [offer(1), offer(2, Type="secret\tsecret"), offer(3)], pipes=False)
    with pytest.raises(TableBlocked, match=r"row 2 of SpecialOffer\.csv has 12 fields instead of 11") as error:
        read(tmp_path)
    assert "secret" not in str(error.value)


def test_a_missing_folder_is_an_error_of_the_source_not_of_a_table(tmp_path):
    with pytest.raises(PlatformError) as error:
        FileSource(tmp_path / "gone", 10).state(OFFER)
    assert not isinstance(error.value, TableBlocked)


def test_states_contain_the_errors_of_blocked_tables(tmp_path):
    write_csv(tmp_path, [offer()])
    states = FileSource(tmp_path, 10).states([OFFER, STORE])
    assert states[OFFER.asset] == FileSource(tmp_path, 10).state(OFFER)
    assert isinstance(states[STORE.asset], TableBlocked)


def test_the_fingerprint_changes_only_with_the_content(tmp_path):
    write_csv(tmp_path, [offer(1)])
    path = tmp_path / "Sales_SpecialOffer.csv"
    first = FileSource(tmp_path, 10).state(OFFER).fingerprint

    os.utime(path)
    assert FileSource(tmp_path, 10).state(OFFER, known=first).fingerprint == first
    shutil.copy(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)
    assert FileSource(tmp_path, 10).state(OFFER, known=first).fingerprint == first

    dates = path.stat()
    write_csv(tmp_path, [offer(2)])
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert path.stat().st_size == dates.st_size
    assert FileSource(tmp_path, 10).state(OFFER, known=first).fingerprint != first


def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    write_parquet(tmp_path)
    first = FileSource(tmp_path, 10).state(OFFER)
    monkeypatch.setattr("hashlib.file_digest", None)
    assert FileSource(tmp_path, 10).state(OFFER, known=first.fingerprint) == first


def test_a_file_that_changes_while_it_is_read_raises_a_retryable_error(tmp_path):
    write_csv(tmp_path, [offer(n) for n in range(5)])
    with FileSource(tmp_path, batch_rows=2).snapshot() as snapshot:
        rows = snapshot.rows(OFFER)
        next(rows)
        with (tmp_path / "Sales_SpecialOffer.csv").open("a") as file:
            csv.writer(file).writerow(offer(9).values())
        with pytest.raises(ServiceUnavailable, match="changed while it was read"):
            list(rows)


QUOTED_FIELD = st.text(st.sampled_from('a"",;\n\r é'), max_size=7)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(QUOTED_FIELD, min_size=2, max_size=2), min_size=1, max_size=6),
    st.lists(st.booleans()),
    st.integers(1, 40),
)
def test_a_quote_in_an_unquoted_field_is_an_ordinary_character(tmp_path_factory, texts, unquoted, block):
    """Python's own parser is the reference; block boundaries may be anywhere in a record."""

    def written(text, index):
        is_plain = not (text.startswith('"') or set(text) & set(",\r\n"))
        return text if is_plain and (unquoted + [False] * 99)[index] else '"' + text.replace('"', '""') + '"'

    rows = [list(offer(n).values()) for n in range(len(texts))]
    for index, row in enumerate(rows):
        row[1:4:2] = texts[index]
    lines = [",".join(written(text, index) for index, text in enumerate(row)) for row in rows]
    folder = tmp_path_factory.mktemp("quotes")
    header = ",".join(offer())
    (folder / "Sales_SpecialOffer.csv").write_bytes("\n".join([header, *lines, ""]).encode())
    expected = list(csv.reader(io.StringIO("\n".join([*lines, ""]), newline="")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_csv, "BLOCK_BYTES", block)
        read_back = [[value or "" for value in row.values()] for row in read(folder)]
    assert read_back == expected


def test_a_quoted_empty_field_is_null_if_it_cannot_be_an_empty_text(tmp_path):
    write_csv(tmp_path, [offer(1, MaxQty="", EndDate="")])
    assert read(tmp_path) == [offer(1, MaxQty=None, EndDate=None)]

    header = ",".join(f'"{name}"' for name in offer())
    lines = [",".join(f'"{value}"' for value in offer(n, Category="").values()) for n in (1, 2)]
    (tmp_path / "Sales_SpecialOffer.csv").write_text("\n".join([header, *lines, ""]))
    assert read(tmp_path) == [offer(n, Category="") for n in (1, 2)]

    address = {column.name: "" for column in source_columns_of(SOURCE_TABLES["Person_Address"])}
    path = tmp_path / "Person_Address.csv"
    path.write_text(",".join(address) + "\n" + ",".join('""' for _ in address) + "\n")
    assert read(tmp_path, SOURCE_TABLES["Person_Address"])[0]["AddressLine2"] is None
    with path.open("a") as file:
        file.write(",".join(["1", *['""' for _ in address][1:]]) + "\n")
    assert read(tmp_path, SOURCE_TABLES["Person_Address"])[0]["AddressLine2"] == ""


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_csv_with_other_delimiters_encodings_and_cases(tmp_path, delimiter):
    text = delimiter.join(name.upper() for name in offer()) + "\r\n"
    text += delimiter.join(f'"{value}"' for value in offer(1, Description="à la\ncarte").values()) + "\r\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "sales_specialoffer.CSV").write_bytes(text.encode(encoding))
        assert read(tmp_path) == [offer(1, Description="à la\ncarte")]


def test_a_value_that_is_not_utf8_sets_its_row_aside_and_names_the_column(tmp_path):
    write_csv(tmp_path, [offer(1), offer(2, Description="à la carte")])
    path = tmp_path / "Sales_SpecialOffer.csv"
    path.write_bytes(path.read_bytes().replace("à".encode(), b"\xe0"))
    assert set_aside(tmp_path) == [("Description_is_readable", "Description is UTF-8 text")]
    path.unlink()

    write_parquet(tmp_path)
    path = tmp_path / "Sales_SpecialOffer.parquet"
    table = pq.read_table(path)
    texts = pa.array([b"ok", b"\xe0", None], pa.binary())
    damaged = pa.StringArray.from_buffers(3, texts.buffers()[1], texts.buffers()[2], texts.buffers()[0])
    pq.write_table(table.set_column(4, pa.field("Type", pa.string()), damaged), path)
    assert ("Type_is_readable", "Type is UTF-8 text") in set_aside(tmp_path)


def set_aside(folder, table=OFFER):
    with FileSource(folder, 1000).snapshot() as snapshot:
        return [(r.rule, r.message) for batch in snapshot.rows(table) for r in validate(table, batch).rejections]


def parquet_with(folder, name, values, **options):
    write_parquet(folder)
    path = folder / "Sales_SpecialOffer.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path, **options)
    return [row[name] for row in read(folder)]


@pytest.mark.parametrize("dtype", [pa.binary(), pa.large_binary(), pa.binary(16)], ids=str)
def test_sixteen_bytes_are_a_uuid_whatever_their_declared_type(tmp_path, dtype):
    values = pa.array([uuid.UUID(ROWGUID).bytes, None, uuid.UUID(ROWGUID).bytes], dtype)
    assert parquet_with(tmp_path, "rowguid", values) == [ROWGUID, None, ROWGUID]


def test_parquet_text_without_a_logical_type_is_text(tmp_path):
    assert parquet_with(tmp_path, "Type", pa.array(["é".encode()] * 3, pa.binary())) == ["é"] * 3


def test_parquet_dates_and_decimals_of_other_programs_are_read(tmp_path):
    late = datetime(9999, 12, 31)
    dates = pa.array([late, None, datetime(2011, 5, 31, 1, 2, 3)], pa.timestamp("us"))
    read_back = parquet_with(tmp_path, "EndDate", dates, use_deprecated_int96_timestamps=True)
    assert read_back == [late, None, datetime(2011, 5, 31, 1, 2, 3)]
    wide = pa.array([Decimal("0.25")] * 3, pa.decimal256(60, 4))
    assert parquet_with(tmp_path, "DiscountPct", wide) == [Decimal("0.25")] * 3
    # As BigQuery exports BIGNUMERIC; one value has more decimal places than the contract allows.
    mixed = [Decimal("1.5"), None, Decimal("0.123456")]
    assert parquet_with(tmp_path, "DiscountPct", pa.array(mixed, pa.decimal256(76, 38))) == mixed
    too_wide = pa.array([Decimal(10) ** 45] * 3, pa.decimal256(60, 4))
    with pytest.raises(TableBlocked, match="DiscountPct"):
        parquet_with(tmp_path, "DiscountPct", too_wide)


def write_parts(folder, kind, parts=2):
    folder.mkdir()
    for index in range(parts):
        part = folder.parent / "part"
        part.mkdir()
        write_csv(part, [offer(index)]) if kind == "csv" else write_parquet(part, 1)
        (part / f"Sales_SpecialOffer.{kind}").rename(folder / f"part-0000{index}.{kind}")
        part.rmdir()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["Sales_SpecialOffer.{}", "SpecialOffer", "sales/SpecialOffer.{}"])
def test_a_folder_of_part_files_is_read_once_it_is_complete(tmp_path, kind, name):
    folder = tmp_path / name.format(kind)
    folder.parent.mkdir(exist_ok=True)
    write_parts(folder, kind)
    (folder / f".part-00000.{kind}.crc").write_bytes(b"crc")
    (folder / "_temporary").mkdir()
    assert blocked(tmp_path) == "file_is_whole"
    (folder / "_temporary").rmdir()
    (folder / "_SUCCESS").touch()
    first = FileSource(tmp_path, 10).state(OFFER).fingerprint
    assert len(read(tmp_path)) == 2
    (folder / f"part-00001.{kind}").unlink()
    assert len(read(tmp_path)) == 1
    assert FileSource(tmp_path, 10).state(OFFER, first).fingerprint != first


def test_a_folder_that_a_job_is_writing_keeps_its_known_state(tmp_path):
    folder = tmp_path / "SpecialOffer"
    write_parts(folder, "parquet")
    source = FileSource(tmp_path, 10)
    known = source.state(OFFER).fingerprint
    for part in folder.iterdir():
        part.unlink()
    (folder / "_temporary").mkdir()
    assert source.state(OFFER, known).fingerprint == known
    with pytest.raises(TableBlocked, match="still being written"):
        source.state(OFFER)


def test_parts_without_a_marker_must_rest_as_a_manual_copy_may_pause(tmp_path, monkeypatch):
    folder = tmp_path / "SpecialOffer"
    write_parts(folder, "parquet")
    source = FileSource(tmp_path, 10, rest_seconds=3)
    clock = Clock(monkeypatch, folder / "part-00001.parquet")
    first = source.state(OFFER).fingerprint
    assert clock.waited == pytest.approx(60, abs=1)

    shutil.copy(folder / "part-00000.parquet", folder / "part-00002.parquet")
    Clock(
        monkeypatch,
        folder / "part-00002.parquet",
        lambda: shutil.copy(folder / "part-00000.parquet", folder / "part-00003.parquet"),
    )
    assert source.state(OFFER, first).fingerprint == first, "a part was added while it rested"

    (folder / "_SUCCESS").touch()
    clock = Clock(monkeypatch, folder / "part-00003.parquet")
    assert source.state(OFFER, first).rows == 4
    assert clock.waited == 0


def test_parts_with_different_columns_or_types_are_refused(tmp_path):
    folder = tmp_path / "Sales_SpecialOffer.parquet"
    write_parts(folder, "parquet")
    part = folder / "part-00001.parquet"
    table = pq.read_table(part)
    pq.write_table(table.set_column(table.column_names.index("MinQty"), "MinQty", pa.array([1], pa.int64())), part)
    with pytest.raises(TableBlocked, match=r"MinQty is int32 in part-00000\.parquet, but int64 in part-00001") as error:
        read(tmp_path)
    assert error.value.rule == "parts_have_equal_columns"


def test_a_bare_name_may_have_a_header(tmp_path):
    write_csv(tmp_path, [offer(1), offer(2)])
    (tmp_path / "Sales_SpecialOffer.csv").rename(tmp_path / "SPECIALOFFER.csv")
    assert read(tmp_path) == [offer(1), offer(2)]


@pytest.mark.parametrize(
    ("extension", "content", "message"),
    [
        ("csv", b"<!DOCTYPE html><html>", "an HTML page"),
        ("csv", b"PK\x03\x04....", "a zip archive"),
        ("csv", b"PAR1....PAR1", "a Parquet file, not a CSV"),
        ("csv", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("parquet", b"SpecialOfferID,Description\n1,x\n", "a text file, not a Parquet"),
        ("parquet", b"<html>", "an HTML page"),
        ("parquet", b"\x1f\x8b....", "compressed with gzip"),
        ("parquet", b"PAR1....", "truncated"),
    ],
)
def test_the_error_for_a_file_of_another_kind_names_its_kind(tmp_path, extension, content, message):
    (tmp_path / f"Sales_SpecialOffer.{extension}").write_bytes(content)
    with pytest.raises(TableBlocked, match=message):
        read(tmp_path)


def test_misspelt_columns_and_ignored_files_and_columns_are_named(tmp_path, caplog):
    write_csv(tmp_path, [offer() | {"Max_Qty": "1"}], header=[*(n for n in offer() if n != "MaxQty"), "Max_Qty"])
    with pytest.raises(TableBlocked, match=r"MaxQty \(found the similar name Max_Qty"):
        read(tmp_path)
    write_csv(tmp_path, [offer() | {"Colour": "red"}], header=[*offer(), "Colour"])
    (tmp_path / "Sales_SpecialOfer.csv").touch()
    assert read(tmp_path) == [offer()]
    assert "Colour" in caplog.text
    assert "Sales_SpecialOfer.csv" in caplog.text


def test_doctor_names_what_it_recognized_and_unreadable_and_ignored_files(tmp_path):
    configured = Settings(source=str(tmp_path), allow_missing=True)
    write_csv(tmp_path, [offer()])
    (tmp_path / "Sales_Stores.csv").touch()
    with pytest.raises(PlatformError, match=r"does not offer \d+ of the tables that marts need"):
        check_files(Settings(source=str(tmp_path)))
    assert check_files(configured) == (
        f"{tmp_path}: folder with 1 of 71 tables, CSV. Files that belong to no table: Sales_Stores.csv"
    )
    (tmp_path / "Sales_Store.csv").write_bytes(b"<html>")
    with pytest.raises(PlatformError, match=r"1 file cannot be read. Sales_Store: Sales_Store.csv is an HTML page"):
        check_files(configured)


class Clock:
    """A clock that only sleeping advances, with a callback that may change the file during the sleep."""

    def __init__(self, monkeypatch, path, meanwhile=lambda: None):
        self.waited = 0.0
        self.start = path.stat().st_ctime
        self.meanwhile = meanwhile
        monkeypatch.setattr("adventureworks.source.files.time.time", lambda: self.start + self.waited)
        monkeypatch.setattr("adventureworks.source.files.time.sleep", self.sleep)

    def sleep(self, seconds):
        self.waited += seconds
        self.meanwhile()


def test_a_text_file_is_read_once_it_is_at_rest(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    write_csv(tmp_path, [offer(1), offer(2)])
    path = tmp_path / "Sales_SpecialOffer.csv"
    source = FileSource(tmp_path, 10, rest_seconds=3)
    clock = Clock(monkeypatch, path)
    known = source.state(OFFER).fingerprint
    assert clock.waited == 3
    assert source.state(OFFER, known).fingerprint == known
    assert clock.waited == 3, "a file that is unchanged or old is read at once"

    write_csv(tmp_path, [offer(1)])
    clock = Clock(monkeypatch, path)
    assert source.state(OFFER, known).fingerprint != known
    assert clock.waited == 60, "a file with fewer lines than before must rest longer"

    write_parquet(tmp_path / "other", rows=9)
    (tmp_path / "other" / "Sales_SpecialOffer.parquet").rename(tmp_path / "Sales_SpecialOffer.parquet")
    path.unlink()
    known = source.state(OFFER).fingerprint
    (tmp_path / "Sales_SpecialOffer.parquet").unlink()
    for recorded, waits in ((known, 60), ("unreadable: file_is_there: no file", 3)):
        write_csv(tmp_path, [offer(1)])
        clock = Clock(monkeypatch, path)
        assert source.state(OFFER, recorded).fingerprint != recorded
        assert clock.waited == waits


def test_a_text_file_that_is_still_being_written_is_not_read(tmp_path, monkeypatch):
    write_csv(tmp_path, [offer(1), offer(2)])
    path = tmp_path / "Sales_SpecialOffer.csv"
    whole = path.read_bytes()
    source = FileSource(tmp_path, 10, rest_seconds=3)
    known = FileSource(tmp_path, 10).state(OFFER).fingerprint
    path.write_bytes(whole[: whole.rindex(b'"2"')])
    Clock(monkeypatch, path, lambda: path.write_bytes(whole))
    assert source.state(OFFER, known).fingerprint == known

    path.write_bytes(whole[: whole.rindex(b'"2"')])
    Clock(monkeypatch, path, lambda: path.write_bytes(whole))
    with pytest.raises(TableBlocked, match="still being written"):
        source.state(OFFER)

    for part in (whole[:-5], whole[:5], b""):
        path.write_bytes(part)
        Clock(monkeypatch, path, lambda: path.write_bytes(whole))
        assert source.state(OFFER, known).fingerprint == known, "not reported as truncated while it is being written"

    path.write_bytes(whole[: whole.rindex(b'"2"')])
    Clock(monkeypatch, path, lambda: path.write_bytes(whole))
    with source.snapshot() as snapshot, pytest.raises(ServiceUnavailable, match="still being written"):
        next(snapshot.rows(OFFER))
