"""Rules that are checked on changed rows only: no exception is missed, and without a proof all rows are checked."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.columns import Column
from adventureworks.gate import proofs
from adventureworks.gate.check_files import DeclaredCheck, declared_checks, reference_of
from adventureworks.gate.checks import CheckOutcome, passed, recounted
from adventureworks.gate.whole import kept
from adventureworks.settings import PROJECT_ROOT, Settings
from adventureworks.warehouse import open_warehouse, publication
from adventureworks.warehouse.postgres import column_type
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import names, table
from adventureworks.warehouse.staging import StagedTable
from tests.integration.pipeline import Pipeline

HEADER = "Sales_SalesOrderHeader"
CHECKS = PROJECT_ROOT / "checks" / "source"
DECLARED = [check for asset in sorted(SOURCE_TABLES) for check in declared_checks(CHECKS, asset)]
RULES = [
    check
    for check in DECLARED
    if (check.kind == "rows" and proofs.exceptions(check, {}) is not None)
    or (check.kind == "reference" and len(check.columns) > 1)
    or (check.kind == "uniqueness" and len(check.columns) > 1 and not check.rule.startswith("key_"))
    or (check.table == HEADER and check.rule in ("customer_exists", "rowguid_is_unique"))
]
"""The rules on columns that are compared with those of other rows. Rows that share a key are set aside before."""
WARNING = [check for check in DECLARED if proofs.known_exceptions(check, {}) is not None]
"""The rules whose exceptions can be known."""
ROUNDS = 60
TEXTS = ("W", "S", "P")


def value_of(column: Column, random: Random, *, is_key: bool) -> Any:
    """Return one of few values, so that rows meet."""
    place = random.randrange(3)
    if not is_key and place == 0 and random.random() < 0.3:
        return None
    kind = type(column.dtype)
    few: dict[Any, Any] = {
        pl.String: TEXTS[place][: column.longest or 1],
        pl.Date: date(2014, 1, 1 + place),
        pl.Datetime: datetime(2014, 1, 1 + place),
        pl.Time: time(place),
        pl.Boolean: place > 0,
        pl.Decimal: Decimal(place),
    }
    return few.get(kind, place)


def fill(session: Session, staged: StagedTable, random: Random) -> None:
    """Publish and stage a few random rows: inserted, updated, deleted and unchanged ones."""

    def row() -> tuple[Any, ...]:
        return tuple(value_of(column, random, is_key=column.name in staged.key) for column in staged.columns)

    places = [staged.column_names.index(name) for name in staged.key]
    key = lambda values: tuple(values[place] for place in places)  # noqa: E731
    before = {key(values): values for values in (row() for _ in range(random.randrange(4)))}
    after = {one: values for one, values in before.items() if random.random() < 0.8}
    after |= {key(values): values for values in (row() for _ in range(random.randrange(3)))}
    # Some unchanged rows are read again.
    read = [(one, values) for one, values in after.items() if before.get(one) != values or random.random() < 0.3]
    written = [(*values, before.get(one) == values) for one, values in read]
    session.data.execute(f"truncate {staged.published}, {staged.rows}, {staged.gone}")
    marks = ", ".join(["%s"] * len(staged.columns))
    session.data.executemany(f"insert into {staged.published} values ({marks})", list(before.values()))
    session.data.executemany(f"insert into {staged.rows} values ({marks}, %s)", written)
    session.data.executemany(
        f"insert into {staged.gone} values ({', '.join(['%s'] * len(staged.key))})", [*before.keys() - after.keys()]
    )


def exceptions_in(session: Session, check: DeclaredCheck, schema: str) -> list[tuple[Any, ...]]:
    """Return the exceptions of a rule in a schema, evaluated as a whole."""
    if check.kind == "uniqueness":
        given = " and ".join(f'"{column}" is not null' for column in check.columns)
        query = (
            f"select 1 from {table(schema, check.table)} where {given}"
            f" group by {names(check.columns)} having count(*) > 1"
        )
    elif check.kind == "reference":
        reference = reference_of(check)
        pairs = zip(reference.parent_columns, reference.columns, strict=True)
        match = " and ".join(f'p."{theirs}" = c."{ours}"' for theirs, ours in pairs)
        given = " or ".join(f'c."{column}" is not null' for column in reference.columns)
        query = (
            f"select 1 from {table(schema, check.table)} as c where ({given})"
            f" and not exists (select 1 from {table(schema, reference.parent)} as p where {match})"
        )
    else:
        query = check.query
    session.data.execute(f"set local search_path to pg_catalog, {schema}")
    found = session.data.execute(query).fetchall()
    session.data.execute("set local search_path to pg_catalog")
    return sorted(found, key=str)


def make(session: Session, tables: list[StagedTable]) -> None:
    """Create tables that accept any rows."""
    for staged in tables:
        columns = ", ".join(f'"{column.name}" {column_type(column.dtype)}' for column in staged.columns)
        session.data.execute(f"drop table {staged.published} cascade")
        session.data.execute(f"create table {staged.published} ({columns})")
        staged.start(session.data)
        staged.show_candidate(session.data)


@pytest.mark.parametrize("check", RULES, ids=lambda check: f"{check.table}.{check.rule}")
def test_changed_rows_show_every_exception_that_a_change_causes(warehouse_url: str, check: DeclaredCheck) -> None:
    random = Random(check.rule)
    tables = [StagedTable(SOURCE_TABLES[name]) for name in sorted(check.tables)]
    broken = spared = 0
    with open_warehouse(Settings(warehouse_url=SecretStr(warehouse_url))).connect("test") as session:
        make(session, tables)
        proofs.record(session, "run", {}, [check], {check: passed(check)})
        proofs.publish(session.records, "run")
        for _ in range(ROUNDS):
            for staged in tables:
                fill(session, staged, random)
            if exceptions_in(session, check, "raw"):
                continue
            is_kept = proofs.known(session, [check], tables) == {check: passed(check)}
            is_broken = bool(exceptions_in(session, check, "staging"))
            assert not (is_kept and is_broken)
            broken += is_broken
            spared += is_kept
        session.rollback()
    assert broken, "some change breaks the rule"
    assert spared, "some change does not"


@pytest.mark.parametrize("check", WARNING, ids=lambda check: f"{check.table}.{check.rule}")
def test_new_exceptions_of_a_rule_are_counted_while_no_old_one_is_replaced_or_deleted(
    warehouse_url: str, check: DeclaredCheck
) -> None:
    random = Random(check.rule)
    tables = [StagedTable(SOURCE_TABLES[name]) for name in sorted(check.tables)]
    examples = ("ID=1", "ID=2", "ID=3")
    outcome = CheckOutcome(check.table, check.rule, "warn", 100, "100 rows break it.", examples, check.dimension)
    unknown = unaltered = grown = 0
    with open_warehouse(Settings(warehouse_url=SecretStr(warehouse_url))).connect("test") as session:
        make(session, tables)
        proofs.record(session, "run", {}, [check], {check: outcome})
        proofs.publish(session.records, "run")
        # Some changes are rare: go on until each kind was seen.
        for number in range(20 * ROUNDS):
            if number >= ROUNDS and unknown and unaltered and (grown or not check.only_warns):
                break
            for staged in tables:
                fill(session, staged, random)
            known = proofs.known(session, [check], tables).get(check)
            before, after = exceptions_in(session, check, "raw"), exceptions_in(session, check, "staging")
            if known is None:
                unknown += 1
                continue
            assert known.failed == 100 + len(after) - len(before)
            assert not Counter(before) - Counter(after), "the examples still break the rule"
            assert known.examples == examples
            assert known == outcome or f"{known.failed} exceptions" in known.message
            unaltered += known == outcome
            grown += known != outcome
        session.rollback()
    assert unknown, "some change replaces or deletes an exception"
    assert unaltered, "some change alters none"
    assert bool(grown) == check.only_warns, "some change adds one"


def test_a_rule_with_few_examples_is_evaluated_again_if_a_changed_row_breaks_it(warehouse_url: str) -> None:
    check = next(check for check in WARNING if len(check.tables) > 1)
    outcome = CheckOutcome(check.table, check.rule, "warn", 1, "1 row breaks it.", ("ID=1",), check.dimension)
    assert recounted(check, outcome, 0) == outcome
    assert recounted(check, outcome, 1) is None
    full = replace(outcome, examples=("ID=1", "ID=2", "ID=3"))
    assert recounted(check, full, 1) is not None
    may_fail = replace(check, text=check.text.replace('"warn": "when > 0"', '"warn": "when > 0", "fail": "when > 9"'))
    assert may_fail.text != check.text
    assert recounted(may_fail, full, 1) is None, "it may fail"


def test_the_exceptions_of_a_rule_are_not_known_once_it_fails_instead_of_warning(
    warehouse_url: str, tmp_path: Path
) -> None:
    check = WARNING[0]
    outcome = CheckOutcome(check.table, check.rule, "warn", 3, "3 rows break it.", ("ID=1",), check.dimension)
    text = (CHECKS / f"{check.table}.yml").read_text(encoding="utf-8")
    (tmp_path / f"{check.table}.yml").write_text(text.replace("warn: when", "fail: when"), encoding="utf-8")
    (stricter,) = (one for one in declared_checks(tmp_path, check.table) if one.rule == check.rule)
    with open_warehouse(Settings(warehouse_url=SecretStr(warehouse_url))).connect("test") as session:
        proofs.record(session, "run", {}, [check], {check: outcome})
        proofs.publish(session.records, "run")
        assert proofs.known(session, [check], []) == {check: outcome}
        assert proofs.known(session, [stricter], []) == {}
        session.rollback()


def test_a_verdict_that_is_replaced_leaves_no_proof(warehouse_url: str) -> None:
    """The rules of a table that is blocked after the first verdict are not evaluated again."""
    with open_warehouse(Settings(warehouse_url=SecretStr(warehouse_url))).connect("test") as session:
        proofs.record(session, "run", {}, RULES[:1], {RULES[0]: passed(RULES[0])})
        proofs.record(session, "run", {}, [], {})
        proofs.publish(session.records, "run")
        assert session.records.execute("select asset, rule from ops.proof").fetchall() == []
        session.rollback()


@pytest.mark.parametrize("cause", ["", "the rule changes", "another version"])
def test_a_rule_is_evaluated_as_a_whole_if_nothing_proves_it(pipeline: Pipeline, tmp_path: Path, cause: str) -> None:
    def change() -> dict[str, str]:
        pipeline.change(
            'update "Sales"."SalesOrderHeader" set "Comment" = concat("Comment", \'.\') where "SalesOrderID"'
            ' = (select max("SalesOrderID") from "Sales"."SalesOrderHeader")'
        )
        return pipeline.ingest().opened

    assert change() == {}
    with pipeline.session() as session:
        session.data.execute(
            f'update raw."{HEADER}" set rowguid = (select min(rowguid::varchar)::varchar from raw."{HEADER}")'
            f' where "SalesOrderID" in (select min("SalesOrderID") from raw."{HEADER}")'
        )
        if cause == "another version":
            publication.record(
                session.records,
                asset=HEADER,
                rows=1,
                changed_rows=0,
                months=(),
                set_aside=0,
                verdict="passed",
                run_id="x/y",
            )
    if cause == "the rule changes":
        shutil.copytree(pipeline.settings.checks_folder, tmp_path / "checks")
        pipeline.settings = pipeline.settings.model_copy(update={"checks_folder": tmp_path / "checks"})
        file = tmp_path / "checks" / "source" / f"{HEADER}.yml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('duplicate_count("rowguid")', 'duplicate_count("rowguid" )'), encoding="utf-8")
    assert change() == ({HEADER: "rowguid_is_unique"} if cause else {})


def test_rules_about_a_candidate_as_a_whole_are_known_to_be_kept_only_if_they_are(warehouse_url: str) -> None:
    random, staged = Random(3), StagedTable(SOURCE_TABLES["Sales_SpecialOfferProduct"])
    empty, least, fresh = declared_checks(CHECKS, staged.asset)[:3]
    seen = {check.rule: {True: 0, False: 0} for check in (empty, least, fresh)}
    with open_warehouse(Settings(warehouse_url=SecretStr(warehouse_url))).connect("test") as session:
        make(session, [staged])
        for _ in range(2 * ROUNDS):
            fill(session, staged, random)
            [(before,)] = session.data.execute(f"select count(*) from {staged.published}").fetchall()
            publication.record(
                session.records,
                asset=staged.asset,
                rows=before,
                changed_rows=0,
                months=(),
                set_aside=0,
                verdict="passed",
                run_id="x/y",
            )
            limit, since = random.randrange(4), datetime(2014, 1, random.randrange(1, 5))
            variables = {f"least_rows_{staged.asset}": str(limit), f"stale_before_{staged.asset}": f"{since}"}
            found = kept(session, staged, [empty, least, fresh], variables)
            [(rows, newest)] = session.data.execute(
                f'select count(*), max("ModifiedDate") from {staged.candidate}'
            ).fetchall()
            true = {empty: rows > 0, least: rows >= limit, fresh: newest is not None and newest >= since}
            for check, is_kept in true.items():
                assert check not in found or is_kept
                seen[check.rule][check in found] += 1
            assert found.keys() >= {check for check in (empty, least) if true[check]}
            if empty in found:
                assert found[empty].message == f"{rows:,} row{'' if rows == 1 else 's'}, expected more than 0."
            stricter = replace(least, text=least.text.replace('{"name"', '{"warn": "when < 9", "name"'))
            assert stricter.text == least.text or kept(session, staged, [stricter], variables) == {}
        session.rollback()
    assert all(min(counts.values()) for counts in seen.values()), seen
