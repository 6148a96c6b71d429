"""A folder of files as the source: what is in the files arrives, and nothing else does."""

import csv
import io
import os
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
from adventureworks.columns import source_columns_of
from adventureworks.errors import PlatformError, ServiceUnavailable, TableBlocked
from adventureworks.source import files_csv, files_installer
from adventureworks.source.files import FileSource

OFFER = SOURCE_TABLES["Sales_SpecialOffer"]
STORE = SOURCE_TABLES["Sales_Store"]
ROWGUID = "0290c4f5-191f-4337-ab6b-0a2dde03cbf9"


def offer(number=1, **values):
    """An offer as the gate may expect it from a CSV file: text in canonical form, None for NULL."""
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
    """The rule that looking at the table or reading it breaks."""
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


def test_parquet_keeps_types_and_turns_uuids_into_text(tmp_path):
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


def test_parquet_bytes_become_hexadecimal_text_in_capitals(tmp_path):
    photo = SOURCE_TABLES["Production_ProductPhoto"]
    columns = {column.name: pa.array([None], pa.string()) for column in source_columns_of(photo)}
    columns["LargePhoto"] = pa.array([b"GIF\xff"], pa.binary())
    pq.write_table(pa.table(columns), tmp_path / "Production_ProductPhoto.parquet")
    assert read(tmp_path, photo)[0]["LargePhoto"] == "474946FF"


def test_csv_header_in_any_order_null_and_empty_text(tmp_path):
    rows = [offer(1, MaxQty=None, Category=""), offer(2, Description='says "all, or\nnothing"\r\n')]
    header = [*reversed(rows[0])]
    write_csv(tmp_path, rows, header=header, encoding="utf-8-sig")
    assert read(tmp_path) == rows


def test_csv_ignores_columns_that_the_contract_does_not_know(tmp_path):
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


def test_installer_xml_loses_its_byte_order_mark_and_time_its_seventh_place(tmp_path):
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
def test_any_text_survives_csv_whatever_the_blocks(tmp_path_factory, texts, block):
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
def test_any_text_survives_the_installer_formats_whatever_the_blocks(tmp_path_factory, texts, block, encoding):
    rows = [offer(n, Description=text) for n, text in enumerate(texts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_installer, "BLOCK_BYTES", block)
        for pipes in (True, False):
            folder = tmp_path_factory.mktemp("installer")
            # What is written between fields cannot be in them.
            clean = [row | {"Description": row["Description"].replace("\t", " ").lstrip("\ufeff")} for row in rows]
            write_installer(folder, clean, pipes, encoding)
            assert read(folder, batch_rows=2) == clean


@pytest.mark.parametrize("kind", ["parquet", "csv", "pipes utf-16", "pipes utf-8", "tabs utf-16", "tabs cp1252"])
def test_a_file_cut_anywhere_is_blocked_or_gives_whole_rows(tmp_path, kind):
    rows = [offer(n, Description="à la\ncarte", MaxQty=None) for n in range(1, 4)]
    if kind == "parquet":
        write_parquet(tmp_path)
    elif kind == "csv":
        write_csv(tmp_path, rows)
    else:
        write_installer(tmp_path, rows, kind.startswith("pipes"), kind.split()[1])
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    uncut = read(tmp_path)
    for length in range(0, len(whole), 97 if kind == "parquet" else 3):
        path.write_bytes(whole[:length])
        with suppress(TableBlocked):
            left = read(tmp_path)
            assert kind != "parquet"
            assert left == uncut[: len(left)]


def test_each_way_of_being_broken_has_its_own_rule(tmp_path):
    assert blocked(tmp_path) == "file_is_there"

    path = tmp_path / "Sales_SpecialOffer.csv"
    path.touch()
    assert blocked(tmp_path) == "file_is_not_empty"

    write_csv(tmp_path, [offer()], header=[name for name in offer() if name != "MinQty"])
    assert blocked(tmp_path) == "columns_are_there"

    write_csv(tmp_path, [offer(Description="à la carte")], encoding="cp1252")
    assert blocked(tmp_path) == "file_is_readable"

    write_csv(tmp_path, [offer(1), offer(2)])
    path.write_bytes(path.read_bytes().replace(b'"11","14"', b'"11"', 1))
    assert blocked(tmp_path) == "rows_have_all_fields"

    write_parquet(tmp_path)
    assert blocked(tmp_path) == "file_is_unambiguous"
    path.unlink()

    pq.write_table(pa.table({"SpecialOfferID": [1]}), tmp_path / "Sales_SpecialOffer.parquet")
    assert blocked(tmp_path) == "columns_are_there"


def test_a_row_with_a_field_too_many_is_named_but_not_quoted(tmp_path):
    write_installer(tmp_path, [offer(1), offer(2, Type="secret\tsecret"), offer(3)], pipes=False)
    with pytest.raises(TableBlocked, match=r"row 2 of SpecialOffer\.csv has 12 fields instead of 11") as error:
        read(tmp_path)
    assert "secret" not in str(error.value)


def test_a_vanished_folder_is_an_error_of_the_source(tmp_path):
    with pytest.raises(PlatformError) as error:
        FileSource(tmp_path / "gone", 10).state(OFFER)
    assert not isinstance(error.value, TableBlocked)


def test_states_of_all_tables_name_the_blocked_ones(tmp_path):
    write_csv(tmp_path, [offer()])
    states = FileSource(tmp_path, 10).states([OFFER, STORE])
    assert states[OFFER.asset] == FileSource(tmp_path, 10).state(OFFER)
    assert isinstance(states[STORE.asset], TableBlocked)


def test_fingerprint_follows_the_content(tmp_path):
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


def test_a_file_that_changes_while_it_is_read_is_worth_another_try(tmp_path):
    write_csv(tmp_path, [offer(n) for n in range(5)])
    with FileSource(tmp_path, batch_rows=2).snapshot() as snapshot:
        rows = snapshot.rows(OFFER)
        next(rows)
        with (tmp_path / "Sales_SpecialOffer.csv").open("a") as file:
            csv.writer(file).writerow(offer(9).values())
        with pytest.raises(ServiceUnavailable, match="changed while it was read"):
            list(rows)
