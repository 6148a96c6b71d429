"""Names of tables and columns in a source: an exact match, else the only one without case, else a refusal."""

from __future__ import annotations

from typing import Any

import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import TableBlocked
from adventureworks.source.columns import require_columns, standing_for
from adventureworks.source.sqlserver_columns import by_asset, columns_from, present_columns

REASON = SOURCE_TABLES["Sales_SalesReason"]


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (["Name"], ["Name"]),
        (["NAME", "Name", "name"], ["Name"]),
        (["NAME"], ["NAME"]),
        ([" name "], [" name "]),
        (["NAME", "name"], ["NAME", "name"]),
        (["Name", "Name"], ["Name", "Name"]),
        (["Names"], None),
    ],
)
def test_an_exact_name_comes_before_names_that_differ_in_case(present: list[str], found: list[str] | None) -> None:
    assert standing_for(["Name"], present).get("Name") == found


def row(table: str, column: str) -> dict[str, Any]:
    numbers = {"max_length": 4, "precision": 10, "scale": 0, "is_nullable": 0}
    return {"schema_name": "SALES", "table_name": table, "column_name": column, "type_name": "int", **numbers}


def test_a_sql_server_table_with_several_names_is_refused_with_all_of_them() -> None:
    rows = [row("SALESREASON", "salesreasonid"), row("salesreason", "salesreasonid")]
    assert by_asset(rows) == {}
    with pytest.raises(TableBlocked, match=r"has SALES\.SALESREASON and SALES\.salesreason, and none is") as refused:
        present_columns(REASON, columns_from(rows, [REASON]), ["SalesReasonID"])
    assert refused.value.rule == "table_is_unambiguous"
    (column,) = present_columns(REASON, columns_from(rows[:1], [REASON]), ["SalesReasonID"])
    assert (column.name, column.reference) == ("SalesReasonID", "t.[salesreasonid]")


def test_a_file_with_several_names_for_a_column_is_refused_with_all_of_them() -> None:
    present = ["SalesReasonID", "NAME", "name", "ReasonType", "ModifiedDate"]
    with pytest.raises(TableBlocked, match=r"reasons\.csv has NAME and name for column Name\.") as refused:
        require_columns(REASON, present, "reasons.csv")
    assert refused.value.rule == "columns_are_there"
