"""The platform's SQL in Snowflake's dialect and in an environment, and the side of a session that a query reads."""

from __future__ import annotations

import re
from datetime import date

import pytest
import sqlglot

from adventureworks.catalog import MARTS, Mart
from adventureworks.marts import models
from adventureworks.settings import Settings
from adventureworks.warehouse.dialect import (
    in_environment,
    reads_data,
    rewritten,
    select_in_environment,
    types_of,
    with_named_parameters,
)
from adventureworks.warehouse.snowflake import schemas_of
from tests.conftest import REPOSITORY

SCHEMAS = schemas_of(Settings(snowflake_raw_schema="dbt_schema"))


def in_snowflake(query: str, parameters: object = None) -> str:
    text, values = with_named_parameters(query, parameters)  # type: ignore[arg-type]
    return rewritten(text, SCHEMAS, types_of(values)).sql


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('select "OrderQty" from raw."Sales_X" as x', 'SELECT "ORDERQTY" FROM "DBT_SCHEMA"."SALES_X" AS "X"'),
        ("select revenue from marts.fact_sales", 'SELECT "REVENUE" FROM "MARTS"."FACT_SALES"'),
        (
            'create unlogged table staging."T" ("A" bigint, "B" smallint, "M" numeric(19, 4), "D" timestamp,'
            ' "S" varchar)',
            'CREATE TRANSIENT TABLE "STAGING"."T" ("A" DECIMAL(19, 0), "B" DECIMAL(5, 0), "M" DECIMAL(19, 4),'
            ' "D" TIMESTAMPNTZ, "S" VARCHAR)',
        ),
        (
            "select row_key::jsonb ->> 'OrderID' from ops.quarantined_row",
            """SELECT JSON_EXTRACT_PATH_TEXT("ROW_KEY", 'OrderID') FROM "OPS"."QUARANTINED_ROW\"""",
        ),
        (
            "select jsonb_build_object('a', b::varchar)::varchar from staging.t",
            """SELECT CAST(TO_JSON(OBJECT_CONSTRUCT_KEEP_NULL('a', CAST("B" AS VARCHAR))) AS VARCHAR)"""
            ' FROM "STAGING"."T"',
        ),
        (
            "select to_char(d, 'YYYY-MM') from marts.x",
            'SELECT LEFT(CAST(CAST("D" AS DATE) AS VARCHAR), 7) FROM "MARTS"."X"',
        ),
        (
            "select sum(a) filter (where b) from marts.x",
            'SELECT SUM(IFF("B", "A", NULL)) FROM "MARTS"."X"',
        ),
        (
            "select d + interval '6 months', d - interval '1 day', d + interval '1 day' * o.n, a + 1 from marts.x as o",
            'SELECT DATEADD(MONTH, 6, "D"), DATEADD(DAY, -1, "D"), DATEADD(DAY, "O"."N", "D"), "A" + 1'
            ' FROM "MARTS"."X" AS "O"',
        ),
        (
            "select d::integer, d::bigint, d::numeric, t::timestamp from marts.x",
            'SELECT CAST("D" AS DECIMAL(10, 0)), CAST("D" AS DECIMAL(19, 0)), CAST("D" AS DECIMAL(38, 12)),'
            ' CAST("T" AS TIMESTAMPNTZ) FROM "MARTS"."X"',
        ),
        ("select greatest(a, b) from marts.x", 'SELECT GREATEST_IGNORE_NULLS("A", "B") FROM "MARTS"."X"'),
        (r"select 'a\b' from marts.x", r"SELECT 'a\\b' FROM " + '"MARTS"."X"'),
        ("select a from marts.x order by a nulls first", 'SELECT "A" FROM "MARTS"."X" ORDER BY "A" NULLS FIRST'),
        ("select 1::numeric / 3", "SELECT CAST(1 AS DECIMAL(38, 12)) / 3"),
        ('drop table if exists staging."T" cascade', 'DROP TABLE IF EXISTS "STAGING"."T"'),
    ],
)
def test_a_statement_is_rewritten_for_snowflake(written: str, sent: str) -> None:
    assert in_snowflake(written) == sent
    assert sqlglot.parse_one(sent, dialect="snowflake")


def test_values_are_bound_by_name_with_their_types_and_percent_signs_are_kept() -> None:
    query = "select a from marts.x where a = %s and d <= %s and b like '100%%'"
    assert in_snowflake(query, [1, date(2014, 6, 30)]) == (
        """SELECT "A" FROM "MARTS"."X" WHERE "A" = %(p0)s AND "D" <= CAST(%(p1)s AS DATE) AND "B" LIKE '100%%'"""
    )
    assert in_snowflake("select 1 from marts.x where d > %s + interval '-90 DAY'", [date(2014, 6, 30)]) == (
        'SELECT 1 FROM "MARTS"."X" WHERE "D" > DATEADD(DAY, -90, CAST(%(p0)s AS DATE))'
    )
    assert with_named_parameters(query, [1, date(2014, 6, 30)])[1] == {"p0": 1, "p1": date(2014, 6, 30)}
    assert in_snowflake("select '100%' from marts.x") == 'SELECT \'100%\' FROM "MARTS"."X"'


def test_result_columns_keep_the_spelling_of_the_statement() -> None:
    query = 'select "OrderQty", count(*) as orders, max(d) from marts.x group by 1'
    assert rewritten(query, SCHEMAS).columns == ("OrderQty", "orders", "")


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_all_names_in_a_model_become_upper_case(mart: Mart) -> None:
    for name in models.queries_of(mart):
        sent = in_snowflake(models.rendered(mart, name), {"as_of": date(2014, 6, 30), "run_id": "x"})
        tree = sqlglot.parse_one(re.sub(r"%\((\w+)\)s", r":\1", sent), dialect="snowflake")
        names = {identifier.name for identifier in tree.find_all(sqlglot.exp.Identifier)}
        assert {one for one in names if one != one.upper()} <= {"as_of", "run_id"}


@pytest.mark.parametrize(
    ("statement", "is_data"),
    [
        ('select 1 from raw."Sales_X"', True),
        ('select a from "staging"."T__rows" as r where exists (select 1 from marts.x)', True),
        ("select status from OPS.Quarantined_Row", True),
        ("select max(version) from ops.publication where asset = 'marts.x' -- not raw.y", False),
        ("with raw as (select 1 as a) select raw.a from raw", False),
        ("select 1", False),
    ],
)
def test_a_users_query_goes_where_its_tables_are(statement: str, is_data: bool) -> None:
    assert reads_data(sqlglot.parse_one(statement, dialect="postgres")) is is_data


def test_every_test_that_the_list_of_differences_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (REPOSITORY / "docs/engines.md").read_text()))
    tests = "\n".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert named
    assert named <= set(re.findall(r"def (test_\w+)\(", tests))


def test_a_users_query_across_both_databases_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"marts\.fact_sales and ops\.publication, which are in two databases"):
        reads_data(sqlglot.parse_one("select 1 from ops.publication join marts.fact_sales on true", dialect="postgres"))


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('select 1 from raw."Sales_X", "marts"."fact"', 'select 1 from pr_raw."Sales_X", pr_marts."fact"'),
        ("select $$ops.x$$, e'it\\'s raw.x' from RAW.x", "select $$ops.x$$, e'it\\'s raw.x' from pr_raw.x"),
        (
            "update ops . a set b = %(raw)s where c like '%%raw.d'",
            "update pr_ops . a set b = %(raw)s where c like '%%raw.d'",
        ),
        ("vacuum raw.x", "vacuum pr_raw.x"),
        ("select straw.a, t.raw, x.marts.y from straw", "select straw.a, t.raw, x.marts.y from straw"),
        ("select raw from t", "select raw from t"),
        ("select 'in marts.x', 'it''s raw.y' from ops.z", "select 'in marts.x', 'it''s raw.y' from pr_ops.z"),
        ("-- what's raw.x?\nselect 1 from raw . y /* it's */", "-- what's raw.x?\nselect 1 from pr_raw . y /* it's */"),
        ("""select "it's", 'a' from raw.x""", """select "it's", 'a' from pr_raw.x"""),
    ],
)
def test_only_schema_names_change(written: str, sent: str) -> None:
    assert in_environment(written, "pr") == sent
    assert in_environment(written, "") == written


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("select 'in marts.daily_sales'", "select 'in marts.daily_sales'"),
        ('select raw."Name" from raw."Sales_Store" as raw', 'select raw."Name" from pr_raw."Sales_Store" as raw'),
        ('select 1 from raw . "Sales_Store"', 'select 1 from pr_raw . "Sales_Store"'),
        ("select 'é', marts.x.y from  RAW.x, \"marts\".x", "select 'é', pr_marts.x.y from  pr_raw.x, pr_marts.x"),
        ("with raw as (select 1 as a) select raw.a from raw", "with raw as (select 1 as a) select raw.a from raw"),
        (
            "select (select 1 from ops.a) union select 1 from ops.b",
            "select (select 1 from pr_ops.a) union select 1 from pr_ops.b",
        ),
        ('select 1 from "Raw".x -- ops.x', 'select 1 from "Raw".x -- ops.x'),
    ],
)
def test_query_of_a_user_is_sent_to_the_environment(typed: str, sent: str) -> None:
    assert select_in_environment(typed, "pr") == sent
