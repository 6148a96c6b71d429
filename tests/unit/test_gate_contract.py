"""What the gate makes of a batch: types that fit without loss pass, other types condemn the table, bad rows part."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import key_of
from adventureworks.errors import TableBlocked
from adventureworks.gate.contract import Verdict, hold_against
from adventureworks.gate.load import protected

OFFER = {
    "SpecialOfferID": 1,
    "Description": "Spring",
    "DiscountPct": Decimal("0.1000"),
    "Type": "Seasonal",
    "Category": "Customer",
    "StartDate": datetime(2024, 3, 1),
    "EndDate": datetime(2024, 5, 31),
    "MinQty": 0,
    "MaxQty": None,
    "rowguid": "00000000-0000-0000-0000-000000000001",
    "ModifiedDate": datetime(2024, 2, 1),
}
TABLE = SOURCE_TABLES["Sales_SpecialOffer"]
AS_TEXT = {name: None if value is None else str(value) for name, value in OFFER.items()}


def held(rows: list[dict[str, Any]], **columns: pa.Array) -> Verdict:
    batch = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        place = batch.column_names.index(name) if name in batch.column_names else batch.num_columns
        if name in batch.column_names:
            batch = batch.set_column(place, name, values)
        else:
            batch = batch.append_column(name, values)
    return hold_against(TABLE, batch.combine_chunks().to_batches()[0])


def offers(count: int, template: dict[str, Any] = OFFER) -> list[dict[str, Any]]:
    identity = type(template["SpecialOfferID"])
    return [{**template, "SpecialOfferID": identity(place + 1)} for place in range(count)]


def test_a_missing_column_condemns_the_table_and_is_named() -> None:
    rows = [{name: value for name, value in OFFER.items() if name != "DiscountPct"}]
    with pytest.raises(TableBlocked, match="DiscountPct") as blocked:
        held(rows)
    assert blocked.value.rule == "columns_are_there"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("DiscountPct", pa.array([0.1])),  # money in floating point is not the money that was meant
        ("MinQty", pa.array(["0"])),
        ("StartDate", pa.array(["2024-03-01"])),
        ("Description", pa.array([7])),
        ("StartDate", pa.array([datetime(2024, 3, 1)], pa.timestamp("us", "UTC"))),
    ],
)
def test_a_changed_type_condemns_the_table(column: str, values: pa.Array) -> None:
    with pytest.raises(TableBlocked, match=column) as blocked:
        held(offers(1), **{column: values})
    assert blocked.value.rule == "column_types_are_kept"


def test_new_columns_other_order_and_wider_types_are_accepted() -> None:
    rows = [dict(reversed(row.items())) for row in offers(2)]
    verdict = held(
        rows,
        Mood=pa.array(["good", None]),
        SpecialOfferID=pa.array([1, 2], pa.int64()),
        DiscountPct=pa.array([Decimal("0.1"), Decimal("0.25")], pa.decimal128(5, 2)),
        StartDate=pa.array([date(2024, 3, 1)] * 2),
    )
    assert verdict.bad.is_empty()
    assert verdict.good.columns == list(OFFER)
    assert verdict.good["DiscountPct"].to_list() == [Decimal("0.1000"), Decimal("0.2500")]


def test_a_value_that_its_type_cannot_hold_condemns_only_its_row() -> None:
    verdict = held(
        offers(3),
        MinQty=pa.array([1, 2**40, 3], pa.int64()),
        DiscountPct=pa.array([Decimal("0.10001"), Decimal("0.1"), Decimal("0.1")], pa.decimal128(10, 5)),
    )
    assert verdict.good["SpecialOfferID"].to_list() == [3]
    assert [(r.row, r.rule) for r in verdict.rejections] == [(0, "DiscountPct_is_readable"), (1, "MinQty_is_readable")]


def test_text_that_does_not_parse_condemns_its_row_and_is_kept_as_it_came() -> None:
    rows = offers(3, AS_TEXT)
    rows[1]["MinQty"] = "many"
    verdict = held(rows, MaxQty=pa.array([None, None, "12"], pa.string()))
    assert verdict.good["MaxQty"].to_list() == [None, 12]
    assert verdict.bad["MinQty"].to_list() == ["many"]
    assert verdict.rejections[0].message.startswith("MinQty is a whole number")


def test_each_bad_row_names_the_rule_it_broke() -> None:
    rows = offers(5)
    rows[1]["DiscountPct"] = Decimal("1.5000")
    rows[2]["EndDate"] = datetime(2024, 1, 1)
    rows[4]["SpecialOfferID"] = rows[3]["SpecialOfferID"]
    verdict = held(rows, Description=pa.array([None, *["Spring"] * 4], pa.string()))
    assert verdict.good.is_empty()
    found = {rejection.row: rejection for rejection in verdict.rejections}
    assert found[0].rule == "Description_is_given"
    assert (found[1].message, found[1].rule.startswith("DiscountPct")) == ("DiscountPct <= 1", True)
    assert "EndDate" in found[2].message
    assert found[3].rule == found[4].rule == "key_is_unique"


@given(st.lists(st.sampled_from(["good", "low", "late", "null"]), min_size=1, max_size=40))
def test_no_row_is_lost_and_none_is_in_both_parts(kinds: list[str]) -> None:
    rows = offers(len(kinds))
    for row, kind in zip(rows, kinds, strict=True):
        row["MinQty"] = -1 if kind == "low" else 0
        row["EndDate"] = datetime(2020, 1, 1) if kind == "late" else OFFER["EndDate"]
    names = pa.array([None if kind == "null" else "Spring" for kind in kinds], pa.string())
    verdict = held(rows, Description=names, MaxQty=pa.array([None] * len(kinds), pa.int32()))
    good = {row["SpecialOfferID"] for row, kind in zip(rows, kinds, strict=True) if kind == "good"}
    assert set(verdict.good["SpecialOfferID"]) == good
    assert set(verdict.bad["SpecialOfferID"]) == {row["SpecialOfferID"] for row in rows} - good
    assert [rows[r.row]["SpecialOfferID"] for r in verdict.rejections] == verdict.bad["SpecialOfferID"].to_list()


def test_secret_columns_are_cut_down_before_the_warehouse() -> None:
    cards = pl.DataFrame({"CardNumber": ["11110000222233", None]})
    assert protected(SOURCE_TABLES["Sales_CreditCard"], cards)["CardNumber"].to_list() == ["…2233", None]
    hashes = pl.DataFrame({"PasswordHash": ["pbFwXWE99vobT6g+vPWFy93NtUU="], "PasswordSalt": ["bE3XiWw="]})
    assert protected(SOURCE_TABLES["Person_Password"], hashes).row(0) == ("withheld", "withheld")


def test_every_contract_declares_a_key() -> None:
    assert [name for name, table in SOURCE_TABLES.items() if not key_of(table)] == []
