"""Who is forgotten: `ops.forgotten_row`, which every reading of the source consults, and `ops.forgotten_person`.

The first holds ids only: of people, and of the rows that lead to them through another table, such as addresses. The
second says who decided it, why, when, and what was found where. Every function runs in the caller's transaction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse.environments import schema_of
from adventureworks.warehouse.postgres import Connection, WarehouseConnection
from adventureworks.warehouse.session import Data, Rows
from adventureworks.warehouse.sql import table

PEOPLE = "Person_Person"

Forgotten = Mapping[str, frozenset[int]]
"""By table, the values of the column that identifies the rows of forgotten people; under `PEOPLE`, their ids."""

_NOT_SEARCHED = ("forgotten_row", "layout", "migration", "quarantined_row")
"""Tables of `ops` with texts of the platform only, and the rows in quarantine, which are on the side with the data."""
_WHOLE_WORD = 7
"""Texts that are shorter are found as whole words only, because they may be parts of other words by chance."""
# A word goes on over marks that join words, but ends with a sentence. JSON writes the end of a line as a letter.
_WORD_BEGINS = r"(?:(?<![\w@/-])(?<!\w\.)|(?<=\\[nrt]))"
_WORD_ENDS = r"(?![\w@/-]|\.\w)"
_ROWS = ("row_data", "row_key")
"""Columns with rows of the source. Those of forgotten people are erased by id, and the others are not theirs."""


@dataclass(frozen=True)
class Record:
    """The record of a forgotten person."""

    person: int
    forgotten_by: str
    forgotten_at: datetime


class Replacements:
    """What takes the place of texts about a forgotten person."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts`: by each text, what takes its place."""
        # A text may be a part of another one.
        self.texts = dict(sorted(texts.items(), key=lambda one: (-len(one[0]), one[0])))
        found = (
            re.escape(text) if len(text) >= _WHOLE_WORD else f"{_WORD_BEGINS}{re.escape(text)}{_WORD_ENDS}"
            for text in self.texts
        )
        self._pattern = re.compile("|".join(found) or "(?!)")

    def applied(self, text: str) -> str:
        """Return a text with the replacements."""
        return self._pattern.sub(lambda match: self.texts[match[0]], text)

    def are_in(self, content: bytes) -> bool:
        """Return whether a content in UTF-8 has one of the texts."""
        return self._pattern.search(content.decode(errors="replace")) is not None


def ids_in(forgotten: Forgotten, entry: SourceTable) -> frozenset[int]:
    """Return the values by which a table's rows of forgotten people are recognized."""
    is_direct = entry.person is not None and entry.person.through is None
    return forgotten.get(PEOPLE if is_direct else entry.asset, frozenset())


def of_anyone(records: WarehouseConnection) -> Forgotten:
    """Return the rows of everyone who is forgotten in this environment or in production."""
    found: dict[str, set[int]] = {}
    here = records.environment
    for environment in {here, ""}:
        records.environment = environment
        try:
            # A warehouse that an older version used last lacks the table; a database may lack production.
            if records.has_table("ops", "forgotten_row"):
                for asset, row_id in records.execute("select asset, row_id from ops.forgotten_row"):
                    found.setdefault(asset, set()).add(int(row_id))
        finally:
            records.environment = here
    return {asset: frozenset(ids) for asset, ids in found.items()}


def add(records: Connection, forgotten: Forgotten) -> None:
    """Add rows of forgotten people, so that no reading of the source brings them back."""
    for asset, ids in forgotten.items():
        records.execute(
            "insert into ops.forgotten_row (asset, row_id) select %s, n.row_id from unnest(%s::bigint[]) as n (row_id)"
            " on conflict do nothing",
            (asset, sorted(ids)),
        )


def record_of(records: WarehouseConnection, person: int) -> Record | None:
    """Return the record of a forgotten person; None if the person is not forgotten here."""
    if not records.has_table("ops", "forgotten_person"):
        return None
    row = records.execute(
        "select person_id, forgotten_by, forgotten_at from ops.forgotten_person where person_id = %s", (person,)
    ).fetchone()
    return Record(*row) if row else None


def record(records: Connection, person: int, by: str, reason: str, places: Mapping[str, int]) -> None:
    """Record that a person is forgotten; if there is a record, add what was found since."""
    row = records.execute("select places from ops.forgotten_person where person_id = %s", (person,)).fetchone()
    before: dict[str, int] = json.loads(row[0]) if row else {}
    total = {place: before.get(place, 0) + places.get(place, 0) for place in sorted({*before, *places})}
    records.execute(
        "insert into ops.forgotten_person (person_id, forgotten_by, reason, places) values (%s, %s, %s, %s)"
        " on conflict (person_id) do update set places = excluded.places",
        (person, by, reason, json.dumps(total)),
    )


def replace_in_quarantine(data: Data, replacements: Replacements, *, changes: bool) -> dict[str, int]:
    """Replace texts in the messages of the rows in quarantine; return the number of rows, by table.

    In rows of tables that lead to nobody, which cannot be another person's, they are replaced, too.
    """
    attributed = ", ".join(f"'{entry.asset}'" for entry in SOURCE_TABLES.values() if entry.person)
    changed = sum(
        _replace(data.execute, "quarantined_row", columns, replacements, changes, f"asset {among} ({attributed})")
        for columns, among in ((["message"], "in"), (["message", *_ROWS], "not in"))
    )
    return {"ops.quarantined_row": changed} if changed else {}


def replace_in_records(records: WarehouseConnection, replacements: Replacements, *, changes: bool) -> dict[str, int]:
    """Replace texts in the platform's records; return the number of rows by table. Only count unless `changes`."""

    def execute(query: str, parameters: Mapping[str, str | None]) -> Rows:
        return records.execute(query.encode(), parameters)

    found = {
        name: _replace(execute, name, columns, replacements, changes)
        for name, columns in _text_columns(records).items()
    }
    return {f"ops.{name}": rows for name, rows in found.items() if rows}


def _replace(
    execute: Callable[[str, Mapping[str, str | None]], Rows],
    name: str,
    columns: Sequence[str],
    replacements: Replacements,
    changes: bool,
    condition: str = "true",
) -> int:
    """Replace texts in columns of the rows of a table that meet a condition; return the number of changed rows."""
    relation, listed = table("ops", name), ", ".join(map(quoted, columns))
    parameters = {f"text{number}": text for number, text in enumerate(replacements.texts)}
    has_any = []
    for column in columns:
        without = quoted(column)
        for parameter in parameters:
            without = f"replace({without}, %({parameter})s, '')"
        has_any.append(f"{quoted(column)} <> {without}")
    # Words are told apart here, because the databases do not write such patterns alike.
    rows = execute(
        f"select {listed}, count(*) from {relation} where {condition} and ({' or '.join(has_any)}) group by {listed}",
        parameters,
    ).fetchall()
    changed = 0
    for *before, number in rows:
        after = [None if text is None else replacements.applied(text) for text in before]
        if after == before:
            continue
        changed += number
        if changes:
            values = {f"old{place}": text for place, text in enumerate(before)}
            values |= {f"new{place}": text for place, text in enumerate(after)}
            assigned = ", ".join(f"{quoted(column)} = %(new{place})s" for place, column in enumerate(columns))
            same = " and ".join(
                f"{quoted(column)} " + ("is null" if before[place] is None else f"= %(old{place})s")
                for place, column in enumerate(columns)
            )
            execute(f"update {relation} set {assigned} where {condition} and {same}", values)
    return changed


def _text_columns(records: WarehouseConnection) -> dict[str, list[str]]:
    """Return the text columns of the platform's records, by table."""
    rows = records.execute(
        "select c.table_name, c.column_name from information_schema.columns as c"
        " join information_schema.tables as t using (table_schema, table_name)"
        " where c.table_schema = %s and t.table_type = 'BASE TABLE' and c.table_name <> all(%s)"
        " and c.column_name <> all(%s) and c.data_type in ('character varying', 'text') order by 1, 2",
        (schema_of(records.environment, "ops"), list(_NOT_SEARCHED), list(_ROWS)),
    ).fetchall()
    found: dict[str, list[str]] = {}
    for name, column in rows:
        found.setdefault(name, []).append(column)
    return found
