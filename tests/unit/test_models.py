"""The SQL of the models: every SELECT uses only what both engines interpret alike, and the lint finds what does not."""

import re
from pathlib import Path

import pytest

from adventureworks.catalog import MARTS
from adventureworks.errors import PlatformError
from adventureworks.marts import models
from adventureworks.marts.lint import find_violations, violations_of_models
from tests.conftest import REPOSITORY

FRAGMENTS = (
    ("m.revenue / nullif(m.orders, 0)", "a dividend must be cast to decimal"),
    ("cast(m.revenue as decimal(38, 6)) / nullif(m.orders, 0)", "a quotient must be cast"),
    ("cast(cast(m.revenue as decimal(38, 6)) / m.orders as decimal(38, 10))", "nullif"),
    ("cast(cast(m.orders as decimal(38, 0)) / nullif(m.revenue, 0) as decimal(38, 10))", "keeps 6 of the 10"),
    ("cast(cast(m.revenue as double) / nullif(m.orders, 0) as double)", "must be cast to decimal"),
    ("sum(m.revenue)", "may become a double"),
    ("sum(m.revenue) over (partition by m.month)", "may become a double"),
    ("sum(cast(m.revenue as double))", "may become a double"),
    ("sum(try_cast(m.revenue as decimal(38, 6)))", "TRY_CAST"),
    ("avg(m.revenue)", "AVG is not known"),
    ("greatest(m.revenue, m.profit)", "GREATEST is not known"),
    ("round(m.revenue, 2)", "ROUND is not known"),
    ("hash(m.revenue)", "HASH is not known"),
    ("dayofweekiso(m.month)", "is not known"),
    ("div0(m.revenue, m.orders)", "a dividend must be cast to decimal"),
    ("current_date", "is not known"),
    ("concat(m.channel, m.channel)", "NULL differently"),
    ("count(distinct m.month, m.channel)", "contains NULL"),
    ("m.revenue * 1.5", "at most 12 places"),
    ("cast(m.revenue * m.margin as decimal(38, 16))", "at most 12 places"),
    ("percentile_cont(0.5) within group (order by m.orders)", "of a double"),
    ("dateadd(month, 1, m.month)", "must be cast to date"),
    ("date_trunc('month', m.month)", "must be cast to date"),
    ("cast(date_trunc('week', m.month) as date)", "WEEK of a date differs"),
    ("extract(dayofweek from m.month)", "DAYOFWEEK of a date differs"),
    ("sum(cast(m.orders as bigint)) over (order by m.month)", "needs a frame"),
    ("substring(m.channel, 0, 2)", "below 1 differs"),
    ("left(m.channel, -1)", "below 1 differs"),
    (r"m.channel like '1\\\\%'", "backslash"),
    ("m.channel ilike 'on%'", "lower"),
    ("m.month + interval '1 day'", "dateadd"),
    ("m.channel rlike 'on.*'", "regular expressions"),
    ("sum(cast(m.orders as bigint)) filter (where m.orders > 1)", "FILTER"),
    ("m.orders % 2", "a remainder"),
    ("mod(m.orders, 2)", "a remainder"),
    ("m.orders & 2", "bitwise"),
    ("m.orders << 2", "bitwise"),
    ("~m.orders", "bitwise"),
    ("m.*", "name the columns"),
    (":today", "as_of"),
)
"""Expressions that a model may not contain, each with words of the reason."""

STATEMENTS = (
    ("select 1 as one from raw.A; select 2 as two from raw.A", "one SELECT"),
    ("create or replace table x as select 1 as one", "one SELECT"),
    ("select a.x from raw.A as a order by a.x", "no order"),
    ("select a.x from raw.A as a limit 1", "all its rows"),
    ("select a.x from raw.A as a qualify row_number() over (order by a.x) = 1", "QUALIFY"),
    ("select distinct on (a.x) a.x from raw.A as a", "DISTINCT ON"),
    ("select a.x from raw.A as a, lateral (select b.x from raw.B as b where b.x = a.x) as c", "LATERAL"),
    ("select x from raw.A pivot (sum(y) for z in ('a', 'b'))", "PIVOT"),
    ("select x from somewhere", "with its schema"),
    ("with here as (select a.x from raw.A as a) select here.x from elsewhere.here", "with its schema"),
)
"""Statements that may not be models, each with words of the reason."""


def test_every_model_uses_only_sql_that_both_engines_share() -> None:
    assert violations_of_models() == []


@pytest.mark.parametrize(("fragment", "reason"), FRAGMENTS)
def test_sql_that_is_inexact_or_differs_between_engines_is_rejected(fragment: str, reason: str) -> None:
    violations = find_violations(f"select {fragment} as figure from marts.territory_sales as m")
    assert any(reason in violation for violation in violations), violations


@pytest.mark.parametrize(("text", "reason"), STATEMENTS)
def test_a_statement_of_another_shape_is_rejected(text: str, reason: str) -> None:
    violations = find_violations(text)
    assert any(reason in violation for violation in violations), violations


def test_amounts_that_are_cast_may_be_summed_and_divided() -> None:
    assert (
        find_violations(
            "select cast(cast(sum(cast(m.revenue as decimal(38, 6))) as decimal(38, 6)) / count(*) as decimal(38, 10))"
            " as average_revenue from marts.territory_sales as m where m.month <= :as_of"
        )
        == []
    )


def test_every_rule_that_the_list_of_differences_names_has_a_case() -> None:
    rows = [line for line in (REPOSITORY / "docs/engines.md").read_text().splitlines() if line.startswith("|")]
    cells = [row.split("|")[-2] for row in rows if "lint" in row.split("|")[-2]]
    named = {cell: set(re.findall("`(?!test_)([^`]+)`", cell)) for cell in cells}
    assert [cell for cell, reasons in named.items() if not reasons] == []
    assert set.union(*named.values()) <= {reason for _, reason in (*FRAGMENTS, *STATEMENTS)}


@pytest.mark.parametrize("query", ["select a.x from raw.A as a where a.x = 'on", "select a.x from (raw.A as a"])
def test_an_invalid_model_is_reported_with_its_mart(monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr(models, "queries_of", lambda mart: {mart.name: query})
    with pytest.raises(PlatformError, match="The model of territory_sales is not a valid SELECT"):
        models.rendered(MARTS["territory_sales"], "territory_sales")


def test_digests_do_not_depend_on_where_the_folder_of_the_checks_is(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = REPOSITORY / "checks" / "marts"
    monkeypatch.chdir(checks.parent)
    # These names sort before and after the folder of the models.
    assert models.digests(checks) == models.digests(Path("marts"))
