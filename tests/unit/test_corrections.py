"""Corrections replace exactly the rows that were corrected."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.gate.contract import validate
from adventureworks.gate.corrections import Corrections, as_batch
from adventureworks.gate.row_text import as_text, canonical, digest, key_text
from adventureworks.warehouse.decisions import Correction

ENTRY = SOURCE_TABLES["Production_TransactionHistory"]


def delivered(key: int, **values: Any) -> dict[str, Any]:
    """Return a row as a database delivers it."""
    day = datetime(2014, 6, 30)
    row = {
        "TransactionID": key,
        "ProductID": 776,
        "ReferenceOrderID": 1,
        "ReferenceOrderLineID": 0,
        "TransactionDate": day,
        "TransactionType": "S",
        "Quantity": 3,
        "ActualCost": Decimal("7.5"),
        "ModifiedDate": day,
    }
    return {**row, **values}


def corrected(row: dict[str, Any], **values: str) -> Corrections:
    """Return the correction of a row of the source by these values."""
    [text] = canonical(ENTRY, [{name: as_text(value) for name, value in row.items()}])
    return Corrections(ENTRY, {key_text(ENTRY, text): Correction({**text, **values}, digest(text))})


def costs(corrections: Corrections, *rows: dict[str, Any]) -> tuple[dict[int, Decimal], list[str]]:
    """Return the costs of the good rows of a batch by key, and the rules that the others break."""
    batch = pa.RecordBatch.from_pylist(list(rows))
    found = corrections.applied(validate(ENTRY, batch), batch.schema.names)
    good = [row for part in found for row in part.good.select("TransactionID", "ActualCost").rows()]
    return dict(good), [rejection.rule for part in found for rejection in part.rejections]


def test_a_correction_does_not_name_a_forgotten_person() -> None:
    entry = SOURCE_TABLES["Person_EmailAddress"]
    [text] = canonical(
        entry,
        [
            {
                "BusinessEntityID": "7",
                "EmailAddressID": "1",
                "EmailAddress": "old",
                "rowguid": "aaaaaaaa-0000-0000-0000-000000000001",
                "ModifiedDate": "2014-06-30 00:00:00",
            }
        ],
    )
    found = {key_text(entry, text): Correction({**text, "EmailAddress": "ann@example.com"}, digest(text))}
    for ids, mail in ((), "ann@example.com"), ({7}, None):
        batch = as_batch(entry, [text])
        parts = Corrections(entry, found, ids).applied(validate(entry, batch), batch.schema.names)
        assert [one for part in parts for one in part.good["EmailAddress"]] == [mail]


@pytest.mark.parametrize("kind", ["X", "S"])
def test_a_row_is_replaced_whether_the_contract_or_a_later_check_refused_it(kind: str) -> None:
    row = delivered(2, TransactionType=kind)
    corrections = corrected(row, TransactionType="W", ActualCost="8.25")
    good, broken = costs(corrections, delivered(1), row, delivered(3))
    assert (good, broken) == ({1: Decimal("7.5"), 2: Decimal("8.25"), 3: Decimal("7.5")}, [])
    assert costs(corrections, row) == ({}, []), "read once more, by key"
    assert not corrections.outdated


def test_a_correction_that_breaks_the_contract_is_set_aside_in_place_of_the_row() -> None:
    row = delivered(2, TransactionType="X")
    assert costs(corrected(row, TransactionType="W", Quantity="many"), row) == ({}, ["Quantity_is_readable"])


def test_a_row_that_changed_counts_again() -> None:
    row = delivered(2, TransactionType="X")
    corrections = corrected(row, TransactionType="W", ActualCost="8.25")
    good, broken = costs(corrections, delivered(2, Quantity=4))
    assert (good, broken) == ({2: Decimal("7.5")}, [])
    assert corrections.outdated == {'{"TransactionID": "2"}'}
