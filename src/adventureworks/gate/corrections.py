"""Corrections: rows that a person put in place of rows in quarantine.

A correction is applied when its row is read, before the gate, for as long as the source delivers exactly the row that
it replaces. When the source row changes, the correction ends.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks.catalog import SourceTable
from adventureworks.columns import key_of, source_columns_of
from adventureworks.gate.contract import ValidatedBatch, validate
from adventureworks.gate.pseudonyms import without_forgotten
from adventureworks.gate.row_text import RowText, as_text, canonical, digest
from adventureworks.warehouse import decisions
from adventureworks.warehouse.decisions import Correction
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.staging import StagedTable


def as_batch(entry: SourceTable, rows: Sequence[RowText]) -> pa.RecordBatch:
    """Return rows of text as a batch of the columns that come from the source."""
    schema = pa.schema([(column.name, pa.string()) for column in source_columns_of(entry)])
    return pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=schema)


def take_back(session: Session, staged: StagedTable) -> int:
    """Delete the published values of corrections that were taken back; return the number of rows.

    Only if the row of the source is set aside, and only if these values are published: a good version of the source
    stays.
    """
    withdrawn = decisions.withdrawn(session.records, staged.asset)
    if not withdrawn:
        return 0
    versions = staged.published_versions(session.data, {key for key, _ in withdrawn}, only_set_aside=True)
    texts = canonical(staged.entry, [json.loads(version) for version in versions.values()])
    published = dict(zip(versions, texts, strict=True))
    corrected = canonical(staged.entry, [row for _, row in withdrawn])
    same = {key for (key, _), row in zip(withdrawn, corrected, strict=True) if published.get(key) == row}
    return staged.take_back(session.data, sorted(same))


class Corrections:
    """The corrections of one table, applied to the batches of one reading."""

    def __init__(
        self,
        entry: SourceTable,
        found: Mapping[str, Correction],
        forgotten_ids: Collection[int] = (),
        lacks: frozenset[str] = frozenset(),
    ) -> None:
        """`found`: the corrections in force, by the row's key as quarantine stores it.

        `forgotten_ids`: the ids of forgotten people, whom corrections do not bring back. `lacks`: the columns that the
        source does not offer.
        """
        self._lacks = lacks
        self._entry = entry
        self._forgotten_ids = forgotten_ids
        self._found = found
        self._key = key_of(entry)
        # Compared as tuples, because every row that is read is looked up.
        self._keys = {tuple(json.loads(key)[name] for name in self._key): key for key in found}
        self._applied: set[str] = set()
        self.outdated: set[str] = set()
        """The keys whose source row is no longer the one that was corrected."""

    def applied(self, validated: ValidatedBatch, delivered: Collection[str]) -> list[ValidatedBatch]:
        """Return the validated batch without the rows that are corrected, and their validated corrections.

        `delivered`: the columns of the batch.
        """
        if not self._found:
            return [validated]
        # A bad row is known by the key that quarantine would store.
        bad_keys = [tuple(key.values()) for key in validated.bad_keys()]
        good = self._replaced(validated.good, validated.good.select(self._key).iter_rows(), delivered)
        bad = self._replaced(validated.bad, bad_keys, delivered)
        if not good and not bad:
            return [validated]
        rest = validated.without(good, bad)
        # A row may be read twice, by date and by key.
        keys = sorted({*good.values(), *bad.values()} - self._applied)
        self._applied.update(keys)
        if not keys:
            return [rest]
        rows = as_batch(self._entry, [self._found[key].row for key in keys])
        batch, _ = without_forgotten(self._entry, rows, self._forgotten_ids)
        return [rest, validate(self._entry, batch, lacks=self._lacks)]

    def _replaced(
        self, frame: pl.DataFrame, identities: Iterable[tuple[Any, ...]], delivered: Collection[str]
    ) -> dict[int, str]:
        """Return the places of the rows that a correction replaces, with their keys; note the outdated corrections."""
        looked_up = enumerate(self._keys.get(tuple(map(as_text, identity))) for identity in identities)
        keys = {place: key for place, key in looked_up if key is not None}
        if not keys:
            return {}
        rows = [
            {name: as_text(value) for name, value in row.items() if name in delivered}
            for row in frame[list(keys)].iter_rows(named=True)
        ]
        replaced = {}
        for (place, key), row in zip(keys.items(), canonical(self._entry, rows), strict=True):
            if digest(row) == self._found[key].replaces:
                replaced[place] = key
            else:
                self.outdated.add(key)
        return replaced
