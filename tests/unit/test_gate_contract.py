"""Validation of a batch: lossless types pass, other types block the table, and bad rows are separated."""

import math
from datetime import date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.polars import Check, Column, DataFrameModel, DataFrameSchema, Field

from adventureworks.catalog import MARTS, SOURCE_TABLES, entry
from adventureworks.columns import key_of, source_columns_of
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.gate.contract import ValidatedBatch, keeps_every_rule, validate
from adventureworks.gate.conversion import converted, parsed
from adventureworks.gate.damage import stands_for_null
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


def validated(rows: list[dict[str, Any]], **columns: pa.Array) -> ValidatedBatch:
    batch = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        place = batch.column_names.index(name) if name in batch.column_names else batch.num_columns
        if name in batch.column_names:
            batch = batch.set_column(place, name, values)
        else:
            batch = batch.append_column(name, values)
    return validate(TABLE, batch.combine_chunks().to_batches()[0])


def offers(count: int, template: dict[str, Any] = OFFER) -> list[dict[str, Any]]:
    identity = type(template["SpecialOfferID"])
    return [{**template, "SpecialOfferID": identity(place + 1)} for place in range(count)]


def test_a_missing_column_blocks_the_table_and_is_named() -> None:
    rows = [{name: value for name, value in OFFER.items() if name != "DiscountPct"}]
    with pytest.raises(TableBlocked, match="DiscountPct") as blocked:
        validated(rows)
    assert blocked.value.rule == "columns_are_there"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("DiscountPct", pa.array([0.1])),  # floating point does not hold amounts of money exactly
        ("MinQty", pa.array(["0"])),
        ("StartDate", pa.array(["2024-03-01"])),
        ("Description", pa.array([7])),
        ("StartDate", pa.array([datetime(2024, 3, 1)], pa.timestamp("us", "UTC"))),
    ],
)
def test_a_changed_type_blocks_the_table(column: str, values: pa.Array) -> None:
    with pytest.raises(TableBlocked, match=column) as blocked:
        validated(offers(1), **{column: values})
    assert blocked.value.rule == "column_types_are_kept"


def test_new_columns_reordered_columns_and_wider_types_are_accepted() -> None:
    rows = [dict(reversed(row.items())) for row in offers(2)]
    split = validated(
        rows,
        Mood=pa.array(["good", None]),
        SpecialOfferID=pa.array([1, 2], pa.int64()),
        DiscountPct=pa.array([Decimal("0.1"), Decimal("0.25")], pa.decimal128(5, 2)),
        StartDate=pa.array([date(2024, 3, 1)] * 2),
    )
    assert split.bad.is_empty()
    assert split.good.columns == list(OFFER)
    assert split.good["DiscountPct"].to_list() == [Decimal("0.1000"), Decimal("0.2500")]


def test_a_value_that_does_not_fit_its_type_sets_only_its_row_aside() -> None:
    split = validated(
        offers(3),
        MinQty=pa.array([1, 2**40, 3], pa.int64()),
        DiscountPct=pa.array([Decimal("0.10001"), Decimal("0.1"), Decimal("0.1")], pa.decimal128(10, 5)),
    )
    assert split.good["SpecialOfferID"].to_list() == [3]
    assert [(r.row, r.rule) for r in split.rejections] == [(0, "DiscountPct_is_readable"), (1, "MinQty_is_readable")]


@pytest.mark.parametrize(("floats", "most"), [(pa.float64(), 2**31 - 1), (pa.float32(), 2**24 - 1)])
def test_whole_numbers_may_be_stored_as_floating_point(floats: pa.DataType, most: int) -> None:
    numbers = [float(most), None, 7.0, 2.5, float("nan"), float("inf"), 2.0**40]
    split = validated(offers(len(numbers)), MaxQty=pa.array(numbers, floats))
    assert split.good["MaxQty"].to_list() == [most, None, 7]
    assert [(one.row, one.rule) for one in split.rejections] == [(row, "MaxQty_is_readable") for row in range(3, 7)]


def test_text_that_does_not_parse_sets_its_row_aside_and_is_kept_unchanged() -> None:
    rows = offers(3, AS_TEXT)
    rows[1]["MinQty"] = "many"
    split = validated(rows, MaxQty=pa.array([None, None, "12"], pa.string()))
    assert split.good["MaxQty"].to_list() == [None, 12]
    assert split.bad["MinQty"].to_list() == ["many"]
    assert split.rejections[0].message.startswith("MinQty is a whole number")


WRITTEN: dict[pl.DataType, tuple[dict[str, Any], list[str]]] = {
    pl.Int32(): (
        {"7": 7, " 7 ": 7, "+7": 7, "-0": 0, "007": 7, "7.0": 7, "2147483647": 2**31 - 1},
        ["7.5", "1e3", "1,000", "1_0", "\u0663", "7\u00a0", "\u00a07", "2147483648", "NaN", "", "0x7", "--7"],
    ),
    pl.Decimal(19, 4): (
        {
            "1.2345": Decimal("1.2345"),
            ".5": Decimal("0.5"),
            "-.5": Decimal("-0.5"),
            "5.": 5,
            "1.20000000000000000": Decimal("1.2"),
        }
        | {"999999999999999.9999": Decimal("999999999999999.9999"), "-0.0": 0},
        [
            "1.23456",
            "1,5",
            "1.000,00",
            "1,000.00",
            "1e3",
            "NaN",
            "inf",
            ".",
            "",
            "9999999999999999",
            "1.00000000000000001",
        ],
    ),
    pl.Datetime("us"): (
        {"2014-06-30": datetime(2014, 6, 30), "2014-06-30T01:02:03.123456": datetime(2014, 6, 30, 1, 2, 3, 123456)}
        | {"2014-06-30 01:02:03.1234560": datetime(2014, 6, 30, 1, 2, 3, 123456)},
        [
            "2014-06-30 01:02:03.1234567",
            "2014-06-30T01:02:03Z",
            "2014-06-30 01:02:03+02:00",
            "2014-06-30 23:59:60",
            "30.06.2014",
            "06/30/2014",
            "2014-02-30",
            "1-Mar",
            "2014-06-30 24:00:00",
            "14-06-30",
            "2014-6-30",
        ],
    ),
    pl.Date(): (
        {"2014-06-30": date(2014, 6, 30), "2014-06-30 00:00:00.000": date(2014, 6, 30)},
        ["2014-06-30 13:00:00", "2014-06-30 noon", "2014-06-301", "2014-06-30T00:00:00Z"],
    ),
    pl.Time(): (
        {"07:00:00": time(7), "07:00:00.1234560": time(7, 0, 0, 123456)},
        ["07:00:00.1234567", "7 pm", "24:00:00", "07:00:60", "07:00:00+01:00"],
    ),
    pl.Boolean(): ({"1": True, "f": False, "TRUE": True}, ["2", "yes", "", "1.0"]),
}


@pytest.mark.parametrize("dtype", WRITTEN, ids=str)
def test_text_is_parsed_exactly_or_becomes_null(dtype: pl.DataType) -> None:
    exact, inexact = WRITTEN[dtype]
    assert parsed(pl.Series([*exact]), dtype).to_list() == [*exact.values()]
    texts = pl.Series(inexact)
    assert texts.filter(parsed(texts, dtype).is_not_null()).to_list() == []


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12),
    st.integers(0, 6),
)
def test_no_digit_of_a_decimal_is_lost(value: Decimal, scale: int) -> None:
    read = parsed(pl.Series([f"{value:f}"]), pl.Decimal(38, scale)).item()
    assert read == (value if value == round(value, scale) else None)


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (pl.Series([1_000_000_001], dtype=pl.Int64).cast(pl.Datetime("ns")), pl.Datetime("us")),
        (pl.Series([1_001], dtype=pl.Int64).cast(pl.Time), pl.Time()),
        (pl.Series([datetime(2014, 6, 30, 13)]), pl.Date()),
        (pl.Series([Decimal("1.5")]), pl.Int32()),
        (pl.Series([Decimal("1.23456")]), pl.Decimal(19, 4)),
        (pl.Series([b"caf\xe9"]), pl.String()),
    ],
    ids=str,
)
def test_a_typed_value_that_would_lose_precision_becomes_null(values: pl.Series, target: pl.DataType) -> None:
    result = converted(values, target, parses_text=False)
    assert result is not None
    assert result.to_list() == [None]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("CafÃ©", "Description_is_undamaged"),
        ("It\u00e2\u20ac\u2122s", "Description_is_undamaged"),
        ("Caf\ufffd", "Description_is_undamaged"),
        *[
            (text, "Description_is_undamaged")
            for text in ("Brandâ„¢", "5 â‚¬", "æ—¥æœ¬", "ðŸ˜€", "Î•Î»Î»", "Ø§Ù„Ø¹", "ì•ˆ", "Å“uvre", "CÃ“RDOBA")
        ],
        ("Caf\x92s", "Description_is_undamaged"),
        ("3.33327E+13", "Description_is_as_written"),
        ("1-Mar", "Description_is_as_written"),
        (r"\N", "Description_is_no_word_for_null"),
        ("[NULL]", "Description_is_no_word_for_null"),
        *[
            (text, None)
            for text in ("Null", "NULL", "N/A", "Café à 5 €", "Mart¡nez", "SÃO PAULO", "Ørsted", "Мир", "E+13")
        ],
        *[
            (text, None)
            for text in ("“MAÇÃ”", "IRMÃ’S", "«IRMû", "LÖALGODÃO", "voilà…»", "naïve—“so”", "Ελλάδα", "日本")
        ],
    ],
)
def test_text_damaged_by_a_program_sets_its_row_aside(text: str, rule: str | None) -> None:
    split = validated(offers(1), Description=pa.array([text]))
    assert [rejection.rule for rejection in split.rejections] == ([rule] if rule else [])


@pytest.mark.parametrize("word", ["NULL", "null", "None", "nan", "N/A", r"\N", "[NULL]", "(null)"])
def test_a_word_for_null_is_rejected_where_null_is_allowed(word: str) -> None:
    column = next(c for c in source_columns_of(SOURCE_TABLES["Person_Address"]) if c.name == "AddressLine2")
    assert stands_for_null(pl.Series([word, "Nullstraße 1", None]), column.nullable).to_list() == [True, False, False]


@pytest.mark.parametrize("padding", ["", "  "])
def test_padding_is_not_part_of_a_code(padding: str) -> None:
    rows = [
        {"UnitMeasureCode": f"{code}{padding}", "Name": name, "ModifiedDate": datetime(2013, 1, 1)}
        for code, name in (("EA", "Each "), ("C", " "))
    ]
    batch = pa.Table.from_pylist(rows).to_batches()[0]
    split = validate(SOURCE_TABLES["Production_UnitMeasure"], batch)
    assert split.good.rows() == [("EA", "Each ", datetime(2013, 1, 1))], "other texts are unchanged"
    assert split.bad["UnitMeasureCode"].to_list() == ["C"], "the key must match the last good version of the row"


def test_each_rejection_names_the_broken_rule() -> None:
    rows = offers(5)
    rows[1]["DiscountPct"] = Decimal("1.5000")
    rows[2]["EndDate"] = datetime(2024, 1, 1)
    rows[4]["SpecialOfferID"] = rows[3]["SpecialOfferID"]
    split = validated(rows, Description=pa.array([None, *["Spring"] * 4], pa.string()))
    assert split.good.is_empty()
    found = {rejection.row: rejection for rejection in split.rejections}
    assert found[0].rule == "Description_is_given"
    assert (found[1].message, found[1].rule.startswith("DiscountPct")) == ("DiscountPct <= 1", True)
    assert "EndDate" in found[2].message
    assert found[3].rule == found[4].rule == "key_is_unique"


@given(st.lists(st.sampled_from(["good", "low", "late", "null"]), min_size=1, max_size=40))
def test_each_row_is_either_good_or_bad(kinds: list[str]) -> None:
    rows = offers(len(kinds))
    for row, kind in zip(rows, kinds, strict=True):
        row["MinQty"] = -1 if kind == "low" else 0
        row["EndDate"] = datetime(2020, 1, 1) if kind == "late" else OFFER["EndDate"]
    names = pa.array([None if kind == "null" else "Spring" for kind in kinds], pa.string())
    split = validated(rows, Description=names, MaxQty=pa.array([None] * len(kinds), pa.int32()))
    good = {row["SpecialOfferID"] for row, kind in zip(rows, kinds, strict=True) if kind == "good"}
    assert set(split.good["SpecialOfferID"]) == good
    assert set(split.bad["SpecialOfferID"]) == {row["SpecialOfferID"] for row in rows} - good
    assert [rows[r.row]["SpecialOfferID"] for r in split.rejections] == split.bad["SpecialOfferID"].to_list()


def test_secret_columns_are_masked() -> None:
    cards = pl.DataFrame({"CardNumber": ["11110000222233", None]})
    assert protected(SOURCE_TABLES["Sales_CreditCard"], cards)["CardNumber"].to_list() == ["…2233", None]
    hashes = pl.DataFrame({"PasswordHash": ["pbFwXWE99vobT6g+vPWFy93NtUU="], "PasswordSalt": ["bE3XiWw="]})
    assert protected(SOURCE_TABLES["Person_Password"], hashes).row(0) == ("withheld", "withheld")


def test_every_contract_declares_a_key() -> None:
    assert [name for name, table in SOURCE_TABLES.items() if not key_of(table)] == []


class Measurement(DataFrameModel):
    """A contract with rules that no table has yet."""

    number: pl.Int32 = Field(unique=True)
    weight: pl.Float64
    height: pl.Float64 = Field(nullable=True, ge=0)


@pytest.mark.parametrize(
    ("numbers", "weights", "heights"),
    [([1, 1], [1.0, 2.0], [1.0, 2.0]), ([1, 2], [1.0, math.nan], [1.0, 2.0]), ([1, 2], [1.0, 2.0], [1.0, -2.0])],
)
def test_the_query_over_all_rules_knows_unique_columns_and_what_is_no_number(
    numbers: list[int], weights: list[float], heights: list[float]
) -> None:
    table: Any = SimpleNamespace(contract=Measurement)
    schema = {"number": pl.Int32, "weight": pl.Float64, "height": pl.Float64}
    good = pl.DataFrame([[1, 2], [1.0, 2.0], [1.0, None]], schema)
    assert keeps_every_rule(table, good)
    assert not keeps_every_rule(table, pl.DataFrame([numbers, weights, heights], schema))


def test_a_rule_that_cannot_be_evaluated_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = TABLE.contract.to_schema()

    def broken(data: Any) -> pl.LazyFrame:
        raise ZeroDivisionError

    column = schema.columns["MinQty"]
    monkeypatch.setattr(column, "checks", [*column.checks, Check(broken, name="is_odd", description="is odd")])
    monkeypatch.setattr(TABLE.contract, "validate", lambda frame, lazy: schema.validate(frame, lazy=lazy))
    with pytest.raises(PlatformError, match=r"rule MinQty_is_odd \(MinQty is odd\) could not be evaluated"):
        validated(offers(2))


OF_MODELS = {"columns", "checks", "_unique", "strict", "name", "description", "metadata"}
OF_COLUMNS = {"_dtype", "checks", "nullable", "unique", "name", "description", "metadata"}
OF_CHECKS = {"_check_fn", "_check_kwargs", "statistics", "statistics_args", "native", "name", "error", "description"}
OF_SAMPLES = {"strategy", "determined_by_unique"}
"""Options for generated samples. Those above are known to the query, evaluated by Pandera, or only describe a rule."""


@pytest.mark.parametrize("asset", [*SOURCE_TABLES, *MARTS])
def test_contracts_have_no_option_that_the_query_over_all_rules_would_ignore(asset: str) -> None:
    schema = entry(asset).contract.to_schema()
    columns = list(schema.columns.values())
    checks = [check for part in (schema, *columns) for check in part.checks]
    assert changed_options(schema, DataFrameSchema()) <= OF_MODELS
    assert set().union(*(changed_options(column, Column()) for column in columns)) <= OF_COLUMNS
    assert set().union(*(changed_options(check, Check(len)) for check in checks)) <= OF_CHECKS | OF_SAMPLES


def changed_options(found: Any, default: Any) -> set[str]:
    """Return the options with another value than the default."""
    return {name for name, value in vars(found).items() if value != vars(default)[name]}
