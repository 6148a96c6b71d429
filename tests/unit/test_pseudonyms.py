"""Rows of forgotten people identify nobody and keep their contracts."""

from __future__ import annotations

import html
import json

import markupsafe
import polars as pl
import pytest

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.gate.check_files import references
from adventureworks.gate.contract import validate
from adventureworks.gate.forget import ENTRIES, Erasure, mentions
from adventureworks.gate.pseudonyms import belongs, identifying, is_left_out, pseudonymised
from adventureworks.settings import Settings
from adventureworks_sample import generate

CHECKS = Settings().checks_folder / "source"


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """Rows of all tables with columns that identify people, by table."""
    wanted = {entry.asset for entry in ENTRIES}
    return {asset: pl.DataFrame(rows) for asset, rows in generate(0.005, 7) if asset in wanted}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.asset)
def test_neutral_values_keep_the_contract(entry: SourceTable, tables: dict[str, pl.DataFrame]) -> None:
    rows = tables[entry.asset]
    everyone = pl.repeat(True, rows.height, dtype=pl.Boolean, eager=True)
    for delivered in (rows, _as_text(rows)):
        neutral = pseudonymised(entry, delivered, everyone)
        if is_left_out(entry):
            assert neutral.height == 0
            continue
        assert neutral.schema == delivered.schema
        verdict = validate(entry, neutral.to_arrow())
        assert verdict.rejections == ()
        kept = [column.name for column in columns_of(entry) if column not in identifying(entry)]
        assert neutral.select(set(kept) & set(rows.columns)).equals(delivered.select(set(kept) & set(rows.columns)))
        before = validate(entry, delivered.to_arrow()).good
        for column in identifying(entry):
            if column.dtype == pl.String and verdict.good[column.name].null_count() < verdict.good.height:
                common = {"M", "F", "S"}
                assert not set(verdict.good[column.name]) & set(before[column.name]) - common, column.name


def _as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as a file delivers them."""
    numbers_for_booleans = rows.with_columns(pl.col(pl.Boolean).cast(pl.Int8))
    return numbers_for_booleans.with_columns(pl.all().cast(pl.String))


def test_a_text_is_found_however_a_mail_a_workbook_or_json_writes_it() -> None:
    text = 'O\'Brien "R&D" <ann@example.com>'
    found = Erasure(values={text}).replacements(7).texts
    written = (text, text.lower(), str(markupsafe.escape(text)), html.escape(text), json.dumps(text)[1:-1])
    assert {*written, 'O\'Brien "R&amp;D" &lt;ann@example.com&gt;'} <= found.keys()
    assert set(found.values()) == {"forgotten-7-1"}


def test_a_short_text_is_replaced_as_a_whole_word_only() -> None:
    found = Erasure()
    person = {"Title": ["Mrs."], "FirstName": ["Al"], "LastName": ["Yu"], "Suffix": ["1.5"]}
    found.add(SOURCE_TABLES["Person_Person"], "raw.Person_Person", pl.DataFrame(person))
    address = pl.DataFrame({"AddressLine1": ["12 Elm"], "AddressLine2": ["B-12"]})
    found.add(SOURCE_TABLES["Person_Address"], "raw.Person_Address", address)
    replacements = found.replacements(7)
    for before, after in {
        "Al Yu, 12 Elm (B-12).": "forgotten-7-2, forgotten-7-1 (forgotten-7-3).",
        json.dumps(["one\nAl Yu"]): json.dumps(["one\nforgotten-7-2"]),
        "<b>al yu</b> Al Yu Al Yu": "<b>forgotten-7-2</b> forgotten-7-2 forgotten-7-2",
        "Al Yuste, Sal Yu, 112 Elm, 12 Elmer, AB-12, B-123, Mrs. X, 1.5": None,
    }.items():
        assert replacements.applied(before) == (after or before)
        assert mentions(before.encode(), replacements) == bool(after)


def test_only_the_rows_of_forgotten_people_change() -> None:
    entry = SOURCE_TABLES["HumanResources_Employee"]
    rows = pl.DataFrame(
        {"BusinessEntityID": ["7", " 8", "x", None], "LoginID": ["aw\\ann", "aw\\bob", "aw\\cy", "aw\\di"]}
    )
    marked = belongs(entry, rows, {8, 9})
    assert pseudonymised(entry, rows, marked)["LoginID"].to_list() == ["aw\\ann", "forgotten-8", "aw\\cy", "aw\\di"]
    assert pseudonymised(entry, rows, belongs(entry, rows, set())).equals(rows)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.asset)
def test_the_catalogue_says_whose_data_a_row_holds(entry: SourceTable) -> None:
    """The declared way leads along references, to the table of people or the one that it shares its key with."""
    if entry.person is None:
        assert len(key_of(entry)) == 1, "its rows are recognized by their key"
    elif entry.person.through is None:
        assert entry.asset == "Person_Person" or _leads_to_people(entry, entry.person.column)
    else:
        through = SOURCE_TABLES[entry.person.through]
        assert through.person is not None
        assert _leads_to_people(through, through.person.column)
        linked = {(one.table, one.columns, one.parent) for t in (entry, through) for one in references(CHECKS, t.asset)}
        column = (entry.person.column,)
        assert {(through.asset, column, entry.asset), (entry.asset, column, through.asset)} & linked


def _leads_to_people(entry: SourceTable, column: str) -> bool:
    for reference in references(CHECKS, entry.asset):
        if reference.columns == (column,):
            if reference.parent in {"Person_Person", "Person_BusinessEntity"}:
                return True
            if _leads_to_people(SOURCE_TABLES[reference.parent], reference.parent_columns[0]):
                return True
    return False
