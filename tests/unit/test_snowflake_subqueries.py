"""SQL that Snowflake rejects and its double accepts: GROUPS window frames, and subqueries that are not joins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlglot
import yaml
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from adventureworks.catalog import MARTS
from adventureworks.marts import models
from adventureworks.settings import PROJECT_ROOT


def _queries() -> Iterator[tuple[str, str]]:
    for file in sorted((PROJECT_ROOT / "checks").rglob("*.yml")):
        document: dict[str, list[Any]] = yaml.safe_load(file.read_text())
        for checks in document.values():
            for check in checks:
                for body in check.values() if isinstance(check, dict) else ():
                    if isinstance(body, dict) and "fail query" in body:
                        yield f"{file.stem}.{body['name']}", body["fail query"].replace("${", "").replace("}", "")
    for mart in MARTS.values():
        for name in models.queries_of(mart):
            yield f"{mart.name}/{name}", models.rendered(mart, name).replace("%(", "").replace(")s", "")


QUERIES = dict(_queries())


def rejected(query: str) -> list[str]:
    """Return the pieces of a query that Snowflake cannot run."""
    tree = sqlglot.parse_one(query, dialect="postgres")
    frames = [spec.sql() for spec in tree.find_all(exp.WindowSpec) if str(spec.args.get("kind")).upper() == "GROUPS"]
    return frames + [scope.expression.sql()[:100] for scope in traverse_scope(tree) if _is_not_a_join(scope)]


def _is_not_a_join(scope: Scope) -> bool:
    """Return whether a subquery refers to the outer query in a way that cannot become a join."""
    # Columns without a table belong to the subquery itself.
    outer = [column for column in scope.find_all(exp.Column) if column.table and column.table not in scope.sources]
    if not (scope.is_subquery and outer):
        return False
    exists = scope.expression.find_ancestor(exp.Exists, exp.Where, exp.Having)
    if isinstance(exists, exp.Exists):
        return isinstance(exists.find_ancestor(exp.Or, exp.Case, exp.Select), (exp.Or, exp.Case))
    is_aggregate = any(isinstance(one.unalias(), exp.AggFunc) for one in scope.expression.selects)  # type: ignore[attr-defined]
    return not is_aggregate or not all(isinstance(column.find_ancestor(exp.Predicate), exp.EQ) for column in outer)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_snowflake_can_run_every_statement(query: str) -> None:
    assert rejected(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "select max(a) over (order by b groups between unbounded preceding and 1 preceding) from t",
        "select 1 from t where t.a = 1 or exists (select 1 from u where u.a = t.a)",
        "select 1 from t where t.a > (select sum(u.a) from u where u.b < t.b)",
        "select 1 from t where t.a = (select u.a from u where u.b = t.b)",
    ],
)
def test_sql_that_snowflake_rejects_is_found(query: str) -> None:
    assert len(rejected(query)) == 1
