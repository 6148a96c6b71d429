"""Rows with texts that were decoded wrongly and that a person approved: they pass again while they stay the same.

Such a row was published by an approval, or before there was a rule against its texts. A reading that delivers it once
more, because it is of the last hour or because the table is read whole, needs no other approval. A row of which any
value has changed is judged as usual.
"""

from __future__ import annotations

import json

import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.gate.contract import ValidatedBatch, is_about_decoding, validate
from adventureworks.gate.row_text import as_text, canonical, row_key
from adventureworks.warehouse import Warehouse
from adventureworks.warehouse.staging import StagedTable


def admit_published(
    warehouse: Warehouse,
    staged: StagedTable,
    batch: pa.RecordBatch,
    validated: ValidatedBatch,
    lacks: frozenset[str] = frozenset(),
) -> list[ValidatedBatch]:
    """Return a validated batch without the damaged rows that are published as they are, and these rows as a batch.

    `lacks`: the columns that the source does not offer.
    """
    damaged = [place for place, one in enumerate(validated.rejections) if is_about_decoding(one.rule)]
    places = _published(warehouse, staged, validated, damaged) if damaged else []
    if not places:
        return [validated]
    found = [validated.rejections[place] for place in places]
    rows = batch.take(pa.array([one.row for one in found]))
    return [
        validated.without((), frozenset(places)),
        validate(staged.entry, rows, admitted={one.rule for one in found}, lacks=lacks),
    ]


def _published(warehouse: Warehouse, staged: StagedTable, validated: ValidatedBatch, places: list[int]) -> list[int]:
    """Return those of these places of bad rows at which a row equals the published one with its key."""
    keys = list(validated.bad_keys())
    by_place = {place: row_key({name: as_text(value) for name, value in keys[place].items()}) for place in places}
    with warehouse.connect("load") as session:
        published = staged.published_versions(session.data, set(by_place.values()))
    known = {place: json.loads(published[key]) for place, key in by_place.items() if key in published}
    delivered = [
        {name: as_text(value) for name, value in row.items()}
        for row in validated.bad[list(known)].iter_rows(named=True)
    ]
    pairs = zip(_canonical(staged.entry, delivered), _canonical(staged.entry, [*known.values()]), strict=True)
    return [place for place, (row, one) in zip(known, pairs, strict=True) if row == one]


def _canonical(entry: SourceTable, rows: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    return canonical(entry, rows) if rows else []
